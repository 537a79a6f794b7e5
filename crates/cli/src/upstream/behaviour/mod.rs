//! How a request is answered: a value with a text form, [`Display`](std::fmt::Display) and
//! [`FromStr`](std::str::FromStr) being each other's inverse.
//!
//! The text is `name`, `name:argument`, and `,key=value` for each option: `slow:2s`,
//! `status:429,retry-after=3,body=api`. [`table`] is the one list of names: the parser, its errors
//! and the help text are made from it.

mod display;
mod parse;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use parse::{HEADER, ParseError};
pub(crate) use table::help;

/// How a request is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Behaviour {
    pub(super) action: Action,
    pub(super) manner: Manner,
}

/// What is done with a request once it has been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Ok,
    Slow(Duration),
    Status(Status),
    Flaky(Flaky),
    Fault(Fault),
    Stream(StreamFault),
    Http2(Http2Fault),
    /// For so long, or until told otherwise.
    Refuse(Option<Duration>),
}

/// How healthy content is given out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Manner {
    /// Events of a stream, pieces of a slow body.
    pub(super) events: u32,
    /// The time between two of them.
    pub(super) gap: Duration,
    /// Added to the head of the answer, name and value.
    pub(super) headers: Vec<(String, String)>,
}

/// An answer that is nothing but a status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Status {
    pub(super) code: u16,
    /// Sent as it stands: odd values are what a gateway must be tested with.
    pub(super) retry_after: Option<String>,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) body: StatusBody,
}

/// The body of a status answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum StatusBody {
    /// One line of plain text.
    Text,
    Empty,
    /// The error object of the API that was asked, with this code in place of the usual one.
    Api(Option<String>),
}

/// Failing at random, the same way in each run.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Flaky {
    pub(super) percent: u8,
    pub(super) seed: u64,
}

/// A fault that any answer can have.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Hang,
    Reset,
    Close,
    Garbage,
    Http09,
    Truncate,
    BadChunk,
    MissingLastChunk,
    HeadThenHang,
    NoFirstToken,
    TwoLengths,
    LengthAndChunked,
    HugeHead,
    CloseAfter,
}

/// A fault that only HTTP/2 can have. Reasons are those of its standard, by number.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Http2Fault {
    Reset(u32),
    ResetBody(u32),
    GoAway,
    GoAwayAfter,
    GoAwayBody,
    BadFrame,
    BadHeaders,
    Short,
    Long,
}

/// A fault of a streamed answer, which comes after so many healthy events.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct StreamFault {
    pub(super) events: u32,
    pub(super) then: Then,
}

/// What becomes of a stream that does not reach its end.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Then {
    Cut,
    Reset,
    NoEnd,
    NoReason,
    Error,
    Stall,
    Keepalive,
}

// ===== impl Behaviour =====

impl Behaviour {
    /// Healthy.
    pub(crate) fn ok() -> Behaviour {
        Action::Ok.into()
    }

    /// Healthy, but so much later.
    pub(crate) fn slow(delay: Duration) -> Behaviour {
        Action::Slow(delay).into()
    }

    /// This status with the error object of whichever API was asked.
    pub(crate) fn status(code: u16) -> Behaviour {
        Action::Status(Status { body: StatusBody::Api(None), ..Status::new(code) }).into()
    }

    /// 429 in the shape of whichever API was asked, with `Retry-After` in whole seconds.
    pub(crate) fn rate_limited(retry_after: Duration) -> Behaviour {
        let retry_after = Some(retry_after.as_secs().to_string());
        let body = StatusBody::Api(None);
        Action::Status(Status { retry_after, body, ..Status::new(429) }).into()
    }

    /// Whether the whole server is to be unreachable.
    pub(super) fn refuses(&self) -> bool {
        matches!(self.action, Action::Refuse(_))
    }
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour::ok()
    }
}

impl From<Action> for Behaviour {
    fn from(action: Action) -> Behaviour {
        Behaviour { action, manner: Manner::default() }
    }
}

// ===== impl Manner =====

impl Default for Manner {
    fn default() -> Manner {
        Manner { events: 8, gap: Duration::from_millis(10), headers: Vec::new() }
    }
}

// ===== impl Status =====

impl Status {
    pub(super) fn new(code: u16) -> Status {
        Status { code, retry_after: None, retry_after_ms: None, body: StatusBody::Text }
    }
}

// ===== impl Flaky =====

impl Flaky {
    /// Whether the request with this number fails: a hash of the seed and the number, so that it
    /// depends on nothing else.
    pub(super) fn fails(self, number: u64) -> bool {
        mix(mix(self.seed) ^ number) % 100 < u64::from(self.percent)
    }
}

/// The finalizer of `SplitMix64`: every input bit moves every output bit, so neighbouring numbers
/// share nothing.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
