//! Retry: a failed call is made again, if it may be, if it pays, and if there is time.
//!
//! After a failure or pushback it waits (exponential backoff with full jitter, or the dependency's
//! own hint) and tries again, unless
//!
//! - the request [must not be repeated](crate::policy::Repeat),
//! - there have been `max_attempts`,
//! - the hint is longer than `max_retry_after`: coming back earlier would be worse,
//! - the wait would leave no time before the [deadline](crate::policy::deadline),
//! - the [budget](crate::policy::retry_budget) is used up.
//!
//! A refusal of ours is waited out only if it says for how long *and* that fits the deadline of the
//! call: an open breaker and a used-up rate limit do, a full bulkhead never. Without a deadline,
//! refusals are returned at once, as failing fast is what they are for.
//!
//! What is returned in the end is the last result, as it is.
//!
//! # With a breaker
//! Retry stands outside of it: the breaker sees each attempt, and when it opens the retries end.

mod builder;
#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod layer;
mod stats;

use std::fmt;
use std::panic::RefUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use builder::RetryBuilder;
#[cfg(feature = "tower")]
pub use future::{Repeated, RetryFuture};
#[cfg(feature = "tower")]
pub use layer::{RetryLayer, RetryService};
pub use panelboard_core::retry::{GiveUp, RetrySettings, RetrySettingsBuilder};
pub use stats::RetryStats;

use panelboard_core::backoff::mix;
use stats::Counters;

use crate::policy::deadline::Deadline;
use crate::policy::judge::judge;
use crate::policy::repeat::Cloned;
use crate::policy::retry_budget::RetryBudget;
use crate::policy::sleeper::Sleeper;
use crate::{Classify, Error, OkOrErr};

/// Makes calls again that failed: a cheap handle whose clones share budget and counters.
///
/// `Q` says [which requests may be repeated](crate::policy::Repeat), `C` what a result says of the
/// dependency ([`Classify`]): failures and pushback are tried again, successes and neutral results
/// are not.
///
/// # Examples
/// Without a runtime:
/// ```
/// use std::time::Duration;
/// use panelboard::policy::retry::{Retry, RetrySettings};
///
/// let settings = RetrySettings::builder().base_delay(Duration::from_millis(1)).build()?;
/// let retry = Retry::new(settings);
/// let mut attempts = 0;
/// let result = retry.call(|| {
///     attempts += 1;
///     if attempts < 3 { Err("connection reset") } else { Ok("hello") }
/// });
/// assert_eq!(result.unwrap(), "hello");
/// assert_eq!(retry.stats().retries(), 2);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
pub struct Retry<Q = Cloned, C = OkOrErr> {
    shared: Arc<Shared<Q, C>>,
}

struct Shared<Q, C> {
    settings: RetrySettings,
    budget: Option<RetryBudget>,
    #[cfg_attr(not(feature = "tower"), expect(dead_code, reason = "only services have requests"))]
    repeat: Q,
    classify: C,
    sleeper: Sleeper,
    /// The number of the next draw.
    draws: AtomicU64,
    counters: Counters,
}

/// Nothing is held while the sleeper runs, so one that panics leaves nothing half done.
impl<Q: RefUnwindSafe, C: RefUnwindSafe> RefUnwindSafe for Shared<Q, C> {}

// ===== impl Retry =====

impl Retry {
    /// Retries every request, after every error, within the default budget.
    pub fn new(settings: RetrySettings) -> Retry {
        Retry::builder(settings).build()
    }

    /// A policy that says more than how often and how long.
    pub fn builder(settings: RetrySettings) -> RetryBuilder {
        RetryBuilder::new(settings)
    }
}

impl<Q, C> Retry<Q, C> {
    /// How often, and how long to wait.
    pub fn settings(&self) -> RetrySettings {
        self.shared.settings
    }

    /// What pays for retries, if anything limits them.
    pub fn budget(&self) -> Option<&RetryBudget> {
        self.shared.budget.as_ref()
    }

    /// What it has done so far.
    pub fn stats(&self) -> RetryStats {
        self.shared.counters.read()
    }

    /// Calls `call` until it succeeds or is given up; blocks the thread in between.
    ///
    /// A wait must fit the [`Deadline`] of
    /// [`sync_scope`](crate::policy::deadline::Deadline::sync_scope), if there is one.
    ///
    /// # Errors
    /// The last error of `call`, as [`Error::Inner`].
    ///
    /// # Panics
    /// When `call`, the classifier or the sleeper does.
    pub fn call<T, E>(&self, mut call: impl FnMut() -> Result<T, E>) -> Result<T, Error<E>>
    where
        C: Classify<T, E>,
    {
        self.call_guarded(|| call().map_err(Error::Inner))
    }

    /// As [`call`](Self::call), for a call that a breaker or another policy guards.
    ///
    /// ```
    /// use panelboard::{CircuitBreaker, Error, Settings};
    /// use panelboard::policy::retry::{Retry, RetrySettings};
    ///
    /// let breaker = CircuitBreaker::new("users", Settings::builder().failure_threshold(1).build()?);
    /// let retry = Retry::new(RetrySettings::default());
    /// let result = retry.call_guarded(|| breaker.call(|| Err::<(), _>("connection refused")));
    /// // The first failure opened it, so there was no third attempt.
    /// assert!(matches!(result, Err(Error::Rejected(_))));
    /// assert_eq!(retry.stats().attempts(), 2);
    /// # Ok::<(), panelboard::SettingsError>(())
    /// ```
    ///
    /// # Errors
    /// The last error of `call`, as it is.
    ///
    /// # Panics
    /// When `call`, the classifier or the sleeper does.
    pub fn call_guarded<T, E>(
        &self,
        mut call: impl FnMut() -> Result<T, Error<E>>,
    ) -> Result<T, Error<E>>
    where
        C: Classify<T, E>,
    {
        self.begin();
        let mut attempts = 1;
        loop {
            let (result, again) = self.judge(attempts, call(), true);
            let Some(wait) = again else { return result };
            if !wait.is_zero() {
                (self.shared.sleeper)(wait);
            }
            self.shared.counters.retry();
            attempts += 1;
        }
    }

    /// A call begins: it pays into the budget, whatever becomes of it.
    fn begin(&self) {
        self.shared.counters.call();
        if let Some(budget) = &self.shared.budget {
            budget.deposit();
        }
    }

    /// How long to wait before this call is made again; `None` if this is its result. A retry has
    /// been paid for when it is allowed.
    fn judge<T, E>(
        &self,
        attempts: u32,
        result: Result<T, Error<E>>,
        repeatable: bool,
    ) -> (Result<T, Error<E>>, Option<Duration>)
    where
        C: Classify<T, E>,
    {
        let Shared { settings, budget, classify, draws, counters, .. } = &*self.shared;
        let (result, setback) = judge(classify, result);
        let Some(setback) = setback else {
            if attempts > 1 {
                counters.recovered();
            }
            return (result, None);
        };
        let remaining = Deadline::current().map(|deadline| deadline.remaining());
        // Relaxed: each draw has another number, and that is all.
        let draw = mix(draws.fetch_add(1, Ordering::Relaxed));
        let again = settings.next(attempts, setback, remaining, draw).and_then(|wait| {
            if !repeatable {
                return Err(GiveUp::NotRepeatable);
            }
            // Last, since this cannot be taken back.
            match budget.as_ref().is_none_or(RetryBudget::withdraw) {
                true => Ok(wait),
                false => Err(GiveUp::Budget),
            }
        });
        match again {
            Ok(wait) => (result, Some(wait)),
            Err(why) => {
                counters.give_up(why);
                (result, None)
            }
        }
    }
}

impl<Q, C> Clone for Retry<Q, C> {
    fn clone(&self) -> Retry<Q, C> {
        Retry { shared: Arc::clone(&self.shared) }
    }
}

impl<Q, C> fmt::Debug for Retry<Q, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("settings", &self.shared.settings)
            .field("budget", &self.shared.budget)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
