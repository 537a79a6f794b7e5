//! Held against known values, and against the breaker itself with drawn calls.

use std::time::Duration;

use panelboard_core::machine::{Input, Machine};
use panelboard_core::{
    Change, Command, Decision, End, Kind, Outcome, PhaseName, SequentialSpec, SettingsBuilder,
    Speed, Tick,
};

use super::chance::ln_factorial;
use super::*;

/// Draws that are the same every time (Steele, Lea and Flood's `SplitMix64`).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn nothing() -> SettingsBuilder {
    Settings::builder().failure_threshold(None).failure_rate(None)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1e-300)
}

/// How often the breaker trips within so many calls of this traffic, each trip undone at once.
fn observed(settings: Settings, traffic: Traffic, calls: u32) -> f64 {
    let mut draws = Draws(7);
    let mut now = Tick::ZERO;
    let mut machine = Machine::new(settings, 1, now);
    let mut trips = 0.0;
    for _ in 0..calls {
        let gap = -(1.0 - draws.next()).ln() / traffic.rate;
        now = now.after(Duration::from_secs_f64(gap));
        let asked = Input::Acquire { lease: Duration::from_secs(60), dependency: None };
        let Some(Decision::Admit { ticket, .. }) = machine.step(now, asked).decision else {
            panic!("it is closed");
        };
        let failed = draws.next() < traffic.error_rate;
        let outcome = if failed { Outcome::failure(Kind::ServerError) } else { Outcome::Success };
        let end = End { outcome, speed: Speed::Unjudged, took: None };
        let step = machine.step(now, Input::Settle { ticket, end, dependency: None });
        let opened =
            |change: &Change| matches!(change, Change::Phase(t) if t.to == PhaseName::Open);
        if step.changes.iter().any(opened) {
            trips += 1.0;
            machine.step(now, Input::Command(Command::Reset));
        }
    }
    trips
}

/// What is expected comes near to what the breaker does: within a third where it is exact, within
/// a factor of 2.5 where it is a heuristic.
#[test]
fn trips_by_chance_are_as_many_as_the_breaker_has() {
    let calls = 400_000;
    let window = Duration::from_secs(10);
    let cases = [
        ("streak", nothing().failure_threshold(5), (5.0, 0.2), 1.3),
        ("count of calls", nothing().failure_count(10).window(50), (5.0, 0.06), 2.5),
        ("count in time", nothing().failure_count(12).window(window), (5.0, 0.1), 2.5),
        ("rate of calls", nothing().failure_rate(0.4).min_calls(10).window(20), (5.0, 0.15), 2.5),
        (
            "rate in time",
            nothing().failure_rate(0.3).min_calls(10).window(window),
            (5.0, 0.12),
            2.5,
        ),
        (
            "rate, few calls",
            nothing().failure_rate(0.5).min_calls(5).window(window),
            (1.0, 0.1),
            2.5,
        ),
    ];
    for (name, settings, (rate, error_rate), factor) in cases {
        let (settings, traffic) = (settings.build().unwrap(), Traffic { rate, error_rate });
        let per_day: f64 = false_trips(&settings, traffic).iter().map(|(_, n)| n).sum();
        let expected = per_day * f64::from(calls) / (rate * DAY);
        let observed = observed(settings, traffic, calls);
        assert!(observed >= 20.0, "{name}: {observed} are too few to tell");
        let ratio = expected / observed;
        assert!((1.0 / factor..=factor).contains(&ratio), "{name}: {expected} for {observed}");
    }
}

/// It is a bound: what the breaker does is less, but not by orders of magnitude.
#[test]
fn the_sequential_rule_trips_less_often_than_its_bound() {
    let spec = SequentialSpec::default().base_rate(0.05).fault_rate(0.5);
    let settings = nothing().sequential(spec).build().unwrap();
    let traffic = Traffic { rate: 5.0, error_rate: 0.12 };
    let expected = false_trips(&settings, traffic)[0].1 * 400_000.0 / (5.0 * DAY);
    let observed = observed(settings, traffic, 400_000);
    assert!(observed >= 20.0 && observed <= expected, "{observed} of at most {expected}");
    assert!(observed * 20.0 >= expected, "{observed} of at most {expected}");
    let at_base = Traffic { error_rate: 0.05, ..traffic };
    let per_day = false_trips(&settings, at_base)[0].1;
    assert!(close(per_day, 5.0 * DAY / 1_000_000.0) || per_day < 0.44, "{per_day}");
}

#[test]
fn the_binomial_and_the_poisson_are_those_of_the_books() {
    // R: pbinom(14, 20, 0.5, lower.tail = FALSE), and by hand.
    assert!((binomial_tail(20, 15, 0.5) - 0.020_694_732_666_015_625).abs() < 1e-12);
    assert!((binomial_tail(10, 1, 0.1) - (1.0 - 0.9_f64.powi(10))).abs() < 1e-12);
    assert!((binomial_tail(1_000, 0, 0.3) - 1.0).abs() < 1e-12);
    assert!(binomial_tail(3, 4, 0.5).abs() < 1e-300);
    assert!((binomial_tail(5, 5, 1.0) - 1.0).abs() < 1e-12);
    assert!((poisson_tail(5.0, 10) - 0.031_828_057_306_204_8).abs() < 1e-9);
    assert!((poisson_tail(2.0, 1) - (1.0 - (-2.0_f64).exp())).abs() < 1e-12);
    assert!(poisson_tail(1e6, 10) > 0.999_999 && poisson_tail(1.0, 100_000) < 1e-300);
    for n in [15.0, 16.0, 20.0, 170.0_f64] {
        let exact: f64 = (2..=whole(n)).map(|i| f64::from(i).ln()).sum();
        assert!((ln_factorial(n) - exact).abs() < 1e-9, "{n}");
    }
}

#[test]
fn an_outage_is_noticed_by_the_quickest_rule() {
    let seconds = |settings: SettingsBuilder, rate| {
        let (rule, after) = detection(&settings.build().unwrap(), rate)?;
        Some((rule, after.as_secs_f64()))
    };
    assert_eq!(seconds(Settings::builder(), 5.0), Some((Rule::ConsecutiveFailures, 1.0)));
    let rate = nothing().failure_rate(0.5);
    assert_eq!(seconds(rate, 5.0), Some((Rule::FailureRate, 5.0)));
    assert_eq!(seconds(rate, 0.5), None, "five calls in ten seconds are never ten");
    let slow = nothing().failure_rate(0.5).window(10_000);
    assert_eq!(seconds(slow, 0.5), Some((Rule::FailureRate, 10_000.0)));
    assert_eq!(seconds(nothing().failure_count(20), 1.0), None);
    let rule = nothing().sequential(SequentialSpec::default());
    let (rule, after) = seconds(rule, 1.0).unwrap();
    assert_eq!(rule, Rule::Sequential);
    assert!((after - 5.0).abs() < 1e-9, "ln 10⁶ / ln 20 = 4.6 failures: {after}");
}

#[test]
fn extremes_stay_numbers() {
    for rate in [1e-6, 0.1, 5.0, 1e6] {
        for error_rate in [0.0, 1e-4, 0.5, 1.0] {
            let sequential = SequentialSpec::default().learned();
            let all = Settings::builder().failure_count(7).sequential(sequential);
            for settings in [all, all.window(100_000).min_calls(10), all.window(5)] {
                let settings = settings.build().unwrap();
                for (rule, per_day) in false_trips(&settings, Traffic { rate, error_rate }) {
                    assert!(per_day >= 0.0 && per_day.is_finite(), "{rule} {rate} {error_rate}");
                    assert!(error_rate > 0.0 || per_day == 0.0, "{rule} {rate}");
                }
            }
        }
    }
    assert_eq!(streak_for(1.0 / 30.0, Traffic { rate: 5.0, error_rate: 0.1 }), Some(8));
    assert_eq!(streak_for(1.0 / 30.0, Traffic { rate: 5.0, error_rate: 1.0 }), None);
}
