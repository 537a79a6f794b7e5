//! Families: one breaker for each key, bounded, under a parent.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use panelboard::event::{Bus, What};
use panelboard::registry::FamilyOptions;
use panelboard::{
    Catalog, Cause, CircuitBreaker, Clock, Command, Family, Kind, ManualClock, Mode, Order,
    PhaseName, Reason, Registry, Settings, presets,
};

const MINUTE: Duration = Duration::from_secs(60);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Opens at two failures in a row, for 5 s.
fn catalog() -> Catalog {
    let jitter = panelboard::Jitter::None;
    let defaults = Settings::builder().failure_threshold(2).success_threshold(2).jitter(jitter);
    Catalog { defaults: defaults.build().unwrap(), ..Catalog::default() }
}

fn family(options: FamilyOptions) -> (Registry, Family, ManualClock) {
    let clock = ManualClock::new();
    let registry = Registry::with(&catalog(), Clock::from(clock.clone()), Bus::new());
    let family = registry.keyed_with("llm", options);
    (registry, family, clock)
}

fn succeed(family: &Family, key: &str) {
    family.breaker(&[key]).call(|| Ok::<_, ()>(())).unwrap();
}

fn fail(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().failure(Kind::Timeout);
    }
}

fn open(family: &Family, key: &str) -> CircuitBreaker {
    let breaker = family.breaker(&[key]);
    fail(&breaker, 2);
    assert_eq!(breaker.phase(), PhaseName::Open);
    breaker
}

// ===== eviction =====

#[test]
fn only_clean_idle_breakers_that_nobody_holds_are_evicted() {
    let (_, family, clock) = family(FamilyOptions::new().roll_up(false));
    succeed(&family, "clean");
    let held = family.breaker(&["held"]);
    held.call(|| Ok::<_, ()>(())).unwrap();
    drop(open(&family, "open"));
    family.breaker(&["forced"]).command(Command::Observe(MINUTE * 60));
    // Streaks do not grow old: the next failure opens, and for a new breaker it would not.
    fail(&family.breaker(&["streak"]), 1);
    let call = family.breaker(&["called"]).try_acquire_owned(None).unwrap();
    assert_eq!((family.len(), family.evict_idle()), (6, 0));
    clock.advance(MINUTE * 10);
    assert_eq!(family.evict_idle(), 0, "not idle for more than 10 minutes yet");
    clock.advance(secs(2));
    succeed(&family, "young");
    assert_eq!((family.evict_idle(), family.len()), (1, 6));
    assert!(family.get(&["clean"]).is_none());
    for key in ["held", "open", "forced", "streak", "called", "young"] {
        assert!(family.get(&[key]).is_some(), "{key}");
    }
    drop((held, call));
    clock.advance(MINUTE * 70);
    // The override has run out; the one that is open waits for a probe, whoever has not come.
    assert_eq!((family.evict_idle(), family.len()), (4, 2));
    assert!(family.get(&["open"]).is_some() && family.get(&["streak"]).is_some());
    assert_eq!(family.evicted().0, 5);
    assert_eq!((family.evicted().1.success, family.evicted().1.neutral), (3, 1));
}

/// An evicted key comes back as it was: a new breaker, with nothing against it.
#[test]
fn a_key_that_comes_back_after_eviction_has_a_new_breaker() {
    let (registry, family, clock) = family(FamilyOptions::new().idle(MINUTE));
    let first = family.breaker(&["a"]);
    drop(first);
    clock.advance(MINUTE * 2);
    assert_eq!(registry.evict_idle(), 1);
    assert!(family.is_empty() && registry.find("llm/a").is_none());
    let again = family.breaker(&["a"]);
    assert_eq!((again.snapshot().generation, family.len()), (1, 1));
    assert!(registry.find("llm/a").is_some());
}

/// B-10: whoever is woken by what an eviction notices may use the family.
#[test]
fn b10_a_waker_may_use_the_family_that_evicts() {
    struct Nosy(Family, AtomicUsize);
    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {
            self.0.breaker(&["woken"]);
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (registry, family, clock) = family(FamilyOptions::new());
    family.breaker(&["a"]).command(Command::Observe(MINUTE));
    clock.advance(MINUTE * 20);
    let (mut events, nosy) =
        (registry.subscribe(), Arc::new(Nosy(family.clone(), AtomicUsize::new(0))));
    let waker = Waker::from(Arc::clone(&nosy));
    let mut next = pin!(events.next());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(family.evict_idle(), 1);
    assert_eq!(nosy.1.load(Ordering::Relaxed), 1);
    assert!(family.get(&["woken"]).is_some() && family.get(&["a"]).is_none());
}

// ===== the bound =====

#[test]
fn a_new_key_takes_the_place_of_an_idle_one_or_shares_the_overflow_breaker() {
    let (registry, family, clock) = family(FamilyOptions::new().max_keys(2).roll_up(false));
    succeed(&family, "a");
    succeed(&family, "b");
    let overflow = family.breaker(&["c"]);
    assert_eq!(&**overflow.name(), "llm/(overflow)");
    assert_eq!(registry.find("llm/(overflow)").unwrap().name(), overflow.name());
    // It protects whoever shares it, and has its own evidence.
    fail(&overflow, 2);
    assert!(family.breaker(&["d"]).try_acquire().is_err());
    assert!(family.breaker(&["a"]).try_acquire().is_ok());
    // As soon as there is room, keys get their own.
    clock.advance(MINUTE * 9);
    succeed(&family, "b");
    clock.advance(MINUTE * 2);
    let own = family.breaker(&["c"]);
    assert_eq!((&**own.name(), family.len()), ("llm/c", 2));
    assert!(own.try_acquire().is_ok());
    assert!(family.get(&["a"]).is_none() && family.get(&["b"]).is_some());
    assert_eq!(&**family.breaker(&["d"]).name(), "llm/(overflow)", "full again");
    // More room by order, and less: nobody loses a breaker for it.
    family.set_max_keys(4);
    assert_eq!(&**family.breaker(&["d"]).name(), "llm/d");
    family.set_max_keys(1);
    assert_eq!((family.len(), &**family.breaker(&["e"]).name()), (3, "llm/(overflow)"));
    clock.advance(MINUTE * 11);
    drop(own);
    assert_eq!((family.evict_idle(), &**family.breaker(&["e"]).name()), (3, "llm/e"));
}

/// A flood of made-up keys costs each of them a look at a few members, and then not even that.
#[test]
fn a_flood_of_new_keys_evicts_nobody_who_is_needed() {
    let (_, family, clock) = family(FamilyOptions::new().max_keys(100));
    let keys: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    for key in &keys {
        succeed(&family, key);
    }
    for n in 100..10_000 {
        let breaker = family.breaker(&[&n.to_string()]);
        assert_eq!(&**breaker.name(), "llm/(overflow)");
        if n % 100 == 0 {
            clock.advance(secs(1));
        }
    }
    assert!(keys.iter().all(|key| family.get(&[key]).is_some()));
    assert_eq!(family.breakers().len(), 101);
}

/// B-11, B-2: nothing is lost when a breaker that began small grows under several threads, nor when
/// the family is evicted from meanwhile.
#[test]
fn b11_threads_that_share_keys_lose_nothing() {
    const THREADS: usize = 4;
    const CALLS: usize = 20_000;
    let registry = Registry::new();
    let options = FamilyOptions::new().idle(Duration::ZERO).max_keys(4);
    let family = registry.keyed_with("threads", options);
    let start = std::sync::Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (family, start) = (&family, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..CALLS {
                    let key = (n / 3 % 6).to_string();
                    match (n + thread) % 16 {
                        0 => drop(family.breaker(&[&key]).try_acquire().unwrap()),
                        1 => assert!(family.evict_idle() <= 6),
                        _ => succeed(family, &key),
                    }
                }
            });
        }
    });
    let mut sum = family.evicted().1;
    for breaker in family.breakers() {
        sum.add(&breaker.snapshot().counters);
    }
    let calls = (THREADS * CALLS) as u64;
    let (neutral, evictions) = (calls / 16, calls / 16);
    assert_eq!((sum.admitted, sum.in_flight()), (calls - evictions, 0));
    assert_eq!((sum.neutral, sum.success), (neutral, calls - evictions - neutral));
    assert!(family.len() <= 4);
}

// ===== keys and settings =====

#[test]
fn parts_with_slashes_do_not_run_together() {
    let (registry, family, _) = family(FamilyOptions::new());
    let (one, other) = (family.breaker(&["a/b", "c"]), family.breaker(&["a", "b/c"]));
    assert_eq!((&**one.name(), &**other.name()), ("llm/a%2Fb/c", "llm/a/b%2Fc"));
    fail(&one, 2);
    assert_eq!(other.phase(), PhaseName::Closed);
    assert_eq!(registry.find("llm/a%2Fb/c").unwrap().phase(), PhaseName::Open);
    assert_eq!(&**family.breaker(&["100%", ""]).name(), "llm/100%25/");
}

#[test]
fn rules_in_code_come_after_those_of_the_configuration_and_outlive_it() {
    let threshold = |n| Settings::builder().failure_threshold(n).build().unwrap();
    let options = FamilyOptions::new().rule("org/model*", threshold(7)).rule("*", threshold(8));
    let (registry, family, _) = family(options);
    let models = family.breaker(&["org/model-1"]);
    let other = family.breaker(&["other"]);
    let threshold_of = |breaker: &CircuitBreaker| breaker.snapshot().settings.failure_threshold();
    assert_eq!((threshold_of(&models), threshold_of(&other)), (Some(7), Some(8)));
    let mut changed = catalog();
    let rule = |pattern: &str, n| panelboard_core::catalog::KeyRule {
        pattern: pattern.into(),
        settings: threshold(n),
    };
    changed.keys.insert("llm".into(), vec![rule("*1", 9)]);
    registry.apply(&changed);
    assert_eq!((threshold_of(&models), threshold_of(&other)), (Some(9), Some(8)));
    changed.enabled = false;
    registry.apply(&changed);
    assert_eq!(family.breaker(&["new"]).snapshot().mode, Mode::ForcedClosed);
}

#[test]
fn settings_in_code_are_for_parent_and_keys_until_configuration_names_the_circuit() {
    let registry = Registry::new();
    let strict = Settings::builder().failure_threshold(2).build().unwrap();
    let options = FamilyOptions::new().settings(strict);
    let models = registry.keyed_with("models", options.clone());
    let model = models.breaker(&["a"]);
    assert_eq!((models.parent().settings(), model.settings()), (strict, strict));
    registry.apply(&Catalog::default());
    assert_eq!(model.settings(), strict, "configuration does not name it");

    let mut catalog = Catalog::default();
    let lenient = Settings::builder().failure_threshold(50).build().unwrap();
    catalog.circuits.insert("models".into(), lenient);
    registry.apply(&catalog);
    assert_eq!((models.parent().settings(), model.settings()), (lenient, lenient));
    let fresh = Registry::from_config(&catalog).keyed_with("models", options);
    assert_eq!(fresh.breaker(&["a"]).settings(), lenient);
}

// ===== the parent =====

/// Three of five busy keys: the parent opens, refuses all keys, and recovers by probes of its own.
#[test]
fn the_parent_opens_with_most_of_its_busy_children_and_recovers() {
    let (registry, family, clock) = family(FamilyOptions::new());
    let mut events = registry.subscribe();
    for idle in ["x", "y", "z"] {
        succeed(&family, idle);
    }
    clock.advance(MINUTE);
    for key in ["d", "e"] {
        succeed(&family, key);
    }
    let parent = registry.breaker("llm");
    open(&family, "a");
    open(&family, "b");
    assert_eq!(parent.phase(), PhaseName::Closed, "two of four busy ones");
    let c = family.breaker(&["c"]);
    fail(&c, 2);
    let snapshot = parent.snapshot();
    assert_eq!(snapshot.phase, PhaseName::Open);
    assert_eq!(snapshot.last.as_ref().unwrap().transition.cause.name(), "children_open");
    let text = snapshot.explain();
    assert!(text.contains("3 of 5 busy children are open."), "{text}");
    assert!(text.ends_with("It has a circuit for each key: 8 so far, 3 of them open."), "{text}");

    // Every key is refused in the parent's name, one never heard of included.
    for key in ["d", "x", "new"] {
        let refused = family.breaker(&[key]).try_acquire().unwrap_err();
        assert_eq!((&**refused.name(), refused.reason()), ("llm", Reason::Open), "{key}");
        assert_eq!(refused.retry_after(), secs(5));
    }
    assert_eq!(family.breaker(&["new"]).snapshot().rejected(), 1);

    // One probe at a time, whatever the key.
    clock.advance(secs(5));
    let (d, e) = (family.breaker(&["d"]), family.breaker(&["e"]));
    let probe = d.try_acquire().unwrap();
    let refused = e.try_acquire().unwrap_err();
    assert_eq!((&**refused.name(), refused.reason()), ("llm", Reason::Probing));
    probe.success();
    assert_eq!(parent.snapshot().probes.unwrap().successes, 1);
    // An abandoned one gives its slot back.
    drop(e.try_acquire().unwrap());
    e.call(|| Ok::<_, ()>(())).unwrap();
    assert_eq!(parent.phase(), PhaseName::Closed);
    // The open children go on by themselves.
    assert!(d.try_acquire().is_ok());
    assert_eq!(c.snapshot().phase, PhaseName::HalfOpen);
    let counters = e.snapshot().counters;
    assert_eq!((counters.admitted, counters.success, counters.neutral), (3, 2, 1));
    assert_eq!(counters.in_flight(), 0);

    let mut parents = Vec::new();
    while let Some(event) = events.try_next().unwrap() {
        if let What::Transition { to, cause, .. } = event.what
            && &*event.circuit == "llm"
        {
            parents.push((to, cause.name()));
        }
    }
    let expected = [
        (PhaseName::Open, "children_open"),
        (PhaseName::HalfOpen, "recovery_due"),
        (PhaseName::Closed, "probes_succeeded"),
    ];
    assert_eq!(parents, expected);
}

/// A probe that fails reopens the parent, for longer; and it is a failure of its key as well.
#[test]
fn a_failed_probe_reopens_the_parent_and_counts_for_its_key() {
    let (_, family, clock) = family(FamilyOptions::new());
    succeed(&family, "c");
    open(&family, "a");
    open(&family, "b");
    let parent = family.parent();
    assert_eq!(parent.phase(), PhaseName::Open);
    clock.advance(secs(5));
    let c = family.breaker(&["c"]);
    let mut permit = c.try_acquire_owned(None).unwrap();
    permit.mark_slow();
    permit.renew(MINUTE);
    permit.failure(Kind::Timeout);
    let snapshot = parent.snapshot();
    assert_eq!((snapshot.phase, snapshot.failed_recoveries), (PhaseName::Open, 1));
    assert_eq!(snapshot.opens_for, Some(secs(10)));
    assert_eq!(c.snapshot().streak, 1);
    // Keys that are open themselves refuse in their own name, and take no slot of the parent's.
    clock.advance(secs(10));
    let a = family.breaker(&["a"]);
    let probe = a.try_acquire().unwrap();
    assert!(probe.is_probe(), "of both");
    probe.failure(Kind::Timeout);
    assert_eq!(a.snapshot().phase, PhaseName::Open);
    assert_eq!(parent.snapshot().failed_recoveries, 2);
}

/// A rate limit of one key's is proof of life, but holds back no other.
#[test]
fn pushback_on_a_probe_paces_its_key_alone() {
    let (_, family, clock) = family(FamilyOptions::new());
    open(&family, "a");
    open(&family, "b");
    clock.advance(secs(5));
    let c = family.breaker(&["c"]);
    c.try_acquire().unwrap().pushback(Some(MINUTE));
    assert_eq!(c.try_acquire().unwrap_err().reason(), Reason::Paced);
    assert_eq!(family.parent().snapshot().phase, PhaseName::HalfOpen);
    for _ in 0..2 {
        succeed(&family, "d");
    }
    assert_eq!(family.parent().phase(), PhaseName::Closed);
    succeed(&family, "e");
}

/// What a key's operator has ordered stands above the parent, and a shadow refuses nobody.
#[test]
fn a_key_that_observes_or_is_forced_does_not_ask_the_parent() {
    let (_, family, _) = family(FamilyOptions::new());
    let (forced, observing) = (family.breaker(&["forced"]), family.breaker(&["observing"]));
    forced.command(Command::ForceClosed(MINUTE));
    observing.command(Command::Observe(MINUTE));
    open(&family, "a");
    open(&family, "b");
    assert_eq!(family.parent().phase(), PhaseName::Open);
    assert!(forced.try_acquire().is_ok() && observing.try_acquire().is_ok());
    assert!(family.breaker(&["c"]).try_acquire().is_err());
    // Closing the family closes its parent.
    family.command_by(Command::Reset, &Order::new("ops", "fixed"));
    assert!(family.breaker(&["c"]).try_acquire().is_ok());
}

#[test]
fn one_key_ordered_open_and_roll_up_off_leave_the_parent_closed() {
    let (_, one, _) = family(FamilyOptions::new());
    open(&one, "a");
    assert_eq!(one.parent().phase(), PhaseName::Closed, "one key speaks for itself");
    one.breaker(&["b"]).command(Command::Trip);
    assert_eq!(one.parent().phase(), PhaseName::Closed, "an order is no evidence");
    let (_, off, _) = family(FamilyOptions::new().roll_up(false));
    open(&off, "a");
    open(&off, "b");
    assert_eq!(off.parent().phase(), PhaseName::Closed);
    assert!(off.breaker(&["c"]).try_acquire().is_ok());
}

/// Children that were open before the parent recovered do not open it again by themselves.
#[test]
fn the_parent_does_not_flap_on_what_it_has_recovered_from() {
    let (_, family, clock) = family(FamilyOptions::new());
    for key in ["d", "e"] {
        succeed(&family, key);
    }
    for key in ["a", "b", "c"] {
        open(&family, key);
    }
    clock.advance(secs(5));
    for key in ["d", "e"] {
        succeed(&family, key);
    }
    let parent = family.parent();
    assert_eq!(parent.phase(), PhaseName::Closed);
    let generation = parent.snapshot().generation;
    // Two of the three fail their own probes: news, but not yet of most that are busy.
    fail(&family.breaker(&["a"]), 1);
    fail(&family.breaker(&["b"]), 1);
    assert_eq!(parent.snapshot().generation, generation);
    // All three: it has not recovered, and waits for longer.
    fail(&family.breaker(&["c"]), 1);
    let snapshot = parent.snapshot();
    assert_eq!((snapshot.phase, snapshot.opens_for), (PhaseName::Open, Some(secs(10))));
    assert!(matches!(snapshot.last.unwrap().transition.cause, Cause::ChildrenOpen(_)));
}

/// Windows over calls and breakers without a window have busy children, too.
#[test]
fn the_parent_opens_whatever_window_its_children_have() {
    let streak = Settings::builder().failure_threshold(2).failure_rate(None).build().unwrap();
    for settings in [streak, presets::llm().failure_threshold(2).build().unwrap()] {
        let mut catalog = catalog();
        catalog.circuits.insert("llm".into(), settings);
        let family = Registry::from_config(&catalog).keyed("llm");
        for busy in ["d", "e"] {
            succeed(&family, busy);
        }
        open(&family, "a");
        open(&family, "b");
        assert_eq!(family.parent().phase(), PhaseName::Closed, "{settings:?}");
        open(&family, "c");
        assert_eq!(family.parent().phase(), PhaseName::Open, "{settings:?}");
    }
}
