//! What callers notice of a ramp after recovery, and of a throttle.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use panelboard::{
    CircuitBreaker, Command, Error, Jitter, Kind, ManualClock, PhaseName, Reason, Settings,
    SettingsBuilder,
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn breaker(settings: SettingsBuilder) -> (CircuitBreaker, ManualClock) {
    let clock = ManualClock::new();
    clock.advance(secs(1_000));
    let settings = settings.jitter(Jitter::None).success_threshold(1).build().unwrap();
    let breaker = CircuitBreaker::builder("search").settings(settings).clock(clock.clone());
    (breaker.seed(1).build(), clock)
}

/// A breaker that has just closed after an open phase.
fn recovered(settings: SettingsBuilder) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = breaker(settings);
    breaker.command(Command::Trip);
    clock.advance(secs(5));
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.phase(), PhaseName::Closed);
    (breaker, clock)
}

/// How many of so many calls were made.
fn made(breaker: &CircuitBreaker, calls: u64) -> u64 {
    (0..calls).filter(|_| breaker.call(|| Ok::<_, ()>(())).is_ok()).count() as u64
}

#[test]
fn traffic_comes_back_in_steps() {
    let (breaker, clock) = recovered(Settings::builder().ramp(secs(9)));
    assert_eq!(made(&breaker, 1_000), 100);
    let Err(Error::Rejected(rejected)) = breaker.call(|| Ok::<_, ()>(())) else { panic!() };
    assert_eq!((rejected.reason(), rejected.phase()), (Reason::Ramping, PhaseName::Closed));
    assert_eq!(rejected.retry_after(), secs(3));
    let text = "circuit `search` refused the call (ramping), retry after 3s";
    assert_eq!(rejected.to_string(), text);
    clock.advance(secs(3));
    assert_eq!(made(&breaker, 1_000), 250);
    clock.advance(secs(3));
    assert_eq!(made(&breaker, 1_000), 500);
    let ramp = breaker.snapshot().ramp.unwrap();
    assert_eq!((ramp.share.to_string().as_str(), ramp.ends_in), ("50 %", secs(3)));
    clock.advance(secs(3));
    assert_eq!(made(&breaker, 1_000), 1_000);
}

#[test]
fn a_ramp_ends_though_nobody_calls() {
    let (breaker, clock) = recovered(Settings::builder());
    assert!(breaker.snapshot().ramp.is_some());
    clock.advance(secs(10));
    assert_eq!(breaker.snapshot().ramp, None);
    assert_eq!(made(&breaker, 100), 100);
}

/// However many ask at once: what goes through is counted for all of them together.
#[test]
fn threads_share_a_ramp() {
    let (breaker, _) = recovered(Settings::builder());
    let (sum, barrier) = (AtomicU64::new(0), Barrier::new(4));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                sum.fetch_add(made(&breaker, 2_500), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(sum.into_inner(), 1_000);
    let counters = breaker.snapshot().counters;
    assert_eq!(counters.rejected[Reason::Ramping.index()], 9_000);
}

#[test]
fn a_relapse_during_a_ramp_opens_again_and_waits_longer() {
    let (breaker, _) = recovered(Settings::builder().failure_threshold(None).min_calls(8));
    breaker.try_acquire().unwrap().success();
    breaker.try_acquire().unwrap().failure(Kind::Timeout);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.phase, snapshot.ramp), (PhaseName::Open, None));
    assert_eq!((snapshot.failed_recoveries, snapshot.opens_for), (1, Some(secs(10))));
}

#[test]
fn reconfiguration_ends_a_ramp_and_starts_none() {
    let (breaker, _) = recovered(Settings::builder());
    assert_eq!(made(&breaker, 20), 5);
    let settings = |ramp: Option<Duration>| Settings::builder().ramp(ramp).build().unwrap();
    breaker.reconfigure(settings(None));
    assert_eq!(made(&breaker, 20), 20);
    breaker.reconfigure(settings(Some(secs(60))));
    assert_eq!((breaker.snapshot().ramp, made(&breaker, 20)), (None, 20));
}

#[test]
fn a_throttle_sheds_while_too_few_calls_are_accepted() {
    let settings = Settings::builder().failure_threshold(None).failure_rate(None).throttle(2.0);
    let (breaker, clock) = breaker(settings);
    assert_eq!(made(&breaker, 100), 100);
    assert_eq!(breaker.snapshot().throttled.unwrap().to_string(), "0 %");
    // Nothing that is under way counts against the dependency.
    let held: Vec<_> = (0..400).map(|_| breaker.try_acquire().unwrap()).collect();
    for permit in held {
        permit.failure(Kind::ServerError);
    }
    // (500 − 2 · 100) / 501, of which a few more calls change next to nothing.
    assert_eq!(breaker.snapshot().throttled.unwrap().to_string(), "59.9 %");
    let permits: Vec<_> = (0..100).map(|_| breaker.try_acquire()).collect();
    let refused = permits.iter().filter(|permit| permit.is_err()).count();
    assert!((45..75).contains(&refused), "{refused} of 100");
    let rejected = permits.iter().find_map(|permit| permit.as_ref().err()).unwrap();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Throttled, secs(1)));
    drop(permits);
    assert_eq!(breaker.snapshot().counters.rejected[Reason::Throttled.index()], refused as u64);
    clock.advance(secs(30));
    assert_eq!(made(&breaker, 100), 100);
}

#[test]
fn who_observes_a_throttle_refuses_nobody() {
    let settings = Settings::builder().failure_threshold(None).failure_rate(None).throttle(1.0);
    let (breaker, _) = breaker(settings);
    breaker.command(Command::Observe(secs(60)));
    for _ in 0..200 {
        breaker.try_acquire().unwrap().failure(Kind::ServerError);
    }
    let counters = breaker.snapshot().counters;
    assert_eq!(counters.admitted, 200);
    assert!(counters.would_reject > 100, "{}", counters.would_reject);
}
