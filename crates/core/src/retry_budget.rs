//! How much may be retried: a share of the calls, and a little besides.
//!
//! Without one, a dependency that fails gets `max_attempts` times its load just then, and retries
//! keep it down after the cause has gone ("Addressing Cascading Failures" in *Site Reliability
//! Engineering*, O'Reilly 2016). The budget is a bucket of tokens: each call puts in `ratio` of a
//! token, time puts in `min_per_second`, each retry takes out one, and it never holds more than
//! `reserve`. So in any stretch of time there are at most
//! `reserve + ratio × calls + min_per_second × seconds` retries; of time as callers read it, so that
//! one who comes late draws at the time that it read.
//!
//! These are the quantities of Finagle's `RetryBudget` and tower's `TpsBudget`, and their defaults.
//! Where those let deposits expire after ten seconds, here the bucket is full at what ten seconds
//! of the minimum come to: nothing has to be kept for each second, and the state is one word.

use crate::settings::within;
use crate::{Ratio, SettingsError, Tick, limits};

/// What a retry costs, in the budget's units: then `ratio` is a whole number of them, exactly.
const TOKEN: u64 = Ratio::SCALE;

/// Of a balance's word, the bits that hold units: `reserve` at most, 10,000 tokens.
const UNIT_BITS: u32 = 28;

/// Milliseconds are kept modulo this: 2.18 years.
const CYCLE: u64 = 1 << (u64::BITS - UNIT_BITS);

/// How late a thread may come (17 min). What looks later than that is a new cycle. So a budget that
/// nobody drew on for a whole cycle may miss what 17 min gain.
const LATE: u64 = 1 << 20;

/// The terms of a budget: checked.
///
/// ```
/// use panelboard_core::{Ratio, Tick, retry_budget::BudgetSettings};
///
/// let settings = BudgetSettings::new(Ratio::percent(20).unwrap(), 0, 1)?;
/// let mut balance = settings.full(Tick::ZERO);
/// // The reserve pays for one retry, and then it takes five calls to pay for another.
/// balance = settings.withdraw(balance, Tick::ZERO).unwrap();
/// assert!(settings.withdraw(balance, Tick::ZERO).is_none());
/// for _ in 0..5 {
///     balance = settings.deposit(balance, Tick::ZERO);
/// }
/// assert!(settings.withdraw(balance, Tick::ZERO).is_some());
/// # Ok::<(), panelboard_core::SettingsError>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BudgetSettings {
    ratio: Ratio,
    min_per_second: u32,
    reserve: u32,
}

/// What a budget holds, and since when: one word, for an atomic.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Balance(u64);

// ===== impl BudgetSettings =====

impl BudgetSettings {
    /// Retries for this share of the calls, so many a second besides, and so many in reserve.
    ///
    /// # Errors
    /// When `min_per_second` is above 10,000, or `reserve` is 0 or above 10,000.
    pub fn new(
        ratio: Ratio,
        min_per_second: u32,
        reserve: u32,
    ) -> Result<BudgetSettings, SettingsError> {
        Ok(BudgetSettings {
            ratio,
            min_per_second: within("budget.min_per_second", min_per_second, limits::BUDGET_RATE)?,
            reserve: within("budget.reserve", reserve, limits::BUDGET_RESERVE)?,
        })
    }

    /// The share of calls that may be retried. Default: 20 %.
    pub fn ratio(&self) -> Ratio {
        self.ratio
    }

    /// Retries a second that need no calls to pay for them. Default: 10.
    pub fn min_per_second(&self) -> u32 {
        self.min_per_second
    }

    /// Retries that may be saved up. Default: 100.
    pub fn reserve(&self) -> u32 {
        self.reserve
    }

    /// The balance at first.
    pub fn full(&self, now: Tick) -> Balance {
        Balance::new(self.most(), stamp(now))
    }

    /// Whether a deposit would change nothing, at any time. So a clock need not be read for it,
    /// and nothing be written.
    pub fn is_full(&self, balance: Balance) -> bool {
        balance.units() == self.most()
    }

    /// A call was made.
    pub fn deposit(&self, balance: Balance, now: Tick) -> Balance {
        if self.is_full(balance) {
            return balance;
        }
        let (units, stamp) = self.refilled(balance, now);
        let units = (units + self.ratio.as_basis_points()).min(self.most());
        Balance::new(units, stamp)
    }

    /// A retry is to be made; `None` if nothing is left to pay for it.
    #[must_use]
    pub fn withdraw(&self, balance: Balance, now: Tick) -> Option<Balance> {
        let (units, stamp) = self.refilled(balance, now);
        Some(Balance::new(units.checked_sub(TOKEN)?, stamp))
    }

    /// Retries that it would pay for now.
    pub fn retries(&self, balance: Balance, now: Tick) -> u64 {
        self.refilled(balance, now).0 / TOKEN
    }

    fn most(&self) -> u64 {
        u64::from(self.reserve) * TOKEN
    }

    fn refilled(&self, balance: Balance, now: Tick) -> (u64, u64) {
        let (now, then) = (stamp(now), balance.stamp());
        let elapsed = now.wrapping_sub(then) % CYCLE;
        if elapsed >= CYCLE - LATE {
            // A thread that read the clock before another one wrote. It does not move time back.
            return (balance.units(), then);
        }
        // So many tokens a second are ten times as many units a millisecond: whole, so that nothing
        // is lost however often this is asked.
        let gained = elapsed.saturating_mul(u64::from(self.min_per_second) * TOKEN / 1_000);
        (balance.units().saturating_add(gained).min(self.most()), now)
    }
}

impl Default for BudgetSettings {
    fn default() -> BudgetSettings {
        let ratio = Ratio::percent(20).unwrap_or(Ratio::ZERO);
        BudgetSettings { ratio, min_per_second: 10, reserve: 100 }
    }
}

fn stamp(now: Tick) -> u64 {
    now.as_nanos() / 1_000_000
}

// ===== impl Balance =====

impl Balance {
    /// Keeps the stamp modulo [`CYCLE`]: the shift drops the rest.
    fn new(units: u64, stamp: u64) -> Balance {
        Balance(units | stamp << UNIT_BITS)
    }

    fn units(self) -> u64 {
        self.0 & ((1 << UNIT_BITS) - 1)
    }

    fn stamp(self) -> u64 {
        self.0 >> UNIT_BITS
    }

    /// As one word.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// From the word that [`to_bits`](Self::to_bits) made.
    pub const fn from_bits(bits: u64) -> Balance {
        Balance(bits)
    }
}

impl core::fmt::Debug for Balance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Balance({}/{TOKEN} at {} ms)", self.units(), self.stamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use core::time::Duration;
    use proptest::prelude::*;

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    fn drain(settings: BudgetSettings, mut balance: Balance, now: Tick) -> (u64, Balance) {
        let mut retries = 0;
        while let Some(next) = settings.withdraw(balance, now) {
            (balance, retries) = (next, retries + 1);
        }
        (retries, balance)
    }

    #[test]
    fn starts_full_and_gains_by_calls_and_by_time() {
        let settings = BudgetSettings::default();
        let (retries, empty) = drain(settings, settings.full(at(0)), at(0));
        assert_eq!(retries, 100);
        assert_eq!(settings.retries(empty, at(99)), 0);
        assert_eq!(settings.retries(empty, at(100)), 1);
        assert_eq!(settings.retries(empty, at(9_999)), 99);
        assert_eq!(settings.retries(empty, at(3_600_000)), 100, "never more than the reserve");
        let mut balance = empty;
        for _ in 0..5 {
            assert_eq!(settings.retries(balance, at(0)), 0);
            balance = settings.deposit(balance, at(0));
        }
        assert_eq!(settings.retries(balance, at(0)), 1);
    }

    #[test]
    fn a_full_budget_is_not_written_to() {
        let settings = BudgetSettings::default();
        let full = settings.full(at(0));
        assert!(settings.is_full(full));
        assert_eq!(settings.deposit(full, at(50)), full);
        let less = settings.withdraw(full, at(50)).unwrap();
        assert!(!settings.is_full(less));
        assert_eq!(settings.retries(less, at(50)), 99, "the time before is not paid out");
    }

    #[test]
    fn a_late_thread_gains_nothing_and_takes_no_time_away() {
        let settings = BudgetSettings::default();
        let (_, empty) = drain(settings, settings.full(at(10_000)), at(10_000));
        assert_eq!(settings.withdraw(empty, at(9_000)), None);
        let balance = settings.deposit(empty, at(9_000));
        assert_eq!(settings.retries(balance, at(10_050)), 0);
        assert_eq!(settings.retries(balance, at(10_080)), 1);
    }

    /// The stamp wraps; a budget that nobody has drawn on for years works as on the first day.
    #[test]
    fn years_go_by() {
        let settings = BudgetSettings::default();
        for now in [CYCLE - 50, CYCLE + 50, 7 * CYCLE / 4, 5 * CYCLE, u64::MAX / 1_000_000 - 100] {
            let (retries, empty) = drain(settings, settings.full(at(0)), at(now));
            // Within its last minutes a cycle looks like a late thread; then what is there counts.
            assert_eq!(retries, 100);
            assert!((0..=1).contains(&settings.retries(empty, at(now + 99))), "{now}");
            assert!(settings.retries(empty, at(now + 100)) <= 1, "{now}");
        }
        assert_eq!(settings.retries(settings.full(Tick::MAX), Tick::MAX), 100);
        let (_, empty) = drain(settings, settings.full(at(0)), at(0));
        for later in [CYCLE / 2, CYCLE - 2 * LATE] {
            assert_eq!(settings.retries(empty, at(later)), 100, "a long pause is no late thread");
        }
    }

    #[test]
    fn settings_are_checked() {
        let text = |min, reserve| BudgetSettings::new(Ratio::ONE, min, reserve).unwrap_err();
        assert_eq!(
            text(10_001, 1).to_string(),
            "budget.min_per_second is 10001, but must be 0 to 10000"
        );
        assert_eq!(text(0, 0).to_string(), "budget.reserve is 0, but must be 1 to 10000");
        let most = BudgetSettings::new(Ratio::ONE, 10_000, 10_000).unwrap();
        assert_eq!(most.retries(most.full(at(0)), at(1)), 10_000);
        assert_eq!(
            (most.ratio(), most.min_per_second(), most.reserve()),
            (Ratio::ONE, 10_000, 10_000)
        );
    }

    #[test]
    fn the_balance_is_one_word() {
        let settings = BudgetSettings::new(Ratio::ONE, 10_000, 10_000).unwrap();
        let balance = settings.withdraw(settings.full(at(CYCLE - 9)), at(CYCLE - 1)).unwrap();
        assert_eq!(Balance::from_bits(balance.to_bits()), balance);
        assert_eq!((balance.units(), balance.stamp()), (9_999 * TOKEN, CYCLE - 1));
        let shown = alloc::format!("{:?}", settings.full(at(CYCLE + 7)));
        assert_eq!(shown, "Balance(100000000/10000 at 7 ms)");
    }

    proptest! {
        /// In any stretch of any history, with threads that come late: no more retries than the
        /// reserve, the share of the calls and the rate come to. A stretch begins with the earliest
        /// time that was read in it.
        #[test]
        fn never_more_retries_than_the_terms_allow(
            ratio in 0_u16..=10_000,
            rate in 0_u32..50,
            reserve in 1_u32..20,
            history in prop::collection::vec((-20_i64..200, prop::bool::weighted(0.7)), 1..300),
            from in 0_usize..300,
        ) {
            let ratio = Ratio::basis_points(ratio).unwrap();
            let settings = BudgetSettings::new(ratio, rate, reserve).unwrap();
            let mut balance = settings.full(at(1_000));
            let mut now = 1_000_u64;
            let mut seen = Vec::new();
            for (step, retry) in history {
                // Later calls may have read the clock earlier.
                let read = now.saturating_add_signed(step);
                now = now.max(read);
                let paid = match retry {
                    true => settings.withdraw(balance, at(read)),
                    false => None,
                };
                balance = match (retry, paid) {
                    (true, Some(next)) => next,
                    (true, None) => balance,
                    (false, _) => settings.deposit(balance, at(read)),
                };
                seen.push((read, retry, paid.is_some()));
            }
            let stretch = &seen[from.min(seen.len() - 1)..];
            let (mut began, mut now) = (stretch[0].0, stretch[0].0);
            let (mut calls, mut retries) = (0_u64, 0_u64);
            for &(read, retry, paid) in stretch {
                (began, now) = (began.min(read), now.max(read));
                calls += u64::from(!retry);
                retries += u64::from(paid);
                // The first step of the stretch may pay out the time before it.
                let gained = (now - began) * u64::from(rate) * TOKEN / 1_000;
                let allowed = u64::from(reserve) * TOKEN + calls * ratio.as_basis_points() + gained;
                prop_assert!(retries * TOKEN <= allowed, "{retries} retries for {calls} calls");
            }
        }

        /// What is there is spent: against plain numbers, one second after the other.
        #[test]
        fn agrees_with_plain_numbers(
            rate in 0_u32..50,
            reserve in 1_u32..20,
            history in prop::collection::vec((0_u64..200, any::<bool>()), 1..300),
        ) {
            let settings = BudgetSettings::new(Ratio::percent(20).unwrap(), rate, reserve).unwrap();
            let (mut now, mut balance) = (Tick::ZERO, settings.full(Tick::ZERO));
            // In tenths of a thousandth of a token.
            let (most, mut units) = (u64::from(reserve) * TOKEN, u64::from(reserve) * TOKEN);
            for (step, retry) in history {
                now = now.after(Duration::from_millis(step));
                units = (units + step * u64::from(rate) * 10).min(most);
                if retry {
                    let paid = settings.withdraw(balance, now);
                    prop_assert_eq!(paid.is_some(), units >= TOKEN);
                    if let Some(next) = paid {
                        (balance, units) = (next, units - TOKEN);
                    }
                } else {
                    balance = settings.deposit(balance, now);
                    units = (units + 2_000).min(most);
                }
                prop_assert_eq!(settings.retries(balance, now), units / TOKEN);
            }
        }
    }
}
