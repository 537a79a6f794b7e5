//! The registry: one breaker for a name, and configuration that changes under its holders.

use std::sync::Arc;
use std::time::Duration;

use panelboard::event::{Bus, What};
use panelboard::{
    Catalog, CircuitBreaker, Clock, Command, DependsOn, Health, Kind, ManualClock, Mode, Order,
    PhaseName, Registry, Settings, presets,
};
use panelboard_core::catalog::KeyRule;

fn fail(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().failure(Kind::Timeout);
    }
}

fn catalog(threshold: u32) -> Catalog {
    let mut catalog = Catalog::default();
    let settings = Settings::builder().failure_threshold(threshold).build().unwrap();
    catalog.circuits.insert("search".into(), settings);
    catalog.circuits.insert("llm".into(), presets::llm().build().unwrap());
    catalog
}

#[test]
fn a_registry_keeps_one_breaker_for_a_name() {
    let registry = Registry::from_config(&catalog(2));
    let names: Vec<String> = registry.breakers().iter().map(|b| b.name().to_string()).collect();
    assert_eq!(names, ["llm", "search"], "configured circuits are there from the start");
    let (a, b) = (registry.breaker("search"), registry.breaker("search"));
    fail(&a, 2);
    assert_eq!(b.snapshot().phase, PhaseName::Open);
    assert!(registry.get("made up").is_none());
    assert_eq!(registry.breaker("made up").snapshot().settings, Settings::default());
}

/// B-9, and nobody's handle goes stale.
#[test]
fn b9_applying_a_configuration_keeps_state_and_handles() {
    let registry = Registry::from_config(&catalog(5));
    let mut events = registry.subscribe();
    let search = registry.breaker("search");
    fail(&search, 3);
    registry.apply(&catalog(4));
    assert_eq!(search.snapshot().streak, 3);
    fail(&search, 1);
    assert_eq!(search.snapshot().phase, PhaseName::Open);
    let event = events.try_next().unwrap().unwrap();
    assert!(matches!(event.what, What::Reconfigured));
    assert_eq!(&*event.circuit, "search", "and no word of the unchanged one");

    let mut fewer = catalog(4);
    fewer.circuits.remove("search");
    registry.apply(&fewer);
    assert!(registry.get("search").is_none());
    assert_eq!(search.snapshot().phase, PhaseName::Open, "who holds it goes on using it");

    fewer.enabled = false;
    registry.apply(&fewer);
    assert_eq!(registry.breaker("llm").snapshot().mode, Mode::ForcedClosed);
    assert_eq!(registry.breaker("llm").snapshot().health(), Health::Healthy);
}

#[test]
fn a_family_has_a_breaker_for_each_key_up_to_its_bound() {
    let mut catalog = catalog(1);
    let patient = presets::llm().failure_threshold(50).failure_rate(None).build().unwrap();
    let rule = KeyRule { pattern: "*/o1*".into(), settings: patient };
    catalog.keys.insert("llm".into(), vec![rule]);
    let registry = Registry::with(&catalog, Clock::from(ManualClock::new()), Bus::new());
    let family = registry.keyed_up_to("llm", 2);
    let fast = family.breaker(&["openai", "gpt-4o"]);
    assert_eq!(&**fast.name(), "llm/openai/gpt-4o");
    let slow = family.breaker(&["openai", "o1-preview"]);
    assert_eq!(slow.snapshot().settings, patient);
    fail(&slow, 3);
    assert_eq!(slow.snapshot().phase, PhaseName::Closed);
    fail(&fast, 3);
    assert_eq!(fast.snapshot().phase, PhaseName::Open);
    // Beyond the bound all keys share one breaker, and are still protected.
    let (a, b) = (family.breaker(&["x", "1"]), family.breaker(&["x", "2"]));
    assert_eq!((&**a.name(), family.len()), ("llm/(overflow)", 2));
    fail(&a, 3);
    assert_eq!(b.snapshot().phase, PhaseName::Open);
    assert_eq!(family.breaker(&["openai", "gpt-4o"]).snapshot().phase, PhaseName::Open);
    // New settings reach keys and overflow, and keep the state.
    catalog.keys.clear();
    registry.apply(&catalog);
    assert_eq!(slow.snapshot().settings, catalog.settings("llm"));
    assert_eq!(slow.snapshot().streak, 3);
    assert_eq!(registry.find("llm/openai/o1-preview").unwrap().snapshot().streak, 3);
    // A family that is no longer named leaves with all its keys; its holders keep it.
    catalog.circuits.remove("llm");
    registry.apply(&catalog);
    assert!(registry.find("llm/openai/o1-preview").is_none() && registry.families().is_empty());
    assert_eq!((family.len(), slow.snapshot().streak), (2, 3));
}

/// Configurations may come from several places at once: a file that changes and an operator.
#[test]
fn b9_configurations_applied_at_once_leave_every_breaker_on_the_last() {
    let catalogs = [2, 3].map(|threshold| {
        let mut catalog = catalog(threshold);
        for n in 0..100 {
            let settings = Settings::builder().failure_threshold(threshold).build().unwrap();
            catalog.circuits.insert(format!("c{n}"), settings);
        }
        catalog
    });
    let registry = Registry::from_config(&catalogs[0]);
    let family = registry.keyed("search");
    let key = family.breaker(&["known"]);
    for round in 0..500 {
        let start = std::sync::Barrier::new(catalogs.len());
        std::thread::scope(|scope| {
            for catalog in &catalogs {
                let (registry, start) = (&registry, &start);
                scope.spawn(move || {
                    start.wait();
                    registry.apply(catalog);
                });
            }
        });
        let last = registry.catalog();
        let stale: Vec<_> = registry.snapshots();
        let stale: Vec<_> = stale
            .iter()
            .filter(|seen| !seen.name.contains('/') && seen.settings != last.settings(&seen.name))
            .map(|seen| &seen.name)
            .collect();
        assert!(stale.is_empty(), "{stale:?} in round {round}");
        let new = family.breaker(&[&round.to_string()]);
        for key in [&key, &new] {
            assert_eq!(key.snapshot().settings, last.settings("search"), "in round {round}");
        }
    }
}

/// Whoever forces a family open means all of it, and what comes later as well.
#[test]
fn an_order_to_a_family_reaches_every_member_and_those_to_come() {
    let clock = ManualClock::new();
    let registry = Registry::with(&catalog(2), Clock::from(clock.clone()), Bus::new());
    let family = registry.keyed_up_to("llm", 2);
    let (first, order) = (family.breaker(&["a"]), Order::new("ops", "upgrade"));
    let minute = Duration::from_secs(60);
    family.command_by(Command::ForceOpen(minute), &order);
    clock.advance(minute / 2);
    let second = family.breaker(&["b"]);
    let overflow = family.breaker(&["one too many"]);
    for breaker in [&first, &second, &overflow, &registry.breaker("llm")] {
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.mode, Mode::ForcedOpen, "{}", snapshot.name);
        let over = snapshot.override_.unwrap();
        assert_eq!((over.for_, over.order), (minute / 2, Some(order.clone())));
        assert!(breaker.try_acquire().is_err());
    }
    clock.advance(minute / 2);
    assert!([&first, &second, &overflow].iter().all(|breaker| breaker.try_acquire().is_ok()));

    family.command_by(Command::Observe(minute), &order);
    family.command_by(Command::Auto(minute), &order);
    assert_eq!(registry.keyed("llm").breaker(&["a"]).snapshot().mode, Mode::Auto);
    family.command_by(Command::Trip, &order);
    assert_eq!(first.snapshot().phase, PhaseName::Open);
    assert_eq!(registry.breaker("llm").snapshot().phase, PhaseName::Closed, "it guards no call");
    family.command_by(Command::Reset, &order);
    assert_eq!(first.snapshot().phase, PhaseName::Closed);
}

/// A key may come from a request, and two breakers of one name would be two series of one name.
#[test]
fn no_key_can_take_the_overflow_breakers_name() {
    let registry = Registry::from_config(&catalog(2));
    let family = registry.keyed_up_to("llm", 1);
    let named = family.breaker(&["(overflow)"]);
    family.breaker(&["a"]);
    fail(&named, 3);
    let overflow = family.breaker(&["one too many"]);
    assert_eq!((overflow.name(), overflow.phase()), (named.name(), PhaseName::Open));
    assert_eq!(family.breakers().len(), 2);
}

fn depending(edges: &[(&str, &[&str])]) -> Catalog {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let edges = edges.iter().map(|(name, on)| (name.to_string(), owned(on)));
    let depends_on = DependsOn::new(edges.collect()).unwrap();
    let circuits = [(String::from("llm"), Settings::default())].into();
    Catalog { circuits, depends_on, ..Catalog::default() }
}

/// Whether a failure of this breaker is excused now.
fn excused(breaker: &CircuitBreaker) -> bool {
    let before = breaker.snapshot().counters;
    let _ = breaker.call(|| Err::<(), _>("no"));
    let after = breaker.snapshot().counters;
    assert_eq!(after.failure() + after.excused, before.failure() + before.excused + 1);
    after.excused > before.excused
}

#[test]
fn dependencies_are_wired_by_name_through_and_through_and_anew() {
    let registry = Registry::from_config(&depending(&[("api", &["auth"]), ("auth", &["db"])]));
    let [api, auth, db] = ["api", "auth", "db"].map(|name| registry.breaker(name));
    assert!(!excused(&api));
    db.command(Command::OpenFor(Duration::from_secs(60)));
    assert!(excused(&api) && excused(&auth), "one outage trips one breaker");
    db.command(Command::ForceClosed(Duration::from_secs(60)));
    assert!(!excused(&api), "an operator overrules it");
    auth.command(Command::ForceOpen(Duration::from_secs(60)));
    assert!(excused(&api) && excused(&api));

    // The other way round: what was a circle for a moment must be none in the end.
    registry.apply(&depending(&[("db", &["auth"]), ("auth", &["api"])]));
    assert!(!excused(&api));
    assert!(excused(&db));
    registry.apply(&depending(&[]));
    assert!(!excused(&registry.breaker("db")));
    assert!(db.snapshot().dependencies.is_empty());
}

#[test]
fn members_of_a_family_depend_on_what_the_family_depends_on() {
    let registry = Registry::from_config(&depending(&[("llm", &["vault"])]));
    let family = registry.keyed_up_to("llm", 1);
    let early = family.breaker(&["openai"]);
    registry.breaker("vault").command(Command::ForceOpen(Duration::from_secs(60)));
    assert!(excused(&early) && excused(&family.breaker(&["over", "flow"])));
    registry.apply(&depending(&[]));
    assert!(!excused(&early) && !excused(&family.breaker(&["over", "flow"])));
}

/// A circle in code is an error of the catalog's, so that no registry ever sees one.
#[test]
fn a_circle_cannot_be_built() {
    let circle = [("a".into(), vec!["b".into()]), ("b".into(), vec!["a".into()])];
    let error = DependsOn::new(circle.into()).unwrap_err();
    assert_eq!(error.to_string(), "circuits depend on each other in a circle: a → b → a");
}

/// Whoever depends keeps its dependency alive, and is kept alive by nobody in turn.
#[test]
fn dependencies_leak_no_breakers() {
    let bus = Bus::new();
    let shared = || Arc::strong_count(&bus);
    let bare = shared();
    let db = CircuitBreaker::builder("db").bus(Arc::clone(&bus)).build();
    let auth = CircuitBreaker::builder("auth").bus(Arc::clone(&bus)).depends_on([&db]).build();
    let api = CircuitBreaker::builder("api").bus(Arc::clone(&bus)).depends_on([&auth, &db]).build();
    let names: Vec<String> =
        api.snapshot().dependencies.iter().map(|d| d.name.to_string()).collect();
    assert_eq!(names, ["auth", "db"], "each once");
    drop((db, auth));
    assert_eq!(shared(), bare + 3);
    drop(api);
    assert_eq!(shared(), bare);

    let registry = Registry::with(&depending(&[("a", &["b"])]), Clock::default(), Arc::clone(&bus));
    registry.apply(&depending(&[("b", &["a"])]));
    drop(registry);
    assert_eq!(shared(), bare);
}

#[test]
fn settings_in_source_code_last_until_configuration_says_otherwise() {
    let settings = |failures| Settings::builder().failure_threshold(failures).build().unwrap();
    let registry = Registry::new();
    let breaker = registry.breaker_with("declared", settings(7));
    let threshold = || breaker.snapshot().settings.failure_threshold();
    assert_eq!(threshold(), Some(7));
    let mut catalog = Catalog::default();
    registry.apply(&catalog);
    assert_eq!(threshold(), Some(7), "configuration does not name it");
    catalog.circuits.insert("declared".into(), settings(2));
    registry.apply(&catalog);
    assert_eq!(threshold(), Some(2));
    registry.breaker_with("declared", settings(9));
    assert_eq!(threshold(), Some(2), "configuration wins");
    registry.apply(&Catalog::default());
    assert_eq!(threshold(), Some(7), "and when it is silent again, the first who spoke does");
    catalog.enabled = false;
    registry.apply(&catalog);
    assert_eq!(breaker.snapshot().mode, Mode::ForcedClosed);
    assert!(registry.get("declared").is_some(), "it never leaves");
}
