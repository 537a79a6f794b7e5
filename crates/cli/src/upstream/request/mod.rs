//! Requests as they arrive: read whole, and strictly, since this server stands in for the one
//! behind a gateway, and must notice when the gateway lets something odd through.

mod body;
mod head;
#[cfg(test)]
mod tests;

use std::io;

pub(super) use body::{MOST_BYTES as MOST_BODY, read_body};
pub(super) use head::{Head, IDLE, read_head};

/// A request, read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) framing: Framing,
    pub(super) body: Vec<u8>,
    /// Headers that came after a chunked body.
    pub(super) trailers: Vec<Header>,
}

/// A name, in lower case, and a value.
pub(super) type Header = (String, Vec<u8>);

/// How the end of a body is known.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// There is no body.
    None,
    ContentLength(usize),
    Chunked,
    /// By the frames of HTTP/2.
    Frames,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The client has gone, or took too long while nothing was expected of it.
    Gone,
    /// It is answered with this status, and the connection closed.
    Refused(u16, &'static str),
}

// ===== impl Unreadable =====

impl Unreadable {
    pub(super) const fn bad(why: &'static str) -> Unreadable {
        Unreadable::Refused(400, why)
    }

    pub(super) const SLOW: Unreadable = Unreadable::Refused(408, "too slow");
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Unreadable {
        Unreadable::Gone
    }
}

// ===== impl Framing =====

impl Framing {
    /// The header that says so.
    pub(super) fn name(self) -> &'static str {
        match self {
            Framing::None => "none",
            Framing::ContentLength(_) => "content-length",
            Framing::Chunked => "chunked",
            Framing::Frames => "frames",
        }
    }
}

// ===== impl Request =====

impl Request {
    /// A request that has no body.
    pub(super) fn bodiless(head: Head) -> Request {
        Request { head, framing: Framing::None, body: Vec::new(), trailers: Vec::new() }
    }
}

/// Headers for people and JSON.
pub(super) fn readable(headers: &[Header]) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}
