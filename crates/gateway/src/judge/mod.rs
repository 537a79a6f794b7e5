//! What an upstream's behaviour says of it.
//!
//! [`Observed`] names everything an upstream can do to us; [`Observed::verdict`] is the
//! classification table, as code. `docs/classification.md` is generated from it.

mod reader;
mod stream;
mod table;

use std::time::Duration;

use http::StatusCode;
pub(crate) use panelboard::classify::{retry_after, retry_hint};
use panelboard::{Kind, Outcome};

pub(crate) use reader::{Reader, Usage};
pub(crate) use stream::{StreamEnd, StreamJudge};
pub use table::classification_markdown;

/// What an upstream did with a request.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Observed {
    /// No connection: refused, unreachable, no such host, TLS failed.
    ConnectFailed,
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// The connection was closed or reset before an answer.
    ClosedEarly,
    /// It said that it has not looked at the request, and will not.
    Refused,
    /// There are as many connections to it as there may be, and none became free in time.
    PoolFull,
    /// No head of an answer within `first_byte_timeout`.
    FirstByteTimeout,
    /// What came back is not HTTP, or its framing contradicts itself.
    Garbage,
    /// An answer with this status, and the server's hint when to come back.
    Answered(StatusCode, Option<Duration>),
    /// An error that says that a quota is used up or an account is empty, and the server's hint when
    /// there is a new one.
    QuotaUsedUp(StatusCode, Option<Duration>),
    /// The body ended before all of it had come.
    BodyCut,
    /// The body stopped for longer than `stall_timeout`.
    BodyStalled,
    /// A stream sent nothing but its head within `first_token_timeout`.
    NoFirstToken,
    /// A stream reported an error among its events.
    StreamError,
    /// A stream ended cleanly, but without its end marker.
    StreamUnfinished,
    /// The answer is in another API's words, and cannot be put in the client's.
    Untranslatable,
    /// A stream ended with its end marker, but none of its choices with a reason.
    NoFinishReason,
    /// The whole exchange took longer than `total_timeout`, or than all of the route's deadline.
    TotalTimeout,
    /// The route's deadline was over, but other upstreams had had part of it.
    OutOfTime,
    /// The connection was lost after it had changed to another protocol.
    TunnelCut,
    /// The client went away before the answer was complete.
    ClientGone,
}

/// What that means.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Verdict {
    /// What the breaker records.
    pub outcome: Outcome,
    /// Whether the next upstream of the chain may be asked instead.
    pub failover: Failover,
    /// Whether the connection may serve another request.
    pub reuse: bool,
}

/// Whether the next upstream of the chain may be asked instead, as long as the client has not had
/// a byte of an answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failover {
    /// Yes: the request was not processed.
    Safe,
    /// If asking twice does no harm: the request may have been processed.
    IfRepeatable,
    /// No: there is an answer for the client, or nobody to have one.
    No,
}

// ===== impl Observed =====

impl Observed {
    /// What it means for breaker, chain and connection.
    pub(crate) fn verdict(self) -> Verdict {
        let failed =
            |kind, failover| Verdict { outcome: Outcome::failure(kind), failover, reuse: false };
        match self {
            Observed::ConnectFailed => failed(Kind::Connect, Failover::Safe),
            Observed::ConnectTimeout => failed(Kind::Timeout, Failover::Safe),
            Observed::ClosedEarly => failed(Kind::Connect, Failover::IfRepeatable),
            Observed::Refused => {
                Verdict { reuse: true, ..failed(Kind::Overloaded, Failover::Safe) }
            }
            // That is our own bound, and says nothing of it.
            Observed::PoolFull => {
                Verdict { outcome: Outcome::Neutral, failover: Failover::Safe, reuse: true }
            }
            Observed::TunnelCut => failed(Kind::Connect, Failover::No),
            Observed::FirstByteTimeout | Observed::TotalTimeout => {
                failed(Kind::Timeout, Failover::IfRepeatable)
            }
            Observed::NoFirstToken | Observed::BodyStalled => {
                failed(Kind::Stalled, Failover::IfRepeatable)
            }
            Observed::Garbage | Observed::BodyCut => {
                failed(Kind::InvalidResponse, Failover::IfRepeatable)
            }
            Observed::StreamError
            | Observed::StreamUnfinished
            | Observed::NoFinishReason
            | Observed::Untranslatable => {
                Verdict { reuse: true, ..failed(Kind::InvalidResponse, Failover::IfRepeatable) }
            }
            Observed::ClientGone | Observed::OutOfTime => {
                Verdict { outcome: Outcome::Neutral, failover: Failover::No, reuse: false }
            }
            Observed::Answered(status, hint) => answered(status, hint),
            // It has not processed the request.
            Observed::QuotaUsedUp(_, hint) => Verdict {
                outcome: Outcome::quota_used_up(hint),
                failover: Failover::Safe,
                reuse: true,
            },
        }
    }

    /// The status of the answer, if it was one of its own that is judged by that.
    pub(crate) fn status(self) -> Option<StatusCode> {
        match self {
            Observed::Answered(status, _) | Observed::QuotaUsedUp(status, _) => Some(status),
            _ => None,
        }
    }

    /// Whether the upstream may have been at work all the same.
    pub(crate) fn may_have_cost(self) -> bool {
        !matches!(self, Observed::ConnectFailed | Observed::ConnectTimeout)
            && self.status().is_none()
    }

    /// Short words for the last errors, without anything from the request or the answer.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Observed::ConnectFailed => "could not connect",
            Observed::ConnectTimeout => "no connection in time",
            Observed::ClosedEarly => "connection closed before an answer",
            Observed::Refused => "refused the request",
            Observed::PoolFull => "all connections to it are taken",
            Observed::FirstByteTimeout => "no answer in time",
            Observed::Garbage => "the answer is not HTTP",
            Observed::Answered(..) => "answered with an error",
            Observed::QuotaUsedUp(..) => "a quota is used up",
            Observed::BodyCut => "the body ended early",
            Observed::BodyStalled => "the body stalled",
            Observed::NoFirstToken => "no first token in time",
            Observed::StreamError => "the stream reported an error",
            Observed::StreamUnfinished => "the stream has no end marker",
            Observed::Untranslatable => "the answer cannot be translated",
            Observed::NoFinishReason => "the stream has no finish reason",
            Observed::TotalTimeout => "took too long in all",
            Observed::OutOfTime => "the route's deadline was over",
            Observed::TunnelCut => "the tunnel's connection was lost",
            Observed::ClientGone => "the client went away",
        }
    }
}

fn answered(status: StatusCode, hint: Option<Duration>) -> Verdict {
    let outcome = Outcome::of_http(status.as_u16(), hint);
    let failover = match outcome {
        // It has not processed the request.
        Outcome::Pushback { .. } => Failover::Safe,
        Outcome::Failure { .. } => Failover::IfRepeatable,
        Outcome::Success | Outcome::Neutral => Failover::No,
    };
    Verdict { outcome, failover, reuse: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_processed_may_be_asked_elsewhere() {
        let failover = |status| {
            let status = StatusCode::from_u16(status).unwrap();
            let verdict = Observed::Answered(status, None).verdict();
            assert!(verdict.reuse, "{status}");
            verdict.failover
        };
        for status in [429, 529] {
            assert_eq!(failover(status), Failover::Safe, "{status}");
        }
        for status in [408, 500, 502, 503, 504] {
            assert_eq!(failover(status), Failover::IfRepeatable, "{status}");
        }
        for status in [200, 304, 400, 404] {
            assert_eq!(failover(status), Failover::No, "{status}");
        }
    }
}
