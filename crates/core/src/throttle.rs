//! Proportional shedding, for faults below the trip threshold.
//!
//! Client-side throttling as in "Handling Overload" (Beyer, Jones, Petoff, Murphy: *Site
//! Reliability Engineering*, 2016, chapter 21): a call is refused with probability
//! `max(0, (requests − k·accepts) / (requests + 1))`.
//!
//! Requests are counted as they are attempted, those refused here included. Accepted is what was
//! let through and has not failed. So a call under way is presumed accepted: if it were not, a
//! burst after a quiet time would be taken for an overload.

use core::time::Duration;

use crate::backoff::mix;
use crate::time::nanos;
use crate::{Ratio, Throttle, Tick};

/// Parts of the window. When time moves on by one, the oldest is forgotten.
const PARTS: usize = 10;

/// One, as a probability: 32 bits behind the point.
const ONE: u64 = 1 << 32;

const SECOND: u64 = nanos(Duration::from_secs(1));

/// What was wanted of a closed breaker within the throttle's window, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Demand {
    seed: u64,
    draws: u64,
    /// The second in which a call was last let through.
    passed: Option<u64>,
    /// How long a part of the window is, in nanoseconds.
    width: u64,
    /// The number of the newest part.
    newest: u64,
    parts: [Part; PARTS],
    /// All parts together.
    sum: Part,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
struct Part {
    requests: u64,
    refused: u64,
    failures: u64,
}

impl Demand {
    /// Nothing was wanted yet. `seed` is what refusals are drawn from.
    pub fn new(throttle: Throttle, seed: u64, now: Tick) -> Demand {
        let width = width(throttle);
        let newest = now.as_nanos() / width;
        let (parts, sum) = Default::default();
        Demand { seed, draws: 0, passed: None, width, newest, parts, sum }
    }

    /// Whether it looks back as far as this throttle.
    pub fn fits(&self, throttle: Throttle) -> bool {
        self.width == width(throttle)
    }

    /// A call wants through.
    ///
    /// # Errors
    /// When it may not: the end of this second. The first call of each is let through whatever
    /// would be drawn, or nobody would find out that the dependency is well again.
    pub fn admit(&mut self, throttle: Throttle, now: Tick) -> Result<(), Tick> {
        self.move_on(now);
        let second = now.as_nanos() / SECOND;
        let probability = match self.passed {
            Some(passed) if passed == second => self.probability(throttle),
            _ => 0,
        };
        let refuse = probability > 0 && self.draw() < probability;
        self.count(|part| {
            part.requests += 1;
            part.refused += u64::from(refuse);
        });
        if refuse {
            return Err(Tick::from_nanos((second + 1).saturating_mul(SECOND)));
        }
        self.passed = Some(second);
        Ok(())
    }

    /// A call that was let through has failed.
    pub fn fail(&mut self, now: Tick) {
        self.move_on(now);
        self.count(|part| part.failures += 1);
    }

    /// Whether everything has left the window.
    pub fn is_over(&self, now: Tick) -> bool {
        now.as_nanos() / self.width >= self.newest.saturating_add(PARTS as u64)
    }

    /// The share of calls that is refused now.
    pub fn refused_share(&self, throttle: Throttle, now: Tick) -> Ratio {
        let mut present = self.clone();
        present.move_on(now);
        Ratio::of(present.probability(throttle), ONE)
    }

    /// With which probability the next call is refused.
    fn probability(&self, throttle: Throttle) -> u64 {
        let Part { requests, refused, failures } = self.sum;
        let accepts = requests.saturating_sub(refused).saturating_sub(failures);
        let accounted = u128::from(accepts) * u128::from(throttle.k_millis);
        let excess = (u128::from(requests) * 1_000).saturating_sub(accounted);
        if excess == 0 {
            // So it is nearly always, and the division is by far the dearest thing here.
            return 0;
        }
        let probability = excess * u128::from(ONE) / ((u128::from(requests) + 1) * 1_000);
        // Below one, as the excess is below its divisor.
        (probability as u64).min(throttle.max.share_of(ONE))
    }

    /// A number below [`ONE`], another each time.
    fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        mix(self.seed ^ mix(self.draws)) >> 32
    }

    fn count(&mut self, change: impl Fn(&mut Part)) {
        change(&mut self.parts[place(self.newest)]);
        change(&mut self.sum);
    }

    /// Forgets what has left the window. A clock that steps back moves nothing.
    fn move_on(&mut self, now: Tick) {
        let number = now.as_nanos() / self.width;
        for gone in (self.newest + 1..=number).take(PARTS) {
            let part = core::mem::take(&mut self.parts[place(gone)]);
            self.sum.requests -= part.requests;
            self.sum.refused -= part.refused;
            self.sum.failures -= part.failures;
        }
        self.newest = self.newest.max(number);
    }
}

fn width(throttle: Throttle) -> u64 {
    (nanos(throttle.window) / PARTS as u64).max(1)
}

fn place(number: u64) -> usize {
    (number % PARTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    fn throttle(k: f64, max: f64) -> Throttle {
        Settings::builder().throttle(k).throttle_max(max).build().unwrap().throttle().unwrap()
    }

    /// After so many requests of which so many have failed, without any draw.
    fn after(throttle: Throttle, requests: u64, refused: u64, failures: u64) -> Demand {
        let mut demand = Demand::new(throttle, 1, at(0));
        demand.count(|part| *part = Part { requests, refused, failures });
        demand
    }

    #[test]
    fn refuses_as_the_formula_says() {
        let share = |throttle, (requests, refused, failures)| {
            after(throttle, requests, refused, failures).refused_share(throttle, at(0))
        };
        let two = throttle(2.0, 0.9);
        assert_eq!(share(two, (0, 0, 0)), Ratio::ZERO);
        assert_eq!(share(two, (100, 0, 50)), Ratio::ZERO, "half of it is what k = 2 bears");
        // (100 − 2 · 20) / 101
        assert_eq!(share(two, (100, 0, 80)), Ratio::of(60, 101));
        assert_eq!(share(two, (100, 40, 40)), Ratio::of(60, 101), "refused is not accepted");
        assert_eq!(share(two, (100, 0, 100)), Ratio::percent(90).unwrap(), "capped");
        assert_eq!(share(throttle(2.0, 1.0), (99, 0, 99)), Ratio::percent(99).unwrap());
        assert_eq!(share(throttle(1.5, 0.9), (100, 0, 50)), Ratio::of(25, 101));
        assert_eq!(share(two, (5, 0, 9)), Ratio::of(5, 6), "failures of calls from before");
    }

    #[test]
    fn draws_hit_as_often_as_they_should() {
        let throttle = throttle(2.0, 0.9);
        for seed in [0, 1, u64::MAX] {
            let refused = (0..10_000_u64)
                .filter(|draw| {
                    let mut demand = Demand { seed, draws: *draw, ..after(throttle, 100, 0, 80) };
                    demand.passed = Some(0);
                    demand.admit(throttle, at(1)).is_err()
                })
                .count();
            assert!(
                (5_800..6_100).contains(&refused),
                "60 of 101 are to be refused, not {refused}"
            );
        }
    }

    /// Of [`ONE`] draws, as many refuse as the probability says: those below it.
    #[test]
    fn a_draw_that_equals_the_probability_refuses_nothing() {
        // So that the first draw is one half.
        const SEED: u64 = 0xbee7_dc03_471f_0984;
        for (max, refused) in [(0.5, false), (0.5001, true)] {
            let throttle = throttle(1.0, max);
            let mut demand = Demand { seed: SEED, ..after(throttle, 1_000_000, 0, 1_000_000) };
            assert_eq!(demand.clone().draw(), ONE / 2);
            demand.passed = Some(0);
            assert_eq!(demand.admit(throttle, at(1)).is_err(), refused);
        }
    }

    /// Each call counts as a request, and as accepted until it fails; one that was refused as a
    /// request only.
    #[test]
    fn calls_are_counted_as_they_come() {
        let throttle = throttle(1.0, 0.9);
        let mut demand = Demand::new(throttle, 1, at(0));
        for _ in 0..9 {
            assert_eq!(demand.admit(throttle, at(0)), Ok(()));
        }
        assert_eq!(demand.refused_share(throttle, at(0)), Ratio::ZERO);
        for _ in 0..6 {
            demand.fail(at(0));
        }
        assert_eq!(demand.refused_share(throttle, at(0)), Ratio::of(6, 10));
        assert!((0..100).any(|_| demand.admit(throttle, at(0)).is_err()));
        let Part { requests, refused, failures } = demand.sum;
        assert_eq!((refused, failures), (1, 6));
        assert_eq!(demand.refused_share(throttle, at(0)), Ratio::of(7, requests + 1));
    }

    #[test]
    fn fits_only_a_throttle_that_looks_back_as_far() {
        let with = |secs| Throttle { window: Duration::from_secs(secs), ..Throttle::default() };
        let demand = Demand::new(with(30), 1, at(0));
        assert!(demand.fits(with(30)) && !demand.fits(with(60)));
        assert!(demand.fits(Throttle { k_millis: 1_500, ..with(30) }), "it counts the same");
    }

    #[test]
    fn one_call_a_second_always_passes() {
        let throttle = throttle(1.0, 1.0);
        let mut demand = after(throttle, 1_000_000_000, 0, 1_000_000_000);
        for second in 0..20 {
            assert_eq!(demand.admit(throttle, at(second * 1_000 + 400)), Ok(()));
            for millis in 401..600 {
                let next = at((second + 1) * 1_000);
                assert_eq!(demand.admit(throttle, at(second * 1_000 + millis)), Err(next));
            }
        }
    }

    #[test]
    fn what_leaves_the_window_is_forgotten() {
        let throttle = throttle(2.0, 0.9);
        let mut demand = Demand::new(throttle, 1, at(0));
        demand.count(|part| *part = Part { requests: 10, refused: 2, failures: 5 });
        demand.fail(at(3_000));
        assert_eq!(demand.sum, Part { requests: 10, refused: 2, failures: 6 });
        demand.move_on(at(29_999));
        assert_eq!(demand.sum.requests, 10);
        demand.move_on(at(30_000));
        assert_eq!(demand.sum, Part { failures: 1, ..Part::default() });
        // A clock that steps back takes nothing away, and one that leaps ahead takes all.
        for now in [0, 30_000] {
            demand.move_on(at(now));
            assert_eq!(demand.sum.failures, 1);
        }
        demand.move_on(Tick::MAX);
        assert_eq!(demand.sum, Part::default());
    }
}
