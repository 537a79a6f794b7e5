use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::breaker::{Guarded, Inner, Judge};
use crate::permit::Lent;
use crate::policy::weigh::weigh;
use crate::sync::counted::Counted;
use crate::{Classify, Error, Outcome, Rejected};

pin_project! {
    /// The future of [`CircuitBreakerService`](super::CircuitBreakerService).
    ///
    /// # Cancel safety
    /// Dropping it abandons the call: that is neutral (and slow, if it had passed the slow bound),
    /// and a probe's slot comes back.
    #[must_use = "futures do nothing unless polled"]
    pub struct CircuitBreakerFuture<F, C> {
        classify: C,
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F> {
        Refused { rejected: Option<Rejected> },
        Unguarded { #[pin] call: F },
        Guarded { #[pin] call: Guarded<Counted<Inner>, F> },
    }
}

impl<F, C> CircuitBreakerFuture<F, C> {
    pub(super) fn refused(rejected: Rejected, classify: C) -> CircuitBreakerFuture<F, C> {
        CircuitBreakerFuture { classify, stage: Stage::Refused { rejected: Some(rejected) } }
    }

    pub(super) fn unguarded(call: F, classify: C) -> CircuitBreakerFuture<F, C> {
        CircuitBreakerFuture { classify, stage: Stage::Unguarded { call } }
    }

    pub(super) fn guarded(
        permit: Lent<Counted<Inner>>,
        call: F,
        classify: C,
    ) -> CircuitBreakerFuture<F, C> {
        let call = Guarded::admitted(permit, call);
        CircuitBreakerFuture { classify, stage: Stage::Guarded { call } }
    }
}

impl<F, C, T, E> Future for CircuitBreakerFuture<F, C>
where
    F: Future<Output = Result<T, Error<E>>>,
    C: Classify<T, E>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.stage.project() {
            StageProj::Guarded { call } => call.poll_with(cx, PastPolicies(this.classify)),
            StageProj::Unguarded { call } => call.poll(cx),
            StageProj::Refused { rejected } => match rejected.take() {
                Some(rejected) => Poll::Ready(Err(Error::Rejected(rejected))),
                None => panic!("a refused call was polled after it was ready"),
            },
        }
    }
}

/// Judges what has passed other policies on its way.
struct PastPolicies<'a, C>(&'a C);

impl<C: Classify<T, E>, T, E> Judge<Result<T, Error<E>>> for PastPolicies<'_, C> {
    type Answer = T;
    type Error = E;

    fn judge(self, said: Result<T, Error<E>>, record: impl FnOnce(Outcome)) -> Result<T, Error<E>> {
        let (outcome, answer) = weigh(self.0, said);
        record(outcome);
        answer
    }
}

impl<F, C> fmt::Debug for CircuitBreakerFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerFuture").finish_non_exhaustive()
    }
}
