//! What holds under every interleaving that loom can think of:
//! `RUSTFLAGS="--cfg panelboard_loom" cargo test --release -p panelboard --lib loom`.
//!
//! The cfg is not called `loom`, because that would also switch Tokio over.

mod expiry;

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::event::{Bus, What};
use crate::slot;
use crate::sync::atomic::TURNS;
use crate::{
    CircuitBreaker, Command, Jitter, Kind, ManualClock, Mode, PhaseName, Settings, SettingsBuilder,
};

/// Explores interleavings: what loom finds worth trying with up to three preemptions, then every
/// order of the atomic operations with up to two.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let model = Arc::new(model);
    for (turns, preemptions) in [(false, 3), (true, 2)] {
        TURNS.set(turns);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 100_000;
        let model = Arc::clone(&model);
        builder.check(move || model());
    }
}

const RECOVERY: Duration = Duration::from_secs(5);

fn settings() -> SettingsBuilder {
    Settings::builder().recovery_timeout(RECOVERY).jitter(Jitter::None).success_threshold(1)
}

fn breaker(settings: SettingsBuilder) -> (CircuitBreaker, ManualClock) {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::builder("loom")
        .settings(settings.build().unwrap())
        .clock(clock.clone())
        .seed(1)
        .bus(Bus::with_capacity(16))
        .build();
    (breaker, clock)
}

/// Only the streak counts, so that few atomics take part.
fn streak_only(threshold: u32) -> SettingsBuilder {
    settings().failure_threshold(threshold).failure_rate(None)
}

/// A breaker whose open phase is over, so that the next call probes.
fn half_open() -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = breaker(streak_only(1));
    breaker.command(Command::Trip);
    clock.advance(RECOVERY);
    (breaker, clock)
}

fn fail(breaker: &CircuitBreaker) {
    if let Ok(permit) = breaker.try_acquire() {
        permit.failure(Kind::Timeout);
    }
}

/// Transitions so far; checks that generations follow one another (B-2).
fn transitions(breaker: &CircuitBreaker) -> Vec<(PhaseName, PhaseName)> {
    let mut seen = Vec::new();
    for (event, expected) in breaker.inner.bus().after(0, 100).iter().zip(2..) {
        if let What::Transition { from, to, generation, .. } = event.what {
            assert_eq!(generation, expected);
            seen.push((from, to));
        }
    }
    seen
}

/// B-1: never more probes in flight than the cap.
#[test]
fn b1_one_slot_is_lent_once_at_a_time() {
    explore(|| {
        let (breaker, _) = half_open();
        let in_flight = Arc::new(AtomicUsize::new(0));
        let probe = move |breaker: &CircuitBreaker, in_flight: &AtomicUsize| {
            if let Ok(permit) = breaker.try_acquire() {
                assert!(permit.is_probe());
                assert_eq!(in_flight.fetch_add(1, Ordering::AcqRel), 0);
                in_flight.fetch_sub(1, Ordering::AcqRel);
                permit.neutral();
            }
        };
        let (other, count) = (breaker.clone(), Arc::clone(&in_flight));
        let thread = thread::spawn(move || probe(&other, &count));
        probe(&breaker, &in_flight);
        thread.join().unwrap();
        assert_eq!(breaker.snapshot().phase, PhaseName::HalfOpen);
    });
}

/// B-2: concurrent failures at the threshold trip once.
#[test]
fn b2_failures_at_the_threshold_trip_once() {
    explore(|| {
        let (breaker, _) = breaker(streak_only(2));
        let other = breaker.clone();
        let thread = thread::spawn(move || fail(&other));
        fail(&breaker);
        thread.join().unwrap();
        assert_eq!(transitions(&breaker), [(PhaseName::Closed, PhaseName::Open)]);
        assert_eq!(breaker.snapshot().generation, 2);
    });
}

/// B-2, and what B-12 allows: two threads record into shards of their own, and one of them has slack
/// from before. Either the one that asks the rules sees what the other has recorded, or the very next
/// failure trips.
#[test]
fn b2_b12_a_window_over_threads_trips_once_and_at_most_one_call_late() {
    explore(|| {
        let settings = settings().failure_threshold(None).failure_rate(None).failure_count(3);
        let (breaker, _) = breaker(settings);
        fail(&breaker);
        let other = breaker.clone();
        let thread = thread::spawn(move || fail(&other));
        fail(&breaker);
        thread.join().unwrap();
        assert_eq!(breaker.snapshot().counters.failure(), 3);
        fail(&breaker);
        assert_eq!(transitions(&breaker), [(PhaseName::Closed, PhaseName::Open)]);
    });
}

/// B-3: the success of a call from before the trip does not close, nor count for closing.
#[test]
fn b3_a_stale_success_changes_nothing() {
    explore(|| {
        let (breaker, clock) = breaker(streak_only(1));
        let stale = breaker.try_acquire_owned(None).unwrap();
        fail(&breaker);
        clock.advance(RECOVERY);
        let thread = thread::spawn(move || stale.success());
        // The probe of the half-open breaker fails, and that decides.
        fail(&breaker);
        thread.join().unwrap();
        let expected = [
            (PhaseName::Closed, PhaseName::Open),
            (PhaseName::Open, PhaseName::HalfOpen),
            (PhaseName::HalfOpen, PhaseName::Open),
        ];
        assert_eq!(transitions(&breaker), expected);
        let counters = breaker.snapshot().counters;
        assert_eq!((counters.late, counters.success), (1, 0));
    });
}

/// B-3: the failure of a call from before a reset is not held against the breaker after it.
#[test]
fn b3_a_stale_failure_does_not_trip_the_next_phase() {
    explore(|| {
        let (breaker, _) = breaker(streak_only(1));
        let stale = breaker.try_acquire_owned(None).unwrap();
        let other = breaker.clone();
        let thread = thread::spawn(move || other.command(Command::Reset));
        stale.failure(Kind::Timeout);
        thread.join().unwrap();
        // Before the reset it trips, and the reset closes again; after it, it is late.
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.phase, PhaseName::Closed);
        assert_eq!(snapshot.streak, 0);
        assert_eq!(snapshot.counters.failure() + snapshot.counters.late, 1);
    });
}

/// B-9, B-12: when new settings decide the round, the first failure of the closed phase that
/// follows counts, however soon it comes.
#[test]
fn b9_a_phase_that_reconfiguration_begins_misses_no_failure() {
    explore(|| {
        let (breaker, clock) = breaker(streak_only(1).success_threshold(2));
        breaker.command(Command::Trip);
        clock.advance(RECOVERY);
        breaker.try_acquire().unwrap().success();
        let other = breaker.clone();
        let thread = thread::spawn(move || {
            let easier = streak_only(1).success_threshold(1);
            other.reconfigure(easier.build().unwrap());
        });
        if breaker.phase() == PhaseName::Closed {
            breaker.try_acquire().unwrap().failure(Kind::Timeout);
            thread.join().unwrap();
            assert_eq!(breaker.snapshot().phase, PhaseName::Open);
        } else {
            thread.join().unwrap();
            assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
        }
    });
}

/// B-7: an abandoned probe gives its slot back, whoever is asking at that moment.
#[test]
fn b7_an_abandoned_probe_never_sticks() {
    explore(|| {
        let (breaker, _) = half_open();
        let probe = breaker.try_acquire_owned(None).unwrap();
        let thread = thread::spawn(move || drop(probe));
        if let Ok(permit) = breaker.try_acquire() {
            assert!(permit.is_probe());
            drop(permit);
        }
        thread.join().unwrap();
        breaker.try_acquire().unwrap().success();
        assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
    });
}

/// A refusal's time belongs to the phase that refused: it is never taken from the next one.
#[test]
fn b4_a_refusal_never_shows_the_time_of_another_face() {
    explore(|| {
        let (breaker, _) = breaker(streak_only(1));
        breaker.command(Command::OpenFor(RECOVERY));
        let other = breaker.clone();
        let thread = thread::spawn(move || {
            other.command(Command::Reset);
            other.command(Command::ForceOpen(RECOVERY * 2));
        });
        if let Err(rejected) = breaker.try_acquire() {
            let expected = if rejected.generation() == 2 { RECOVERY } else { RECOVERY * 2 };
            assert_eq!(rejected.retry_after(), expected);
        }
        thread.join().unwrap();
    });
}

/// B-11: nothing is lost when a success finds the window full of successes at the moment a
/// failure comes in.
#[test]
fn b11_a_skipped_success_is_still_counted() {
    explore(|| {
        let settings = settings().window(1_u32).min_calls(1).failure_rate(1.0);
        let (breaker, _) = breaker(settings.failure_threshold(None));
        breaker.try_acquire().unwrap().success();
        let permit = breaker.try_acquire_owned(None).unwrap();
        let thread = thread::spawn(move || permit.success());
        fail(&breaker);
        thread.join().unwrap();
        let snapshot = breaker.snapshot();
        let counters = snapshot.counters;
        assert_eq!((counters.admitted, counters.in_flight()), (3, 0));
        assert_eq!((counters.failure(), counters.success + counters.late), (1, 2));
        assert_eq!(snapshot.phase, PhaseName::Open);
    });
}

/// B-11: threads that have found no slot of their own share one, and lose nothing either.
#[test]
fn b11_threads_without_a_slot_lose_nothing() {
    explore(|| {
        slot::crowd();
        let (breaker, _) = breaker(settings().failure_threshold(9).min_calls(9));
        let other = breaker.clone();
        let thread = thread::spawn(move || fail(&other));
        fail(&breaker);
        thread.join().unwrap();
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.counters.admitted, snapshot.counters.failure()), (2, 2));
        assert_eq!((snapshot.tally.failures, snapshot.streak), (2, 2));
    });
}
