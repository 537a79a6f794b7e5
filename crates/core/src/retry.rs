//! Whether a failed call is tried again, and after how long.
//!
//! The wait is exponential backoff with *full jitter*: drawn evenly from zero to
//! `base_delay × 2^retries`, at most `max_delay`. Of the ways to spread retries this one makes
//! the least work in all for the least time (Marc Brooker, "Exponential Backoff And Jitter", AWS
//! Architecture Blog, 2015).
//!
//! Whether there is budget for it is [`retry_budget`](crate::retry_budget)'s to say.

use alloc::format;
use core::time::Duration;

use crate::backoff::Draw;
use crate::settings::{duration, within};
use crate::time::nanos;
use crate::{SettingsError, limits};

/// How often to try, and how long to wait in between: checked.
///
/// ```
/// use core::time::Duration;
/// use panelboard_core::retry::RetrySettings;
///
/// let settings = RetrySettings::builder().max_attempts(4).build()?;
/// assert_eq!(settings.max_attempts(), 4);
/// assert_eq!(settings.ceiling(1), Duration::from_millis(100));
/// assert_eq!(settings.ceiling(3), Duration::from_millis(400));
/// # Ok::<(), panelboard_core::SettingsError>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RetrySettings {
    max_attempts: u32,
    base_delay: Duration,
    max_delay: Duration,
    max_retry_after: Duration,
}

/// Builds [`RetrySettings`]. What is not said keeps its default.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct RetrySettingsBuilder {
    max_attempts: Option<u32>,
    base_delay: Option<Duration>,
    max_delay: Option<Duration>,
    max_retry_after: Option<Duration>,
}

/// Why there is no result yet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Setback {
    /// The dependency failed, or asked to slow down.
    Failed {
        /// When it said to come back, if it did.
        hint: Option<Duration>,
    },
    /// A breaker or policy of ours refused.
    Refused {
        /// When it will no more, if it knows.
        retry_after: Option<Duration>,
    },
}

/// Why a call is not tried again.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GiveUp {
    /// It must not be made twice, or cannot.
    NotRepeatable,
    /// There have been `max_attempts`.
    Attempts,
    /// It was refused by us, and waiting would not help, or nobody said how long the caller will
    /// wait.
    Refused,
    /// The dependency said to come back later than `max_retry_after`. Coming back earlier, as if
    /// it had said nothing, would be worse than not at all.
    Hint,
    /// The wait would leave no time before the deadline.
    Deadline,
    /// The budget is used up.
    Budget,
}

// ===== impl RetrySettings =====

impl RetrySettings {
    /// Settings, to be put together.
    pub fn builder() -> RetrySettingsBuilder {
        RetrySettingsBuilder::default()
    }

    /// Attempts for each call at most, the first one included.
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The longest wait before the first retry, hints apart.
    pub fn base_delay(&self) -> Duration {
        self.base_delay
    }

    /// The longest wait before any retry, hints apart.
    pub fn max_delay(&self) -> Duration {
        self.max_delay
    }

    /// The longest hint that is waited for.
    pub fn max_retry_after(&self) -> Duration {
        self.max_retry_after
    }

    /// The longest wait that may be drawn after so many attempts, hints apart.
    pub fn ceiling(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1);
        // A shift by the width of the type or more is no shift at all; it would be far above the
        // cap in any case.
        let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let grown = nanos(self.base_delay).saturating_mul(factor);
        Duration::from_nanos(grown.min(nanos(self.max_delay)))
    }

    /// After so many attempts, the last of which ended so: how long to wait before the next.
    ///
    /// A hint is waited for in full, and the drawn wait on top of it, so that those who were given
    /// the same hint do not come back together. `remaining` is what is left of the deadline, if
    /// there is one; `draw` is a number drawn evenly from all of `u64`.
    ///
    /// # Errors
    /// When it should not be tried again.
    pub fn next(
        &self,
        attempts: u32,
        setback: Setback,
        remaining: Option<Duration>,
        draw: u64,
    ) -> Result<Duration, GiveUp> {
        if attempts >= self.max_attempts {
            return Err(GiveUp::Attempts);
        }
        let hint = match setback {
            Setback::Failed { hint } => hint,
            // Failing fast is what a refusal is for. Only a caller that has said for how long it
            // would wait is kept waiting.
            Setback::Refused { retry_after } if retry_after.is_none() || remaining.is_none() => {
                return Err(GiveUp::Refused);
            }
            Setback::Refused { retry_after } => retry_after,
        };
        let hint = hint.unwrap_or(Duration::ZERO);
        if hint > self.max_retry_after {
            return Err(GiveUp::Hint);
        }
        let spread = Draw(draw).between(0, nanos(self.ceiling(attempts)));
        let wait = hint.saturating_add(Duration::from_nanos(spread));
        match remaining {
            Some(remaining) if wait >= remaining => Err(GiveUp::Deadline),
            _ => Ok(wait),
        }
    }
}

impl Default for RetrySettings {
    fn default() -> RetrySettings {
        RetrySettings {
            max_attempts: 3,
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(10),
        }
    }
}

// ===== impl RetrySettingsBuilder =====

impl RetrySettingsBuilder {
    /// Attempts for each call at most, the first one included; 1 to 100. Default: 3.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// The longest wait before the first retry; each further one may take twice as long.
    /// Default: 100 ms.
    pub fn base_delay(mut self, delay: Duration) -> Self {
        self.base_delay = Some(delay);
        self
    }

    /// The longest wait before any retry, hints apart; not under `base_delay`. Default: 10 s.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = Some(delay);
        self
    }

    /// The longest hint (`Retry-After`) that is waited for; a call with a longer one is given up.
    /// Default: `max_delay`.
    pub fn max_retry_after(mut self, hint: Duration) -> Self {
        self.max_retry_after = Some(hint);
        self
    }

    /// Checks everything and fills in the defaults.
    ///
    /// # Errors
    /// The first setting that is out of its range ([`limits`]) or contradicts another.
    pub fn build(self) -> Result<RetrySettings, SettingsError> {
        let base = RetrySettings::default();
        let attempts = self.max_attempts.unwrap_or(base.max_attempts);
        let base_delay = duration("retry.base_delay", self.base_delay.unwrap_or(base.base_delay))?;
        let max_delay = self.max_delay.unwrap_or(base.max_delay.max(base_delay));
        let max_delay = duration("retry.max_delay", max_delay)?;
        if max_delay < base_delay {
            return Err(SettingsError {
                field: "retry.max_delay",
                value: format!("{max_delay:?}"),
                accepted: format!("retry.base_delay ({base_delay:?}) or more"),
            });
        }
        let max_retry_after = self.max_retry_after.unwrap_or(max_delay);
        Ok(RetrySettings {
            max_attempts: within("retry.max_attempts", attempts, limits::ATTEMPTS)?,
            base_delay,
            max_delay,
            max_retry_after: duration("retry.max_retry_after", max_retry_after)?,
        })
    }
}

// ===== impl GiveUp =====

impl GiveUp {
    /// Every reason, in the order of [`GiveUp::index`].
    pub const ALL: [GiveUp; 6] = [
        GiveUp::NotRepeatable,
        GiveUp::Attempts,
        GiveUp::Refused,
        GiveUp::Hint,
        GiveUp::Deadline,
        GiveUp::Budget,
    ];

    /// The place of this reason in [`GiveUp::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in metrics and API.
    pub const fn name(self) -> &'static str {
        match self {
            GiveUp::NotRepeatable => "not_repeatable",
            GiveUp::Attempts => "attempts",
            GiveUp::Refused => "refused",
            GiveUp::Hint => "hint",
            GiveUp::Deadline => "deadline",
            GiveUp::Budget => "budget",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::mix;
    use alloc::string::ToString;
    use proptest::prelude::*;

    const FAILED: Setback = Setback::Failed { hint: None };

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn hinted(millis: u64) -> Setback {
        Setback::Failed { hint: Some(Duration::from_millis(millis)) }
    }

    fn refused(millis: u64) -> Setback {
        Setback::Refused { retry_after: Some(Duration::from_millis(millis)) }
    }

    fn settings() -> RetrySettings {
        let builder = RetrySettings::builder().max_attempts(9).max_delay(millis(1_000));
        builder.max_retry_after(millis(5_000)).build().unwrap()
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let longest: [u64; 9] = [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000, 1_000];
        for (attempts, wait) in (1..).zip(longest) {
            assert_eq!(settings().ceiling(attempts), millis(wait));
        }
        assert_eq!(settings().ceiling(u32::MAX), millis(1_000));
        assert_eq!(settings().next(1, FAILED, None, u64::MAX), Ok(millis(100)));
        assert_eq!(settings().next(1, FAILED, None, 0), Ok(Duration::ZERO));
    }

    #[test]
    fn attempts_are_counted_with_the_first() {
        let twice = RetrySettings::builder().max_attempts(2).build().unwrap();
        assert!(twice.next(1, FAILED, None, 0).is_ok());
        assert_eq!(twice.next(2, FAILED, None, 0), Err(GiveUp::Attempts));
        let once = RetrySettings::builder().max_attempts(1).build().unwrap();
        assert_eq!(once.next(1, FAILED, None, 0), Err(GiveUp::Attempts));
    }

    #[test]
    fn a_hint_is_waited_for_in_full_or_not_at_all() {
        assert_eq!(settings().next(1, hinted(5_000), None, 0), Ok(millis(5_000)));
        assert_eq!(settings().next(1, hinted(5_000), None, u64::MAX), Ok(millis(5_100)));
        assert_eq!(settings().next(1, hinted(5_001), None, 0), Err(GiveUp::Hint));
    }

    #[test]
    fn a_wait_leaves_time_before_the_deadline() {
        let left = |n| Some(millis(n));
        assert_eq!(settings().next(1, hinted(500), left(501), 0), Ok(millis(500)));
        assert_eq!(settings().next(1, hinted(500), left(500), 0), Err(GiveUp::Deadline));
        assert_eq!(settings().next(1, FAILED, left(0), 0), Err(GiveUp::Deadline));
    }

    #[test]
    fn a_refusal_is_waited_out_only_for_a_caller_that_has_time() {
        let none = Setback::Refused { retry_after: None };
        assert_eq!(settings().next(1, none, Some(millis(9_000)), 0), Err(GiveUp::Refused));
        assert_eq!(settings().next(1, refused(500), None, 0), Err(GiveUp::Refused));
        assert_eq!(settings().next(1, refused(500), Some(millis(501)), 0), Ok(millis(500)));
        let short = settings().next(1, refused(500), Some(millis(500)), 0);
        assert_eq!(short, Err(GiveUp::Deadline));
        let long = settings().next(1, refused(5_001), Some(millis(9_000)), 0);
        assert_eq!(long, Err(GiveUp::Hint));
    }

    #[test]
    fn settings_are_checked() {
        let text = |b: RetrySettingsBuilder| b.build().unwrap_err().to_string();
        let b = RetrySettings::builder;
        assert_eq!(b().build(), Ok(RetrySettings::default()));
        assert_eq!(text(b().max_attempts(0)), "retry.max_attempts is 0, but must be 1 to 100");
        assert_eq!(
            text(b().base_delay(Duration::ZERO)),
            "retry.base_delay is 0ns, but must be 1ms to 365d"
        );
        assert_eq!(
            text(b().base_delay(millis(20)).max_delay(millis(10))),
            "retry.max_delay is 10ms, but must be retry.base_delay (20ms) or more"
        );
        assert!(b().max_retry_after(Duration::ZERO).build().is_err());
        let slow = b().base_delay(Duration::from_secs(30)).build().unwrap();
        let secs = Duration::from_secs(30);
        assert_eq!((slow.base_delay(), slow.max_delay()), (secs, secs));
        assert_eq!((slow.max_attempts(), slow.max_retry_after()), (3, secs));
    }

    #[test]
    fn reasons_have_names_of_their_own() {
        for (at, one) in GiveUp::ALL.iter().enumerate() {
            assert_eq!(one.index(), at);
            assert!(!one.name().is_empty());
            assert!(GiveUp::ALL[..at].iter().all(|other| other.name() != one.name()));
        }
    }

    /// Draws are spread over the whole range, so that callers that failed together do not come
    /// back together.
    #[test]
    fn draws_spread_evenly() {
        let mut tenths = [0_u32; 10];
        for n in 0..10_000 {
            let wait = settings().next(1, FAILED, None, mix(n)).unwrap();
            tenths[(wait.as_nanos() / 10_000_001) as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (850..1150).contains(n)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn waits_keep_their_bounds(
            attempts in 1_u32..200,
            hint in proptest::option::of(0_u64..20_000),
            ours: bool,
            remaining in proptest::option::of(0_u64..30_000),
            draw: u64,
        ) {
            let settings = settings();
            let hint = hint.map(millis);
            let setback = match ours {
                true => Setback::Refused { retry_after: hint },
                false => Setback::Failed { hint },
            };
            if let Ok(wait) = settings.next(attempts, setback, remaining.map(millis), draw) {
                prop_assert!(attempts < settings.max_attempts());
                prop_assert!(wait >= hint.unwrap_or_default(), "never before the hint");
                let longest = hint.unwrap_or_default() + settings.ceiling(attempts);
                prop_assert!(wait <= longest && settings.ceiling(attempts) <= settings.max_delay());
                prop_assert!(remaining.is_none_or(|left| wait < millis(left)), "never past it");
                prop_assert!(!ours || hint.is_some() && remaining.is_some());
            }
        }
    }
}
