//! Thresholds that tighten while there are signs of trouble that no rule counts.
//!
//! With `adaptive`, the thresholds of the consecutive rule and of the failure rate depend on what a
//! health check last reported and on the mean latency of the calls in the window. They are worked
//! out anew from the configured ones each time; nothing accumulates.
//!
//! | sign | failures in a row | failure rate |
//! | --- | --- | --- |
//! | health is `degraded` (or worse) | 60 % of them, not under 2 | 60 % of it |
//! | mean latency above `slow_call_duration` | one fewer, not under 2 | less by one call of `min_calls` (of the window, if that is counted in calls), not under two |
//! | health is `healthy`, latency as it should be | one more, up to 10 | as configured |
//! | nothing known | as configured | as configured |
//!
//! A call that is found slow while it runs adds the bound to the latencies, and the rest of what it
//! took when it ends.
//!
//! Of several signs the strictest counts. No sign of trouble ever loosens a threshold: one that is
//! below the floor stays as it is.

use core::time::Duration;

use crate::rules::Thresholds;
use crate::{HealthReport, Ratio, Settings, Tally, WindowSpec};

/// What is left of a threshold while health is degraded.
const DEGRADED: Ratio = Ratio::percent(60).unwrap();

/// No sign tightens below so many failures, or a single one would trip.
const FEWEST: u32 = 2;

/// Health raises no threshold above this.
const MOST: u32 = 10;

/// The thresholds in force: those of the settings, or with `adaptive` what the signs make of them.
pub fn effective(
    settings: &Settings,
    health: Option<HealthReport>,
    mean_latency: Option<Duration>,
) -> Thresholds {
    let configured = Thresholds::of(settings);
    if !settings.adaptive {
        return configured;
    }
    let slow = match (mean_latency, settings.slow_call_duration) {
        (Some(mean), Some(bound)) => mean > bound,
        _ => false,
    };
    let mut thresholds = configured;
    match health {
        Some(HealthReport::Degraded | HealthReport::Unhealthy) => degrade(&mut thresholds),
        // If it is slow, what follows tightens all the same.
        Some(HealthReport::Healthy) => {
            thresholds.streak = thresholds.streak.map(|n| n.max((n + 1).min(MOST)));
        }
        None => {}
    }
    if slow {
        let mut tightened = configured;
        tighten_by_one(&mut tightened, settings);
        thresholds.streak = thresholds.streak.min(tightened.streak);
        thresholds.failure_rate = thresholds.failure_rate.min(tightened.failure_rate);
    }
    thresholds
}

/// The thresholds in force given what the window holds.
pub fn in_force(settings: &Settings, health: Option<HealthReport>, tally: Tally) -> Thresholds {
    effective(settings, health, tally.mean_latency())
}

/// Thresholds that no sign can tighten further. A shell that need not ask the rules by these need
/// not ask them at all.
pub fn tightest(settings: &Settings) -> Thresholds {
    let slowest = settings.slow_call_duration.map(|_| Duration::MAX);
    effective(settings, Some(HealthReport::Unhealthy), slowest)
}

fn degrade(thresholds: &mut Thresholds) {
    let share = |n: u32| DEGRADED.share_of(n.into()) as u32;
    thresholds.streak = thresholds.streak.map(|n| n.min(share(n).max(FEWEST)));
    thresholds.failure_rate = thresholds.failure_rate.map(|rate| {
        let points = DEGRADED.share_of(rate.as_basis_points()).max(1);
        Ratio::of(points, Ratio::SCALE)
    });
}

fn tighten_by_one(thresholds: &mut Thresholds, settings: &Settings) {
    thresholds.streak = thresholds.streak.map(|n| n.min((n - 1).max(FEWEST)));
    let calls = match settings.window {
        WindowSpec::Calls(calls) => calls,
        WindowSpec::Time(_) => settings.min_calls,
    };
    thresholds.failure_rate = thresholds.failure_rate.map(|rate| {
        let points = |calls_of: u32| Ratio::SCALE * u64::from(calls_of) / u64::from(calls);
        let less = rate.as_basis_points().saturating_sub(points(1)).max(points(FEWEST)).max(1);
        rate.min(Ratio::of(less, Ratio::SCALE))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SettingsBuilder;
    use proptest::prelude::*;

    const BOUND: Duration = Duration::from_secs(5);
    const SLOW: Option<Duration> = Some(Duration::from_secs(6));

    fn adaptive(builder: SettingsBuilder) -> Settings {
        builder.adaptive(true).slow_call_duration(BOUND).build().unwrap()
    }

    fn streak(
        configured: u32,
        health: Option<HealthReport>,
        mean_latency: Option<Duration>,
    ) -> Option<u32> {
        let settings = adaptive(Settings::builder().failure_threshold(configured));
        effective(&settings, health, mean_latency).streak
    }

    #[test]
    fn degraded_health_tightens_to_60_percent_but_not_under_two() {
        for health in [HealthReport::Degraded, HealthReport::Unhealthy] {
            for (configured, tightened) in [(10, 6), (5, 3), (4, 2), (3, 2), (2, 2), (1, 1)] {
                assert_eq!(streak(configured, Some(health), None), Some(tightened));
            }
        }
    }

    #[test]
    fn slow_calls_tighten_by_one_failure_but_not_under_two() {
        for (configured, tightened) in [(10, 9), (3, 2), (2, 2), (1, 1)] {
            assert_eq!(streak(configured, None, SLOW), Some(tightened));
        }
        assert_eq!(streak(5, None, Some(BOUND)), Some(5), "above the bound, not at it");
        assert_eq!(streak(5, Some(HealthReport::Healthy), SLOW), Some(4));
        assert_eq!(streak(5, Some(HealthReport::Degraded), SLOW), Some(3), "the stricter");
        assert_eq!(streak(3, Some(HealthReport::Degraded), SLOW), Some(2));
    }

    #[test]
    fn health_relaxes_by_one_failure_up_to_ten() {
        let healthy = Some(HealthReport::Healthy);
        for (configured, relaxed) in [(1, 2), (5, 6), (9, 10), (10, 10), (40, 40)] {
            assert_eq!(streak(configured, healthy, None), Some(relaxed));
        }
        assert_eq!(streak(5, None, None), Some(5));
    }

    #[test]
    fn rates_tighten_in_proportion_or_by_one_call() {
        let percent = |percent| Ratio::percent(percent);
        let rate = |builder: SettingsBuilder, health, mean| {
            effective(&adaptive(builder.failure_rate(0.5)), health, mean).failure_rate
        };
        let b = || Settings::builder().min_calls(10);
        assert_eq!(rate(b(), Some(HealthReport::Degraded), None), percent(30));
        assert_eq!(rate(b(), None, SLOW), percent(40), "4 of 10 instead of 5");
        assert_eq!(rate(b().window(20_u32), None, SLOW), percent(45), "9 of 20 instead of 10");
        assert_eq!(rate(b().min_calls(3), None, SLOW), percent(50), "2 of 3 are needed anyway");
        assert_eq!(rate(b(), Some(HealthReport::Healthy), None), percent(50));
    }

    #[test]
    fn without_adaptive_nothing_changes() {
        let settings = Settings::builder().slow_call_duration(BOUND).build().unwrap();
        let configured = Thresholds::of(&settings);
        assert_eq!(effective(&settings, Some(HealthReport::Degraded), SLOW), configured);
        assert_eq!(tightest(&settings), configured);
    }

    proptest! {
        #[test]
        fn nothing_is_tighter_than_the_tightest_nor_loose_without_reason(
            failures in 1_u32..100,
            rate in 1_u16..=10_000,
            min_calls in 1_u32..50,
            window in proptest::option::of(1_u32..50),
            health in proptest::option::of(proptest::sample::select(HealthReport::ALL.to_vec())),
            mean in proptest::option::of(0_u64..10),
            timed: bool,
        ) {
            let mut builder = Settings::builder()
                .adaptive(true)
                .failure_threshold(failures)
                .failure_rate(f64::from(rate) / 10_000.0)
                .min_calls(min_calls)
                .slow_call_duration(timed.then_some(BOUND));
            if let Some(calls) = window {
                builder = builder.window(calls);
            }
            let settings = builder.build().unwrap();
            let mean = mean.map(Duration::from_secs);
            let (now, least) = (effective(&settings, health, mean), tightest(&settings));
            prop_assert!(least.streak <= now.streak);
            prop_assert!(least.failure_rate <= now.failure_rate);
            prop_assert!(now.failure_rate > Some(Ratio::ZERO));
            let most = if failures < MOST { failures + 1 } else { failures };
            prop_assert!(now.streak >= Some(failures.min(FEWEST)) && now.streak <= Some(most));
            prop_assert!(now.failure_rate <= settings.failure_rate());
        }
    }
}
