//! What a client gets, and the headers that say where it is from.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::UPGRADE;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};

use super::admit::Circuit;
use super::answer::Answer;
use super::cut::AnswerError;
use super::upload::Wanted;
use super::{headers, upgrade};
use crate::fallback;
use crate::policies::cache::Recording;
use crate::upstream::Place;

pub(super) const CACHE: HeaderName = HeaderName::from_static("x-panelboard-cache");
pub(super) const CIRCUIT: HeaderName = HeaderName::from_static("x-panelboard-circuit");
pub(super) const STATE: HeaderName = HeaderName::from_static("x-panelboard-state");
pub(super) const UPSTREAM: HeaderName = HeaderName::from_static("x-panelboard-upstream");

pin_project_lite::pin_project! {
    /// What a client gets.
    #[project = ReplyProj]
    pub(crate) enum Reply {
        /// Something of our own.
        Whole { bytes: Option<Bytes> },
        /// An upstream's answer.
        Answer { #[pin] answer: Answer, upload: Option<Wanted> },
    }
}

pub(crate) fn whole(response: Response<Bytes>) -> Response<Reply> {
    response.map(Reply::from)
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Reply {
        Reply::Whole { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()) }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply::Answer { answer, upload: None }
    }
}

/// An upstream's answer, as the client gets it.
pub(super) fn passed_on<B: Into<Reply>>(
    mut answer: Response<B>,
    circuit: &Circuit,
    upstream: Option<HeaderValue>,
    shows_headers: bool,
) -> Response<Reply> {
    mark(answer.headers_mut(), circuit, upstream, shows_headers);
    let place = answer.extensions_mut().remove::<Place>();
    answer.map(|answer| match answer.into() {
        Reply::Answer { answer, upload } => {
            Reply::Answer { answer: answer.with_place(place), upload }
        }
        whole @ Reply::Whole { .. } => whole,
    })
}

/// An upstream's 101, as the client gets it.
pub(super) fn switched(
    head: Parts,
    circuit: &Circuit,
    upstream: Option<HeaderValue>,
    shows_headers: bool,
) -> Response<Reply> {
    let mut response = Response::from_parts(head, Reply::Whole { bytes: None });
    let headers = response.headers_mut();
    let protocol = headers.get(UPGRADE).cloned();
    mark(headers, circuit, upstream, shows_headers);
    upgrade::agree(headers, protocol);
    response
}

/// Leaves of an answer's head what is for the client, and says where it is from.
fn mark(
    headers: &mut HeaderMap,
    circuit: &Circuit,
    upstream: Option<HeaderValue>,
    shows_headers: bool,
) {
    headers::remove_hop_by_hop(headers);
    // Only we may say so.
    for ours in [CACHE, CIRCUIT, STATE, UPSTREAM, fallback::FALLBACK_HEADER] {
        headers.remove(ours);
    }
    if shows_headers {
        if let Some(name) = &circuit.header {
            headers.insert(CIRCUIT, name.clone());
        }
        headers.insert(STATE, HeaderValue::from_static(circuit.breaker.phase().name()));
        if let Some(upstream) = upstream {
            headers.insert(UPSTREAM, upstream);
        }
    }
}

impl Reply {
    /// Writes an upstream's answer down as it passes.
    pub(super) fn recorded(mut self, recording: Box<Recording>) -> Reply {
        if let Reply::Answer { answer, .. } = &mut self {
            answer.record(recording);
        }
        self
    }

    /// Keeps the request's body wanted for as long as an upstream's answer to it passes.
    pub(super) fn with_upload(mut self, wanted: Wanted) -> Reply {
        if let Reply::Answer { upload, .. } = &mut self {
            *upload = Some(wanted);
        }
        self
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.project() {
            ReplyProj::Whole { bytes } => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            ReplyProj::Answer { answer, .. } => answer.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Whole { bytes } => bytes.is_none(),
            Reply::Answer { answer, .. } => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Reply::Answer { answer, .. } => answer.size_hint(),
        }
    }
}
