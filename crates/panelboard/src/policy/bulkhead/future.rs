use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::line::Line;
use super::wait::Queue;
use super::{Seat, Waiting};
use crate::Error;

pin_project! {
    /// The future of [`BulkheadService`](super::BulkheadService).
    ///
    /// # Cancel safety
    /// Dropping it gives its place back, in the queue or in the room, and drops the call first.
    #[must_use = "futures do nothing unless polled"]
    pub struct BulkheadFuture<S, Request>
    where
        S: Service<Request>,
    {
        #[pin]
        stage: Stage<S, Request, S::Future>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, Request, F> {
        Refused,
        Queued { held: Option<(S, Request)>, #[pin] queue: Queue },
        // The call before its place: it must be gone when the next one comes.
        Called { #[pin] call: F, seat: Option<Seat<Arc<Line>>> },
        Done,
    }
}

impl<S: Service<Request>, Request> BulkheadFuture<S, Request> {
    pub(super) fn refused() -> Self {
        BulkheadFuture { stage: Stage::Refused }
    }

    pub(super) fn waiting(waiting: Waiting<Arc<Line>>, ready: S, request: Request) -> Self {
        let (held, queue) = (Some((ready, request)), Queue::new(waiting));
        BulkheadFuture { stage: Stage::Queued { held, queue } }
    }

    pub(super) fn called(call: S::Future, seat: Option<Seat<Arc<Line>>>) -> Self {
        BulkheadFuture { stage: Stage::Called { call, seat } }
    }
}

impl<S, Request, E> Future for BulkheadFuture<S, Request>
where
    S: Service<Request, Error = Error<E>>,
{
    type Output = Result<S::Response, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                StageProj::Called { call, .. } => {
                    let result = ready!(call.poll(cx));
                    // The place is free now, not when somebody drops this future.
                    stage.set(Stage::Done);
                    return Poll::Ready(result);
                }
                StageProj::Queued { held, queue } => {
                    let seat = match ready!(queue.poll_seat(cx)) {
                        Ok(seat) => seat,
                        Err(full) => {
                            // The service that waited along may hold something, being ready.
                            stage.set(Stage::Done);
                            return Poll::Ready(Err(full.into()));
                        }
                    };
                    let Some((mut service, request)) = held.take() else {
                        panic!("a queued call was polled after it panicked");
                    };
                    let (call, seat) = (service.call(request), Some(seat));
                    stage.set(Stage::Called { call, seat });
                }
                StageProj::Refused => return Poll::Ready(Err(Error::BulkheadFull)),
                StageProj::Done => panic!("a call was polled after it was ready"),
            }
        }
    }
}

impl<S: Service<Request>, Request> fmt::Debug for BulkheadFuture<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadFuture").finish_non_exhaustive()
    }
}
