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
        deadline: Deadline,
        #[pin]
        // `None`: it had passed before the call was made.
        inner: Option<Timeout<F>>,
    }
}

impl<F: Future> DeadlineFuture<F> {
    /// Ends the call when the deadline passes, and lets it know of it meanwhile.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub fn new(deadline: Deadline, call: F) -> DeadlineFuture<F> {
        let inner = tokio::time::timeout(deadline.remaining(), call);
        DeadlineFuture { deadline, inner: Some(inner) }
    }

    pub(super) fn refused(deadline: Deadline) -> DeadlineFuture<F> {
        DeadlineFuture { deadline, inner: None }
    }
}

impl<F, T, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<T, Error<E>>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(Error::DeadlineExceeded));
        };
        let result = {
            let _entered = scope::enter(this.deadline);
            ready!(inner.poll(cx))
        };
        // What the call still holds is given back now, not when somebody drops this future.
        this.inner.set(None);
        Poll::Ready(result.unwrap_or(Err(Error::DeadlineExceeded)))
    }
}

impl<F> fmt::Debug for DeadlineFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deadline = &self.deadline;
        f.debug_struct("DeadlineFuture").field("deadline", deadline).finish_non_exhaustive()
    }
}
