//! The sequential rule: when failures come too often to be chance, however few calls it takes to
//! tell.
//!
//! A one-sided CUSUM (Page, "Continuous inspection schemes", Biometrika 1954). Of two suppositions,
//! that failures come at `base_rate` (p₀) or at `fault_rate` (p₁), each call speaks for one: a
//! failure adds `ln(p₁/p₀)` to the score, a success adds `ln((1−p₁)/(1−p₀))`, which is negative,
//! and the score never falls below 0. The rule fires at `h = ln(false_trips_per)`. As long as
//! failures come at `base_rate` or less, at least `e^h` calls pass between false trips on average
//! (Wald's inequality for the likelihood ratio; Lorden, "Procedures for reacting to a change in
//! distribution", Ann. Math. Statist. 1971).
//!
//! The score is an integer, and every rounding errs towards fewer false trips.

use core::fmt;

use crate::settings::{BaseRate, Sequential};
use crate::{Outcome, Ratio};

/// Evidence for a fault, in units of 2⁻³² of a natural logarithm.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Score(u64);

/// Calls that ended in success or failure, ever, and how many of them failed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Ended {
    /// All of them.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
}

/// The score of one closed phase, and what is held to be normal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cusum {
    rule: Sequential,
    score: Score,
    steps: Steps,
    /// The base rate as learned, in millionths.
    learned: u64,
    /// What had ended when the present stretch of undisturbed closed traffic began.
    since: Ended,
}

/// By what each call moves the score.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Steps {
    up: u64,
    down: u64,
}

/// A learned base rate is never held to be lower: a service that fails once a year would trip on
/// the second failure.
pub const LEAST_LEARNED: Ratio = Ratio::percent(5).unwrap();

/// Nor higher: from here on it is a fault that was got used to.
pub const MOST_LEARNED: Ratio = Ratio::percent(20).unwrap();

/// A rate is learned from no fewer calls than this.
const LESSON: u64 = 1_000;

/// As so many calls counts what was learned before.
const MEMORY: u64 = 8_000;

const MILLION: u64 = 1_000_000;

// ===== impl Cusum =====

impl Cusum {
    /// Nothing held against anybody. `ended` is what was counted before.
    pub fn new(rule: Sequential, ended: Ended) -> Cusum {
        let learned = millionths(LEAST_LEARNED);
        let steps = Steps::between(base_rate(rule, learned), rule.fault_rate());
        Cusum { rule, score: Score::FLOOR, steps, learned, since: ended }
    }

    /// Keeps what still means the same under new settings: everything if they are the old ones,
    /// else nothing.
    pub fn reconfigure(
        before: Option<Cusum>,
        rule: Option<Sequential>,
        ended: Ended,
    ) -> Option<Cusum> {
        let rule = rule?;
        match before {
            Some(cusum) if cusum.rule == rule => Some(cusum),
            _ => Some(Cusum::new(rule, ended)),
        }
    }

    /// Weighs the end of a voter's call. `ended` counts this call, too; it is asked for only if
    /// there is something to learn.
    pub fn weigh(&mut self, outcome: Outcome, ended: impl FnOnce() -> Ended) {
        match outcome {
            Outcome::Success => self.score.0 = self.score.0.saturating_sub(self.steps.down),
            Outcome::Failure { .. } => {
                if self.rule.base_rate() == BaseRate::Learned {
                    self.learn(ended());
                }
                self.score.0 = self.score.0.saturating_add(self.steps.up);
            }
            Outcome::Neutral | Outcome::Pushback { .. } => {}
        }
    }

    /// A phase was entered: it starts with nothing held against anybody. What was learned stays,
    /// unless `all` is to be forgotten.
    pub fn clear(&mut self, all: bool) {
        if all {
            *self = Cusum::new(self.rule, self.since);
        }
        self.score = Score::FLOOR;
    }

    /// Something has changed: what ended before is nothing to learn from.
    pub fn disturb(&mut self, ended: Ended) {
        self.since = ended;
    }

    /// The score.
    pub fn score(&self) -> Score {
        self.score
    }

    /// Whether a new one would decide alike: nothing is held against the dependency, and nothing
    /// was learnt.
    pub fn is_clean(&self) -> bool {
        self.score == Score::FLOOR && self.learned == millionths(LEAST_LEARNED)
    }

    /// What is held to be the share of failures when nothing is wrong.
    pub fn base_rate(&self) -> Ratio {
        base_rate(self.rule, self.learned)
    }

    /// Learns only from stretches of calls that tripped nothing, and slowly: a fault that is too
    /// small to trip moves it by a part of itself, up to a bound.
    fn learn(&mut self, ended: Ended) {
        let calls = ended.calls.saturating_sub(self.since.calls);
        if calls < LESSON {
            return;
        }
        let failures = ended.failures.saturating_sub(self.since.failures).min(calls);
        let weighted = u128::from(self.learned) * u128::from(MEMORY)
            + u128::from(failures) * u128::from(MILLION);
        self.learned = (weighted / (u128::from(calls) + u128::from(MEMORY))) as u64;
        self.since = ended;
        self.steps = Steps::between(self.base_rate(), self.rule.fault_rate());
    }
}

/// The base rate in force. A learned one stays under half the fault rate, or the two could not be
/// told apart.
fn base_rate(rule: Sequential, learned: u64) -> Ratio {
    match rule.base_rate() {
        BaseRate::Known(rate) => rate,
        BaseRate::Learned => {
            let half = Ratio::of(rule.fault_rate().as_basis_points() / 2, Ratio::SCALE);
            Ratio::of(learned, MILLION).clamp(LEAST_LEARNED, half.min(MOST_LEARNED))
        }
    }
}

fn millionths(rate: Ratio) -> u64 {
    rate.as_basis_points() * (MILLION / Ratio::SCALE)
}

// ===== impl Steps =====

impl Steps {
    /// `base` must be above 0 and below `fault`, and `fault` below 1.
    fn between(base: Ratio, fault: Ratio) -> Steps {
        let (base, fault) = (base.as_basis_points(), fault.as_basis_points());
        let (base_good, fault_good) = (Ratio::SCALE - base, Ratio::SCALE - fault);
        Steps {
            up: (ln(fault) - ln(base)).saturating_sub(ERROR) >> SPARE_BITS,
            down: round_up(ln(base_good) - ln(fault_good) + ERROR),
        }
    }
}

// ===== impl Score =====

impl Score {
    /// Nothing speaks for a fault.
    pub const FLOOR: Score = Score(0);

    const BITS: u32 = 32;

    /// At which score there are `calls` calls between false trips: its logarithm.
    pub(crate) const fn for_false_trips_per(calls: u64) -> Score {
        Score(round_up(ln(calls) + ERROR))
    }

    /// The score as a float, for display.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / (1_u64 << Score::BITS) as f64
    }
}

impl fmt::Display for Score {
    /// With one decimal: `13.8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (u128::from(self.0) * 10 + (1 << (Score::BITS - 1))) >> Score::BITS;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

impl fmt::Debug for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Score({self})")
    }
}

// ===== logarithms =====

/// Fraction bits of [`ln`].
const LN_BITS: u32 = 48;

/// What it has more than a score.
const SPARE_BITS: u32 = LN_BITS - Score::BITS;

/// How far a difference of two logarithms may be off, and one logarithm too low.
const ERROR: u64 = 3;

/// ln 2, in units of 2⁻⁶⁴.
const LN_2: u64 = 0xb172_17f7_d1cf_79ab;

/// The natural logarithm of `n`, in units of 2⁻⁴⁸, rounded down: less than 3 units too low, never
/// too high. `n` is at least 1.
///
/// Bit by bit: squaring doubles a logarithm, and halving what has grown past 2 takes its next bit
/// off (Turner, "A fast binary logarithm algorithm", IEEE Signal Processing Magazine 2010).
const fn ln(n: u64) -> u64 {
    let shift = n.leading_zeros();
    let mut log2 = ((63 - shift) as u64) << LN_BITS;
    // Between 1 and 2, in units of 2⁻⁶³.
    let mut mantissa = n << shift;
    let mut bit = LN_BITS;
    while bit > 0 {
        bit -= 1;
        let square = (mantissa as u128 * mantissa as u128) >> 63;
        mantissa = if square >> 64 != 0 {
            log2 |= 1 << bit;
            (square >> 1) as u64
        } else {
            square as u64
        };
    }
    ((log2 as u128 * LN_2 as u128) >> 64) as u64
}

const fn round_up(ln: u64) -> u64 {
    ln.div_ceil(1 << SPARE_BITS)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::settings::SequentialSpec;
    use crate::{Kind, Settings};
    use alloc::string::ToString;
    use proptest::prelude::*;

    const FAILURE: Outcome = Outcome::failure(Kind::Timeout);

    fn rule(spec: SequentialSpec) -> Sequential {
        Settings::builder().sequential(spec).build().unwrap().sequential().unwrap()
    }

    fn unasked() -> Ended {
        panic!("nothing is learned")
    }

    /// So many calls of which so many fail, spread evenly; says after how many the score reached
    /// the limit.
    fn feed(cusum: &mut Cusum, ended: &mut Ended, calls: u64, failures: u64) -> Option<u64> {
        let mut owed = 0;
        for call in 1..=calls {
            owed += failures;
            let failed = owed >= calls;
            owed -= if failed { calls } else { 0 };
            ended.calls += 1;
            ended.failures += u64::from(failed);
            cusum.weigh(if failed { FAILURE } else { Outcome::Success }, || *ended);
            if cusum.score() >= cusum.rule.limit() {
                return Some(call);
            }
        }
        None
    }

    #[test]
    fn a_logarithm_is_never_too_high_and_hardly_too_low() {
        let unit = 1.0 / (1_u64 << LN_BITS) as f64;
        for n in (1..=10_000).chain([1_000_000, 123_456_789, 1 << 40, u64::MAX]) {
            let exact = (n as f64).ln();
            let off = exact - ln(n) as f64 * unit;
            // The float itself is good to 2⁻⁴⁷ at 44.
            assert!((-4.0 * unit..16.0 * unit).contains(&off), "{n}: {off:e}");
        }
        assert_eq!(ln(1), 0);
        assert_eq!(Score::for_false_trips_per(1_000_000).to_string(), "13.8");
        assert!(Score::for_false_trips_per(1_000_000).as_f64().exp() >= 1e6);
    }

    proptest! {
        /// The bound on false trips rests on this: under `base_rate` the likelihood ratio of a
        /// call is at most 1 on average.
        #[test]
        fn rounding_never_adds_false_trips(base in 1_u16..9_899, more in 1_u16..9_899) {
            let fault = base.saturating_add(more).min(9_900);
            let ratio = |points| Ratio::basis_points(points).unwrap();
            let steps = Steps::between(ratio(base), ratio(fault));
            let size = |step: u64| Score(step).as_f64();
            let p = f64::from(base) / 10_000.0;
            let mean = p * size(steps.up).exp() + (1.0 - p) * (-size(steps.down)).exp();
            prop_assert!(mean <= 1.0 + 1e-12, "{mean}");
            prop_assert!(mean >= 1.0 - 1e-8, "hardly anything is lost by it: {mean}");
            // And under `fault_rate` the score rises.
            let q = f64::from(fault) / 10_000.0;
            prop_assert!(q * size(steps.up) > (1.0 - q) * size(steps.down));
        }
    }

    /// Logarithms that end so near to a step of the score that the bound on their error carries
    /// them over it.
    #[test]
    fn rounding_covers_how_far_a_logarithm_may_be_off() {
        let ratio = |points| Ratio::basis_points(points).unwrap();
        let exact = ln(10_000 - 5) - ln(10_000 - 7_327);
        assert!(Steps::between(ratio(5), ratio(7_327)).down << SPARE_BITS >= exact + ERROR);
        let calls = 89_500_000_000;
        assert!(Score::for_false_trips_per(calls).0 << SPARE_BITS >= ln(calls) + ERROR);
    }

    #[test]
    fn a_score_shows_itself_alike_to_people_and_programmers() {
        assert_eq!(std::format!("{:?}", Score(15 << Score::BITS)), "Score(15.0)");
    }

    /// Drawn calls at the base rate: the score stays under the limit for far more calls than the
    /// mean it promises would need for one false trip to be likely.
    #[test]
    fn calls_at_the_base_rate_do_not_trip() {
        let mut cusum = Cusum::new(rule(SequentialSpec::default()), Ended::default());
        let mut draw = 1_u64;
        for _ in 0..1_000_000 {
            draw = crate::backoff::mix(draw);
            let failed = draw.is_multiple_of(100);
            cusum.weigh(if failed { FAILURE } else { Outcome::Success }, unasked);
            assert!(cusum.score() < cusum.rule.limit());
        }
    }

    /// From the tables for p₀ = 0.01, p₁ = 0.2: up ln 20 = 3.00, down ln 0.8/0.99 = −0.213.
    #[test]
    fn a_fault_is_found_within_a_few_failures() {
        let mut cusum = Cusum::new(rule(SequentialSpec::default()), Ended::default());
        for failures in 1..=4 {
            cusum.weigh(FAILURE, unasked);
            assert!(cusum.score() < cusum.rule.limit(), "{failures}");
        }
        cusum.weigh(FAILURE, unasked);
        assert!(cusum.score() >= cusum.rule.limit(), "five in a row: 15.0");
        assert_eq!(cusum.score().to_string(), "15.0");
        cusum.clear(false);
        assert_eq!(cusum.score(), Score::FLOOR);
        // One call in five fails: 3.00 − 4 × 0.213 = 2.14 for each five.
        let found = feed(&mut cusum, &mut Ended::default(), 1_000, 200);
        assert!((25..=35).contains(&found.unwrap()), "{found:?}");
    }

    #[test]
    fn successes_bring_the_score_down_to_the_floor_and_no_further() {
        let mut cusum = Cusum::new(rule(SequentialSpec::default()), Ended::default());
        cusum.weigh(Outcome::Success, unasked);
        assert_eq!(cusum.score(), Score::FLOOR);
        cusum.weigh(FAILURE, unasked);
        for _ in 0..14 {
            assert!(cusum.score() > Score::FLOOR);
            cusum.weigh(Outcome::Neutral, unasked);
            cusum.weigh(Outcome::pushback(None), unasked);
            cusum.weigh(Outcome::Success, unasked);
        }
        cusum.weigh(Outcome::Success, unasked);
        assert_eq!(cusum.score(), Score::FLOOR, "3.00 is 14.1 successes");
    }

    #[test]
    fn the_base_rate_is_learned_from_undisturbed_traffic_within_its_bounds() {
        let learned = SequentialSpec::default().learned().fault_rate(0.5);
        let mut cusum = Cusum::new(rule(learned), Ended::default());
        let percent = |percent| Ratio::percent(percent).unwrap();
        let mut ended = Ended::default();
        assert_eq!(cusum.base_rate(), percent(5));
        assert_eq!(feed(&mut cusum, &mut ended, 999, 99), None);
        assert_eq!(cusum.base_rate(), percent(5), "not enough to learn from");
        assert_eq!(feed(&mut cusum, &mut ended, 100_000, 10_000), None);
        assert!((percent(9)..percent(11)).contains(&cusum.base_rate()), "{:?}", cusum.base_rate());
        assert_eq!(feed(&mut cusum, &mut ended, 1_000_000, 10), None);
        assert_eq!(cusum.base_rate(), percent(5), "no lower");
        let used_to = feed(&mut cusum, &mut ended, 1_000, 150);
        assert_eq!(used_to, None);
        // What a trip ended is no lesson, and a reset forgets.
        cusum.disturb(ended);
        ended = Ended { calls: ended.calls + 999, failures: ended.failures + 999 };
        let before = cusum.base_rate();
        cusum.weigh(FAILURE, || ended);
        assert_eq!(cusum.base_rate(), before);
        cusum.clear(true);
        assert_eq!(cusum.base_rate(), percent(5));
    }

    /// (5 % × 8,000 + 1,000) / 9,000 = 15.56 %.
    #[test]
    fn a_lesson_is_a_thousand_calls_and_counts_an_eighth_of_what_was_known() {
        let learned = SequentialSpec::default().learned().fault_rate(0.5);
        let mut cusum = Cusum::new(rule(learned), Ended::default());
        cusum.weigh(FAILURE, || Ended { calls: 1_000, failures: 1_000 });
        assert_eq!(cusum.base_rate(), Ratio::basis_points(1_556).unwrap());
    }

    #[test]
    fn what_ended_before_a_change_is_no_lesson() {
        let learned = SequentialSpec::default().learned().fault_rate(0.5);
        let mut cusum = Cusum::new(rule(learned), Ended::default());
        cusum.disturb(Ended { calls: 999, failures: 999 });
        cusum.weigh(FAILURE, || Ended { calls: 1_998, failures: 1_998 });
        assert_eq!(cusum.base_rate(), Ratio::percent(5).unwrap(), "999 calls since");
        cusum.weigh(FAILURE, || Ended { calls: 1_999, failures: 1_999 });
        assert_eq!(cusum.base_rate(), Ratio::basis_points(1_556).unwrap());
    }

    #[test]
    fn a_learned_base_rate_stays_under_half_the_fault_rate() {
        for (fault, most) in [(0.16, 800), (0.2, 1_000), (0.9, 2_000)] {
            let rule = rule(SequentialSpec::default().learned().fault_rate(fault));
            assert_eq!(base_rate(rule, MILLION), Ratio::basis_points(most).unwrap());
        }
    }

    #[test]
    fn new_settings_keep_the_score_only_if_it_means_the_same() {
        let (one, other) = (SequentialSpec::default(), SequentialSpec::default().fault_rate(0.3));
        let mut cusum = Cusum::new(rule(one), Ended::default());
        cusum.weigh(FAILURE, unasked);
        let again = |rule| Cusum::reconfigure(Some(cusum.clone()), rule, Ended::default());
        assert_eq!(again(Some(rule(one))), Some(cusum.clone()));
        assert_eq!(again(Some(rule(other))).unwrap().score(), Score::FLOOR);
        assert_eq!(again(None), None);
    }

    /// A breaker may be forgotten only if a new one would suspect as much, and know as much.
    #[test]
    fn suspicion_and_what_was_learned_are_no_clean_slate() {
        let mut cusum = Cusum::new(rule(SequentialSpec::default()), Ended::default());
        assert!(cusum.is_clean());
        cusum.weigh(FAILURE, || Ended { calls: 1, failures: 1 });
        assert!(!cusum.is_clean(), "a failure is held against the dependency");

        let learns = rule(SequentialSpec::default().learned().fault_rate(0.9));
        let (mut cusum, mut ended) = (Cusum::new(learns, Ended::default()), Ended::default());
        feed(&mut cusum, &mut ended, 20_000, 2_500);
        cusum.clear(false);
        assert_eq!(cusum.score(), Score::FLOOR);
        assert!(!cusum.is_clean(), "it has learned a base rate");
        cusum.clear(true);
        assert!(cusum.is_clean());
    }
}
