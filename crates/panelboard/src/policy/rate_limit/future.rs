use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::RateLimited;
use crate::Error;

pin_project! {
    /// The future of [`RateLimitService`](super::RateLimitService).
    ///
    /// # Cancel safety
    /// Dropped while it waits, it keeps the place in the rate that it has taken; the call is not
    /// made.
    #[must_use = "futures do nothing unless polled"]
    pub struct RateLimitFuture<S, Request>
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
        Refused { limited: RateLimited },
        Asleep { until: Instant, held: Option<(S, Request)>, #[pin] sleep: Option<Sleep> },
        Called { #[pin] call: F },
    }
}

impl<S: Service<Request>, Request> RateLimitFuture<S, Request> {
    pub(super) fn refused(limited: RateLimited) -> Self {
        RateLimitFuture { stage: Stage::Refused { limited } }
    }

    pub(super) fn waiting(wait: Duration, ready: S, request: Request) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the clock of the timer itself")]
        // Cannot overflow: a wait is less than the 584 years that ticks can tell.
        let until = Instant::now() + wait;
        let held = Some((ready, request));
        RateLimitFuture { stage: Stage::Asleep { until, held, sleep: None } }
    }

    pub(super) fn called(call: S::Future) -> Self {
        RateLimitFuture { stage: Stage::Called { call } }
    }
}

impl<S, Request, E> Future for RateLimitFuture<S, Request>
where
    S: Service<Request, Error = Error<E>>,
{
    type Output = Result<S::Response, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                StageProj::Called { call } => return call.poll(cx),
                StageProj::Refused { limited } => return Poll::Ready(Err((*limited).into())),
                StageProj::Asleep { until, held, mut sleep } => {
                    if sleep.is_none() {
                        sleep.set(Some(sleep_until(*until)));
                    }
                    if let Some(sleep) = sleep.as_pin_mut() {
                        ready!(sleep.poll(cx));
                    }
                    let Some((mut service, request)) = held.take() else {
                        panic!("a rate-limited call was polled after it panicked");
                    };
                    let call = service.call(request);
                    stage.set(Stage::Called { call });
                }
            }
        }
    }
}

impl<S: Service<Request>, Request> fmt::Debug for RateLimitFuture<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture").finish_non_exhaustive()
    }
}
