//! What upstreams do wrong, and what becomes of it: one table, played by the test beside it and
//! printed by `cargo xtask generate`.

use std::fmt::Write as _;

/// One behaviour.
pub(crate) struct Row {
    /// What the upstream does, for people.
    pub(crate) does: &'static str,
    pub(crate) play: Play,
    pub(crate) ask: Ask,
    pub(crate) gets: Gets,
    /// The recorded outcome, and the kind of a failure.
    pub(crate) outcome: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) http1: Over,
    pub(crate) http2: Over,
}

/// How an upstream comes to do it.
#[derive(Copy, Clone)]
pub(crate) enum Play {
    /// A behaviour of `panelboard upstream`.
    Script(&'static str),
    /// These acts of a server; whoever comes after the first gets a healthy answer.
    Acts(&'static [Act]),
    /// The same where TLS is expected.
    Tls(&'static [Act]),
    /// There is none at this URL.
    Nobody(&'static str),
    /// Its queue of connections is full.
    Full,
}

/// What a server does on a connection.
#[derive(Copy, Clone)]
pub(crate) enum Act {
    /// Reads the head of a request.
    Read,
    /// One after the other they go out as one piece.
    Send(&'static str),
    /// Sends it so often.
    Times(&'static str, u32),
    /// Sends it each 50 ms until the other side is gone.
    ForEver(&'static str),
    /// Goes on 50 ms later.
    Wait,
    /// Does nothing until the other side is gone.
    Hang,
    Close,
    Reset,
}

/// What the upstream is asked.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// For bytes.
    Get,
    /// For a chat, as a stream, in `OpenAI`'s API.
    Chat,
    /// To take more than fits in any buffer.
    Upload,
}

/// What the client gets.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Gets {
    /// 503, a reason and when to come back.
    Fallback,
    /// The upstream's own answer, all of it.
    Answer(u16),
    /// What came, and an abnormal end.
    Cut,
    /// The same, with a last event before it that says so.
    Told,
}

/// Whether it can happen over this version of HTTP, and what becomes of the connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    No,
    /// There is no connection that could be used again.
    Gone,
    Reused,
}

const fn row(does: &'static str, play: Play, gets: Gets, outcome: &'static str) -> Row {
    Row { does, play, ask: Ask::Get, gets, outcome, kind: "", http1: Over::Gone, http2: Over::No }
}

/// A failure of this kind, after which the connection is not used again.
const fn fails(does: &'static str, play: Play, gets: Gets, kind: &'static str) -> Row {
    Row { kind, ..row(does, play, gets, "failure") }
}

impl Row {
    const fn asked(self, ask: Ask) -> Row {
        Row { ask, ..self }
    }

    /// The connection serves the next request, too.
    const fn reused(self) -> Row {
        Row { http1: Over::Reused, ..self }
    }

    /// It happens over HTTP/2 as well, and other streams of the connection go on.
    const fn also2(self) -> Row {
        Row { http2: Over::Reused, ..self }
    }

    /// It happens over HTTP/2 as well, and ends the connection.
    const fn also2_gone(self) -> Row {
        Row { http2: Over::Gone, ..self }
    }

    /// Only over HTTP/2.
    const fn only2(self) -> Row {
        Row { http1: Over::No, http2: Over::Reused, ..self }
    }

    const fn only2_gone(self) -> Row {
        Row { http1: Over::No, http2: Over::Gone, ..self }
    }
}

use Act::{Close, ForEver, Hang, Read, Reset, Send, Times, Wait};
use Ask::{Chat, Upload};
use Gets::{Answer, Cut, Fallback, Told};
use Play::{Acts, Full, Nobody, Script, Tls};

const OK: &str = "HTTP/1.1 200 OK\r\n";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
const BODY: &str = "content-length: 5\r\n\r\nhello";
const CHUNKS: &str = "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
/// What no client may get.
const POISON: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";

pub(crate) static ROWS: &[Row] = &[
    // ----- no connection -----
    fails("refuses the connection", Nobody("http://127.0.0.1:1"), Fallback, "connect").also2_gone(),
    fails("has a name that nobody knows", Nobody("http://nowhere.invalid"), Fallback, "connect")
        .also2_gone(),
    fails("does not accept the connection", Full, Fallback, "timeout").also2_gone(),
    fails(
        "answers a TLS hello with something else",
        Tls(&[Send("HTTP/1.1 400 Bad Request\r\n\r\n"), Hang]),
        Fallback,
        "connect",
    )
    .also2_gone(),
    fails("closes in the middle of the TLS handshake", Tls(&[Wait, Close]), Fallback, "connect")
        .also2_gone(),
    fails("never answers a TLS hello", Tls(&[Hang]), Fallback, "timeout").also2_gone(),
    // ----- no answer -----
    fails("closes at once", Acts(&[Close]), Fallback, "connect"),
    fails("resets at once", Acts(&[Reset]), Fallback, "connect"),
    fails("closes after the request", Script("close"), Fallback, "connect").also2_gone(),
    fails("resets after the request", Script("reset"), Fallback, "connect").also2_gone(),
    fails("takes the request and is silent", Script("hang"), Fallback, "timeout").also2(),
    fails("answers later than `first_byte_timeout`", Script("slow:5s"), Fallback, "timeout")
        .also2(),
    fails(
        "closes within its head",
        Acts(&[Read, Send(OK), Send("content-le"), Close]),
        Fallback,
        "connect",
    ),
    fails(
        "stops within its head",
        Acts(&[Read, Send(OK), Send("content-le"), Hang]),
        Fallback,
        "timeout",
    ),
    fails(
        "sends its head byte by byte, for ever",
        Acts(&[Read, Send(OK), Send("x: "), ForEver("y")]),
        Fallback,
        "timeout",
    ),
    fails("sends 103 for ever, and no answer", Acts(&[Read, ForEver(HINTS)]), Fallback, "timeout"),
    // ----- no HTTP -----
    fails("sends garbage", Script("garbage"), Fallback, "invalid_response").also2_gone(),
    fails("answers as HTTP/0.9, without a head", Script("http09"), Fallback, "invalid_response"),
    fails(
        "sends a status that is none",
        Acts(&[Read, Send("HTTP/1.1 2x0 OK\r\n"), Send(BODY)]),
        Fallback,
        "invalid_response",
    ),
    fails(
        "answers in a version that was not asked for",
        Acts(&[Read, Send("HTTP/2.0 200 OK\r\n"), Send(BODY)]),
        Fallback,
        "invalid_response",
    ),
    fails(
        "has a NUL in a header",
        Acts(&[Read, Send(OK), Send("x: \0\r\n"), Send(BODY)]),
        Fallback,
        "invalid_response",
    ),
    fails("has a head of 1 MiB", Script("huge-head"), Fallback, "invalid_response"),
    fails(
        "has a thousand headers",
        Acts(&[Read, Send(OK), Times("x: y\r\n", 1_000), Send(BODY)]),
        Fallback,
        "invalid_response",
    ),
    fails("has two lengths", Script("two-lengths"), Fallback, "invalid_response"),
    fails("has a length beside chunks", Script("length-and-chunked"), Fallback, "invalid_response"),
    fails(
        "has a length that is no number",
        Acts(&[Read, Send(OK), Send("content-length: -5\r\n\r\nhello")]),
        Fallback,
        "invalid_response",
    ),
    fails(
        "has an encoding beside `chunked`",
        Acts(&[
            Read,
            Send(OK),
            Send("transfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ]),
        Fallback,
        "invalid_response",
    ),
    fails(
        "changes protocols unasked (101)",
        Acts(&[
            Read,
            Send("HTTP/1.1 101 Switching Protocols\r\n"),
            Send("connection: upgrade\r\nupgrade: x\r\n\r\nhello"),
            Hang,
        ]),
        Fallback,
        "invalid_response",
    ),
    // ----- answers -----
    row("2xx", Script("ok"), Answer(200), "success").reused().also2(),
    row("304", Script("status:304"), Answer(304), "success").reused().also2(),
    row("404, and other 4xx but 408 and 429", Script("status:404"), Answer(404), "success")
        .reused()
        .also2(),
    fails("408", Script("status:408"), Answer(408), "timeout").reused().also2(),
    fails("500", Script("status:500"), Answer(500), "server_error").reused().also2(),
    fails("502", Script("status:502"), Answer(502), "server_error").reused().also2(),
    fails("503", Script("status:503"), Answer(503), "server_error").reused().also2(),
    row("503 with `Retry-After`", Script("status:503,retry-after=1"), Answer(503), "pushback")
        .reused()
        .also2(),
    row("429 with `Retry-After`", Script("status:429,retry-after=1"), Answer(429), "pushback")
        .reused()
        .also2(),
    row("429 without", Script("status:429"), Answer(429), "pushback").reused().also2(),
    row("529", Script("status:529"), Answer(529), "pushback").reused().also2(),
    row(
        "sends 100 and 103 before its answer",
        Acts(&[Read, Send("HTTP/1.1 100 Continue\r\n\r\n"), Send(HINTS), Send(OK), Send(BODY)]),
        Answer(200),
        "success",
    )
    .reused(),
    row(
        "says that junk is gzip: it is passed on as it is",
        Acts(&[Read, Send(OK), Send("content-encoding: gzip\r\n"), Send(BODY)]),
        Answer(200),
        "success",
    )
    .reused(),
    row(
        "answers in HTTP/1.0, and ends its body by closing",
        Acts(&[Read, Send("HTTP/1.0 200 OK\r\n\r\nhello"), Close]),
        Answer(200),
        "success",
    ),
    row("closes after its answer without notice", Script("close-after"), Answer(200), "success")
        .also2_gone(),
    // ----- more than one answer -----
    row(
        "sends bytes after the body it promised",
        Acts(&[Read, Send(OK), Send(BODY), Send(" poison")]),
        Answer(200),
        "success",
    ),
    row(
        "sends a second answer at once",
        Acts(&[Read, Send(OK), Send(BODY), Send(POISON)]),
        Answer(200),
        "success",
    ),
    row(
        "sends a second answer later, unasked",
        Acts(&[Read, Send(OK), Send(BODY), Wait, Send(POISON)]),
        Answer(200),
        "success",
    ),
    row(
        "sends a second answer after the last chunk",
        Acts(&[Read, Send(OK), Send(CHUNKS), Send("0\r\n\r\n"), Send(POISON)]),
        Answer(200),
        "success",
    ),
    row(
        "sends a body with 204",
        Acts(&[Read, Send("HTTP/1.1 204 No Content\r\n\r\npoison")]),
        Answer(204),
        "success",
    ),
    row(
        "sends a body with 304",
        Acts(&[Read, Send("HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\npoison")]),
        Answer(304),
        "success",
    ),
    // ----- bodies -----
    fails("sends less than it promised, and closes", Script("truncate"), Cut, "invalid_response")
        .also2_gone(),
    fails("stops within the body", Script("head-then-hang"), Cut, "stalled").also2(),
    fails("breaks its chunks", Script("bad-chunk"), Cut, "invalid_response"),
    fails("leaves the last chunk out", Script("missing-last-chunk"), Cut, "invalid_response")
        .also2_gone(),
    fails(
        "has a chunk whose size nobody can count",
        Acts(&[Read, Send(OK), Send(CHUNKS), Send("fffffffffffffffff\r\n")]),
        Cut,
        "invalid_response",
    ),
    fails(
        "has chunk extensions without end",
        Acts(&[
            Read,
            Send(OK),
            Send(CHUNKS),
            Send("5;"),
            Times("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 10_000),
        ]),
        Cut,
        "invalid_response",
    ),
    fails(
        "has trailers without end",
        Acts(&[
            Read,
            Send(OK),
            Send(CHUNKS),
            Send("0\r\n"),
            Times("x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 10_000),
        ]),
        Cut,
        "invalid_response",
    ),
    fails(
        "sends its body so slowly that `total_timeout` passes",
        Acts(&[Read, Send(OK), Send("content-length: 5000\r\n\r\nhello"), ForEver(" ")]),
        Cut,
        "timeout",
    ),
    // ----- uploads -----
    row(
        "answers before it has read the request, and closes",
        Acts(&[
            Read,
            Send("HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\n"),
            Send(BODY),
            Hang,
        ]),
        Answer(413),
        "success",
    )
    .asked(Upload),
    fails("resets within the upload", Acts(&[Read, Wait, Reset]), Fallback, "connect")
        .asked(Upload),
    fails("takes no more of the upload", Acts(&[Read, Hang]), Fallback, "timeout").asked(Upload),
    // ----- streams -----
    row("streams to the end", Script("ok,events=3"), Answer(200), "success")
        .reused()
        .also2()
        .asked(Chat),
    fails("cuts a stream", Script("stream-cut:3"), Told, "invalid_response")
        .also2_gone()
        .asked(Chat),
    fails("resets within a stream", Script("stream-reset:3"), Told, "invalid_response")
        .also2_gone()
        .asked(Chat),
    fails("stops within a stream", Script("stream-stall:3"), Told, "stalled").also2().asked(Chat),
    fails("sends nothing but comments from then on", Script("stream-keepalive:3"), Told, "stalled")
        .also2()
        .asked(Chat),
    fails(
        "ends a stream without its end marker",
        Script("stream-no-end:3"),
        Answer(200),
        "invalid_response",
    )
    .reused()
    .also2()
    .asked(Chat),
    fails(
        "reports an error within a stream",
        Script("stream-error:3"),
        Answer(200),
        "invalid_response",
    )
    .reused()
    .also2()
    .asked(Chat),
    fails("starts a stream, but sends no token", Script("no-first-token"), Fallback, "stalled")
        .also2()
        .asked(Chat),
    fails(
        "starts a stream, and sends nothing but comments",
        Script("stream-keepalive:0"),
        Fallback,
        "stalled",
    )
    .also2()
    .asked(Chat),
    fails(
        "cuts a stream before its first token",
        Script("stream-cut:0"),
        Fallback,
        "invalid_response",
    )
    .also2_gone()
    .asked(Chat),
    // ----- HTTP/2 -----
    fails(
        "refuses the stream (`REFUSED_STREAM`)",
        Script("h2-reset:refused-stream"),
        Fallback,
        "overloaded",
    )
    .only2(),
    fails(
        "resets the stream (`INTERNAL_ERROR`)",
        Script("h2-reset:internal-error"),
        Fallback,
        "connect",
    )
    .only2(),
    fails("resets the stream (`CANCEL`)", Script("h2-reset:cancel"), Fallback, "connect").only2(),
    fails(
        "resets the stream (`ENHANCE_YOUR_CALM`)",
        Script("h2-reset:enhance-your-calm"),
        Fallback,
        "connect",
    )
    .only2(),
    fails(
        "resets the stream (`HTTP_1_1_REQUIRED`)",
        Script("h2-reset:http-1-1-required"),
        Fallback,
        "connect",
    )
    .only2(),
    fails(
        "resets the stream within the body",
        Script("h2-reset-body:internal-error"),
        Cut,
        "invalid_response",
    )
    .only2(),
    fails(
        "leaves with a GOAWAY that excludes the request",
        Script("h2-goaway"),
        Fallback,
        "overloaded",
    )
    .only2_gone(),
    fails(
        "leaves with a GOAWAY within the body",
        Script("h2-goaway-body"),
        Cut,
        "invalid_response",
    )
    .only2_gone(),
    row("leaves with a GOAWAY after its answer", Script("h2-goaway-after"), Answer(200), "success")
        .only2_gone(),
    fails(
        "sends a frame that belongs to no stream",
        Script("h2-bad-frame"),
        Fallback,
        "invalid_response",
    )
    .only2_gone(),
    fails(
        "sends headers that cannot be decompressed",
        Script("h2-bad-headers"),
        Fallback,
        "invalid_response",
    )
    .only2_gone(),
    fails(
        "sends less than it promised, and ends the stream",
        Script("h2-short"),
        Cut,
        "invalid_response",
    )
    .only2(),
    fails("sends more than it promised", Script("h2-long"), Cut, "invalid_response").only2(),
];

/// `docs/fault-matrix.md`.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# Fault matrix\n\n\
         <!-- Generated from crates/cli/tests/e2e/matrix/table.rs: `cargo xtask generate`. -->\n\n\
         What upstreams do, and what becomes of it. Each row is played against a running gateway, \
         over each version of HTTP that it names, by the test `matrix`: the client's answer, what \
         the circuit recorded, what the metrics say, what became of the connection, and that \
         nothing took longer than its timeout. The rule behind the rows is \
         [How answers are judged](classification.md).\n\n\
         *Fallback* is a 503 with a reason and `Retry-After`, or the API's own shape; *cut* is what \
         had come, and an abnormal end of the connection, so that it cannot be taken for whole. \
         Recorded is the label `outcome` of `panelboard_circuit_calls_total`, and in brackets the \
         label `kind` of `panelboard_circuit_failures_total`: both rise by one, and nothing else \
         does.\n\n\
         | the upstream | the client gets | recorded | connection over HTTP/1.1 | over HTTP/2 |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for row in ROWS {
        let gets = match row.gets {
            Gets::Fallback => "the fallback".to_owned(),
            Gets::Answer(status) => format!("the answer, {status}"),
            Gets::Cut => "cut".to_owned(),
            Gets::Told => "cut, after an event that says so".to_owned(),
        };
        let recorded = match row.kind {
            "" => row.outcome.to_owned(),
            kind => format!("{} (`{kind}`)", row.outcome),
        };
        let over = |over| match over {
            Over::No => "–",
            Over::Gone => "not used again",
            Over::Reused => "used again",
        };
        let (one, two) = (over(row.http1), over(row.http2));
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {} | {gets} | {recorded} | {one} | {two} |", row.does);
    }
    page
}
