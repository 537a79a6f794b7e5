//! After a recovery: traffic comes back in steps, so that a dependency that has just got up is
//! not knocked over by all of it at once.

use core::time::Duration;

use crate::time::nanos;
use crate::{Ratio, Settings, Tick};

/// The shares of traffic let through, one after the other, each for an equal part of `ramp`. Then
/// all of it.
pub const SHARES: [Ratio; 3] = const {
    [Ratio::percent(10).unwrap(), Ratio::percent(25).unwrap(), Ratio::percent(50).unwrap()]
};

/// So many calls are let through in each second whatever the share, so sparse traffic never
/// notices a ramp. No rate from before the outage is needed for that.
pub const FREE_PER_SECOND: u64 = 5;

/// During a ramp the rate rules wait for a quarter of `min_calls` only: traffic is thin, and a
/// relapse should be noticed soon. But one call is no rate, unless it is configured to be one.
pub fn min_calls(configured: u32) -> u32 {
    (configured / 4).max(2).min(configured)
}

const SECOND: Duration = Duration::from_secs(1);

/// The ramp of one closed phase.
///
/// Calls are counted by whole seconds since it began. So what was let through in a quiet second
/// is no debt in a busy one, and what was not asked for is no credit.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ramp {
    began: Tick,
    second: u64,
    arrivals: u64,
    admitted: u64,
}

/// Where a ramp stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The share of calls that is let through.
    pub share: Ratio,
    /// When the next, larger one begins.
    pub until: Tick,
    /// When the ramp ends.
    pub ends: Tick,
}

impl Ramp {
    /// A ramp that begins.
    pub fn new(began: Tick) -> Ramp {
        Ramp { began, second: 0, arrivals: 0, admitted: 0 }
    }

    /// Where it stands under these settings; `None` once it is over, or if there is to be none.
    pub fn step(&self, settings: &Settings, now: Tick) -> Option<Step> {
        let over = settings.ramp?;
        let steps = SHARES.len() as u64;
        let end_of = |step: u64| {
            let part = u128::from(nanos(over)) * u128::from(step) / u128::from(steps);
            self.began.after(Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX)))
        };
        let ends = end_of(steps);
        (1..=steps).zip(SHARES).find_map(|(step, share)| {
            let until = end_of(step);
            (now < until).then_some(Step { share, until, ends })
        })
    }

    /// A call wants through during `step`: whether it may.
    ///
    /// The first of each second may; of the others as many as keep what was let through within
    /// the share. That is a count and no draw, so it is exact for small numbers, too.
    pub fn admit(&mut self, step: Step, now: Tick) -> bool {
        let second = nanos(now.since(self.began)) / nanos(SECOND);
        if second != self.second {
            *self = Ramp { second, ..Ramp::new(self.began) };
        }
        self.arrivals = self.arrivals.saturating_add(1);
        let within =
            self.admitted < FREE_PER_SECOND || self.admitted < step.share.share_of(self.arrivals);
        if within {
            self.admitted += 1;
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    fn over(millis: u64) -> Settings {
        Settings::builder().ramp(Duration::from_millis(millis)).build().unwrap()
    }

    /// How many of so many calls at one moment are let through.
    fn admitted(ramp: &mut Ramp, settings: &Settings, now: Tick, calls: u64) -> u64 {
        let Some(step) = ramp.step(settings, now) else { return calls };
        (0..calls).filter(|_| ramp.admit(step, now)).count() as u64
    }

    #[test]
    fn shares_grow_by_thirds_of_the_ramp() {
        let (settings, ramp) = (over(9_000), Ramp::new(at(500)));
        let share = |millis| ramp.step(&settings, at(millis)).map(|step| step.share.to_string());
        for (millis, expected) in [
            (500, Some("10 %")),
            (3_499, Some("10 %")),
            (3_500, Some("25 %")),
            (6_500, Some("50 %")),
            (9_499, Some("50 %")),
            (9_500, None),
        ] {
            assert_eq!(share(millis).as_deref(), expected, "{millis}");
        }
        let step = ramp.step(&settings, at(4_000)).unwrap();
        assert_eq!((step.until, step.ends), (at(6_500), at(9_500)));
        let off = Settings::builder().ramp(None).build().unwrap();
        assert_eq!(ramp.step(&off, at(500)), None);
    }

    #[test]
    fn of_many_calls_the_share_is_let_through() {
        let settings = over(9_000);
        let mut ramp = Ramp::new(at(0));
        assert_eq!(admitted(&mut ramp, &settings, at(0), 1_000), 100);
        assert_eq!(admitted(&mut ramp, &settings, at(4_000), 1_000), 250);
        assert_eq!(admitted(&mut ramp, &settings, at(8_000), 1_000), 500);
        assert_eq!(admitted(&mut ramp, &settings, at(9_000), 1_000), 1_000);
    }

    #[test]
    fn five_calls_a_second_never_notice() {
        let settings = over(10_000);
        let mut ramp = Ramp::new(at(0));
        for second in 0..10 {
            assert_eq!(admitted(&mut ramp, &settings, at(second * 1_000 + 999), 5), 5);
        }
    }

    /// Neither is a quiet second saved up, nor a free call taken back later.
    #[test]
    fn every_second_stands_for_itself() {
        let settings = over(30_000);
        let mut ramp = Ramp::new(at(0));
        assert_eq!(admitted(&mut ramp, &settings, at(0), 1_000), 100);
        assert_eq!(admitted(&mut ramp, &settings, at(1_000), 5), 5);
        assert_eq!(admitted(&mut ramp, &settings, at(2_000), 1_000), 100);
    }

    proptest! {
        /// Whatever arrives when: in each second no more than the larger of the free calls and
        /// the largest share of that second, and no fewer than the larger of the free calls and
        /// the share it began with.
        #[test]
        fn never_above_the_share_nor_below_it(
            arrivals in proptest::collection::vec(0_u64..20_000, 0..400),
            length in 1_u64..20_000,
        ) {
            let (settings, mut arrivals) = (over(length), arrivals);
            arrivals.sort_unstable();
            let mut ramp = Ramp::new(at(0));
            for second in arrivals.chunk_by(|a, b| a / 1_000 == b / 1_000) {
                let ramped: Vec<_> =
                    second.iter().filter_map(|t| Some((*t, ramp.step(&settings, at(*t))?))).collect();
                let Some((_, last)) = ramped.last() else { continue };
                let passed = ramped.iter().filter(|(t, step)| ramp.admit(*step, at(*t))).count() as u64;
                let all = ramped.len() as u64;
                prop_assert!(passed <= FREE_PER_SECOND.max(last.share.share_of(all)));
                prop_assert!(passed >= all.min(FREE_PER_SECOND.max(ramped[0].1.share.share_of(all))));
            }
        }
    }
}
