use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::GiveUp;

/// What a [`Retry`](super::Retry) has done since it was made.
///
/// Each number is right; read while calls are under way, they need not be of the same moment.
///
/// # Examples
/// ```
/// use panelboard::policy::retry::{GiveUp, Retry, RetrySettings};
///
/// let retry = Retry::new(RetrySettings::builder().max_attempts(1).build()?);
/// assert!(retry.call(|| Err::<(), _>("no")).is_err());
/// let stats = retry.stats();
/// assert_eq!((stats.calls(), stats.retries(), stats.given_up(GiveUp::Attempts)), (1, 0, 1));
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Default)]
pub struct RetryStats {
    calls: u64,
    retries: u64,
    recovered: u64,
    given_up: [u64; GiveUp::ALL.len()],
}

/// Apart from what is only read, so that counting does not slow the readers down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counters {
    calls: AtomicU64,
    retries: AtomicU64,
    recovered: AtomicU64,
    given_up: [AtomicU64; GiveUp::ALL.len()],
}

// ===== impl RetryStats =====

impl RetryStats {
    /// Calls, whatever became of them.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Attempts after the first of each call.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Attempts in all.
    pub fn attempts(&self) -> u64 {
        self.calls + self.retries
    }

    /// Calls that a retry helped.
    pub fn recovered(&self) -> u64 {
        self.recovered
    }

    /// Calls that were given up for this reason.
    pub fn given_up(&self, why: GiveUp) -> u64 {
        self.given_up[why.index()]
    }

    /// Calls that were given up because the budget was used up.
    pub fn budget_exhausted(&self) -> u64 {
        self.given_up(GiveUp::Budget)
    }
}

impl fmt::Debug for RetryStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stats = f.debug_struct("RetryStats");
        stats.field("calls", &self.calls);
        stats.field("retries", &self.retries);
        stats.field("recovered", &self.recovered);
        // By reason: places in an array say nothing to a reader.
        for why in GiveUp::ALL {
            stats.field(&format!("given_up({why:?})"), &self.given_up[why.index()]);
        }
        stats.finish()
    }
}

// ===== impl Counters =====

// Relaxed throughout: the numbers publish nothing but themselves.
impl Counters {
    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn recovered(&self) {
        self.recovered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn give_up(&self, why: GiveUp) {
        self.given_up[why.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> RetryStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RetryStats {
            calls: read(&self.calls),
            retries: read(&self.retries),
            recovered: read(&self.recovered),
            given_up: std::array::from_fn(|at| read(&self.given_up[at])),
        }
    }
}
