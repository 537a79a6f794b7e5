//! A request's body that must get on.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

/// A request's body. On a connection of HTTP/1.1 the wire bounds how long its next piece may take;
/// of HTTP/2, where many share a wire, each body is bounded by itself.
pub(crate) struct Paced {
    incoming: Incoming,
    patience: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a body does not go on.
#[derive(Debug)]
pub(crate) enum Halt {
    Slow,
    Cut(hyper::Error),
}

impl Paced {
    pub(crate) fn new(incoming: Incoming, patience: Option<Duration>) -> Paced {
        Paced { incoming, patience, timer: None }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Halt;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Halt>>> {
        let Paced { incoming, patience, timer } = &mut *self;
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) {
            *timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Halt::Cut)));
        }
        let Some(patience) = *patience else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(patience)));
        timer.as_mut().poll(cx).map(|()| Some(Err(Halt::Slow)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Halt::Slow => f.write_str("the next piece of the body did not come in time"),
            Halt::Cut(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Halt {}
