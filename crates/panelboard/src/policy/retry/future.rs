use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::Retry;
use crate::policy::{Cloned, Repeat};
use crate::{Classify, Error};

pin_project! {
    /// The future of [`RetryService`](super::RetryService) and [`Retry::call_async`].
    ///
    /// # Cancel safety
    /// Dropping it drops the attempt that is under way, or the wait before the next. What a retry
    /// has been paid for is spent, also if it is never made: a caller that gave up and comes back
    /// is a retry as well.
    ///
    /// # Panics
    /// When polled after it was ready, and outside of a tokio runtime once it has to wait.
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryFuture<S, Request, P>
    where
        S: Service<Request>,
    {
        policy: P,
        attempts: u32,
        // What the next attempt is made with; `None` if there must be none.
        next: Option<(S, Request)>,
        #[pin]
        stage: Stage<S::Future>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F> {
        Calling { #[pin] call: F },
        Waiting { #[pin] sleep: Sleep },
        // Until the service is ready for the next attempt.
        Readying,
        Done,
    }
}

impl<S: Service<Request>, Request, P> RetryFuture<S, Request, P> {
    pub(super) fn new(policy: P, call: S::Future, next: Option<(S, Request)>) -> Self {
        RetryFuture { policy, attempts: 1, next, stage: Stage::Calling { call } }
    }
}

impl<S, Request, E, Q, C> Future for RetryFuture<S, Request, Retry<Q, C>>
where
    S: Service<Request, Error = Error<E>>,
    Q: Repeat<Request>,
    C: Classify<S::Response, E>,
{
    type Output = Result<S::Response, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Calling { call } => {
                    let result = ready!(call.poll(cx));
                    // Before user code runs: should it panic, the attempt is over all the same.
                    this.stage.set(Stage::Done);
                    let repeatable = this.next.is_some();
                    let (result, again) = this.policy.judge(*this.attempts, result, repeatable);
                    let Some(wait) = again else { return Poll::Ready(result) };
                    this.stage.set(match wait.is_zero() {
                        true => Stage::Readying,
                        false => Stage::Waiting { sleep: sleep(wait) },
                    });
                }
                StageProjection::Waiting { sleep } => {
                    ready!(sleep.poll(cx));
                    this.stage.set(Stage::Readying);
                }
                StageProjection::Readying => {
                    let Some((mut service, request)) = this.next.take() else {
                        panic!("an attempt without a request");
                    };
                    match service.poll_ready(cx) {
                        Poll::Pending => {
                            *this.next = Some((service, request));
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(error)) => {
                            this.stage.set(Stage::Done);
                            return Poll::Ready(Err(error));
                        }
                        Poll::Ready(Ok(())) => {}
                    }
                    *this.attempts += 1;
                    this.policy.shared.counters.retry();
                    let copy = this.policy.copy_for_after(*this.attempts, &request);
                    let call = service.call(request);
                    *this.next = copy.map(|copy| (service, copy));
                    this.stage.set(Stage::Calling { call });
                }
                StageProjection::Done => panic!("a retried call was polled after it was ready"),
            }
        }
    }
}

impl<S: Service<Request>, Request, P: fmt::Debug> fmt::Debug for RetryFuture<S, Request, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture")
            .field("policy", &self.policy)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

// ===== calls that are no service =====

/// A function that makes a call, as a service without a request.
#[derive(Copy, Clone, Debug)]
pub struct Repeated<F>(F);

impl<F, Fut, T, E> Service<()> for Repeated<F>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    type Response = T;
    type Error = Error<E>;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Fut {
        (self.0)()
    }
}

impl<C> Retry<Cloned, C> {
    /// Calls `call` until it succeeds or is given up. The errors of a call that no other policy
    /// guards go into [`Error::Inner`].
    ///
    /// ```
    /// use panelboard::{CircuitBreaker, Settings};
    /// use panelboard::policy::retry::{Retry, RetrySettings};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let breaker = CircuitBreaker::new("users", Settings::default());
    /// let retry = Retry::new(RetrySettings::default());
    /// let call = retry.call_async(|| breaker.call_async(async { Ok::<_, std::io::Error>("hello") }));
    /// assert_eq!(call.await.unwrap(), "hello");
    /// # }
    /// ```
    ///
    /// # Errors
    /// The last error of `call`, as it is.
    ///
    /// # Panics
    /// When `call`, its future or the classifier does.
    pub fn call_async<F, Fut, T, E>(
        &self,
        call: F,
    ) -> RetryFuture<Repeated<F>, (), Retry<Cloned, C>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Error<E>>>,
        C: Classify<T, E>,
    {
        self.begin();
        let mut calls = Repeated(call);
        let first = calls.call(());
        let next = self.copy_for_after(1, &()).map(|()| (calls, ()));
        RetryFuture::new(self.clone(), first, next)
    }
}
