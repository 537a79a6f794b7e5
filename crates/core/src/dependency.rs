//! Cascades: one outage shall trip one breaker.
//!
//! While a breaker that this one depends on is open, this one's failures are excused: they are
//! neutral, and counted apart. And its recovery waits, for probes would tell nothing: they are
//! refused with [`Reason::Dependency`](crate::Reason::Dependency).
//!
//! What is slow is not excused: a dependency that is open refuses at once.
//!
//! Half-open is not open. The dependency's own probes may be calls that come by way of this
//! breaker, and a dependency that nobody probes must not excuse failures for ever.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::{End, Mode, Outcome, PhaseName, Settings, Speed, State, Tick};

/// A dependency is open.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct OpenDependency {
    /// For how much longer, if that is known.
    pub wait: Option<Duration>,
}

/// Which circuits depend on which, without circles.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DependsOn {
    direct: BTreeMap<String, Vec<String>>,
}

/// Circuits that depend on each other in a circle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DependencyCycle {
    names: Vec<String>,
}

// ===== impl OpenDependency =====

impl OpenDependency {
    /// Whether a breaker is open as a dependency of others: it refuses calls, or would if it did not
    /// merely observe, for something is wrong or an operator says so. As of its last look.
    pub fn of(state: &State, settings: &Settings, now: Tick) -> Option<OpenDependency> {
        let until = match state.mode(settings) {
            Mode::ForcedOpen => state.override_until(),
            Mode::Auto | Mode::Observe if state.phase() == PhaseName::Open => {
                state.refuses_until(settings, now)
            }
            Mode::Auto | Mode::Observe | Mode::ForcedClosed => return None,
        };
        Some(OpenDependency { wait: until.map(|until| until.until_from(now)) })
    }

    /// Of two open dependencies, both must be waited for.
    #[must_use]
    pub fn and(self, other: OpenDependency) -> OpenDependency {
        OpenDependency { wait: self.wait.max(other.wait) }
    }

    /// Whether it excuses this outcome.
    pub fn excuses(outcome: Outcome) -> bool {
        matches!(outcome, Outcome::Failure { .. })
    }
}

impl End {
    /// What an excused failure counts as.
    pub const EXCUSED: End = End { outcome: Outcome::Neutral, speed: Speed::Unjudged, took: None };
}

// ===== impl DependsOn =====

impl DependsOn {
    /// For each circuit, those that it depends on directly.
    ///
    /// # Errors
    /// When some of them depend on themselves, by whatever way.
    pub fn new(direct: BTreeMap<String, Vec<String>>) -> Result<DependsOn, DependencyCycle> {
        match find_cycle(&direct) {
            Some(names) => Err(DependencyCycle { names }),
            None => Ok(DependsOn { direct }),
        }
    }

    /// Every circuit that depends on another, or that another depends on; some more than once.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.direct.iter().flat_map(|(name, on)| core::iter::once(name).chain(on))
    }

    /// Those that a circuit depends on directly.
    pub fn direct(&self, name: &str) -> &[String] {
        self.direct.get(name).map_or(&[], Vec::as_slice)
    }

    /// Those that a circuit depends on directly, and those that they depend on, and so on; each
    /// once, the nearer first.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        let mut next = 0;
        let mut from = name;
        loop {
            for on in self.direct(from) {
                if !all.contains(&on.as_str()) {
                    all.push(on);
                }
            }
            match all.get(next) {
                Some(name) => from = name,
                None => return all,
            }
            next += 1;
        }
    }
}

impl DependencyCycle {
    /// The circuits of the circle, in order; the last depends on the first.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl fmt::Display for DependencyCycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [name] = self.names.as_slice() {
            return write!(f, "`{name}` depends on itself");
        }
        f.write_str("circuits depend on each other in a circle: ")?;
        for name in &self.names {
            write!(f, "{name} → ")?;
        }
        f.write_str(self.names.first().map_or("", String::as_str))
    }
}

impl core::error::Error for DependencyCycle {}

/// The names of one circle, if there is any. Keeps its own stack, so no chain is too long.
fn find_cycle(direct: &BTreeMap<String, Vec<String>>) -> Option<Vec<String>> {
    // Under way, with how many of its dependencies have been looked at; or done with.
    let mut path: Vec<(&str, usize)> = Vec::new();
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for start in direct.keys() {
        if done.contains_key(start.as_str()) {
            continue;
        }
        path.push((start, 0));
        done.insert(start, false);
        while let Some((name, looked_at)) = path.last_mut() {
            let on = direct.get(*name).and_then(|on| on.get(*looked_at));
            let Some(on) = on else {
                done.insert(name, true);
                path.pop();
                continue;
            };
            *looked_at += 1;
            match done.get(on.as_str()) {
                Some(true) => {}
                Some(false) => {
                    let names = path.iter().skip_while(|(name, _)| name != on);
                    return Some(names.map(|(name, _)| String::from(*name)).collect());
                }
                None => {
                    done.insert(on, false);
                    path.push((on, 0));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Kind};
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;

    fn graph(edges: &[(&str, &[&str])]) -> Result<DependsOn, DependencyCycle> {
        let owned = |on: &&[&str]| on.iter().map(ToString::to_string).collect();
        DependsOn::new(edges.iter().map(|(name, on)| (name.to_string(), owned(on))).collect())
    }

    /// Only what would count against this breaker needs an excuse; the rest keeps its meaning.
    #[test]
    fn failures_are_excused_and_nothing_else() {
        assert!(OpenDependency::excuses(Outcome::failure(Kind::Timeout)));
        for outcome in [Outcome::Success, Outcome::Neutral, Outcome::pushback(None)] {
            assert!(!OpenDependency::excuses(outcome), "{outcome:?}");
        }
    }

    #[test]
    fn circles_are_found_wherever_they_are_and_named() {
        let circle = |edges| graph(edges).unwrap_err().to_string();
        assert_eq!(circle(&[("a", &["a"])]), "`a` depends on itself");
        assert_eq!(
            circle(&[("a", &["b"]), ("b", &["x", "c"]), ("c", &["d"]), ("d", &["b"]), ("x", &[])]),
            "circuits depend on each other in a circle: b → c → d → b"
        );
        assert!(graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]).is_ok(), "no circle");
    }

    #[test]
    fn what_dependencies_depend_on_counts_too() {
        let edges: &[(&str, &[&str])] =
            &[("api", &["auth", "cache"]), ("auth", &["db"]), ("cache", &["db"]), ("db", &[])];
        let graph = graph(edges).unwrap();
        assert_eq!(graph.all("api"), ["auth", "cache", "db"]);
        assert_eq!(graph.direct("api"), ["auth", "cache"]);
        assert!(graph.all("db").is_empty() && graph.all("nobody").is_empty());
    }

    #[test]
    fn a_long_chain_is_no_trouble() {
        let mut direct: BTreeMap<String, Vec<String>> =
            (0..100_000).map(|n| (format!("{n}"), vec![format!("{}", n + 1)])).collect();
        assert!(DependsOn::new(direct.clone()).is_ok());
        direct.insert("100000".into(), vec!["0".into()]);
        assert_eq!(DependsOn::new(direct).unwrap_err().names().len(), 100_001);
    }

    #[test]
    fn a_dependency_is_open_while_it_refuses_or_would() {
        let secs = Duration::from_secs;
        let settings = Settings::default();
        let open = |commands: &[Command], after: u64| {
            let mut state = State::new(0, Tick::ZERO);
            let (mut log, now) = (Vec::new(), Tick::ZERO.after(secs(after)));
            for command in commands {
                state.command(&settings, Tick::ZERO, *command, &mut log);
            }
            state.look(&settings, now, &mut log);
            OpenDependency::of(&state, &settings, now)
        };
        let for_ = |n| Some(OpenDependency { wait: Some(secs(n)) });
        assert_eq!(open(&[], 0), None);
        assert_eq!(open(&[Command::OpenFor(secs(9))], 2), for_(7));
        assert_eq!(open(&[Command::OpenFor(secs(9))], 9), None, "half-open is not open");
        assert_eq!(open(&[Command::ForceOpen(secs(9))], 2), for_(7));
        let observed = [Command::OpenFor(secs(9)), Command::Observe(secs(99))];
        assert_eq!(open(&observed, 2), for_(7), "it would refuse");
        let overruled = [Command::OpenFor(secs(9)), Command::ForceClosed(secs(99))];
        assert_eq!(open(&overruled, 2), None);
        let settings = Settings::builder().mode(Mode::ForcedOpen).build().unwrap();
        let forced = OpenDependency::of(&State::new(0, Tick::ZERO), &settings, Tick::ZERO);
        assert_eq!(forced, Some(OpenDependency { wait: None }), "for ever");
        assert_eq!(for_(3).unwrap().and(forced.unwrap()), for_(3).unwrap());
    }

    /// Whoever is told to wait must not come back at once to be told again.
    #[test]
    fn a_dependency_that_awaits_health_is_open_until_it_may_be_heard_of() {
        let secs = Duration::from_secs;
        let at = |n| Tick::ZERO.after(secs(n));
        let settings = Settings::builder().health_check(secs(20)).build().unwrap();
        let mut state = State::new(0, Tick::ZERO);
        state.command(&settings, at(0), Command::OpenFor(secs(9)), &mut Vec::new());
        for (now, wait) in [(2, 7), (9, 20), (28, 1), (29, 20)] {
            let open = OpenDependency::of(&state, &settings, at(now));
            assert_eq!(open, Some(OpenDependency { wait: Some(secs(wait)) }), "at {now}");
        }
    }
}
