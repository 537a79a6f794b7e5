//! HTTP/1.1 as bytes.

use std::fmt::Write as _;

use super::{Act, Answer, End};
use crate::upstream::request::Request;

/// The media type of plain text.
pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";

/// The end of a chunked body.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The head of an answer.
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) media_type: &'a str,
    /// Further headers.
    pub(super) headers: &'a [(String, String)],
}

/// What a head says of the body's end.
#[derive(Copy, Clone)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    /// It is the end of the connection, or there is no body.
    Unsaid,
}

impl Head<'_> {
    /// As bytes, for a connection with this end.
    ///
    /// There is no `date`: an answer is the same bytes each time, so that tests can compare it
    /// whole.
    pub(super) fn bytes(&self, framing: Framing, end: End) -> Vec<u8> {
        let status = http::StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        };
        if !self.media_type.is_empty() {
            line("content-type", &self.media_type);
        }
        match framing {
            Framing::Length(length) => line("content-length", &length),
            Framing::Chunked => line("transfer-encoding", &"chunked"),
            Framing::Unsaid => {}
        }
        for (name, value) in self.headers {
            line(name, value);
        }
        if end != End::KeepAlive {
            line("connection", &"close");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// A whole answer: this head and this body, or what of it the request and status allow.
    pub(super) fn whole(&self, body: &[u8], request: &Request, end: End) -> Answer {
        let framing = match self.status {
            204 | 304 => Framing::Unsaid,
            _ => Framing::Length(body.len()),
        };
        let mut bytes = self.bytes(framing, end);
        if has_body(self.status, request) {
            bytes.extend_from_slice(body);
        }
        Answer { status: Some(self.status), acts: vec![Act::Send(bytes)], end }
    }
}

/// A whole answer of text.
pub(crate) fn text(
    status: u16,
    media_type: &str,
    text: &str,
    request: &Request,
    end: End,
) -> Answer {
    Head { status, media_type, headers: &[] }.whole(text.as_bytes(), request, end)
}

/// The answer to what could not be understood, after which there is no going on.
pub(crate) fn farewell(status: u16, why: &str) -> Answer {
    let head = Head { status, media_type: PLAIN, headers: &[] };
    let text = format!("{why}\n");
    let mut bytes = head.bytes(Framing::Length(text.len()), End::Close);
    bytes.extend_from_slice(text.as_bytes());
    Answer { status: Some(status), acts: vec![Act::Send(bytes)], end: End::Close }
}

/// What becomes of the connection after an answer without fault.
pub(crate) fn end_after(request: &Request) -> End {
    match request.head.keeps_alive() {
        true => End::KeepAlive,
        false => End::Close,
    }
}

/// Whether an answer of this status to this request is followed by a body.
pub(super) fn has_body(status: u16, request: &Request) -> bool {
    request.head.method != "HEAD" && !matches!(status, 204 | 304)
}

/// One chunk of a chunked body. An empty one would be taken for the last.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", bytes.len());
    match bytes {
        [] => Vec::new(),
        bytes => [size.as_bytes(), bytes, b"\r\n"].concat(),
    }
}
