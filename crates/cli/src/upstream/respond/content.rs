//! What a healthy answer contains, by path.

use serde_json::{Value, json};

use super::wire::{Framing, Head as AnswerHead, LAST_CHUNK, chunk, end_after};
use super::{Act, Answer, stream};
use crate::upstream::behaviour::Manner;
use crate::upstream::llm::{Api, Chat};
use crate::upstream::request::{Head, MOST_BODY, Request, readable};

/// What a healthy answer contains.
pub(super) struct Content {
    media_type: String,
    body: Body,
}

enum Body {
    Whole(Vec<u8>),
    /// With a gap between one piece and the next.
    Pieces(Vec<Vec<u8>>),
    Stream(Chat),
    /// Chunked, with a trailer.
    Trailed(Vec<u8>),
    /// None: the connection goes on in this protocol, which gives back whatever it gets.
    Mirror(String),
}

// ===== impl Content =====

impl Content {
    /// The content that a request asks for.
    pub(super) fn of(request: &Request, manner: &Manner) -> Content {
        let head = &request.head;
        if let Some(chat) = Chat::of(request) {
            let media_type = chat.media_type().to_owned();
            let body = match chat.streamed {
                true => Body::Stream(chat),
                false => Body::Whole(chat.whole().to_string().into_bytes()),
            };
            return Content { media_type, body };
        }
        if let Some(list) = Api::list(request) {
            return json(&list);
        }
        let path = head.path();
        let sized = |prefix| path.strip_prefix(prefix).and_then(size);
        let binary = |body| Content { media_type: String::from("application/octet-stream"), body };
        match (path, head.upgrades()) {
            ("/echo", _) => Content {
                media_type: head.text("content-type").unwrap_or_default().to_owned(),
                body: Body::Whole(request.body.clone()),
            },
            ("/upgrade", Some(protocol)) => binary(Body::Mirror(protocol.to_owned())),
            ("/trailers", _) => binary(Body::Trailed(pattern(1_000))),
            _ => match (sized("/bytes/"), sized("/slow-body/")) {
                (Some(size), _) => binary(Body::Whole(pattern(size))),
                (_, Some(size)) => binary(Body::Pieces(pieces(&pattern(size), manner.events))),
                (None, None) => json(&report(request)),
            },
        }
    }

    /// The head it comes with.
    pub(super) fn head<'a>(&'a self, manner: &'a Manner) -> AnswerHead<'a> {
        AnswerHead { status: 200, media_type: &self.media_type, headers: &manner.headers }
    }

    /// All of the body in one piece.
    pub(super) fn bytes(&self, manner: &Manner) -> Vec<u8> {
        match &self.body {
            Body::Whole(bytes) | Body::Trailed(bytes) => bytes.clone(),
            Body::Pieces(pieces) => pieces.concat(),
            Body::Stream(chat) => chat.events(manner.events).concat(),
            Body::Mirror(_) => Vec::new(),
        }
    }

    /// The conversation, if the content is a stream.
    pub(super) fn stream(&self) -> Option<&Chat> {
        match &self.body {
            Body::Stream(chat) => Some(chat),
            _ => None,
        }
    }

    /// The answer that gives it out without fault.
    pub(super) fn answer(&self, request: &Request, manner: &Manner) -> Answer {
        let (head, end) = (self.head(manner), end_after(request));
        let acts = match &self.body {
            Body::Whole(bytes) => return head.whole(bytes, request, end),
            Body::Stream(chat) => return stream::healthy(chat, &head, request, manner),
            Body::Pieces(_) | Body::Trailed(_) if request.head.method == "HEAD" => {
                return head.whole(&self.bytes(manner), request, end);
            }
            // HTTP/1.0 has no chunks, and no place for a trailer.
            Body::Trailed(bytes) if request.head.minor == 0 => {
                return head.whole(bytes, request, end);
            }
            Body::Pieces(pieces) => {
                let length = pieces.iter().map(Vec::len).sum();
                let mut acts = vec![Act::Send(head.bytes(Framing::Length(length), end))];
                for piece in pieces {
                    acts.extend([Act::Wait(manner.gap), Act::Send(piece.clone())]);
                }
                acts
            }
            Body::Trailed(bytes) => {
                let trailer = format!("x-crc32: {:08x}\r\n\r\n", crc32fast::hash(bytes));
                let head = head.bytes(Framing::Chunked, end);
                vec![Act::Send(
                    [&head, &*chunk(bytes), &LAST_CHUNK[..3], trailer.as_bytes()].concat(),
                )]
            }
            Body::Mirror(protocol) => {
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                     upgrade: {protocol}\r\n\r\n"
                );
                let acts = vec![Act::Send(head.into_bytes()), Act::Mirror];
                return Answer { status: Some(101), acts, end };
            }
        };
        Answer { status: Some(200), acts, end }
    }
}

fn json(value: &Value) -> Content {
    let body = Body::Whole(value.to_string().into_bytes());
    Content { media_type: String::from("application/json"), body }
}

fn version(head: &Head) -> String {
    match head.http2 {
        true => String::from("HTTP/2"),
        false => format!("HTTP/1.{}", head.minor),
    }
}

/// What arrived, for a test to compare with what it sent.
fn report(request: &Request) -> Value {
    json!({
        "method": request.head.method,
        "target": request.head.target,
        "version": version(&request.head),
        "headers": readable(&request.head.headers),
        "framing": request.framing.name(),
        "body_length": request.body.len(),
        "body_crc32": format!("{:08x}", crc32fast::hash(&request.body)),
        "trailers": readable(&request.trailers),
    })
}

/// A number of bytes in a path, as large as a request may be.
fn size(text: &str) -> Option<usize> {
    text.parse().ok().filter(|size| *size <= MOST_BODY)
}

/// So many bytes, all values but a few, in a period that no buffer size divides: what is lost,
/// doubled or swapped on the way changes them.
fn pattern(size: usize) -> Vec<u8> {
    (0..251).cycle().take(size).collect()
}

/// The bytes in about so many pieces.
fn pieces(bytes: &[u8], count: u32) -> Vec<Vec<u8>> {
    let size = bytes.len().div_ceil(count.max(1) as usize).max(1);
    bytes.chunks(size).map(<[u8]>::to_vec).collect()
}
