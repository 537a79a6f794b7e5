//! From a behaviour and a request to what goes over the wire.
//!
//! [`answer`] decides, and is a pure function; [`perform()`] does what was decided. So a fault can
//! be tested to the byte without a socket, and no fault needs a connection of its own kind.

mod content;
mod fault;
mod perform;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

use super::behaviour::{Action, Behaviour, Status};
use super::request::Request;
use content::Content;

pub(super) use perform::perform;
pub(super) use wire::{PLAIN, end_after, farewell, text};

/// What goes over the wire for one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// The status in its head. `None` where it has none.
    pub(super) status: Option<u16>,
    pub(super) acts: Vec<Act>,
    pub(super) end: End,
}

/// A part of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// Nothing, until the client goes away.
    Silence,
    /// These bytes each time so long has passed, until the client goes away.
    Repeat(Vec<u8>, Duration),
    /// Whatever the client sends, until it goes away.
    Mirror,
}

/// What becomes of the connection after an answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    KeepAlive,
    /// FIN.
    Close,
    /// RST.
    Reset,
}

/// The answer to a request. Its number among all requests decides whether a flaky one fails.
pub(super) fn answer(behaviour: &Behaviour, request: &Request, number: u64) -> Answer {
    let manner = &behaviour.manner;
    let healthy = || Content::of(request, manner).answer(request, manner);
    match &behaviour.action {
        Action::Slow(delay) => healthy().after(*delay),
        Action::Status(status) => status::answer(status, request, manner),
        Action::Flaky(flaky) if flaky.fails(number) => {
            status::answer(&Status::new(503), request, manner)
        }
        Action::Ok | Action::Flaky(_) => healthy(),
        Action::Fault(fault) => fault::answer(*fault, request, manner),
        Action::Stream(fault) => stream::faulty(*fault, request, manner),
        Action::Http2(_) if request.head.http2 => healthy(),
        Action::Http2(_) => text(505, PLAIN, "only over HTTP/2\n", request, end_after(request)),
        // The socket is being closed, but this request slipped in.
        Action::Refuse(_) => Answer::nothing(End::Reset),
    }
}

// ===== impl Answer =====

impl Answer {
    /// Not a byte.
    fn nothing(end: End) -> Answer {
        Answer { status: None, acts: Vec::new(), end }
    }

    /// The same, so much later.
    fn after(mut self, delay: Duration) -> Answer {
        self.acts.insert(0, Act::Wait(delay));
        self
    }
}
