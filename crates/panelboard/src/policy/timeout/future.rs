use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Timeout;

use crate::Error;

pin_project! {
    /// The future of [`TimeoutService`](super::TimeoutService); also of use by itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use panelboard::{Error, policy::timeout::TimeoutFuture};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let stuck = std::future::pending::<Result<(), Error<std::io::Error>>>();
    /// let attempt = TimeoutFuture::new(Duration::from_millis(5), stuck);
    /// assert!(matches!(attempt.await, Err(Error::TimedOut)));
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping it drops the call and the timer; nothing else is held. When it is ready, the call has
    /// been dropped already.
    #[must_use = "futures do nothing unless polled"]
    pub struct TimeoutFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F> {
        Free { #[pin] call: F },
        Bounded { #[pin] call: Timeout<F> },
        Done,
    }
}

impl<F: Future> TimeoutFuture<F> {
    /// Gives the call so long from now.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub fn new(timeout: Duration, call: F) -> TimeoutFuture<F> {
        let call = tokio::time::timeout(timeout, call);
        TimeoutFuture { stage: Stage::Bounded { call } }
    }

    pub(super) fn free(call: F) -> TimeoutFuture<F> {
        TimeoutFuture { stage: Stage::Free { call } }
    }
}

impl<F, T, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<T, Error<E>>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        let result = match stage.as_mut().project() {
            StageProj::Free { call } => return call.poll(cx),
            StageProj::Bounded { call } => ready!(call.poll(cx)),
            StageProj::Done => panic!("an attempt was polled after it was ready"),
        };
        // An attempt that is given up ends now, not when somebody drops this future.
        stage.set(Stage::Done);
        Poll::Ready(result.unwrap_or(Err(Error::TimedOut)))
    }
}

impl<F> fmt::Debug for TimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture").finish_non_exhaustive()
    }
}
