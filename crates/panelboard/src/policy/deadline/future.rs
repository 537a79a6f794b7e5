use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Timeout;

use super::{Deadline, scope};
use crate::Error;

pin_project! {
    /// The future of [`DeadlineService`](super::DeadlineService); also of use by itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use panelboard::Error;
    /// use panelboard::policy::deadline::{Deadline, DeadlineFuture};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let stuck = std::future::pending::<Result<(), Error<std::io::Error>>>();
    /// let call = DeadlineFuture::new(Deadline::after(Duration::from_millis(5)), stuck);
    /// assert!(matches!(call.await, Err(Error::DeadlineExceeded)));
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping it drops the call and the timer; nothing else is held. When it is ready, the call
    /// has been dropped already.
    #[must_use = "futures do nothing unless polled"]
    pub struct DeadlineFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F> {
        // It passed before the call was made, or while it was; or the call has ended.
        Over,
        Free { #[pin] call: F },
        Bounded { deadline: Deadline, #[pin] call: Timeout<F> },
    }
}

impl<F: Future> DeadlineFuture<F> {
    /// Ends the call when the deadline passes, and lets it know of it meanwhile.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub fn new(deadline: Deadline, call: F) -> DeadlineFuture<F> {
        let call = match deadline.instant() {
            Some(at) => tokio::time::timeout_at(at, call),
            None => tokio::time::timeout(deadline.remaining(), call),
        };
        DeadlineFuture { stage: Stage::Bounded { deadline, call } }
    }

    pub(super) fn free(call: F) -> DeadlineFuture<F> {
        DeadlineFuture { stage: Stage::Free { call } }
    }

    pub(super) fn refused() -> DeadlineFuture<F> {
        DeadlineFuture { stage: Stage::Over }
    }
}

impl<F, T, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<T, Error<E>>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        let result = match stage.as_mut().project() {
            StageProj::Over => return Poll::Ready(Err(Error::DeadlineExceeded)),
            StageProj::Free { call } => return call.poll(cx),
            StageProj::Bounded { deadline, call } => {
                let _entered = scope::enter(deadline);
                ready!(call.poll(cx))
            }
        };
        // What the call still holds is given back now, not when somebody drops this future.
        stage.set(Stage::Over);
        Poll::Ready(result.unwrap_or(Err(Error::DeadlineExceeded)))
    }
}

impl<F> fmt::Debug for DeadlineFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineFuture").finish_non_exhaustive()
    }
}
