use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::{Counters, Retry, RetrySettings, Shared};
use crate::OkOrErr;
use crate::policy::repeat::Cloned;
use crate::policy::retry_budget::RetryBudget;
use crate::policy::sleeper::{self, Sleeper};

/// Puts a [`Retry`] together.
///
/// # Examples
/// ```
/// use panelboard::policy::{Idempotent, retry::{Retry, RetrySettings}};
/// use panelboard::{Kind, Outcome};
///
/// struct Busy;
/// let retry = Retry::builder(RetrySettings::default())
///     .repeat(Idempotent(|request: &String| request.starts_with("GET ")))
///     .classify(|result: &Result<String, Busy>| match result {
///         Ok(_) => Outcome::Success,
///         Err(Busy) => Outcome::failure(Kind::Overloaded),
///     })
///     .build();
/// assert_eq!(retry.settings().max_attempts(), 3);
/// ```
#[must_use]
pub struct RetryBuilder<Q = Cloned, C = OkOrErr> {
    settings: RetrySettings,
    budget: Option<RetryBudget>,
    repeat: Q,
    classify: C,
    sleeper: Sleeper,
    seed: Option<u64>,
}

// ===== impl RetryBuilder =====

impl RetryBuilder {
    pub(super) fn new(settings: RetrySettings) -> RetryBuilder {
        RetryBuilder {
            settings,
            budget: Some(RetryBudget::default()),
            repeat: Cloned,
            classify: OkOrErr,
            sleeper: sleeper::system(),
            seed: None,
        }
    }
}

impl<Q, C> RetryBuilder<Q, C> {
    /// What pays for retries: a budget to share with others, or `None` for as many as there may be.
    /// Default: a budget of its own, with the default terms.
    pub fn budget(mut self, budget: impl Into<Option<RetryBudget>>) -> Self {
        self.budget = budget.into();
        self
    }

    /// Which requests may be repeated, and how they are copied. Default: all, by `Clone`.
    ///
    /// Calls without a request, as of [`Retry::call`], are taken to be repeatable.
    pub fn repeat<R>(self, repeat: R) -> RetryBuilder<R, C> {
        let RetryBuilder { settings, budget, repeat: _, classify, sleeper, seed } = self;
        RetryBuilder { settings, budget, repeat, classify, sleeper, seed }
    }

    /// What a result says: failures and pushback are tried again. Default: every `Err` is a
    /// failure.
    pub fn classify<D>(self, classify: D) -> RetryBuilder<Q, D> {
        let RetryBuilder { settings, budget, repeat, classify: _, sleeper, seed } = self;
        RetryBuilder { settings, budget, repeat, classify, sleeper, seed }
    }

    /// How calls without a runtime wait. Default: the thread sleeps.
    pub fn sleeper(mut self, sleep: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.sleeper = Arc::new(sleep);
        self
    }

    /// What the draws of its waits follow from. Default: another one each time.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The policy.
    pub fn build(self) -> Retry<Q, C> {
        let RetryBuilder { settings, budget, repeat, classify, sleeper, seed } = self;
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(()));
        let (draws, counters) = (AtomicU64::new(seed), Counters::default());
        let shared = Shared { settings, budget, repeat, classify, sleeper, draws, counters };
        Retry { shared: Arc::new(shared) }
    }
}

impl<Q, C> std::fmt::Debug for RetryBuilder<Q, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetryBuilder")
            .field("settings", &self.settings)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
