use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use panelboard_core::stack::{Plan, Severity};

use super::attempts::{Once, Planned};
use super::{Plain, Policies, Stack, StackError};
use crate::policy::bulkhead::Bulkhead;
use crate::policy::concurrency_limit::ConcurrencyLimit;
use crate::policy::fallback::{Fallback, NoFallback};
use crate::policy::hedge::Hedge;
use crate::policy::rate_limit::RateLimit;
use crate::policy::retry::Retry;
use crate::{CircuitBreaker, Name, OkOrErr};

/// Puts a [`Stack`] together, in whatever order it is told of its policies.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::stack::Stack;
///
/// let builder = Stack::builder("users").timeout(Duration::from_secs(2));
/// // No attempt could ever time out, so this is no stack.
/// let error = builder.deadline(Duration::from_secs(1)).build().unwrap_err();
/// assert_eq!(error.findings().len(), 1);
/// ```
#[must_use]
pub struct StackBuilder<R = Once, C = OkOrErr, F = NoFallback> {
    policies: Policies<R, C, F>,
}

// ===== impl StackBuilder =====

impl StackBuilder {
    pub(super) fn new(name: Name) -> StackBuilder {
        let plain = Plain {
            name,
            warnings: Vec::new(),
            rate_limit: None,
            deadline: None,
            bulkhead: None,
            concurrency_limit: None,
            circuit_breaker: None,
            timeout: None,
        };
        let fallback = Fallback::default();
        StackBuilder { policies: Policies { plain, attempts: Once, classify: OkOrErr, fallback } }
    }
}

impl<C, F> StackBuilder<Once, C, F> {
    /// Makes failed calls again. A stack has a retry or a [`hedge`](Self::hedge), not both.
    pub fn retry<Q, D>(self, retry: Retry<Q, D>) -> StackBuilder<Retry<Q, D>, C, F> {
        self.attempts(retry)
    }

    /// Makes calls a second time that take long. A stack has a hedge or a [`retry`](Self::retry),
    /// not both.
    pub fn hedge<Q, D>(self, hedge: Hedge<Q, D>) -> StackBuilder<Hedge<Q, D>, C, F> {
        self.attempts(hedge)
    }

    fn attempts<R>(self, attempts: R) -> StackBuilder<R, C, F> {
        let Policies { plain, attempts: Once, classify, fallback } = self.policies;
        StackBuilder { policies: Policies { plain, attempts, classify, fallback } }
    }
}

impl<R, C, F> StackBuilder<R, C, F> {
    /// What to answer when there is no result.
    pub fn fallback<A>(self, fallback: Fallback<A>) -> StackBuilder<R, C, A> {
        let Policies { plain, attempts, classify, .. } = self.policies;
        StackBuilder { policies: Policies { plain, attempts, classify, fallback } }
    }

    /// What a result says of the dependency, to breaker and concurrency limit. Retry and hedge have
    /// their own. Default: every `Err` is a failure.
    pub fn classify<D>(self, classify: D) -> StackBuilder<R, D, F> {
        let Policies { plain, attempts, fallback, .. } = self.policies;
        StackBuilder { policies: Policies { plain, attempts, classify, fallback } }
    }

    /// How many calls a period.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.policies.plain.rate_limit = Some(limit);
        self
    }

    /// How long the whole call may take, with all its attempts, waits and queues. It begins when the
    /// rate limit has let the call through: the wait there is the rate limit's own
    /// [`max_wait`](RateLimit::max_wait).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.policies.plain.deadline = Some(deadline);
        self
    }

    /// How many attempts at once, and how many that wait.
    pub fn bulkhead(mut self, bulkhead: Bulkhead) -> Self {
        self.policies.plain.bulkhead = Some(bulkhead);
        self
    }

    /// As many attempts at once as the dependency can take.
    pub fn concurrency_limit(mut self, limit: ConcurrencyLimit) -> Self {
        self.policies.plain.concurrency_limit = Some(limit);
        self
    }

    /// Who decides whether the dependency is to be asked at all.
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.policies.plain.circuit_breaker = Some(breaker);
        self
    }

    /// How long one attempt may take. With a breaker, its own `timeout` does the same, and also
    /// tells it how long a probe may hold its slot.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.policies.plain.timeout = Some(timeout);
        self
    }

    /// The stack.
    ///
    /// # Errors
    /// When one of two policies can never do anything, such as a timeout of the attempt that is
    /// longer than the deadline of the whole call, or a deadline of 0.
    pub fn build(self) -> Result<Stack<R, C, F>, StackError>
    where
        R: Planned,
    {
        let mut policies = self.policies;
        let findings = policies.plan().check();
        if findings.iter().any(|found| found.severity() == Severity::Error) {
            return Err(StackError { name: policies.plain.name, findings });
        }
        policies.plain.warnings = findings;
        Ok(Stack { policies: Arc::new(policies) })
    }
}

impl<R: Planned, C, F> Policies<R, C, F> {
    fn plan(&self) -> Plan {
        let plain = &self.plain;
        let mut plan = Plan {
            deadline: plain.deadline,
            bulkhead: plain.bulkhead.as_ref().map(Bulkhead::room),
            concurrency_limit: plain.concurrency_limit.as_ref().map(ConcurrencyLimit::bounds),
            circuit_breaker: plain.circuit_breaker.as_ref().map(CircuitBreaker::settings),
            timeout: plain.timeout,
            ..Plan::default()
        };
        self.attempts.plan(&mut plan);
        plan
    }
}

impl<R, C, F> fmt::Debug for StackBuilder<R, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBuilder")
            .field("name", &self.policies.plain.name)
            .finish_non_exhaustive()
    }
}
