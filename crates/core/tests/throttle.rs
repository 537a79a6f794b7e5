//! Breaker and throttle against dependencies of which some or all calls fail: together they must
//! be no worse than either alone.

use std::time::Duration;

use panelboard_core::machine::{Input, Machine};
use panelboard_core::{Decision, End, Kind, Outcome, Settings, SettingsBuilder, Speed, Tick};

/// What is wrong with a dependency.
#[derive(Copy, Clone, Debug)]
enum Fault {
    /// This share of the calls that reach it fails.
    Share(f64),
    /// It bears only this share of the calls that are wanted; what is more fails.
    Overload(f64),
}

/// What became of each call that was wanted, as shares.
#[derive(Copy, Clone, Debug)]
struct Fate {
    /// It was answered.
    served: f64,
    /// It reached the dependency for nothing.
    wasted: f64,
}

const PER_SECOND: u32 = 100;

/// Ten minutes of 100 calls a second against this fault, at random but the same each time.
fn under(settings: SettingsBuilder, fault: Fault) -> Fate {
    let settings = settings.build().unwrap();
    let mut machine = Machine::new(settings, 7, Tick::ZERO);
    let (mut dice, mut borne) = (42, 0.0);
    let (mut served, mut wasted, calls) = (0_u32, 0_u32, 600 * PER_SECOND);
    for call in 0..calls {
        let now = Tick::ZERO.after(Duration::from_millis(u64::from(call * 1_000 / PER_SECOND)));
        // Drawn for every call, so that all see the same.
        let die = f64::from(roll(&mut dice)) / f64::from(u32::MAX);
        if let Fault::Overload(bears) = fault {
            // What it bears is not saved up for more than a tenth of a second.
            borne = f64::min(borne + bears, f64::from(PER_SECOND) / 10.0);
        }
        let step = machine.step(now, Input::Acquire { lease: settings.lease(), dependency: None });
        let Some(Decision::Admit { ticket, .. }) = step.decision else { continue };
        let fails = match fault {
            Fault::Share(share) => die < share,
            Fault::Overload(_) => borne < 1.0,
        };
        borne -= f64::from(u8::from(!fails));
        let outcome = if fails { Outcome::failure(Kind::ServerError) } else { Outcome::Success };
        let end = End { outcome, speed: Speed::Unjudged, took: None };
        machine.step(now, Input::Settle { ticket, end, dependency: None });
        *if fails { &mut wasted } else { &mut served } += 1;
    }
    let share = |count| f64::from(count) / f64::from(calls);
    Fate { served: share(served), wasted: share(wasted) }
}

/// xorshift64* (Vigna 2016).
fn roll(state: &mut u64) -> u32 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
}

fn throttle_alone(k: f64) -> SettingsBuilder {
    Settings::builder().failure_threshold(None).failure_rate(None).throttle(k)
}

/// Leaves partial faults alone.
fn for_outages() -> SettingsBuilder {
    Settings::builder().failure_threshold(None).failure_rate(0.95).min_calls(100)
}

/// Throttle alone, breaker alone, both.
fn compare(breaker: SettingsBuilder, k: f64, fault: Fault) -> [Fate; 3] {
    [throttle_alone(k), breaker, breaker.throttle(k)].map(|settings| under(settings, fault))
}

/// An overload is answered in proportion: what the dependency bears is served, and little more is
/// sent, about `k` calls for each it accepts. The breaker alone would shut most of that off, or
/// waste all the rest. Only the share `1 − 1/k` of what is sent fails then, which must be less
/// than trips.
#[test]
fn an_overload_is_shed_in_proportion() {
    for breaker in [Settings::builder(), for_outages()] {
        for bears in [0.8, 0.6, 0.4, 0.2] {
            let [throttle, alone, both] = compare(breaker, 1.5, Fault::Overload(bears));
            let told = format!("{bears}: {throttle:?}, {alone:?}, both {both:?}");
            assert!(both.served >= throttle.served.max(alone.served) - 0.005, "{told}");
            assert!((both.served - bears).abs() < 0.005, "{told}");
            assert!(both.wasted <= throttle.wasted + 0.005, "{told}");
            // One call a second always goes through.
            assert!(both.wasted <= bears * 0.5 + 0.01, "{told}");
        }
    }
}

/// An outage is binary: next to nothing reaches the dependency, though a throttle alone keeps
/// knocking.
#[test]
fn an_outage_is_shut_off() {
    for breaker in [Settings::builder(), for_outages()] {
        let [throttle, alone, both] = compare(breaker, 1.5, Fault::Share(1.0));
        assert!(throttle.wasted > 0.09, "{throttle:?}");
        assert!(both.wasted < 0.002 && both.wasted <= alone.wasted + 0.001, "{both:?}, {alone:?}");
    }
}

/// Whatever the fault: together they serve no less than the worse of the two, and waste no more.
/// Where a share of the calls fails however few there are, refusing calls helps nobody, and a
/// throttle is silent up to the share `1 − 1/k`.
#[test]
fn together_they_are_no_worse_than_either_alone() {
    let shares = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    let faults = shares.map(Fault::Share).into_iter().chain(shares.map(Fault::Overload));
    for fault in faults {
        for (breaker, k) in [
            (Settings::builder(), 1.5),
            (Settings::builder(), 2.0),
            (for_outages(), 1.5),
            (for_outages(), 2.0),
        ] {
            let [throttle, alone, both] = compare(breaker, k, fault);
            let told = format!("{k}, {fault:?}: {throttle:?}, {alone:?}, both {both:?}");
            assert!(both.served >= throttle.served.min(alone.served) - 0.02, "{told}");
            assert!(both.wasted <= throttle.wasted.max(alone.wasted) + 0.005, "{told}");
            if let Fault::Share(share) = fault
                && share < 1.0 - 1.0 / k
            {
                assert!((throttle.served + throttle.wasted - 1.0).abs() < 0.01, "{told}");
                assert!(both.served >= alone.served - 0.02, "{told}");
            }
        }
    }
}
