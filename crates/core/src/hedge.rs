//! When a call that has no answer yet is made a second time.
//!
//! A second request to a dependency that is slow just now, sent only once the first has taken
//! longer than most do, cuts the tail of the latencies for a few per cent more load (Dean and
//! Barroso, "The Tail at Scale", *Communications of the ACM* 56/2, 2013; they send it after the
//! 95th percentile).
//!
//! Whether there is budget for it is [`retry_budget`](crate::retry_budget)'s to say, and how long
//! calls take [`latency`](crate::latency)'s.

use alloc::string::{String, ToString};
use core::time::Duration;

use crate::latency::Latencies;
use crate::settings::duration;
use crate::{Ratio, SettingsError, limits};

/// Calls that must have taken longer than a percentile before it is believed.
const BEYOND: u64 = 5;

/// When to make a call a second time: checked.
///
/// ```
/// use core::time::Duration;
/// use panelboard_core::{Ratio, hedge::HedgeSettings};
///
/// let after_50_ms = HedgeSettings::after(Duration::from_millis(50))?;
/// assert_eq!(after_50_ms.delay(None), Some(Duration::from_millis(50)));
///
/// let p95 = HedgeSettings::at_percentile(Ratio::percent(95).unwrap())?;
/// assert_eq!(p95.delay(None), None, "it has to be learned first");
/// assert_eq!(p95.delay(Some(Duration::from_millis(80))), Some(Duration::from_millis(80)));
/// # Ok::<(), panelboard_core::SettingsError>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct HedgeSettings {
    when: When,
    min_delay: Duration,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum When {
    After(Duration),
    Percentile(Ratio),
}

// ===== impl HedgeSettings =====

impl HedgeSettings {
    /// A second time after so long.
    ///
    /// # Errors
    /// When `delay` is under 1 ms or over a year.
    pub fn after(delay: Duration) -> Result<HedgeSettings, SettingsError> {
        let delay = duration("hedge.delay", delay)?;
        Ok(HedgeSettings { when: When::After(delay), min_delay: limits::SHORTEST })
    }

    /// A second time after what this share of the last calls took at most. So of a hundred calls
    /// about five are made twice at the 95th percentile, be the dependency fast or slow.
    ///
    /// # Errors
    /// When the share is under a half, or above 99 %: what lies beyond is too rare to learn from so
    /// few calls as are remembered.
    pub fn at_percentile(percentile: Ratio) -> Result<HedgeSettings, SettingsError> {
        if !limits::HEDGE_PERCENTILE.contains(&percentile.as_basis_points()) {
            return Err(SettingsError {
                field: "hedge.percentile",
                value: percentile.to_string(),
                accepted: String::from("50 % to 99 %"),
            });
        }
        Ok(HedgeSettings { when: When::Percentile(percentile), min_delay: limits::SHORTEST })
    }

    /// Never earlier than this, whatever the percentile is. Default: 1 ms.
    ///
    /// # Errors
    /// When `delay` is under 1 ms or over a year.
    pub fn with_min_delay(self, delay: Duration) -> Result<HedgeSettings, SettingsError> {
        Ok(HedgeSettings { min_delay: duration("hedge.min_delay", delay)?, ..self })
    }

    /// The percentile that has to be learned, if it goes by one.
    pub fn percentile(&self) -> Option<Ratio> {
        match self.when {
            When::After(_) => None,
            When::Percentile(percentile) => Some(percentile),
        }
    }

    /// What the last calls say of the percentile, if it goes by one and they are enough: five of
    /// them must lie beyond it. That is 100 calls for the 95th, and 500 for the 99th.
    pub fn learn(&self, latencies: &Latencies) -> Option<Duration> {
        let percentile = self.percentile()?;
        let beyond = Ratio::SCALE - percentile.as_basis_points();
        let enough = u64::from(latencies.len()) * beyond >= BEYOND * Ratio::SCALE;
        enough.then(|| latencies.percentile(percentile)).flatten()
    }

    /// How long after a call began it is made a second time; `None` while that is not known.
    pub fn delay(&self, learned: Option<Duration>) -> Option<Duration> {
        let delay = match self.when {
            When::After(delay) => Some(delay),
            When::Percentile(_) => learned,
        };
        delay.map(|delay| delay.max(self.min_delay))
    }

    /// For a call that has been under way for `elapsed`: how long to wait before it is made a
    /// second time. `None` if it should not be: the delay is not known, or would leave no time
    /// before the deadline, of which `remaining` is left.
    pub fn wait(
        &self,
        learned: Option<Duration>,
        elapsed: Duration,
        remaining: Option<Duration>,
    ) -> Option<Duration> {
        let wait = self.delay(learned)?.saturating_sub(elapsed);
        remaining.is_none_or(|remaining| wait < remaining).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn percentile(percent: u16) -> HedgeSettings {
        HedgeSettings::at_percentile(Ratio::percent(percent).unwrap()).unwrap()
    }

    #[test]
    fn settings_are_checked() {
        let text = |result: Result<HedgeSettings, SettingsError>| result.unwrap_err().to_string();
        let at = |percent| HedgeSettings::at_percentile(Ratio::percent(percent).unwrap());
        assert_eq!(text(at(49)), "hedge.percentile is 49 %, but must be 50 % to 99 %");
        assert_eq!(text(at(100)), "hedge.percentile is 100 %, but must be 50 % to 99 %");
        assert!(at(50).is_ok() && at(99).is_ok());
        assert_eq!(
            text(HedgeSettings::after(Duration::ZERO)),
            "hedge.delay is 0ns, but must be 1ms to 365d"
        );
        assert!(percentile(95).with_min_delay(Duration::MAX).is_err());
        assert_eq!(percentile(95).percentile(), Ratio::percent(95));
        assert_eq!(HedgeSettings::after(millis(1)).unwrap().percentile(), None);
    }

    #[test]
    fn a_percentile_is_believed_when_enough_lies_beyond_it() {
        for (percent, calls) in [(50, 10), (95, 100), (99, 500)] {
            let mut latencies = Latencies::new();
            for n in 1..=calls {
                assert_eq!(percentile(percent).learn(&latencies), None);
                latencies.record(millis(n));
            }
            let learned = percentile(percent).learn(&latencies).unwrap();
            assert!(learned >= millis(calls * u64::from(percent) / 100));
        }
        let mut latencies = Latencies::new();
        (0..1_000).for_each(|_| latencies.record(millis(1)));
        assert_eq!(HedgeSettings::after(millis(5)).unwrap().learn(&latencies), None);
    }

    #[test]
    fn never_earlier_than_the_least_delay() {
        assert_eq!(percentile(95).delay(Some(Duration::from_micros(20))), Some(millis(1)));
        let settings = percentile(95).with_min_delay(millis(30)).unwrap();
        assert_eq!(settings.delay(Some(millis(20))), Some(millis(30)));
        assert_eq!(settings.delay(Some(millis(40))), Some(millis(40)));
        assert_eq!(settings.delay(None), None);
    }

    #[test]
    fn a_hedge_leaves_time_before_the_deadline() {
        let settings = HedgeSettings::after(millis(50)).unwrap();
        assert_eq!(settings.wait(None, millis(20), None), Some(millis(30)));
        assert_eq!(settings.wait(None, millis(60), None), Some(Duration::ZERO));
        assert_eq!(settings.wait(None, millis(20), Some(millis(31))), Some(millis(30)));
        assert_eq!(settings.wait(None, millis(20), Some(millis(30))), None);
    }

    proptest! {
        #[test]
        fn waits_keep_their_bounds(
            learned in proptest::option::of(0_u64..1_000),
            elapsed in 0_u64..1_000,
            remaining in proptest::option::of(0_u64..1_000),
        ) {
            let settings = percentile(95).with_min_delay(millis(10)).unwrap();
            let (learned, elapsed) = (learned.map(millis), millis(elapsed));
            if let Some(wait) = settings.wait(learned, elapsed, remaining.map(millis)) {
                let delay = learned.unwrap().max(millis(10));
                prop_assert_eq!((elapsed + wait).max(delay), elapsed + wait, "not early");
                prop_assert!(wait <= delay);
                prop_assert!(remaining.is_none_or(|left| wait < millis(left)), "never past it");
            }
        }
    }
}
