//! Pushback: the dependency is alive and asked us to slow down.

use core::time::Duration;

use crate::{Settings, Tick};

/// The first wait when the dependency did not say how long.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest such wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How far new calls are held back.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Pace {
    until: Tick,
    /// Waits without a hint in a row; each is twice the one before.
    doublings: u8,
}

impl Pace {
    /// Until when new calls are held back, if they are.
    pub fn until(&self, now: Tick) -> Option<Tick> {
        (self.until > now).then_some(self.until)
    }

    /// Whether a success would change anything.
    pub fn is_escalated(&self) -> bool {
        self.doublings > 0
    }

    /// Takes note of a pushback. A longer hint extends the wait, a shorter one never shortens it.
    ///
    /// Without a hint the wait is 1 s, doubling to 60 s while pushbacks go on. Those that arrive
    /// during a wait belong to calls from before it and do not lengthen it.
    pub fn push_back(&mut self, settings: &Settings, now: Tick, hint: Option<Duration>) {
        if !settings.pace {
            return;
        }
        if let Some(hint) = hint {
            self.until = self.until.max(now.after(hint.min(settings.max_retry_after)));
        } else if self.until(now).is_none() {
            let wait = FIRST_WAIT.saturating_mul(1 << self.doublings).min(LONGEST_WAIT);
            self.until = now.after(wait);
            self.doublings = (self.doublings + 1).min(6);
        }
    }

    /// Takes note of a success: the next wait without a hint is the first one again.
    pub fn succeed(&mut self) {
        self.doublings = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    fn hint(secs: u64) -> Option<Duration> {
        Duration::from_secs(secs).into()
    }

    #[test]
    fn longer_hints_extend_and_shorter_ones_do_not_shorten() {
        let settings = Settings::default();
        let mut pace = Pace::default();
        pace.push_back(&settings, at(0), hint(10));
        pace.push_back(&settings, at(1_000), hint(2));
        assert_eq!(pace.until(at(1_000)), Some(at(10_000)));
        pace.push_back(&settings, at(1_000), hint(20));
        assert_eq!(pace.until(at(1_000)), Some(at(21_000)));
        assert_eq!(pace.until(at(21_000)), None);
        pace.push_back(&settings, at(21_000), hint(86_400));
        assert_eq!(pace.until(at(21_000)), Some(at(321_000)), "max_retry_after caps the hint");
    }

    #[test]
    fn waits_without_a_hint_double_until_a_success() {
        let settings = Settings::default();
        let mut pace = Pace::default();
        let mut now = at(0);
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            pace.push_back(&settings, now, None);
            // A second pushback of the same burst changes nothing.
            pace.push_back(&settings, now, None);
            let until = now.after(Duration::from_secs(wait));
            assert_eq!(pace.until(now), Some(until));
            now = until;
        }
        pace.succeed();
        pace.push_back(&settings, now, None);
        assert_eq!(pace.until(now), Some(now.after(Duration::from_secs(1))));
    }

    #[test]
    fn pace_off_only_counts() {
        let settings = Settings::builder().pace(false).build().unwrap();
        let mut pace = Pace::default();
        pace.push_back(&settings, at(0), hint(10));
        assert_eq!(pace, Pace::default());
    }

    #[test]
    fn only_a_wait_without_a_hint_escalates() {
        let settings = Settings::default();
        let mut pace = Pace::default();
        pace.push_back(&settings, at(0), hint(1));
        assert!(!pace.is_escalated());
        pace.push_back(&settings, at(1_000), None);
        assert!(pace.is_escalated());
        pace.succeed();
        assert!(!pace.is_escalated());
    }
}
