//! Faults that any answer can have.

use super::content::Content;
use super::stream;
use super::wire::{Framing, LAST_CHUNK, chunk};
use super::{Act, Answer, End};
use crate::upstream::behaviour::{Fault, Manner, StreamFault, Then};
use crate::upstream::request::Request;

/// Bytes that no HTTP parser takes for a status line, printable and not.
const GARBAGE: &[u8] = b"\x16\x03\x01\x00\xffno, not HTTP at all\x00\r\n\r\n\xfe\xed";

/// More than any sane limit on heads.
const HUGE: usize = 1 << 20;

/// The healthy answer with this fault.
pub(super) fn answer(fault: Fault, request: &Request, manner: &Manner) -> Answer {
    let content = Content::of(request, manner);
    let head = content.head(manner);
    // Heads of faulty answers promise a healthy connection: a fault is not announced.
    let head_with = |framing| head.bytes(framing, End::KeepAlive);
    let sent = |parts: &[&[u8]], end| Answer {
        status: Some(head.status),
        acts: vec![Act::Send(parts.concat())],
        end,
    };
    let body = || {
        let body = content.bytes(manner);
        // Half of it must be less than all of it.
        if body.is_empty() { b"\n".to_vec() } else { body }
    };
    match fault {
        Fault::Hang => Answer { acts: vec![Act::Silence], ..Answer::nothing(End::Close) },
        Fault::Reset => Answer::nothing(End::Reset),
        Fault::Close => Answer::nothing(End::Close),
        Fault::Garbage => Answer { status: None, ..sent(&[GARBAGE], End::Close) },
        Fault::Http09 => Answer { status: None, ..sent(&[&body()], End::Close) },
        Fault::Truncate => {
            let body = body();
            sent(&[&head_with(Framing::Length(body.len())), half(&body)], End::Close)
        }
        Fault::BadChunk => {
            let (head, body) = (head_with(Framing::Chunked), body());
            sent(&[&head, &chunk(half(&body)), b"no size\r\n", &body, b"\r\n"], End::Close)
        }
        Fault::MissingLastChunk => {
            sent(&[&head_with(Framing::Chunked), &chunk(&body())], End::Close)
        }
        Fault::HeadThenHang => {
            let body = body();
            let parts: [&[u8]; 2] = [&head_with(Framing::Length(body.len())), half(&body)];
            let mut answer = sent(&parts, End::Close);
            answer.acts.push(Act::Silence);
            answer
        }
        Fault::NoFirstToken => {
            let silence = StreamFault { events: 0, then: Then::Stall };
            stream::faulty(silence, request, manner)
        }
        Fault::TwoLengths => {
            let body = body();
            let head = head_with(Framing::Length(body.len()));
            let other = format!("content-length: {}\r\n\r\n", body.len() + 1);
            sent(&[before_end(&head), other.as_bytes(), &body], End::Close)
        }
        Fault::LengthAndChunked => {
            let body = body();
            let head = head_with(Framing::Length(body.len()));
            let coding = b"transfer-encoding: chunked\r\n\r\n";
            sent(&[before_end(&head), coding, &chunk(&body), LAST_CHUNK], End::Close)
        }
        Fault::CloseAfter => {
            let body = content.bytes(manner);
            sent(&[&head_with(Framing::Length(body.len())), &body], End::Close)
        }
        Fault::HugeHead => {
            let body = body();
            let head = head_with(Framing::Length(body.len()));
            let line = [b"x-padding: ".as_slice(), &[b'x'; 1_000], b"\r\n"].concat();
            let padding = line.repeat(HUGE / line.len() + 1);
            sent(&[before_end(&head), &padding, b"\r\n", &body], End::Close)
        }
    }
}

fn half(body: &[u8]) -> &[u8] {
    &body[..body.len() / 2]
}

/// A head without the empty line, so that it can go on.
fn before_end(head: &[u8]) -> &[u8] {
    head.strip_suffix(b"\r\n").unwrap_or(head)
}
