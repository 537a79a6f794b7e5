//! Rate limits: so many calls a period, and so many at once.
//!
//! The generic cell rate algorithm in its virtual-scheduling form (ITU-T I.371, Annex A), as a
//! leaky bucket whose whole state is one time: when the bucket would next be empty, the
//! *theoretical arrival time*. Nothing has to be refilled, and the state fits one atomic.
//!
//! The crate `governor` does this well. What is here is the decision alone, because the library,
//! the gateway, Python and the simulator share it over clocks of their own, and because a wait that
//! is bounded must be decided in the same step as the admission.

use core::time::Duration;

use crate::settings::{SettingsError, within, within_time};
use crate::time::nanos;
use crate::{Tick, limits};

/// A rate and a burst, checked.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gcra {
    /// What one call takes up of the period, in nanoseconds.
    interval: u64,
    burst: u32,
}

/// Calls that conform, perhaps after a while.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Grant {
    /// The theoretical arrival time from now on.
    pub next: Tick,
    /// How long to wait before the calls are made; zero unless patience was asked for.
    pub wait: Duration,
}

/// Calls that do not conform.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Excess {
    /// They would after this long.
    For(Duration),
    /// They never will: they are more than the burst.
    Forever,
}

// ===== impl Gcra =====

impl Gcra {
    /// `calls` every `per`, of which `burst` may come at once after a pause.
    ///
    /// What one call takes up is rounded up to whole nanoseconds, so the rate is never exceeded; it
    /// is undercut by a thousandth at most.
    ///
    /// # Errors
    /// When `calls` or `burst` is 0, or `per / calls` is under 1 µs or over a day.
    pub fn new(calls: u32, per: Duration, burst: u32) -> Result<Gcra, SettingsError> {
        let calls = within("rate_limit.calls", calls, limits::RATE_CALLS)?;
        let burst = within("rate_limit.burst", burst, limits::RATE_CALLS)?;
        let interval = Duration::from_nanos(nanos(per).div_ceil(u64::from(calls)));
        let interval = within_time("rate_limit.per / calls", interval, limits::RATE_INTERVAL)?;
        Ok(Gcra { interval: nanos(interval), burst })
    }

    /// What one call takes up of the period.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Calls that may come at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// Whether so many calls conform `now`, or would within `patience`. If they do, the state moves
    /// on to [`Grant::next`]; else it stays.
    ///
    /// `arrival` is the state: the theoretical arrival time, [`Tick::ZERO`] at first. A clock that
    /// steps back makes calls wait longer, never more of them conform.
    ///
    /// # Errors
    /// When they do not conform in time.
    pub fn take(
        &self,
        arrival: Tick,
        now: Tick,
        calls: u32,
        patience: Duration,
    ) -> Result<Grant, Excess> {
        if calls > self.burst {
            return Err(Excess::Forever);
        }
        let next = arrival.max(now).after(self.span(calls));
        let wait = next.since(now).saturating_sub(self.span(self.burst));
        match calls == 0 {
            true => Ok(Grant { next: arrival, wait: Duration::ZERO }),
            false if wait <= patience => Ok(Grant { next, wait }),
            false => Err(Excess::For(wait)),
        }
    }

    /// Calls that were granted were not made after all, or others were that nobody asked for. The
    /// state moves on to what is returned.
    ///
    /// `granted` is the [`Grant::next`] of those calls. Room that has come free since then is not
    /// given back: others have had it.
    pub fn correct(
        &self,
        arrival: Tick,
        now: Tick,
        granted: Tick,
        (taken, made): (u32, u32),
    ) -> Tick {
        if made > taken {
            return arrival.max(now).after(self.span(made - taken));
        }
        let unused = self.span(taken - made).min(granted.since(now));
        Tick::from_nanos(arrival.as_nanos().saturating_sub(nanos(unused)))
    }

    /// How many calls would conform now. For display: they may be gone when they are asked for.
    pub fn available(&self, arrival: Tick, now: Tick) -> u32 {
        let left = self.span(self.burst).saturating_sub(arrival.since(now));
        u32::try_from(nanos(left) / self.interval).unwrap_or(self.burst)
    }

    const fn span(&self, calls: u32) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(calls as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const NOW: Duration = Duration::ZERO;

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_then_the_rate() {
        let limit = Gcra::new(10, Duration::from_secs(1), 3).unwrap();
        let mut arrival = Tick::ZERO;
        for _ in 0..3 {
            arrival = limit.take(arrival, at(5_000), 1, NOW).unwrap().next;
        }
        assert_eq!(limit.take(arrival, at(5_000), 1, NOW), Err(Excess::For(millis(100))));
        assert_eq!(limit.take(arrival, at(5_099), 1, NOW), Err(Excess::For(millis(1))));
        arrival = limit.take(arrival, at(5_100), 1, NOW).unwrap().next;
        assert_eq!(limit.take(arrival, at(5_100), 1, NOW), Err(Excess::For(millis(100))));
        assert_eq!(limit.burst(), 3);
        // A pause earns what its length does, but no more than a burst.
        for (now, calls) in [(5_100, 0), (5_199, 0), (5_200, 1), (5_300, 2), (60_000, 3)] {
            assert_eq!(limit.available(arrival, at(now)), calls, "at {now} ms");
        }
    }

    #[test]
    fn patience_books_the_next_place() {
        let limit = Gcra::new(10, Duration::from_secs(1), 1).unwrap();
        let mut arrival = Tick::ZERO;
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let grant = limit.take(arrival, at(1_000), 1, millis(200)).unwrap();
                arrival = grant.next;
                grant.wait
            })
            .collect();
        assert_eq!(waits, [millis(0), millis(100), millis(200)]);
        assert_eq!(limit.take(arrival, at(1_000), 1, millis(200)), Err(Excess::For(millis(300))));
    }

    #[test]
    fn several_calls_at_once_conform_together_or_not_at_all() {
        let limit = Gcra::new(10, Duration::from_secs(1), 5).unwrap();
        let arrival = limit.take(Tick::ZERO, at(9_000), 4, NOW).unwrap().next;
        assert_eq!(limit.take(arrival, at(9_000), 2, NOW), Err(Excess::For(millis(100))));
        assert!(limit.take(arrival, at(9_000), 1, NOW).is_ok());
        assert_eq!(limit.take(arrival, at(9_000), 6, millis(9_999)), Err(Excess::Forever));
        assert_eq!(limit.take(arrival, at(9_000), 0, NOW).unwrap().next, arrival);
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let text = |limit: Result<Gcra, SettingsError>| limit.unwrap_err().to_string();
        let second = Duration::from_secs(1);
        assert_eq!(
            text(Gcra::new(0, second, 1)),
            "rate_limit.calls is 0, but must be 1 to 1000000000"
        );
        assert_eq!(
            text(Gcra::new(2_000_000, second, 1)),
            "rate_limit.per / calls is 500ns, but must be 1µs to 1d"
        );
        assert!(Gcra::new(1, Duration::MAX, 1).is_err());
        assert!(Gcra::new(1, second, 0).is_err());
        assert_eq!(Gcra::new(3, second, 1).unwrap().interval(), Duration::from_nanos(333_333_334));
    }

    #[test]
    fn what_was_not_made_is_given_back_as_far_as_nobody_has_had_it() {
        let limit = Gcra::new(10, Duration::from_secs(1), 10).unwrap();
        let arrival = limit.take(Tick::ZERO, at(1_000), 8, NOW).unwrap().next;
        let correct = |now, pair| limit.correct(arrival, at(now), arrival, pair);
        assert_eq!(correct(1_000, (8, 3)), at(1_300));
        assert_eq!(correct(1_000, (8, 8)), arrival);
        assert_eq!(correct(1_600, (8, 3)), at(1_600), "the rest has come free meanwhile");
        assert_eq!(correct(5_000, (8, 0)), arrival, "all of it has");
        assert_eq!(correct(1_000, (8, 20)), at(3_000), "debts are paid by those who come next");
        assert_eq!(correct(5_000, (8, 10)), at(5_200));
        // Of two, the first gives back only what is its own.
        let both = limit.take(arrival, at(1_500), 5, NOW).unwrap().next;
        assert_eq!(both, at(2_300));
        assert_eq!(limit.correct(both, at(1_500), arrival, (8, 0)), at(2_000));
        assert_eq!(limit.correct(Tick::ZERO, at(0), Tick::MAX, (8, 0)), Tick::ZERO);
    }

    #[test]
    fn absurd_times_saturate() {
        let limit = Gcra::new(1, Duration::from_secs(86_400), 1_000_000_000).unwrap();
        let grant = limit.take(Tick::MAX, Tick::ZERO, 1_000_000_000, Duration::MAX).unwrap();
        assert_eq!(grant.next, Tick::MAX);
        assert!(limit.take(Tick::ZERO, Tick::MAX, 1, NOW).is_ok());
    }

    proptest! {
        /// What a rate limit promises, apart from how it is reckoned: in no interval more than the
        /// burst and what the interval's length earns. Waits are kept.
        #[test]
        fn no_interval_holds_more_than_burst_and_rate(
            calls in 1_u32..50,
            burst in 1_u32..20,
            patience in 0_u64..500,
            steps in prop::collection::vec((0_u64..300, 1_u32..4), 1..80),
        ) {
            let limit = Gcra::new(calls, Duration::from_secs(1), burst).unwrap();
            let (mut arrival, mut now, mut made) = (Tick::ZERO, at(10_000), Vec::new());
            for (step, n) in steps {
                now = now.after(millis(step));
                match limit.take(arrival, now, n, millis(patience)) {
                    Ok(grant) => {
                        prop_assert!(grant.wait <= millis(patience));
                        arrival = grant.next;
                        made.extend((0..n).map(|_| now.after(grant.wait)));
                    }
                    Err(Excess::For(wait)) => {
                        prop_assert!(wait > millis(patience));
                        // The hint is exact: then, and no sooner.
                        let soon = now.after(wait);
                        prop_assert!(limit.take(arrival, soon, n, NOW).is_ok());
                        let sooner = Tick::from_nanos(soon.as_nanos() - 1);
                        prop_assert!(limit.take(arrival, sooner, n, NOW).is_err());
                    }
                    Err(Excess::Forever) => prop_assert!(n > burst),
                }
            }
            for (first, from) in made.iter().enumerate() {
                for (last, to) in made.iter().enumerate().skip(first) {
                    let earned = to.since(*from).as_nanos() / limit.interval().as_nanos();
                    prop_assert!((last - first + 1) as u128 <= u128::from(burst) + earned);
                }
            }
        }
    }
}
