//! The classification table as a page.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use panelboard::Outcome;

use super::{Failover, Observed};

/// One row: what the upstream does, and what the client gets when no other upstream is left.
struct Row {
    upstream: &'static str,
    observed: Observed,
    client: &'static str,
}

const FALLBACK: &str = "the fallback: 503 with `Retry-After`, or the API's own shape";
const PASSED_ON: &str = "the upstream's answer";
const CUT: &str = "the connection ends abnormally (an event stream gets a last error event first)";

fn rows() -> Vec<Row> {
    let answered = |status, hint: Option<u64>| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        Observed::Answered(status, hint.map(Duration::from_secs))
    };
    let row = |upstream, observed, client| Row { upstream, observed, client };
    vec![
        row(
            "refuses or resets the connection, is unreachable, has no such host, fails TLS",
            Observed::ConnectFailed,
            FALLBACK,
        ),
        row("does not accept within `connect_timeout`", Observed::ConnectTimeout, FALLBACK),
        row("closes or resets before an answer", Observed::ClosedEarly, FALLBACK),
        row(
            "says over HTTP/2 that it will not look at the request (`REFUSED_STREAM`, `GOAWAY`)",
            Observed::Refused,
            FALLBACK,
        ),
        row(
            "has as many connections as `max_connections` allows, all of them taken for as long as \
             `connect_timeout`",
            Observed::PoolFull,
            FALLBACK,
        ),
        row("sends no head within `first_byte_timeout`", Observed::FirstByteTimeout, FALLBACK),
        row("answers with what is not HTTP", Observed::Garbage, FALLBACK),
        row("2xx, 3xx", answered(200, None), PASSED_ON),
        row(
            "101, to the protocol that was asked for (judged here; how long it lasts is not)",
            answered(101, None),
            "the upgraded connection",
        ),
        row("101 that nobody asked for, or to another protocol", Observed::Garbage, FALLBACK),
        row(
            "resets an upgraded connection, or ends a WebSocket without a close frame",
            Observed::TunnelCut,
            "the end of the connection",
        ),
        row("4xx but 408 and 429: the caller was wrong", answered(404, None), PASSED_ON),
        row("408", answered(408, None), PASSED_ON),
        row("429, with or without `Retry-After`", answered(429, Some(1)), PASSED_ON),
        row(
            "4xx of an LLM API that says that a quota is used up or the account is empty",
            Observed::QuotaUsedUp(StatusCode::TOO_MANY_REQUESTS, None),
            PASSED_ON,
        ),
        row("503 with `Retry-After`", answered(503, Some(1)), PASSED_ON),
        row("529", answered(529, None), PASSED_ON),
        row("500, 502, 503 without `Retry-After`, 504, other 5xx", answered(500, None), PASSED_ON),
        row("sends a body shorter than promised, or breaks its chunks", Observed::BodyCut, CUT),
        row(
            "stops within a body for `stall_timeout` (comment lines and pings do not count)",
            Observed::BodyStalled,
            CUT,
        ),
        row(
            "starts a stream but sends no first token within `first_token_timeout`",
            Observed::NoFirstToken,
            FALLBACK,
        ),
        row("reports an error within a stream", Observed::StreamError, PASSED_ON),
        row(
            "ends a stream without `[DONE]`, `response.completed`, `message_stop` or \
             `\"done\":true`",
            Observed::StreamUnfinished,
            "what came; the end marker is not invented",
        ),
        row(
            "speaks another API than the client, and answers what cannot be said in the client's",
            Observed::Untranslatable,
            FALLBACK,
        ),
        row(
            "ends a stream of chat with `[DONE]`, but without a finish reason",
            Observed::NoFinishReason,
            PASSED_ON,
        ),
        row(
            "takes longer than `total_timeout`, or than all of the route's deadline",
            Observed::TotalTimeout,
            "the fallback, or an abnormal end if the answer had begun",
        ),
        row(
            "is asked with what is left of the deadline, and that is not enough",
            Observed::OutOfTime,
            FALLBACK,
        ),
        row("is still answering when the client goes away", Observed::ClientGone, "nothing"),
    ]
}

/// `docs/classification.md`: what each behaviour of an upstream means.
pub fn classification_markdown() -> String {
    let mut page = String::from(
        "# How answers are judged\n\n\
         <!-- Generated from crates/gateway/src/judge: `cargo xtask generate`. -->\n\n\
         What the gateway makes of an upstream's behaviour. *Outcome* is what the circuit records \
         (and what `panelboard_circuit_calls_total` and `panelboard_circuit_failures_total` \
         count); *next upstream* says when the request may go on to the next of the chain; \
         *reused* says whether the connection may serve another request.\n\n\
         A request may be asked twice if its method is idempotent (GET, HEAD, OPTIONS, \
         PUT, DELETE) or the route says `failover_non_idempotent = true`, which LLM routes do by \
         default; and only as long as the client has not seen a byte of an answer.\n\n\
         | the upstream | outcome | next upstream | reused | the client gets, if no other is left |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for Row { upstream, observed, client } in rows() {
        let verdict = observed.verdict();
        let outcome = match verdict.outcome {
            Outcome::Failure { kind, .. } => format!("failure (`{kind}`)"),
            outcome => outcome.name().to_owned(),
        };
        let failover = match verdict.failover {
            Failover::Safe => "yes",
            Failover::IfRepeatable => "if it may be asked twice",
            Failover::No => "no",
        };
        let reuse = if verdict.reuse { "yes" } else { "no" };
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {upstream} | {outcome} | {failover} | {reuse} | {client} |");
    }
    page.push_str(
        "\nPushback paces the circuit: new calls are refused with reason `paced` until the hint \
         has passed, without opening it. Only a used-up quota goes further: calls are refused until \
         the provider's reset, and one tries each 15 minutes at least, until it succeeds. A \
         failure's `Retry-After` can only lengthen an open phase that this very failure starts.\n\n\
         A call that turns into an upgraded connection is judged when the upstream agrees. Should \
         that connection be lost later, this counts as one more call, which failed; but only while \
         the circuit is closed, since what began before an outage has no say in its end. That it \
         ends in order, that it is silent for `tunnel_idle_timeout`, and that the client goes away, \
         counts as nothing.\n",
    );
    page
}
