//! How much may be retried or hedged: a share of the calls, and a little besides.
//!
//! What a budget allows is `panelboard-core`'s to say ([`BudgetSettings`]); this keeps its balance
//! between threads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use panelboard_core::retry_budget::BudgetSettings;

use panelboard_core::retry_budget::Balance;

use crate::Clock;

/// What a dependency's callers may spend on further attempts.
///
/// A cheap handle: clones share one balance. All policies that lead to the same dependency should
/// share it, else each may add its share of load.
///
/// While it is full, as it is when nothing is retried, a deposit reads one word and no clock.
///
/// # Examples
/// ```
/// use panelboard::Ratio;
/// use panelboard::policy::retry_budget::{BudgetSettings, RetryBudget};
///
/// // One retry for ten calls, one a second in any case, and not more than five together.
/// let tenth = Ratio::percent(10).expect("a share");
/// let budget = RetryBudget::new(BudgetSettings::new(tenth, 1, 5)?);
/// assert_eq!(budget.available(), 5);
/// assert!(budget.withdraw());
/// assert_eq!(budget.available(), 4);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct RetryBudget {
    shared: Arc<Shared>,
}

struct Shared {
    settings: BudgetSettings,
    clock: Clock,
    balance: AtomicU64,
}

// ===== impl RetryBudget =====

impl RetryBudget {
    /// A full budget on the [default clock](Clock::coarse).
    pub fn new(settings: BudgetSettings) -> RetryBudget {
        RetryBudget::on(settings, Clock::default())
    }

    /// A full budget on a clock of your choice.
    pub fn on(settings: BudgetSettings, clock: impl Into<Clock>) -> RetryBudget {
        let clock = clock.into();
        let balance = AtomicU64::new(settings.full(clock.now()).to_bits());
        RetryBudget { shared: Arc::new(Shared { settings, clock, balance }) }
    }

    /// Its terms.
    pub fn settings(&self) -> BudgetSettings {
        self.shared.settings
    }

    /// A call was made, whatever becomes of it: once for each call, not for its further attempts.
    pub fn deposit(&self) {
        let Shared { settings, clock, .. } = &*self.shared;
        if settings.is_full(self.balance()) {
            return;
        }
        let now = clock.now();
        self.change(|balance| Some(settings.deposit(balance, now)));
    }

    /// Pays for one further attempt; `false` if nothing is left to pay with.
    #[must_use = "an attempt that is not paid for must not be made"]
    pub fn withdraw(&self) -> bool {
        let Shared { settings, clock, .. } = &*self.shared;
        let now = clock.now();
        self.change(|balance| settings.withdraw(balance, now))
    }

    /// Further attempts that it would pay for now.
    pub fn available(&self) -> u64 {
        self.shared.settings.retries(self.balance(), self.shared.clock.now())
    }

    fn balance(&self) -> Balance {
        // Nothing else is published with it.
        Balance::from_bits(self.shared.balance.load(Ordering::Relaxed))
    }

    /// Whether there was a change to make. May ask more than once.
    fn change(&self, next: impl Fn(Balance) -> Option<Balance>) -> bool {
        let next = |bits| next(Balance::from_bits(bits)).map(Balance::to_bits);
        // Relaxed: the word is all there is, and its modifications have one order in any case.
        self.shared.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

impl Default for RetryBudget {
    /// A budget with the default terms: a retry for five calls, ten a second, 100 together.
    fn default() -> RetryBudget {
        RetryBudget::new(BudgetSettings::default())
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("settings", &self.shared.settings)
            .field("available", &self.available())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, Ratio};
    use std::time::Duration;

    #[test]
    fn threads_together_spend_no_more_than_there_is() {
        let settings = BudgetSettings::new(Ratio::percent(50).unwrap(), 0, 1_000).unwrap();
        let budget = RetryBudget::on(settings, ManualClock::new());
        let spent: u32 = std::thread::scope(|scope| {
            let spend = || {
                let mut spent = 0;
                for _ in 0..1_000 {
                    budget.deposit();
                    spent += u32::from(budget.withdraw());
                }
                spent
            };
            let threads = [(); 4].map(|()| scope.spawn(spend));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // What a deposit finds full is lost, so it may be less.
        assert!(spent <= 1_000 + 2_000, "{spent}");
        assert!(spent >= 2_000, "{spent}");
        assert!(budget.available() <= 1);
    }

    #[test]
    fn time_pays_out() {
        let clock = ManualClock::new();
        let settings = BudgetSettings::new(Ratio::ZERO, 2, 3).unwrap();
        let budget = RetryBudget::on(settings, clock.clone());
        let spend =
            || std::iter::repeat_with(|| budget.withdraw()).take_while(|paid| *paid).count();
        assert_eq!(spend(), 3);
        clock.advance(Duration::from_secs(1));
        assert_eq!(spend(), 2);
        clock.advance(Duration::from_secs(60));
        assert_eq!(spend(), 3);
    }
}
