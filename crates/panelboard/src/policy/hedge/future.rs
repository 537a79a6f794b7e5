use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::Hedge;
use crate::policy::judge::judge;
use crate::{Classify, Error, Tick};

pin_project! {
    /// The future of [`HedgeService`](super::HedgeService). It polls both requests itself: nothing
    /// is spawned, and nothing goes on after it.
    ///
    /// # Cancel safety
    /// Dropping it drops both requests, or the one and the wait for the other. What a second
    /// request has cost the budget is spent.
    ///
    /// # Panics
    /// When polled after it was ready, and outside of a tokio runtime once it has to wait.
    #[must_use = "futures do nothing unless polled"]
    pub struct HedgeFuture<S, Request, P>
    where
        S: Service<Request>,
    {
        policy: P,
        began: Tick,
        // What the second request is made with; `None` if there must be none.
        next: Option<(S, Request)>,
        // What the first ended with, if that is not usable and the second is still under way.
        failed: Option<Result<S::Response, S::Error>>,
        #[pin]
        first: Option<S::Future>,
        #[pin]
        second: Second<S::Future>,
    }
}

pin_project! {
    #[project = SecondProjection]
    enum Second<F> {
        // The first has not been found pending yet.
        Unplanned,
        Waiting { #[pin] sleep: Sleep },
        // Until the service is ready for it.
        Readying,
        Calling { #[pin] call: F },
        // There is none, or it is over.
        Off,
    }
}

impl<S: Service<Request>, Request, P> HedgeFuture<S, Request, P> {
    pub(super) fn new(
        policy: P,
        began: Tick,
        first: S::Future,
        next: Option<(S, Request)>,
    ) -> HedgeFuture<S, Request, P> {
        HedgeFuture {
            policy,
            began,
            next,
            failed: None,
            first: Some(first),
            second: Second::Unplanned,
        }
    }
}

impl<S, Request, E, Q, C> Future for HedgeFuture<S, Request, Hedge<Q, C>>
where
    S: Service<Request, Error = Error<E>>,
    C: Classify<S::Response, E>,
{
    type Output = Result<S::Response, Error<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(result) = self.as_mut().poll_first(cx) {
            return Poll::Ready(result);
        }
        self.poll_second(cx)
    }
}

impl<S, Request, E, Q, C> HedgeFuture<S, Request, Hedge<Q, C>>
where
    S: Service<Request, Error = Error<E>>,
    C: Classify<S::Response, E>,
{
    /// Ready with what the first ended with, unless the second may still do better.
    fn poll_first(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<<Self as Future>::Output> {
        let mut this = self.project();
        let Some(first) = this.first.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(first.poll(cx));
        this.first.set(None);
        let (result, setback) = judge(&this.policy.shared.classify, result);
        if setback.is_some() && matches!(*this.second, Second::Calling { .. }) {
            *this.failed = Some(result);
            return Poll::Pending;
        }
        // The other is cancelled now, not when somebody drops this future.
        this.second.set(Second::Off);
        if setback.is_none() {
            this.policy.answered(*this.began, false);
        }
        Poll::Ready(result)
    }

    /// Makes the second request when it is time, and is ready with what it ended with, unless the
    /// first may still do better.
    fn poll_second(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<<Self as Future>::Output> {
        let mut this = self.project();
        loop {
            let next = match this.second.as_mut().project() {
                SecondProjection::Unplanned => {
                    let wait = this.next.as_ref().and_then(|_| this.policy.wait(*this.began));
                    wait.map_or(Second::Off, |wait| Second::Waiting { sleep: sleep(wait) })
                }
                SecondProjection::Waiting { sleep } => {
                    ready!(sleep.poll(cx));
                    Second::Readying
                }
                SecondProjection::Readying => match this.next {
                    Some((service, _)) => match ready!(service.poll_ready(cx)) {
                        // Paid for last, when nothing else can come in between.
                        Ok(()) if this.policy.pay() => match this.next.take() {
                            Some((mut service, request)) => {
                                Second::Calling { call: service.call(request) }
                            }
                            None => Second::Off,
                        },
                        // Whatever is wrong with it, the first is under way.
                        Ok(()) | Err(_) => Second::Off,
                    },
                    None => Second::Off,
                },
                SecondProjection::Calling { call } => {
                    let result = ready!(call.poll(cx));
                    this.second.set(Second::Off);
                    let (result, setback) = judge(&this.policy.shared.classify, result);
                    if setback.is_none() {
                        this.first.set(None);
                        this.policy.answered(*this.began, true);
                        return Poll::Ready(result);
                    }
                    if let Some(failed) = this.failed.take() {
                        return Poll::Ready(failed);
                    }
                    Second::Off
                }
                SecondProjection::Off => {
                    assert!(this.first.is_some(), "a hedged call was polled after it was ready");
                    return Poll::Pending;
                }
            };
            if matches!(next, Second::Off) {
                // A service that was ready for it may hold something of the sort of a permit.
                *this.next = None;
            }
            this.second.set(next);
        }
    }
}

impl<S: Service<Request>, Request, P: fmt::Debug> fmt::Debug for HedgeFuture<S, Request, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeFuture")
            .field("policy", &self.policy)
            .field("began", &self.began)
            .finish_non_exhaustive()
    }
}
