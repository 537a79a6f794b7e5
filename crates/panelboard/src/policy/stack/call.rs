//! Calls of functions: async ones through the same services, those that block step by step.

use std::task::{Context, Poll};

use tower_service::Service;

use super::block_on::block_on;
use super::{Attempts, BlockingAttempts, Guarded, Stack, Stacked};
use crate::policy::bulkhead::Bulkhead;
use crate::policy::concurrency_limit::ConcurrencyLimit;
use crate::policy::deadline::Deadline;
use crate::policy::fallback::{Answer, AskedFuture, Standby};
use crate::policy::weigh::weigh;
use crate::{Classify, Error};

/// A function that makes a call, as a service without a request.
#[derive(Debug)]
pub struct FnService<'a, F>(&'a F);

impl<F> Clone for FnService<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for FnService<'_, F> {}

impl<F, Fut, T, E> Service<()> for FnService<'_, F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Response = T;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Fut {
        (self.0)()
    }
}

impl<R, C: Clone, F: Clone> Stack<R, C, F> {
    /// Makes an async call within all the policies, by the same services that
    /// [`layer`](Self::layer) puts around a service. `call` is run for each attempt.
    ///
    /// The services are put together for each call, which costs a few counts of references. Where
    /// that matters, keep a service.
    ///
    /// # Limits
    /// In a future that must be `Send`, such as a spawned task, the compiler cannot follow references
    /// in what a fallback answers with, `&'static str` among them ("implementation is not general
    /// enough"). Let both answer with something owned there.
    ///
    /// # Errors
    /// What the outermost policy that has something to say returns.
    ///
    /// # Panics
    /// When `call`, its future, the classifier or the fallback does; and outside of a Tokio runtime
    /// with its timer enabled, if anything is to be timed.
    ///
    /// # Cancel safety
    /// Dropping the future drops the attempt that is under way, and gives back every place, slot
    /// and permit. What the rate limit and a retry budget have been paid is spent.
    pub async fn call_async<Fun, Fut, T, E>(&self, call: Fun) -> Result<T, Error<E>>
    where
        Fun: Fn() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: for<'a> Attempts<Guarded<FnService<'a, Fun>, C>>,
        for<'a> Stacked<FnService<'a, Fun>, R, C, F>: Service<(), Response = T, Error = Error<E>>,
    {
        AskedFuture::new(self.around(FnService(&call)), ()).await
    }
}

impl<R, C, F> Stack<R, C, F> {
    /// Makes a call that blocks within the policies: fallback, rate limit, deadline, retry,
    /// bulkhead, concurrency limit and breaker. `call` is run for each attempt.
    ///
    /// Nobody can stop a thread from outside, so a timeout is not enforced, and the deadline only
    /// between one step and the next: no attempt begins, and nothing is waited for, after it.
    ///
    /// # Errors
    /// What the outermost policy that has something to say returns.
    ///
    /// # Panics
    /// When `call`, the classifier, the fallback or the retry's sleeper does.
    pub fn call<T, E>(&self, call: impl FnMut() -> Result<T, E>) -> Result<T, Error<E>>
    where
        R: BlockingAttempts<T, E>,
        C: Classify<T, E>,
        F: Answer<(), Standby: Standby<T, E>>,
    {
        let standby = self.policies.fallback.stand_by(&());
        match self.call_in_time(call) {
            Err(error) if standby.handles(&error) => block_on(standby.answer(error)),
            result => result,
        }
    }

    fn call_in_time<T, E>(&self, mut call: impl FnMut() -> Result<T, E>) -> Result<T, Error<E>>
    where
        R: BlockingAttempts<T, E>,
        C: Classify<T, E>,
    {
        let policies = &*self.policies;
        if let Some(limit) = &policies.plain.rate_limit {
            limit.acquire_blocking(1)?;
        }
        let mut attempts = || policies.attempts.run(|| self.attempt(&mut call));
        match policies.plain.deadline {
            Some(deadline) => Deadline::after(deadline).sync_scope(attempts),
            None => attempts(),
        }
    }

    /// One attempt, from the outside in.
    fn attempt<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>>
    where
        C: Classify<T, E>,
    {
        let policies = &*self.policies;
        in_time()?;
        let place = policies.plain.bulkhead.as_ref().map(Bulkhead::sit);
        // It may have been waited for until the deadline, or past it.
        in_time()?;
        let _place = place.transpose()?;
        let permit =
            policies.plain.concurrency_limit.as_ref().map(ConcurrencyLimit::slot).transpose()?;
        let classify = |result: &Result<T, E>| policies.classify.classify(result);
        let result = match &policies.plain.circuit_breaker {
            Some(breaker) => breaker.call_classified(call, classify),
            None => call().map_err(Error::Inner),
        };
        let Some(permit) = permit else { return result };
        let (outcome, result) = weigh(&policies.classify, result);
        permit.record(outcome);
        result
    }
}

/// An error if there is a deadline that has passed.
fn in_time<E>() -> Result<(), Error<E>> {
    match Deadline::current() {
        Some(deadline) if deadline.has_passed() => Err(Error::DeadlineExceeded),
        _ => Ok(()),
    }
}
