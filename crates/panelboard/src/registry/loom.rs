//! What holds when breakers are evicted while others look them up:
//! `RUSTFLAGS="--cfg panelboard_loom" cargo test --release -p panelboard --lib loom`.

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{Family, FamilyOptions, Registry};
use crate::event::Bus;
use crate::sync::counted::Counted;
use crate::{Catalog, Clock, Kind, ManualClock, Settings};

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// A family with one key, `old`, that is idle, clean and held by nobody.
fn family(max_keys: usize) -> (Family, ManualClock) {
    let clock = ManualClock::new();
    let settings = Settings::builder().failure_threshold(3).failure_rate(None).build().unwrap();
    let catalog = Catalog { defaults: settings, ..Catalog::default() };
    let registry = Registry::with(&catalog, Clock::from(clock.clone()), Bus::with_capacity(8));
    let options = FamilyOptions::new().max_keys(max_keys).idle(Duration::from_secs(1));
    let family = registry.keyed_with("f", options);
    drop(family.breaker(&["old"]));
    clock.advance(Duration::from_secs(9));
    (family, clock)
}

fn fail(family: &Family, key: &str) -> crate::CircuitBreaker {
    let breaker = family.breaker(&[key]);
    breaker.try_acquire().unwrap().failure(Kind::Timeout);
    breaker
}

/// A call whose breaker is evicted at that moment: its result is where the next caller looks.
#[test]
fn no_result_is_lost_to_eviction() {
    explore(|| {
        let (family, _) = family(8);
        let other = family.clone();
        let evictor = thread::spawn(move || other.evict_idle());
        drop(fail(&family, "old"));
        evictor.join().unwrap();
        assert_eq!(family.breaker(&["old"]).inner.streak_now(), 1);
        assert_eq!(family.len(), 1);
    });
}

/// Two callers of one key always share its breaker, whoever evicts meanwhile.
#[test]
fn a_key_never_has_two_breakers_that_are_held() {
    explore(|| {
        let (family, _) = family(8);
        let (first, second) = (family.clone(), family.clone());
        let caller = thread::spawn(move || fail(&first, "old"));
        let evictor = thread::spawn(move || second.evict_idle());
        let mine = fail(&family, "old");
        let other = caller.join().unwrap();
        evictor.join().unwrap();
        assert!(std::ptr::eq(&*mine.inner, &*other.inner));
        assert_eq!(mine.inner.streak_now(), 2);
    });
}

/// A new key that needs the place of one that is just being called gets it, or shares the overflow
/// breaker; the called one loses nothing.
#[test]
fn a_place_is_not_taken_from_a_key_in_use() {
    explore(|| {
        let (family, _) = family(1);
        let other = family.clone();
        let newcomer = thread::spawn(move || fail(&other, "new"));
        let old = fail(&family, "old");
        let new = newcomer.join().unwrap();
        assert!(family.len() <= 1);
        let failures = [&old, &new].map(|breaker| breaker.inner.streak_now());
        let shared =
            Counted::strong_count(&old.inner) > 1 && std::ptr::eq(&*old.inner, &*new.inner);
        assert_eq!(failures, if shared { [2, 2] } else { [1, 1] });
        // Whoever has a breaker of its own still has this one.
        for (key, breaker) in [("old", &old), ("new", &new)] {
            if &**breaker.name() == format!("f/{key}") {
                assert!(std::ptr::eq(&*family.breaker(&[key]).inner, &*breaker.inner));
            }
        }
    });
}

/// B-1 for the parent: calls to different keys hold no more of its probes than there may be, and
/// what comes of them reaches it.
#[test]
fn b1_keys_share_the_probes_of_their_parent() {
    explore(|| {
        let (family, clock) = family(8);
        let parent = family.parent().clone();
        parent.command(crate::Command::OpenFor(Duration::from_secs(5)));
        let (mine, other) = (family.breaker(&["old"]), family.breaker(&["new"]));
        clock.advance(Duration::from_secs(5));
        let in_flight = Arc::new(AtomicUsize::new(0));
        let probe = |breaker: &crate::CircuitBreaker, in_flight: &AtomicUsize| {
            let Ok(permit) = breaker.try_acquire() else { return 0 };
            assert_eq!(in_flight.fetch_add(1, Ordering::AcqRel), 0);
            in_flight.fetch_sub(1, Ordering::AcqRel);
            permit.success();
            1
        };
        let count = Arc::clone(&in_flight);
        let thread = thread::spawn(move || probe(&other, &count));
        let probes = probe(&mine, &in_flight);
        let probes = probes + thread.join().unwrap();
        assert!(probes >= 1);
        let seen = parent.snapshot();
        assert_eq!(seen.probes.map(|round| round.successes), Some(probes));
        assert_eq!(seen.counters.in_flight(), 0);
    });
}

/// Two newcomers of one key and of different ones.
#[test]
fn newcomers_agree_on_one_breaker() {
    explore(|| {
        let (family, _) = family(8);
        let family = Arc::new(family);
        let other = Arc::clone(&family);
        let newcomer = thread::spawn(move || fail(&other, "new"));
        let mine = fail(&family, "new");
        let other = newcomer.join().unwrap();
        assert!(std::ptr::eq(&*mine.inner, &*other.inner));
        assert_eq!(family.len(), 2);
    });
}

/// B-2: keys that open together open their parent, and once; whoever counts first.
#[test]
fn b2_keys_that_open_together_open_their_parent_once() {
    explore(|| {
        let (family, _) = family(8);
        let (mine, other) = (family.breaker(&["old"]), family.breaker(&["new"]));
        let fail = |breaker: &crate::CircuitBreaker| {
            breaker.try_acquire().map(|permit| permit.failure(Kind::Timeout)).is_ok()
        };
        for breaker in [&mine, &other] {
            assert!(fail(breaker) && fail(breaker));
        }
        let thread = thread::spawn(move || fail(&other));
        let failed = fail(&mine);
        assert!(failed && thread.join().unwrap());
        let parent = family.parent().snapshot();
        assert_eq!((parent.phase, parent.generation), (crate::PhaseName::Open, 2));
    });
}
