//! The future of an async guarded call.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Inner;
use crate::classify::Classify;
use crate::permit::{AsInner, Lent};
use crate::{Error, Kind, Outcome};

pin_project! {
    /// The future of an async guarded call; see
    /// [`call_async`](crate::CircuitBreaker::call_async).
    #[must_use = "futures do nothing unless polled"]
    pub struct GuardedCall<'a, F, C> {
        classify: C,
        #[pin]
        guarded: Guarded<&'a Inner, F>,
    }
}

impl<'a, F, C> GuardedCall<'a, F, C> {
    #[inline]
    pub(super) fn new(breaker: &'a Inner, call: F, classify: C) -> GuardedCall<'a, F, C> {
        GuardedCall { classify, guarded: Guarded::new(Stage::New(Some(breaker)), call) }
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
        this.guarded.poll_with(cx, Callee(this.classify))
    }
}

/// Judges what the callee itself said.
struct Callee<'a, C>(&'a C);

impl<C: Classify<T, E>, T, E> Judge<Result<T, E>> for Callee<'_, C> {
    type Answer = T;
    type Error = E;

    #[inline]
    fn judge(self, said: Result<T, E>, record: impl FnOnce(Outcome)) -> Result<T, Error<E>> {
        record(self.0.classify(&said));
        said.map_err(Error::Inner)
    }
}

// ===== what every guarded call does =====

pin_project! {
    /// A call, its permit and its bounds: what the futures of `call_async` and of the tower service
    /// have in common. They differ in how they hold the breaker.
    pub(crate) struct Guarded<B: AsInner, F> {
        stage: Stage<B>,
        #[pin]
        call: F,
        #[pin]
        timer: Timer,
    }
}

/// Says what a call's end is to the breaker, and then what it is to the caller.
///
/// In this order, so that the answer is made where it is returned, and not kept over the record.
pub(crate) trait Judge<O> {
    type Answer;
    type Error;

    fn judge(
        self,
        said: O,
        record: impl FnOnce(Outcome),
    ) -> Result<Self::Answer, Error<Self::Error>>;
}

enum Stage<B: AsInner> {
    /// Not let through yet; `None` from the moment it is.
    New(Option<B>),
    /// Found pending.
    Running(Parked<B>),
}

/// The permit of a call that is not being polled. If it is dropped, the call was cancelled, even
/// while the thread unwinds: its own callee is not what panicked.
struct Parked<B: AsInner>(Option<Lent<B>>);

impl<B: AsInner> Drop for Parked<B> {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.record(Outcome::Neutral);
        }
    }
}

impl<B: AsInner, F> Guarded<B, F> {
    #[inline]
    fn new(stage: Stage<B>, call: F) -> Guarded<B, F> {
        Guarded { stage, call, timer: Timer::new() }
    }

    /// A call that has been let through.
    #[cfg(feature = "tower")]
    pub(crate) fn admitted(permit: Lent<B>, call: F) -> Guarded<B, F> {
        Guarded::new(Stage::Running(Parked(Some(permit))), call)
    }
}

impl<B: AsInner, F: Future> Guarded<B, F> {
    /// Polls the call; `judge` says what its end means.
    #[inline]
    pub(crate) fn poll_with<T, E>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        judge: impl Judge<F::Output, Answer = T, Error = E>,
    ) -> Poll<Result<T, Error<E>>> {
        let this = self.as_mut().project();
        let Stage::New(breaker) = this.stage else { return answer(self.poll_again(cx, judge)) };
        let Some(breaker) = breaker.take() else { return answer(self.poll_again(cx, judge)) };
        let waits = match breaker.inner().admit_here() {
            // What most calls come to that find their answer at hand.
            Some(Ok(visit)) => match this.call.poll(cx) {
                Poll::Ready(said) => {
                    return Poll::Ready(judge.judge(said, |outcome| visit.record(outcome)));
                }
                Poll::Pending => Some(visit.leave()),
            },
            Some(Err(rejected)) => return Poll::Ready(Err(Error::Rejected(rejected))),
            None => None,
        };
        match waits {
            Some(claim) => answer(self.wait(Lent::new(breaker, claim), cx)),
            None => answer(self.poll_at_length(breaker, cx, judge)),
        }
    }
}

/// What the longer ways come to, `None` while pending.
///
/// An answer is large, for the refusal it might be. If they wrote theirs to where this poll's own
/// is returned, that place would be in memory on the short way, too, and what is written there in
/// parts and read as a whole at once costs as much as the breaker does (a store that is not
/// forwarded; measured). Another type, taken apart here, keeps the short way in registers.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call would return through memory")]
fn answer<T, E>(at_length: Option<Result<T, Error<E>>>) -> Poll<Result<T, Error<E>>> {
    match at_length {
        Some(Ok(response)) => Poll::Ready(Ok(response)),
        Some(Err(error)) => Poll::Ready(Err(error)),
        None => Poll::Pending,
    }
}

/// The parts of a poll that not every call comes to.
///
/// An executor may drop a future long after its poll panicked, when the panic is no longer to be
/// seen. So the permit is out of the future while user code runs: unwinding drops it.
impl<B: AsInner, F: Future> Guarded<B, F> {
    fn poll_at_length<T, E>(
        self: Pin<&mut Self>,
        breaker: B,
        cx: &mut Context<'_>,
        judge: impl Judge<F::Output, Answer = T, Error = E>,
    ) -> Option<Result<T, Error<E>>> {
        match breaker.inner().admit(None) {
            Ok(claim) => self.run(Lent::new(breaker, claim), cx, judge),
            Err(rejected) => Some(Err(Error::Rejected(rejected))),
        }
    }

    fn poll_again<T, E>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        judge: impl Judge<F::Output, Answer = T, Error = E>,
    ) -> Option<Result<T, Error<E>>> {
        let permit = match self.as_mut().project().stage {
            Stage::Running(parked) => parked.0.take(),
            Stage::New(_) => None,
        };
        let Some(permit) = permit else {
            panic!("a guarded call was polled after it was ready");
        };
        self.run(permit, cx, judge)
    }

    fn run<T, E>(
        mut self: Pin<&mut Self>,
        permit: Lent<B>,
        cx: &mut Context<'_>,
        judge: impl Judge<F::Output, Answer = T, Error = E>,
    ) -> Option<Result<T, Error<E>>> {
        if let Poll::Ready(said) = self.as_mut().project().call.poll(cx) {
            return Some(judge.judge(said, |outcome| permit.record(outcome)));
        }
        self.wait(permit, cx)
    }

    /// The call is pending, and so is this, unless its time is over.
    fn wait<T, E>(
        self: Pin<&mut Self>,
        mut permit: Lent<B>,
        cx: &mut Context<'_>,
    ) -> Option<Result<T, Error<E>>> {
        let this = self.project();
        if this.timer.poll_timeout(&mut permit, cx).is_ready() {
            permit.record(Outcome::failure(Kind::Timeout));
            return Some(Err(Error::TimedOut));
        }
        *this.stage = Stage::Running(Parked(Some(permit)));
        None
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
    fn poll_timeout<B: AsInner>(
        self: Pin<&mut Timer>,
        permit: &mut Lent<B>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut this = self.project();
        if !*this.set
            && let Some(breaker) = permit.breaker()
        {
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
            #[expect(clippy::disallowed_methods, reason = "the clock of the timer itself")]
            if sleep.poll(cx).is_pending() && Instant::now() < at {
                // The clock is asked as well: a call that has used up the budget that its task has
                // for one poll (tokio's coop) leaves none to the timer, which then never rings.
                return Poll::Pending;
            }
            if !slow {
                return Poll::Ready(());
            }
            *this.slow_at = None;
            permit.mark_slow();
        }
    }
}
