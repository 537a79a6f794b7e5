//! What a caller of sync calls and permits, an operator and a subscriber rely on.

use std::sync::Arc;
use std::time::Duration;

use panelboard::event::{Bus, LastError, What};
use panelboard::{
    Cause, CircuitBreaker, Command, Error, ErrorDetail, Health, Jitter, Kind, ManualClock, Mode,
    Order, Outcome, PhaseName, Reason, Rule, Settings, SettingsBuilder, kinds,
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A breaker without jitter, and the clock it goes by.
fn breaker(settings: SettingsBuilder) -> (CircuitBreaker, ManualClock) {
    let clock = ManualClock::new();
    clock.advance(secs(1_000));
    let breaker = CircuitBreaker::builder("payments")
        .settings(settings.jitter(Jitter::None).build().unwrap())
        .clock(clock.clone())
        .build();
    (breaker, clock)
}

fn fail(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().failure(Kind::Timeout);
    }
}

fn succeed(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().success();
    }
}

// ===== trips, waits, recovers =====

#[test]
fn the_whole_way_from_closed_to_closed() {
    let (breaker, clock) = breaker(Settings::builder());
    fail(&breaker, 5);
    let Err(Error::Rejected(rejected)) = breaker.call(|| Ok::<_, ()>(())) else {
        panic!("five in a row open it")
    };
    assert_eq!(rejected.phase(), PhaseName::Open);
    assert_eq!(rejected.reason(), Reason::Open);
    assert_eq!(rejected.retry_after(), secs(5));
    assert_eq!(rejected.generation(), 2);
    assert_eq!(rejected.to_string(), "circuit `payments` refused the call (open), retry after 5s");
    clock.advance(secs(5));
    assert_eq!(breaker.snapshot().phase, PhaseName::HalfOpen, "by time alone");
    succeed(&breaker, 3);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.phase, snapshot.generation), (PhaseName::Closed, 4));
    assert_eq!(snapshot.stats.recoveries.count(), 1);
    assert_eq!(snapshot.stats.open, secs(5));
    assert_eq!(snapshot.stats.probes.success, 3);
    // Fewer calls are enough for a rate while traffic comes back.
    assert_eq!((snapshot.settings.min_calls(), snapshot.thresholds.min_calls), (10, 2));
    assert!(!snapshot.explain().contains("Thresholds"), "{}", snapshot.explain());
    clock.advance(secs(10));
    assert_eq!(breaker.snapshot().thresholds.min_calls, 10);
}

#[test]
fn each_failed_recovery_doubles_the_wait_and_health_resets_it() {
    let (breaker, clock) = breaker(Settings::builder().ramp(None));
    fail(&breaker, 5);
    for wait in [5, 10, 20, 40, 60, 60] {
        assert_eq!(breaker.snapshot().opens_for, Some(secs(wait)));
        clock.advance(secs(wait));
        fail(&breaker, 1);
    }
    assert_eq!(breaker.snapshot().health(), Health::Unhealthy, "more than three failed");
    clock.advance(secs(60));
    succeed(&breaker, 3);
    // A trip right after closing shows that the recovery had not been one.
    fail(&breaker, 5);
    assert_eq!(breaker.snapshot().failed_recoveries, 7);
    clock.advance(secs(60));
    succeed(&breaker, 3);
    // A window with enough calls is proof of health.
    succeed(&breaker, 10);
    clock.advance(secs(10));
    fail(&breaker, 5);
    assert_eq!(breaker.snapshot().opens_for, Some(secs(5)));
}

#[test]
fn a_count_window_trips_on_the_rate_of_the_last_calls() {
    let settings = Settings::builder().window(4_u32).min_calls(4).failure_threshold(None);
    let (breaker, _) = breaker(settings);
    succeed(&breaker, 100);
    fail(&breaker, 1);
    assert_eq!(breaker.snapshot().tally.failures, 1);
    fail(&breaker, 1);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.phase, PhaseName::Open);
    let Cause::Tripped(fired) = snapshot.trip.unwrap().transition.cause else { panic!() };
    assert_eq!((fired.rule, fired.tally.failures, fired.tally.calls), (Rule::FailureRate, 2, 4));
}

#[test]
fn slow_calls_trip_though_they_succeed() {
    let settings = Settings::builder().slow_call_duration(secs(2)).min_calls(5);
    let (breaker, clock) = breaker(settings);
    for n in 0..5 {
        let permit = breaker.try_acquire().unwrap();
        clock.advance(if n == 0 { secs(1) } else { secs(2) });
        permit.success();
    }
    let snapshot = breaker.snapshot();
    let Cause::Tripped(fired) = snapshot.trip.unwrap().transition.cause else { panic!() };
    assert_eq!((fired.rule, fired.tally.slow, fired.tally.timed), (Rule::SlowRate, 4, 5));
    // A slow probe is no sign of recovery.
    clock.advance(secs(5));
    let probe = breaker.try_acquire().unwrap();
    clock.advance(secs(3));
    probe.success();
    assert_eq!(breaker.snapshot().phase, PhaseName::Open);
}

#[test]
fn a_servers_hint_only_ever_extends_the_open_phase() {
    for (hint, expected) in [(secs(1), secs(5)), (secs(30), secs(30)), (secs(3_000), secs(300))] {
        let (breaker, _) = breaker(Settings::builder().failure_threshold(1));
        let outcome = Outcome::Failure { kind: Kind::ServerError, retry_after: Some(hint) };
        breaker.try_acquire().unwrap().record(outcome);
        assert_eq!(breaker.snapshot().opens_for, Some(expected));
    }
}

#[test]
fn pushback_paces_without_opening() {
    let (breaker, clock) = breaker(Settings::builder());
    breaker.try_acquire().unwrap().pushback(Some(secs(7)));
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Paced, secs(7)));
    assert_eq!(rejected.phase(), PhaseName::Closed);
    clock.advance(secs(7));
    // Without a hint: 1 s, then 2 s, and back to 1 s after a success.
    for wait in [1, 2] {
        breaker.try_acquire().unwrap().pushback(None);
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), secs(wait));
        clock.advance(secs(wait));
    }
    succeed(&breaker, 1);
    breaker.try_acquire().unwrap().pushback(None);
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), secs(1));
    assert_eq!(breaker.snapshot().generation, 1, "never a transition");
}

#[test]
fn a_probe_that_is_pushed_back_proves_life_and_the_round_waits() {
    let (breaker, clock) = breaker(Settings::builder());
    fail(&breaker, 5);
    clock.advance(secs(5));
    breaker.try_acquire().unwrap().pushback(Some(secs(100)));
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::Paced);
    clock.advance(secs(100));
    assert_eq!(breaker.snapshot().phase, PhaseName::HalfOpen, "and does not go stale meanwhile");
    succeed(&breaker, 3);
    assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
}

#[test]
fn ignored_kinds_are_neutral() {
    let (breaker, _) = breaker(Settings::builder().failure_threshold(1).ignore([Kind::Auth]));
    breaker.try_acquire().unwrap().failure(Kind::Auth);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.phase, snapshot.counters.neutral), (PhaseName::Closed, 1));
    // Also in a call that takes no lock.
    for _ in 0..3 {
        let kind = |_: &Result<(), ()>| Outcome::failure(Kind::Auth);
        assert_eq!(breaker.call_classified(|| Err(()), kind), Err(Error::Inner(())));
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.phase, snapshot.counters.neutral), (PhaseName::Closed, 4));
    fail(&breaker, 1);
    assert_eq!(breaker.snapshot().phase, PhaseName::Open);
}

#[test]
fn b7_a_panic_in_a_sync_call_counts_and_goes_on() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    for settings in [Settings::builder(), Settings::builder().window(10_u32)] {
        let (breaker, clock) = breaker(settings.failure_threshold(1).success_threshold(1));
        // From its second call on, a thread takes the short way.
        breaker.call(|| Ok::<_, ()>(())).unwrap();
        let call = || breaker.call(|| -> Result<(), ()> { panic!("out of order") });
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.counters.failures[Kind::Panic.index()], 1);
        assert_eq!(snapshot.phase, PhaseName::Open);
        // T4: a panic in a probe frees its slot.
        clock.advance(secs(5));
        let call = || breaker.call(|| -> Result<(), ()> { panic!("still") });
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        clock.advance(secs(10));
        assert_eq!(breaker.call(|| Ok::<_, ()>(1)), Ok(1));
        assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
    }
}

#[test]
fn b7_a_panicking_classifier_counts_as_a_failure() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let (breaker, _) = breaker(Settings::builder());
    let call = || {
        breaker.call_classified(
            || Ok::<_, ()>(()),
            |_: &Result<(), ()>| -> Outcome { panic!("cannot say") },
        )
    };
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.failures[Kind::Panic.index()], counters.in_flight()), (1, 0));
}

#[test]
fn b7_a_forgotten_probe_loses_its_slot_when_its_lease_runs_out() {
    let (breaker, clock) = breaker(Settings::builder().timeout(secs(3)));
    fail(&breaker, 5);
    clock.advance(secs(5));
    let forgotten = breaker.try_acquire().unwrap();
    assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::Probing);
    clock.advance(secs(5));
    let probe = breaker.try_acquire().expect("the attempt timeout and 2 s have passed");
    forgotten.success();
    assert_eq!(breaker.snapshot().probes.unwrap().successes, 0, "it has no vote any more");
    assert_eq!(breaker.snapshot().stats.probes.expired, 1);
    probe.success();
    assert_eq!(breaker.snapshot().probes.unwrap().successes, 1);
}

#[test]
fn a_probe_that_makes_progress_keeps_its_slot_and_its_vote() {
    let (breaker, clock) = breaker(Settings::builder().success_threshold(1));
    fail(&breaker, 5);
    clock.advance(secs(5));
    let probe = breaker.try_acquire().unwrap();
    for _ in 0..20 {
        clock.advance(secs(10));
        probe.renew(secs(15));
        assert_eq!(breaker.try_acquire().unwrap_err().reason(), Reason::Probing);
    }
    probe.success();
    assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
}

#[test]
fn a_half_open_breaker_nobody_calls_waits_without_a_fuss() {
    let (breaker, clock) = breaker(Settings::builder());
    fail(&breaker, 5);
    clock.advance(secs(5));
    // One call a minute: each success counts, however far apart.
    for _ in 0..2 {
        succeed(&breaker, 1);
        clock.advance(secs(60));
    }
    assert_eq!(breaker.snapshot().phase, PhaseName::HalfOpen);
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
}

// ===== modes and commands =====

#[test]
fn overrides_expire_by_themselves() {
    let (breaker, clock) = breaker(Settings::builder());
    breaker.command_by(Command::ForceOpen(secs(600)), &Order::new("ops", "maintenance"));
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Forced, secs(600)));
    assert_eq!(breaker.snapshot().health(), Health::Unhealthy);
    let over = breaker.snapshot().override_.unwrap();
    assert_eq!(over.order, Some(Order::new("ops", "maintenance")));
    clock.advance(secs(600));
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().mode, Mode::Auto);

    breaker.command(Command::ForceClosed(secs(60)));
    fail(&breaker, 20);
    assert_eq!(breaker.snapshot().phase, PhaseName::Closed, "counted, not weighed");
    assert_eq!(breaker.snapshot().counters.failure(), 20);
    clock.advance(secs(60));
    fail(&breaker, 5);
    assert_eq!(breaker.snapshot().phase, PhaseName::Open);
}

#[test]
fn b6_observe_says_what_it_would_have_refused() {
    let (breaker, _) = breaker(Settings::builder().mode(Mode::Observe));
    fail(&breaker, 9);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.phase, PhaseName::Open);
    assert_eq!((snapshot.rejected(), snapshot.counters.would_reject), (0, 4));
}

#[test]
fn an_override_on_a_breaker_that_is_switched_off_ends_without_being_asked() {
    let (breaker, clock) = breaker(Settings::builder().mode(Mode::ForcedClosed));
    breaker.command(Command::Auto(secs(60)));
    fail(&breaker, 4);
    clock.advance(secs(60));
    fail(&breaker, 4);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.mode, snapshot.phase), (Mode::ForcedClosed, PhaseName::Closed));
}

#[test]
fn reset_forgets_and_trip_opens() {
    let (breaker, _) = breaker(Settings::builder());
    fail(&breaker, 4);
    breaker.command(Command::Reset);
    assert_eq!((breaker.snapshot().streak, breaker.snapshot().tally.calls), (0, 0));
    fail(&breaker, 4);
    assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
    breaker.command(Command::Trip);
    assert_eq!(breaker.snapshot().opens_for, Some(secs(5)));
    breaker.command(Command::Trip);
    assert_eq!(breaker.snapshot().generation, 3, "tripping an open breaker changes nothing");
    breaker.command(Command::OpenFor(secs(90)));
    assert_eq!(breaker.snapshot().opens_for, Some(secs(90)));
    breaker.command(Command::OpenFor(secs(10)));
    assert_eq!(breaker.snapshot().opens_for, Some(secs(90)), "a shorter order never shortens");
}

/// What time has brought about by then is not laid at the door of whoever orders something.
#[test]
fn an_order_is_noted_only_with_what_it_brings_about() {
    let (breaker, clock) = breaker(Settings::builder());
    fail(&breaker, 5);
    clock.advance(secs(5));
    let (mut events, order) = (breaker.subscribe(), Order::new("ops", "still down"));
    breaker.command_by(Command::OpenFor(secs(60)), &order);
    for expected in [(PhaseName::HalfOpen, None), (PhaseName::Open, Some(order))] {
        match &events.try_next().unwrap().unwrap().what {
            What::Transition { to, record, .. } => {
                assert_eq!((*to, record.order.clone()), expected);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn user_named_kinds_are_kept_apart_in_errors() {
    let (breaker, _) = breaker(Settings::builder());
    breaker.try_acquire().unwrap().failure(kinds::named("lock_wait"));
    let error = &breaker.snapshot().errors[0];
    assert_eq!(error.label(), "lock_wait");
}

/// What a breaker knew when it tripped includes the failure that tripped it, whatever window it
/// looks back over.
#[test]
fn a_trip_record_has_the_failure_that_tripped() {
    for settings in [Settings::builder(), Settings::builder().window(10_u32)] {
        let (breaker, clock) = breaker(settings.failure_threshold(2).success_threshold(1));
        let detail = ErrorDetail::new().status(503);
        fail(&breaker, 1);
        let failure = Outcome::failure(Kind::ServerError);
        breaker.try_acquire().unwrap().record_with(failure, &detail);
        let labels = || {
            let record = breaker.snapshot().last.unwrap();
            record.errors.iter().map(LastError::label).collect::<Vec<_>>()
        };
        assert_eq!(labels(), ["timeout", "HTTP 503"]);
        // So does that of a probe that failed.
        clock.advance(secs(5));
        fail(&breaker, 1);
        assert_eq!(labels(), ["timeout", "HTTP 503", "timeout"]);
        assert_eq!(breaker.snapshot().errors.len(), 3, "and each is kept once");
    }
}

/// A slow success is no sign of recovery, so it counts against closing; so does a probe that was
/// found slow while it ran.
#[test]
fn probes_are_counted_as_they_voted() {
    let settings = Settings::builder().slow_call_duration(secs(2));
    let (breaker, clock) = breaker(settings.success_threshold(1).probe_calls(4));
    fail(&breaker, 5);
    clock.advance(secs(5));
    for wait in [1, 2] {
        let probe = breaker.try_acquire().unwrap();
        clock.advance(secs(wait));
        probe.pushback(Some(Duration::ZERO));
    }
    let slow = breaker.try_acquire().unwrap();
    clock.advance(secs(2));
    slow.success();
    let mut slow = breaker.try_acquire().unwrap();
    slow.mark_slow();
    slow.success();
    let mut slow = breaker.try_acquire().unwrap();
    slow.mark_slow();
    drop(slow);
    let seen = breaker.snapshot();
    assert_eq!(seen.probes.map(|probes| (probes.successes, probes.failures)), Some((0, 3)));
    let probes = seen.stats.probes;
    assert_eq!((probes.success, probes.failure, probes.neutral), (0, 3, 2));
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().stats.probes.success, 1);
}

/// B-3: what was let through while open, for nobody was refused, and ends when the breaker has
/// recovered is no sign that the recovery holds.
#[test]
fn b3_a_success_from_an_earlier_phase_is_no_sign_of_health() {
    let (breaker, clock) = breaker(Settings::builder().success_threshold(1).mode(Mode::Observe));
    fail(&breaker, 5);
    let early = breaker.try_acquire().unwrap();
    clock.advance(secs(5));
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
    early.success();
    clock.advance(secs(1_000));
    fail(&breaker, 5);
    assert_eq!(breaker.snapshot().failed_recoveries, 1);
    assert_eq!(breaker.snapshot().counters.late, 0, "it never had a vote");
}

#[test]
fn breakers_can_share_a_bus() {
    let bus = Bus::new();
    let make = |name: &'static str| CircuitBreaker::builder(name).bus(Arc::clone(&bus)).build();
    let (a, b) = (make("a"), make("b"));
    let mut events = a.subscribe();
    b.command(Command::Trip);
    a.command(Command::Trip);
    let names = [(); 2].map(|()| events.try_next().unwrap().unwrap().circuit.to_string());
    assert_eq!(names, ["b", "a"]);
}
