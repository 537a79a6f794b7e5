//! A request's body on its way to an upstream, which may turn out to be another one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::headers::keep_trailers;
use super::paced::Paced;

/// A request's body, for as many attempts as it lasts.
#[derive(Clone)]
pub(crate) enum Upload {
    /// Read already, and there for every attempt.
    Whole(Bytes),
    /// Still coming from the client. As soon as one attempt has begun to read it, it is spent.
    Streamed(Arc<Streamed>),
}

/// A body that is still coming.
pub(crate) struct Streamed {
    state: Mutex<State>,
    /// Told when all of it has been passed on.
    sent: Notify,
}

struct State {
    /// `None` once nobody wants it any more.
    incoming: Option<Paced>,
    begun: bool,
    ended: bool,
    /// Whether the client is to send more before anything can go on.
    waiting: bool,
    passed: u64,
    limit: u64,
    fault: Option<UploadFault>,
}

/// Why a body did not come to its end, which is not the upstream's fault.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum UploadFault {
    /// The client stopped sending, or sent what is not HTTP.
    Client,
    /// It is larger than the route allows.
    TooLarge,
}

/// What an attempt sends.
pub(crate) struct UploadBody(Upload, Option<Bytes>);

impl Upload {
    pub(crate) fn streamed(incoming: Paced, limit: Option<u64>) -> Upload {
        let ended = incoming.is_end_stream();
        let incoming = Some(incoming);
        let limit = limit.unwrap_or(u64::MAX);
        let state =
            State { incoming, begun: false, ended, waiting: false, passed: 0, limit, fault: None };
        Upload::Streamed(Arc::new(Streamed { state: Mutex::new(state), sent: Notify::new() }))
    }

    /// The body for one attempt.
    pub(crate) fn body(&self) -> UploadBody {
        match self {
            Upload::Whole(bytes) => UploadBody::whole(bytes.clone()),
            Upload::Streamed(_) => UploadBody(self.clone(), None),
        }
    }

    /// All of it, if that is known.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match self {
            Upload::Whole(bytes) => Some(bytes.clone()),
            Upload::Streamed(streamed) => {
                let state = streamed.state();
                (state.ended && state.passed == 0 && state.fault.is_none()).then(Bytes::new)
            }
        }
    }

    /// Whether another attempt could still send all of it.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Upload::Whole(_) => true,
            Upload::Streamed(streamed) => {
                let state = streamed.state();
                !state.begun || state.passed == 0 && state.ended && state.fault.is_none()
            }
        }
    }

    /// Whether two attempts may send it at the same time.
    pub(crate) fn is_shareable(&self) -> bool {
        match self {
            Upload::Whole(_) => true,
            Upload::Streamed(streamed) => {
                let state = streamed.state();
                state.ended && state.passed == 0 && state.fault.is_none()
            }
        }
    }

    /// Why it did not come to its end, if so.
    pub(crate) fn fault(&self) -> Option<UploadFault> {
        match self {
            Upload::Whole(_) => None,
            Upload::Streamed(streamed) => streamed.state().fault,
        }
    }

    /// Waits until the upstream has been silent for `limit` although it was its turn: after the
    /// whole body has been passed on, or while it takes no more of it.
    pub(crate) async fn upstream_silent(&self, limit: Duration) {
        let Upload::Streamed(streamed) = self else { return sleep(limit).await };
        loop {
            let sent = streamed.sent.notified();
            let before = {
                let state = streamed.state();
                if state.ended { None } else { Some(state.passed) }
            };
            let Some(before) = before else { return sleep(limit).await };
            tokio::select! {
                () = sent => {}
                () = sleep(limit) => {
                    let state = streamed.state();
                    if !state.waiting && state.passed == before {
                        return;
                    }
                }
            }
        }
    }
}

impl UploadBody {
    /// Something else than what the client sent.
    pub(crate) fn whole(bytes: Bytes) -> UploadBody {
        UploadBody(Upload::Whole(Bytes::new()), Some(bytes))
    }
}

/// Dropped with the answer, or with the hope of one: then nobody wants the rest of the body, and
/// whoever still sends it is told so. An upstream that takes no more of it would else hold both.
pub(crate) struct Wanted(Upload);

impl Wanted {
    pub(crate) fn new(upload: &Upload) -> Wanted {
        Wanted(upload.clone())
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if let Upload::Streamed(streamed) = &self.0 {
            let incoming = streamed.state().incoming.take();
            drop(incoming);
        }
    }
}

impl Streamed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let UploadBody(upload, whole) = &mut *self;
        let Upload::Streamed(streamed) = upload else {
            let bytes = whole.take().filter(|bytes| !bytes.is_empty());
            return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
        };
        let mut state = streamed.state();
        state.begun = true;
        if state.ended {
            return Poll::Ready(None);
        }
        let Some(incoming) = &mut state.incoming else {
            // Ended here, it would be taken for whole.
            return Poll::Ready(Some(Err(UploadError(UploadFault::Client))));
        };
        let mut frame = match Pin::new(incoming).poll_frame(cx) {
            Poll::Pending => {
                state.waiting = true;
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        state.waiting = false;
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            keep_trailers(trailers);
        }
        let fault = match &frame {
            Some(Err(_)) => Some(UploadFault::Client),
            Some(Ok(frame)) => {
                state.passed += frame.data_ref().map_or(0, |data| data.len() as u64);
                (state.passed > state.limit).then_some(UploadFault::TooLarge)
            }
            None => None,
        };
        state.fault = fault;
        if fault.is_some()
            || frame.is_none()
            || state.incoming.as_ref().is_some_and(Body::is_end_stream)
        {
            state.ended = true;
            streamed.sent.notify_waiters();
        }
        Poll::Ready(match fault {
            Some(fault) => Some(Err(UploadError(fault))),
            None => frame.map(|frame| frame.map_err(|_| UploadError(UploadFault::Client))),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Upload::Whole(_) => self.1.as_ref().is_none_or(Bytes::is_empty),
            Upload::Streamed(streamed) => streamed.state().ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Upload::Whole(_) => {
                SizeHint::with_exact(self.1.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Upload::Streamed(streamed) => {
                streamed.state().incoming.as_ref().map_or_else(SizeHint::new, Body::size_hint)
            }
        }
    }
}

/// The client's body could not be passed on.
#[derive(Debug)]
pub(crate) struct UploadError(UploadFault);

impl std::fmt::Display for UploadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            UploadFault::Client => "the client's body did not come to its end",
            UploadFault::TooLarge => "the client's body is larger than the route allows",
        })
    }
}

impl std::error::Error for UploadError {}
