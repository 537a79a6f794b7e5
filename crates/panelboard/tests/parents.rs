//! What a breaker of a family and its parent tell each other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use panelboard::event::Bus;
use panelboard::{
    Catalog, CircuitBreaker, Clock, Command, DependsOn, Family, Kind, ManualClock, PhaseName,
    Reason, Registry, Settings, SettingsBuilder,
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Opens at two failures in a row, for 5 s, then for 10.
fn settings() -> SettingsBuilder {
    let jitter = panelboard::Jitter::None;
    Settings::builder().failure_threshold(2).success_threshold(2).jitter(jitter)
}

fn family(settings: SettingsBuilder) -> (Registry, Family, ManualClock) {
    let clock = ManualClock::new();
    let catalog = Catalog { defaults: settings.build().unwrap(), ..Catalog::default() };
    let registry = Registry::with(&catalog, Clock::from(clock.clone()), Bus::new());
    let family = registry.keyed("llm");
    (registry, family, clock)
}

fn succeed(family: &Family, key: &str) {
    family.breaker(&[key]).call(|| Ok::<_, ()>(())).unwrap();
}

fn open(family: &Family, key: &str) -> CircuitBreaker {
    let breaker = family.breaker(&[key]);
    for _ in 0..2 {
        breaker.try_acquire().unwrap().failure(Kind::Timeout);
    }
    assert_eq!(breaker.phase(), PhaseName::Open);
    breaker
}

/// The family's parent, half-open.
fn half_open(family: &Family, clock: &ManualClock) -> CircuitBreaker {
    open(family, "a");
    open(family, "b");
    let parent = family.parent();
    assert_eq!(parent.phase(), PhaseName::Open);
    clock.advance(secs(5));
    parent.clone()
}

// ===== health =====

/// A parent is called by nobody itself: that its keys are well is what shows that it is.
#[test]
fn an_outage_long_after_another_opens_the_parent_for_the_first_wait() {
    let (_, family, clock) = family(settings());
    let parent = half_open(&family, &clock);
    for _ in 0..2 {
        succeed(&family, "c");
    }
    assert_eq!(parent.phase(), PhaseName::Closed);
    for _ in 0..60 {
        clock.advance(secs(1));
        for key in ["a", "b", "c"] {
            succeed(&family, key);
        }
    }
    clock.advance(secs(60));
    open(&family, "a");
    open(&family, "b");
    let snapshot = parent.snapshot();
    assert_eq!((snapshot.phase, snapshot.opens_for), (PhaseName::Open, Some(secs(5))));
    assert_eq!(snapshot.failed_recoveries, 0);
}

/// Time alone is no proof of health.
#[test]
fn an_outage_after_silence_opens_the_parent_for_longer() {
    let (_, family, clock) = family(settings());
    let parent = half_open(&family, &clock);
    for _ in 0..2 {
        succeed(&family, "c");
    }
    assert_eq!(parent.phase(), PhaseName::Closed);
    clock.advance(secs(3_600));
    open(&family, "d");
    open(&family, "e");
    assert_eq!(parent.snapshot().opens_for, Some(secs(10)));
}

// ===== probes of the parent's =====

/// A failure that is excused is no verdict on what all keys share: the slot comes back.
#[test]
fn b7_an_excused_failure_gives_the_parents_probe_back() {
    let (registry, family, clock) = family(settings());
    let mut catalog = Catalog { defaults: settings().build().unwrap(), ..Catalog::default() };
    let direct = [("llm".to_owned(), vec!["database".to_owned()])];
    catalog.depends_on = DependsOn::new(direct.into()).unwrap();
    registry.apply(&catalog);
    let parent = half_open(&family, &clock);
    let c = family.breaker(&["c"]);
    let probe = c.try_acquire().unwrap();
    assert_eq!(c.try_acquire().unwrap_err().reason(), Reason::Probing);
    registry.breaker("database").command(Command::Trip);
    probe.failure(Kind::Dependency);
    let (child, above) = (c.snapshot(), parent.snapshot());
    assert_eq!((child.counters.excused, child.streak, child.counters.in_flight()), (1, 0, 0));
    assert_eq!((above.phase, above.counters.in_flight()), (PhaseName::HalfOpen, 0));
    let probes = above.probes.unwrap();
    assert_eq!((probes.in_flight, probes.successes, probes.failures), (0, 0, 0));
    registry.breaker("database").command(Command::Reset);
    for _ in 0..2 {
        succeed(&family, "c");
    }
    assert_eq!(parent.phase(), PhaseName::Closed);
}

/// A call that is forgotten, and a key that is reset while it holds the parent's probe.
#[test]
fn b7_no_call_of_a_key_keeps_the_parents_slot_for_ever() {
    let (_, family, clock) = family(settings());
    let parent = half_open(&family, &clock);
    let (c, d) = (family.breaker(&["c"]), family.breaker(&["d"]));
    let _ = Box::leak(Box::new(c.try_acquire_for(secs(7)).unwrap()));
    assert_eq!(d.try_acquire().unwrap_err().reason(), Reason::Probing);
    clock.advance(secs(7));
    let probe = d.try_acquire().unwrap();
    d.command(Command::Reset);
    probe.success();
    let probes = parent.snapshot().probes.unwrap();
    assert_eq!((probes.in_flight, probes.successes), (0, 1), "late for its key alone");
    assert_eq!(d.snapshot().counters.late, 1);
    succeed(&family, "c");
    assert_eq!(parent.phase(), PhaseName::Closed);
}

/// Found slow while it ran, it is not found slow again when it ends.
#[test]
fn b11_a_slow_probe_of_the_parents_is_counted_slow_once() {
    let (_, family, clock) = family(settings().slow_call_duration(secs(1)));
    let parent = half_open(&family, &clock);
    let c = family.breaker(&["c"]);
    let mut probe = c.try_acquire().unwrap();
    clock.advance(secs(2));
    probe.mark_slow();
    probe.success();
    assert_eq!((c.snapshot().counters.slow, parent.snapshot().counters.slow), (1, 1));
    assert_eq!(parent.snapshot().failed_recoveries, 1);
}

/// Calls that the parent has no say in are not its own: neither counted by it, nor held up by it.
#[test]
fn b11_calls_of_keys_are_not_counted_again_by_a_parent_that_lets_them_through() {
    let (_, family, clock) = family(settings().throttle(2.0));
    for _ in 0..10 {
        for key in ["a", "b", "c"] {
            succeed(&family, key);
        }
    }
    assert_eq!(family.parent().snapshot().counters.admitted, 0);
    let parent = half_open(&family, &clock);
    for _ in 0..2 {
        succeed(&family, "c");
    }
    assert_eq!(parent.phase(), PhaseName::Closed);
    let probes = parent.snapshot().counters.admitted;
    for _ in 0..10 {
        let _ = family.breaker(&["c"]).call(|| Ok::<_, ()>(()));
    }
    assert_eq!(parent.snapshot().counters.admitted, probes, "while it ramps up");
}

/// Whoever calls a parent by its own name may be held back; that is nothing to its keys.
#[test]
fn the_throttle_of_a_parent_is_for_those_who_call_it_by_itself() {
    let never = settings().failure_threshold(None).failure_rate(None).failure_count(1_000);
    let (_, family, _) = family(never.throttle(1.5));
    let parent = family.parent();
    let mut shed = 0;
    for _ in 0..100 {
        match parent.try_acquire() {
            Ok(permit) => permit.failure(Kind::Overloaded),
            Err(rejected) => shed += u32::from(rejected.reason() == Reason::Throttled),
        }
    }
    assert!(shed > 20, "{shed}");
    for _ in 0..100 {
        succeed(&family, "c");
    }
}

// ===== others' code =====

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

/// A subscriber that panics when woken loses nobody's probe.
#[test]
fn b7_a_waker_that_panics_keeps_no_slot() {
    let (registry, family, clock) = family(settings());
    let parent = half_open(&family, &clock);
    let waker = Waker::from(Arc::new(Panics));
    let mut events = registry.subscribe();
    let mut next = pin!(events.next());
    let c = family.breaker(&["a"]);
    // That both are half-open now is an event.
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let answer = catch_unwind(AssertUnwindSafe(|| c.call(|| Ok::<_, ()>(7))));
    assert_eq!(answer.ok().and_then(Result::ok), Some(7), "no call fails because of it");
    let snapshot = parent.snapshot();
    assert_eq!(snapshot.phase, PhaseName::HalfOpen);
    assert_eq!(snapshot.probes.unwrap().in_flight, 0);
    assert!(c.try_acquire().is_ok());
}
