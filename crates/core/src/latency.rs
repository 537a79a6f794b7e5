//! How long calls take: percentiles in bounded memory, without floats.
//!
//! A histogram whose buckets are linear within each power of two, as those of `HdrHistogram`: 16 to
//! the power, from a microsecond to over an hour, so that what is reported is at most a sixteenth
//! (6.25 %) above what it was. An estimator that keeps a few markers (P², Jain and Chlamtac 1985)
//! needs less memory, but has no bound on its error and forgets nothing.

use core::fmt;
use core::time::Duration;

use crate::Ratio;
use crate::time::nanos;

/// Buckets for each power of two, as a power of two.
const FINENESS: u32 = 4;

const PER_POWER: usize = 1 << FINENESS;

/// The longest that is told apart, in microseconds: 71 minutes.
const LONGEST: u64 = u32::MAX as u64;

const BUCKETS: usize = (u32::BITS - FINENESS + 1) as usize * PER_POWER;

/// Samples that are remembered at most.
const MEMORY: u16 = 2_048;

/// The latencies of the last calls.
///
/// When 2,048 have been recorded, they count half from then on; so what is remembered weighs as
/// much as the last one to two thousand calls.
#[derive(Clone, PartialEq, Eq)]
pub struct Latencies {
    counts: [u16; BUCKETS],
    total: u16,
}

// ===== impl Latencies =====

impl Latencies {
    /// None so far.
    pub const fn new() -> Latencies {
        Latencies { counts: [0; BUCKETS], total: 0 }
    }

    /// Takes note of a call.
    pub fn record(&mut self, latency: Duration) {
        self.counts[bucket(nanos(latency) / 1_000)] += 1;
        self.total += 1;
        if self.total == MEMORY {
            self.halve();
        }
    }

    /// What this share of the calls took at most, and no more than 6.25 % (or 1 µs) above the least
    /// such time. `None` of no calls.
    pub fn percentile(&self, share: Ratio) -> Option<Duration> {
        let rank = share.as_basis_points() * u64::from(self.total);
        let rank = rank.div_ceil(Ratio::SCALE).max(1);
        let mut below = 0;
        for (at, count) in self.counts.iter().enumerate() {
            below += u64::from(*count);
            if below >= rank {
                return Some(Duration::from_micros(upper_edge(at)));
            }
        }
        None
    }

    /// Calls that are remembered.
    pub fn len(&self) -> u32 {
        u32::from(self.total)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Halves the counts. Each by itself would round the ones away, which is what a long tail
    /// consists of; so it is the number of calls up to each bucket that is halved, and no
    /// percentile moves by more than one call.
    fn halve(&mut self) {
        let (mut below, mut halved) = (0, 0);
        for count in &mut self.counts {
            below += *count;
            *count = below / 2 - halved;
            halved += *count;
        }
        self.total = halved;
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latencies({} calls)", self.total)
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.min(LONGEST);
    match micros.checked_ilog2() {
        Some(power) if power >= FINENESS => {
            let place = (micros >> (power - FINENESS)) as usize % PER_POWER;
            (power - FINENESS + 1) as usize * PER_POWER + place
        }
        _ => micros as usize,
    }
}

/// The least number of microseconds that lies above all in this bucket: their times are cut off
/// to whole microseconds.
fn upper_edge(bucket: usize) -> u64 {
    match bucket / PER_POWER {
        0 => bucket as u64 + 1,
        power => ((PER_POWER + bucket % PER_POWER + 1) as u64) << (power - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::mix;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    fn percent(n: u16) -> Ratio {
        Ratio::percent(n).unwrap()
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for at in 0..BUCKETS {
            let above = upper_edge(at);
            assert_eq!(bucket(above - 1), at);
            assert_eq!(bucket(above), (at + 1).min(BUCKETS - 1));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket(0), 0);
    }

    #[test]
    fn percentiles_of_known_numbers() {
        let mut latencies = Latencies::new();
        assert_eq!((latencies.percentile(percent(50)), latencies.is_empty()), (None, true));
        for n in 1..=10 {
            latencies.record(micros(n));
        }
        assert_eq!((latencies.len(), latencies.is_empty()), (10, false));
        assert_eq!(alloc::format!("{latencies:?}"), "Latencies(10 calls)");
        assert_eq!(latencies.percentile(percent(50)), Some(micros(6)), "5 µs, cut off");
        assert_eq!(latencies.percentile(percent(51)), Some(micros(7)));
        assert_eq!(latencies.percentile(Ratio::ZERO), Some(micros(2)));
        assert_eq!(latencies.percentile(Ratio::ONE), Some(micros(11)));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut latencies = Latencies::new();
        for _ in 0..100_000 {
            latencies.record(micros(1_000));
        }
        let at = |latencies: &Latencies| latencies.percentile(percent(95)).unwrap();
        assert!(at(&latencies) <= micros(1_063));
        for _ in 0..110 {
            latencies.record(micros(50_000));
        }
        assert!(at(&latencies) >= micros(50_000), "a twentieth of what is remembered is new");
        for _ in 0..8_192 {
            latencies.record(micros(1_000));
        }
        assert!(at(&latencies) <= micros(1_063));
    }

    /// A tail that is spread thin over many buckets outlasts the halvings.
    #[test]
    fn a_thin_tail_is_not_rounded_away() {
        let mut latencies = Latencies::new();
        let mut tail = 0;
        for n in 0..100_000_u64 {
            let long = mix(n).is_multiple_of(10);
            tail += u64::from(long);
            latencies.record(micros(match long {
                true => 10_000 + mix(n + 1) % 1_000_000,
                false => 100,
            }));
        }
        assert!((9_500..10_500).contains(&tail));
        assert!(latencies.percentile(percent(85)).unwrap() <= micros(107));
        assert!(latencies.percentile(percent(95)).unwrap() >= micros(200_000));
    }

    proptest! {
        /// Against the sorted numbers: never below, and at most a sixteenth or 1 µs above.
        #[test]
        fn the_error_is_bounded(
            samples in prop::collection::vec(prop_oneof![0_u64..100, 0_u64..4_000_000_000], 1..2_000),
            share in 1_u16..=100,
        ) {
            let mut latencies = Latencies::new();
            let mut sorted: Vec<u64> = samples;
            for &sample in &sorted {
                latencies.record(micros(sample));
            }
            sorted.sort_unstable();
            let rank = (sorted.len() * usize::from(share)).div_ceil(100).max(1);
            let exact = sorted[rank - 1];
            let reported = latencies.percentile(percent(share)).unwrap();
            prop_assert!(reported >= micros(exact));
            prop_assert!(reported <= micros(exact + exact / 16 + 1), "{reported:?} for {exact}");
        }

        /// Forgetting moves no percentile by more than one call's place.
        #[test]
        fn halving_keeps_the_shape(
            samples in prop::collection::vec(0_u64..1_000_000, 2..1_000),
            share in 1_u16..=100,
        ) {
            let mut latencies = Latencies::new();
            for &sample in &samples {
                latencies.record(micros(sample));
            }
            let whole = latencies.clone();
            latencies.halve();
            prop_assert_eq!(latencies.len(), whole.len() / 2);
            let rank = |of: &Latencies, above: Duration| -> u64 {
                let mut below = 0;
                for (at, count) in of.counts.iter().enumerate() {
                    if micros(upper_edge(at)) <= above {
                        below += u64::from(*count);
                    }
                }
                below
            };
            let at = whole.percentile(percent(share)).unwrap();
            prop_assert_eq!(rank(&latencies, at), rank(&whole, at) / 2);
        }
    }
}
