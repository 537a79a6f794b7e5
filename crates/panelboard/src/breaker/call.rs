//! The future of an async guarded call.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Inner;
use crate::classify::Classify;
use crate::permit::Permit;
use crate::{Error, Kind, Outcome};

pin_project! {
    /// The future of an async guarded call; see
    /// [`call_async`](crate::CircuitBreaker::call_async).
    #[must_use = "futures do nothing unless polled"]
    pub struct GuardedCall<'a, F, C> {
        breaker: &'a Inner,
        classify: C,
        stage: Stage<'a>,
        #[pin]
        call: F,
        #[pin]
        timer: Timer,
    }
}

enum Stage<'a> {
    /// Not polled yet.
    New,
    /// Let through, and found pending.
    Running(Parked<'a>),
    /// Ready.
    Done,
}

/// The permit of a call that is not being polled. If it is dropped, the call was cancelled, even
/// while the thread unwinds: its own callee is not what panicked.
struct Parked<'a>(Option<Permit<'a>>);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.neutral();
        }
    }
}

impl<'a, F, C> GuardedCall<'a, F, C> {
    #[inline]
    pub(super) fn new(breaker: &'a Inner, call: F, classify: C) -> GuardedCall<'a, F, C> {
        GuardedCall { breaker, classify, stage: Stage::New, call, timer: Timer::new() }
    }
}

impl<F, C, T, E> Future for GuardedCall<'_, F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, Error<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // An executor may drop a future long after its poll panicked, when the panic is no longer
        // to be seen. So the permit leaves the future while user code runs: unwinding drops it.
        let permit = match std::mem::replace(this.stage, Stage::Done) {
            Stage::New => match this.breaker.admit(None) {
                Ok(claim) => Some(Permit::new(this.breaker, claim)),
                Err(rejected) => return Poll::Ready(Err(Error::Rejected(rejected))),
            },
            Stage::Running(mut parked) => parked.0.take(),
            Stage::Done => None,
        };
        let Some(mut permit) = permit else {
            panic!("a guarded call was polled after it was ready");
        };
        if let Poll::Ready(result) = this.call.poll(cx) {
            permit.record(this.classify.classify(&result));
            return Poll::Ready(result.map_err(Error::Inner));
        }
        if this.timer.poll_timeout(this.breaker, &mut permit, cx).is_ready() {
            permit.record(Outcome::failure(Kind::Timeout));
            return Poll::Ready(Err(Error::TimedOut));
        }
        *this.stage = Stage::Running(Parked(Some(permit)));
        Poll::Pending
    }
}

// ===== the bounds of a pending call =====

pin_project! {
    /// Waits for the slow bound, then for the timeout. Costs nothing until the call is found
    /// pending, and then only if there is a bound.
    struct Timer {
        slow_at: Option<Instant>,
        timeout_at: Option<Instant>,
        set: bool,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer {
    #[inline]
    fn new() -> Timer {
        Timer { slow_at: None, timeout_at: None, set: false, sleep: None }
    }

    /// Ready when the timeout has passed. On the way there marks the call slow.
    fn poll_timeout(
        self: Pin<&mut Timer>,
        breaker: &Inner,
        permit: &mut Permit<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut this = self.project();
        if !*this.set {
            *this.set = true;
            let (slow, timeout) = (breaker.hot.slow_after(), breaker.hot.timeout());
            if slow.is_some() || timeout.is_some() {
                #[expect(clippy::disallowed_methods, reason = "the clock of the timer itself")]
                let now = Instant::now();
                *this.slow_at = slow.and_then(|slow| now.checked_add(slow));
                *this.timeout_at = timeout.and_then(|timeout| now.checked_add(timeout));
            }
        }
        loop {
            let (at, slow) = match (*this.slow_at, *this.timeout_at) {
                (Some(slow), Some(timeout)) if slow > timeout => (timeout, false),
                (Some(slow), _) => (slow, true),
                (None, Some(timeout)) => (timeout, false),
                (None, None) => return Poll::Pending,
            };
            if this.sleep.is_none() {
                this.sleep.set(Some(sleep_until(at)));
            }
            let Some(mut sleep) = this.sleep.as_mut().as_pin_mut() else { return Poll::Pending };
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            ready!(sleep.poll(cx));
            if !slow {
                return Poll::Ready(());
            }
            *this.slow_at = None;
            permit.mark_slow();
        }
    }
}
