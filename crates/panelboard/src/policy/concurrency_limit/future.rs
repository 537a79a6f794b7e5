use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Shared, Slot};
use crate::policy::weigh::weigh;
use crate::{Classify, Error};

pin_project! {
    /// The future of [`ConcurrencyLimitService`](super::ConcurrencyLimitService).
    ///
    /// # Cancel safety
    /// Dropping it drops the call and then gives its permit back; the call counts for nothing.
    #[must_use = "futures do nothing unless polled"]
    pub struct ConcurrencyLimitFuture<F, C> {
        classify: C,
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F> {
        Refused,
        // The call before its permit: it must be gone when the next one comes.
        Called { #[pin] call: F, slot: Option<Slot<Arc<Shared>>> },
        Done,
    }
}

impl<F, C> ConcurrencyLimitFuture<F, C> {
    pub(super) fn refused(classify: C) -> ConcurrencyLimitFuture<F, C> {
        ConcurrencyLimitFuture { classify, stage: Stage::Refused }
    }

    pub(super) fn called(
        call: F,
        slot: Option<Slot<Arc<Shared>>>,
        classify: C,
    ) -> ConcurrencyLimitFuture<F, C> {
        ConcurrencyLimitFuture { classify, stage: Stage::Called { call, slot } }
    }
}

impl<F, C, T, E> Future for ConcurrencyLimitFuture<F, C>
where
    F: Future<Output = Result<T, Error<E>>>,
    C: Classify<T, E>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (result, slot) = match this.stage.as_mut().project() {
            StageProj::Called { call, slot } => (ready!(call.poll(cx)), slot.take()),
            StageProj::Refused => return Poll::Ready(Err(Error::LimitReached)),
            StageProj::Done => panic!("a call was polled after it was ready"),
        };
        this.stage.set(Stage::Done);
        let Some(slot) = slot else { return Poll::Ready(result) };
        let (outcome, result) = weigh(this.classify, result);
        slot.record(outcome);
        Poll::Ready(result)
    }
}

impl<F, C> fmt::Debug for ConcurrencyLimitFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitFuture").finish_non_exhaustive()
    }
}
