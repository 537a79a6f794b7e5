//! Request heads.

use std::time::Duration;

use httparse::Status;
use tokio::time::timeout;

use super::{Framing, Header, Unreadable};
use crate::upstream::connection::{Connection, STALL};

/// A head larger than this is refused.
const MOST_BYTES: usize = 64 * 1024;

/// A head of more headers than this is refused.
const MOST_HEADERS: usize = 128;

/// How long a connection may lie idle between two requests. Longer than the pools of gateways keep
/// theirs, so that the gateway is the one to close.
pub(crate) const IDLE: Duration = Duration::from_secs(300);

/// The part of a request before its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// HTTP/1.`minor`.
    pub(crate) minor: u8,
    /// Whether it came over HTTP/2; then `minor` is 1, which has the same features.
    pub(crate) http2: bool,
    /// In the order they came.
    pub(crate) headers: Vec<Header>,
}

// ===== impl Head =====

impl Head {
    /// The target without scheme, authority and query.
    pub(crate) fn path(&self) -> &str {
        let target = self.target.split(['?', '#']).next().unwrap_or_default();
        match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => {
                rest.find('/').map_or("/", |start| &rest[start..])
            }
            _ => target,
        }
    }

    /// The values of a header; the name is in lower case.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let values = self.headers.iter().filter(move |(known, _)| known == name);
        values.map(|(_, value)| value.as_slice())
    }

    /// The first value of a header, if that is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether this word is in a header that lists words.
    fn lists(&self, name: &str, word: &str) -> bool {
        let mut words = self.values(name).flat_map(|value| value.split(|byte| *byte == b','));
        words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Whether the connection goes on after the answer. HTTP/1.0 could ask for it, but nothing
    /// that still speaks it depends on it.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.minor == 1 && !self.lists("connection", "close")
    }

    /// Whether the client waits for a word before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.minor == 1 && self.lists("expect", "100-continue")
    }

    /// Whether it asks to go on in another protocol.
    pub(crate) fn upgrades(&self) -> Option<&str> {
        self.text("upgrade").filter(|_| self.lists("connection", "upgrade"))
    }

    /// How the end of the body is known.
    ///
    /// # Errors
    /// Whatever two servers could understand in two ways: that is how requests are smuggled.
    pub(super) fn framing(&self) -> Result<Framing, Unreadable> {
        let mut lengths = self.values("content-length");
        let mut codings = self.values("transfer-encoding");
        match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
            (None, _, None, _) => Ok(Framing::None),
            (Some(length), None, None, _) => length_of(length),
            (Some(_), Some(_), None, _) => Err(Unreadable::bad("more than one content-length")),
            (Some(_), _, Some(_), _) => {
                Err(Unreadable::bad("content-length beside transfer-encoding"))
            }
            (None, _, Some(_), _) if self.minor == 0 => {
                Err(Unreadable::bad("transfer-encoding in HTTP/1.0"))
            }
            (None, _, Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Framing::Chunked)
            }
            (None, _, Some(_), _) => {
                Err(Unreadable::Refused(501, "a transfer-encoding other than chunked"))
            }
        }
    }
}

fn length_of(value: &[u8]) -> Result<Framing, Unreadable> {
    // `parse` would take a sign.
    let digits = value.iter().all(u8::is_ascii_digit) && !value.is_empty();
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    let text = text.ok_or(Unreadable::bad("a content-length that is no number"))?;
    // More digits than a number has room for are a number, but no body that would be read.
    Ok(Framing::ContentLength(text.parse().unwrap_or(usize::MAX)))
}

// ===== reading =====

/// Reads a head.
///
/// # Errors
/// [`Unreadable::Gone`] also when nothing came for long: silence between requests is no fault.
///
/// # Cancel safety
/// Nothing is lost; the next call goes on.
pub(crate) async fn read_head(connection: &mut Connection) -> Result<Head, Unreadable> {
    if connection.inbox().is_empty() {
        timeout(IDLE, connection.fill()).await.map_err(|_| Unreadable::Gone)??;
    }
    let whole = async {
        loop {
            if let Some((length, head)) = parse(connection.inbox())? {
                connection.skip(length);
                return Ok(head);
            }
            if connection.inbox().len() > MOST_BYTES {
                return Err(Unreadable::Refused(431, "a head above 64 KiB"));
            }
            connection.fill().await?;
        }
    };
    // One bound for all of it, so that a byte now and then does not keep it open.
    timeout(STALL, whole).await.unwrap_or(Err(Unreadable::SLOW))
}

/// The head at the front of these bytes and its length, or `None` while it has no end.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Unreadable> {
    let mut space = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut space);
    let length = match parsed.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Unreadable::Refused(431, "more than 128 headers"));
        }
        Err(httparse::Error::Version) => return Err(Unreadable::bad("not HTTP/1.1")),
        Err(_) => return Err(Unreadable::bad("not a request")),
    };
    // The parser takes these as line ends, a gateway in front may not.
    let bare = |pair: &[u8]| pair[0] != b'\r' && pair[1] == b'\n';
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or_default();
    if length > MOST_BYTES {
        return Err(Unreadable::Refused(431, "a head above 64 KiB"));
    }
    if bytes[start..length].windows(2).any(bare) {
        return Err(Unreadable::bad("a line that ends without CR"));
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Unreadable::bad("not a request"));
    };
    let head = Head {
        method: method.to_owned(),
        target: target.to_owned(),
        minor,
        http2: false,
        headers: parsed.headers.iter().map(owned).collect(),
    };
    match head.minor == 1 && head.values("host").count() != 1 {
        true => Err(Unreadable::bad("not exactly one host")),
        false => Ok(Some((length, head))),
    }
}

pub(super) fn owned(header: &httparse::Header<'_>) -> Header {
    (header.name.to_ascii_lowercase(), header.value.to_vec())
}
