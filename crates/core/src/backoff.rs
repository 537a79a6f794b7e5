//! For how long a breaker stays open.

use core::time::Duration;

use crate::time::nanos;
use crate::{Jitter, Settings};

/// How long the open phase lasts that generation `generation` names, after so many failed
/// recoveries: `recovery_timeout × multiplier^failed_recoveries`, at most the greater of
/// `backoff.max` and `recovery_timeout`, spread by jitter.
///
/// The spread is a hash of seed and generation, so it is drawn once per opening and a breaker that
/// is polled does not wait for the shortest draw. It never exceeds the cap.
pub fn open_duration(
    settings: &Settings,
    failed_recoveries: u32,
    seed: u64,
    generation: u64,
) -> Duration {
    let cap = nanos(settings.backoff.max.max(settings.recovery_timeout));
    let span = grown(settings, failed_recoveries, cap);
    let draw = Draw(mix(seed ^ mix(generation)));
    Duration::from_nanos(match settings.jitter {
        Jitter::None => span,
        Jitter::Proportional(share) => {
            let reach = share.share_of(span);
            draw.between(span - reach, span.saturating_add(reach).min(cap))
        }
        Jitter::Equal => draw.between(span / 2, span),
        Jitter::Full => draw.between(1, span),
    })
}

/// The open phase before jitter.
pub fn planned(settings: &Settings, failed_recoveries: u32) -> Duration {
    let cap = nanos(settings.backoff.max.max(settings.recovery_timeout));
    Duration::from_nanos(grown(settings, failed_recoveries, cap))
}

fn grown(settings: &Settings, failed_recoveries: u32, cap: u64) -> u64 {
    let mut span = nanos(settings.recovery_timeout);
    let millis = settings.backoff.multiplier_millis;
    if millis == 1_000 {
        return span;
    }
    for _ in 0..failed_recoveries {
        if span >= cap {
            break;
        }
        let next = u128::from(span) * u128::from(millis) / 1_000;
        span = u64::try_from(next).unwrap_or(u64::MAX);
    }
    span.min(cap)
}

/// A number drawn evenly from all of `u64`.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// Scales the draw to `low..=high`.
    pub(crate) fn between(self, low: u64, high: u64) -> u64 {
        let low = low.min(high);
        let size = u128::from(high - low) + 1;
        low + ((u128::from(self.0) * size) >> 64) as u64
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014): every input bit moves every output bit.
///
/// Of numbers counted up it makes draws that are as good as independent.
pub const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SettingsBuilder;
    use proptest::prelude::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn builder() -> SettingsBuilder {
        Settings::builder().recovery_timeout(secs(10)).backoff_max(secs(300))
    }

    #[test]
    fn starts_at_recovery_timeout_and_doubles_up_to_the_cap() {
        let settings = builder().jitter(Jitter::None).build().unwrap();
        let waits: [u64; 7] = [10, 20, 40, 80, 160, 300, 300];
        for (failed, wait) in (0_u32..).zip(waits) {
            assert_eq!(open_duration(&settings, failed, 1, 1), secs(wait));
        }
        assert_eq!(open_duration(&settings, u32::MAX, 1, 1), secs(300));
    }

    #[test]
    fn recovery_timeout_may_exceed_the_cap_but_then_does_not_grow() {
        let settings = builder().backoff_max(secs(5)).jitter(Jitter::None).build().unwrap();
        assert_eq!(open_duration(&settings, 9, 1, 1), secs(10));
    }

    #[test]
    fn a_multiplier_of_one_keeps_it() {
        let settings = builder().backoff_multiplier(1.0).jitter(Jitter::None).build().unwrap();
        assert_eq!(open_duration(&settings, u32::MAX, 1, 1), secs(10));
    }

    proptest! {
        #[test]
        fn jitter_stays_in_its_bounds(failed in 0_u32..70, seed: u64, generation: u64) {
            let planned = |s: &Settings| planned(s, failed);
            let ten = builder().build().unwrap();
            let d = open_duration(&ten, failed, seed, generation);
            prop_assert!(d >= planned(&ten).mul_f64(0.899));
            prop_assert!(d <= planned(&ten).mul_f64(1.101).min(secs(300)));
            let equal = builder().jitter(Jitter::Equal).build().unwrap();
            let d = open_duration(&equal, failed, seed, generation);
            prop_assert!(d >= planned(&equal) / 2 && d <= planned(&equal));
            let full = builder().jitter(Jitter::Full).build().unwrap();
            let d = open_duration(&full, failed, seed, generation);
            prop_assert!(d > Duration::ZERO && d <= planned(&full));
        }
    }

    #[test]
    fn draws_spread_evenly_over_generations() {
        let settings = builder().jitter(Jitter::Full).build().unwrap();
        let mut tenths = [0_u32; 10];
        for generation in 0..10_000 {
            let d = open_duration(&settings, 0, 42, generation);
            tenths[((d.as_nanos() - 1) / 1_000_000_000) as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (850..1150).contains(n)), "{tenths:?}");
    }

    /// Whoever opens at the same time must not come back at the same time.
    #[test]
    fn jitter_reaches_both_ends_of_its_bounds() {
        let reach = |builder: SettingsBuilder, seed| {
            let settings = builder.build().unwrap();
            let draws = (0..1_000).map(|generation| open_duration(&settings, 0, seed, generation));
            let (low, high) = draws.fold((Duration::MAX, Duration::ZERO), |(low, high), draw| {
                (low.min(draw), high.max(draw))
            });
            (low.as_millis() / 100, high.as_millis().div_ceil(100))
        };
        for seed in [0, 42, u64::MAX] {
            assert_eq!(reach(builder(), seed), (90, 110));
            assert_eq!(reach(builder().jitter(Jitter::Equal), seed), (50, 100));
            assert_eq!(reach(builder().jitter(Jitter::Full), seed), (0, 100));
        }
    }

    #[test]
    fn a_draw_covers_its_range_and_no_more() {
        assert_eq!(Draw(0).between(3, 9), 3);
        assert_eq!(Draw(u64::MAX).between(3, 9), 9);
        assert_eq!(Draw(u64::MAX).between(0, u64::MAX), u64::MAX);
        assert_eq!(Draw(u64::MAX).between(9, 3), 3, "the cap may lie below");
    }

    /// The first numbers of the published generator, seeded with 0 and 1.
    #[test]
    fn mix_is_splitmix64() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(1), 0x910a_2dec_8902_5cc1);
    }
}
