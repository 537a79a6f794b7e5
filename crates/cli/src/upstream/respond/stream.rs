//! Streamed answers, healthy and not.

use std::time::Duration;

use super::content::Content;
use super::fault;
use super::wire::{Framing, Head, LAST_CHUNK, chunk, end_after};
use super::{Act, Answer, End, status};
use crate::upstream::behaviour::{Fault, Manner, Status, StatusBody, StreamFault, Then};
use crate::upstream::llm::Chat;
use crate::upstream::request::Request;

/// The time between two comments that keep a stream alive.
const KEEPALIVE: Duration = Duration::from_millis(100);

/// How long what was sent has to reach the client before a reset, which discards what is still
/// under way.
pub(super) const BEFORE_RESET: Duration = Duration::from_millis(20);

/// A stream under way: the head and so many events, and how more are framed.
struct Opened {
    acts: Vec<Act>,
    chunked: bool,
}

impl Opened {
    fn new(
        events: Vec<Vec<u8>>,
        head: &Head<'_>,
        request: &Request,
        manner: &Manner,
        end: End,
    ) -> Opened {
        // HTTP/1.0 has no chunks; there the end of the connection is the end of the stream.
        let chunked = request.head.minor == 1;
        let framing = if chunked { Framing::Chunked } else { Framing::Unsaid };
        let mut opened = Opened { acts: vec![Act::Send(head.bytes(framing, end))], chunked };
        for (index, event) in events.into_iter().enumerate() {
            if index > 0 && !manner.gap.is_zero() {
                opened.acts.push(Act::Wait(manner.gap));
            }
            opened.send(event);
        }
        opened
    }

    fn framed(&self, event: Vec<u8>) -> Vec<u8> {
        match self.chunked {
            true => chunk(&event),
            false => event,
        }
    }

    fn send(&mut self, event: Vec<u8>) {
        self.acts.push(Act::Send(self.framed(event)));
    }

    /// Ends the body as it should be ended.
    fn finish(&mut self) {
        if self.chunked {
            self.acts.push(Act::Send(LAST_CHUNK.to_vec()));
        }
    }
}

/// All events and a clean end.
pub(super) fn healthy(chat: &Chat, head: &Head<'_>, request: &Request, manner: &Manner) -> Answer {
    let end = end_after(request);
    let mut opened = Opened::new(chat.events(manner.events), head, request, manner, end);
    opened.finish();
    Answer { status: Some(head.status), acts: opened.acts, end }
}

/// So many events, none of them the end, and then the fault. Where the answer is no stream, the
/// fault that comes nearest.
pub(super) fn faulty(fault: StreamFault, request: &Request, manner: &Manner) -> Answer {
    let content = Content::of(request, manner);
    let Some(chat) = content.stream() else {
        return nearest(fault.then, request, manner);
    };
    let end = match fault.then {
        Then::NoEnd | Then::NoReason | Then::Error => end_after(request),
        // A head that announced the end of the connection would be a warning.
        Then::Cut | Then::Reset | Then::Stall | Then::Keepalive => End::KeepAlive,
    };
    let events = chat.first_events(fault.events);
    let mut opened = Opened::new(events, &content.head(manner), request, manner, end);
    match fault.then {
        Then::Cut => {}
        Then::Reset => opened.acts.push(Act::Wait(BEFORE_RESET)),
        Then::NoEnd => opened.finish(),
        Then::NoReason => {
            if let Some(end) = chat.bare_end() {
                opened.send(end.to_vec());
            }
            opened.finish();
        }
        Then::Error => {
            opened.send(chat.error_event());
            opened.finish();
        }
        Then::Stall => opened.acts.push(Act::Silence),
        Then::Keepalive => {
            let comment = opened.framed(chat.keepalive().to_vec());
            opened.acts.push(Act::Repeat(comment, KEEPALIVE));
        }
    }
    let end = match fault.then {
        Then::NoEnd | Then::NoReason | Then::Error => end,
        Then::Reset => End::Reset,
        Then::Cut | Then::Stall | Then::Keepalive => End::Close,
    };
    Answer { status: Some(200), acts: opened.acts, end }
}

/// The fault of a whole body that a client feels most like this one of a stream.
fn nearest(then: Then, request: &Request, manner: &Manner) -> Answer {
    match then {
        Then::Cut | Then::NoEnd | Then::NoReason => fault::answer(Fault::Truncate, request, manner),
        Then::Reset => {
            let mut answer = fault::answer(Fault::Truncate, request, manner);
            answer.acts.push(Act::Wait(BEFORE_RESET));
            Answer { end: End::Reset, ..answer }
        }
        Then::Error => {
            let status = Status { body: StatusBody::Api(None), ..Status::new(500) };
            status::answer(&status, request, manner)
        }
        Then::Stall | Then::Keepalive => fault::answer(Fault::HeadThenHang, request, manner),
    }
}
