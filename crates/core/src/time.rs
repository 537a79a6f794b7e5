//! Time as an argument.

use core::fmt;
use core::time::Duration;

/// A point on a breaker's monotonic clock: nanoseconds since that clock's own origin.
///
/// All arithmetic saturates, so neither a clock that steps back nor an absurd duration can panic
/// or wrap (invariant B-8).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(u64);

impl Tick {
    /// The clock's origin.
    pub const ZERO: Tick = Tick(0);
    /// A time that never comes (584 years after the origin).
    pub const MAX: Tick = Tick(u64::MAX);

    /// The tick `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Tick {
        Tick(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This tick moved `by` later, at most [`Tick::MAX`].
    #[must_use]
    pub const fn after(self, by: Duration) -> Tick {
        Tick(self.0.saturating_add(nanos(by)))
    }

    /// How long after `earlier` this tick is; zero if it is not.
    pub const fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long from `now` until this tick; zero if it has passed.
    pub const fn until_from(self, now: Tick) -> Duration {
        self.since(now)
    }
}

impl fmt::Debug for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tick({:?})", Duration::from_nanos(self.0))
    }
}

/// A duration in whole nanoseconds, saturating at [`u64::MAX`].
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let n = duration.as_nanos();
    if n > u64::MAX as u128 { u64::MAX } else { n as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B-8: time arithmetic saturates.
    #[test]
    fn b8_time_saturates_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        let most = Duration::from_nanos(u64::MAX);
        assert_eq!((nanos(most), nanos(most + second)), (u64::MAX, u64::MAX));
        assert_eq!(nanos(second), 1_000_000_000);
        assert_eq!(Tick::ZERO.after(second).after(Duration::MAX), Tick::MAX);
        assert_eq!(Tick::MAX.after(second), Tick::MAX);
        assert_eq!(Tick::ZERO.since(Tick::MAX), Duration::ZERO);
        assert_eq!(Tick::ZERO.after(second).until_from(Tick::ZERO), second);
        assert_eq!(alloc::format!("{:?}", Tick::ZERO.after(second)), "Tick(1s)");
    }
}
