//! The scenarios in `conformance/`, played to the reference and to the lock-free breaker.
//!
//! [`Face`] is what a scenario needs of a breaker; another face plays the same files.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use panelboard::event::{Subscription, What};
use panelboard::{
    CircuitBreaker, Command, HealthReport, Kind, ManualClock, OpenDependency, Outcome, OwnedPermit,
    PhaseName, Ratio, Settings, Tick,
};
use panelboard_config::{Input as ConfigInput, Source, check, duration_from_json};
use panelboard_core::machine::{Input, Machine};
use panelboard_core::state::Role;
use panelboard_core::{Change, Decision, End as Ended, Speed, Ticket, Transition, adaptive};
use serde::Deserialize;

// ===== scenarios =====

#[derive(Deserialize)]
struct Scenario {
    title: String,
    source: String,
    trace: Vec<String>,
    step: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    at: Option<Time>,
    repeat: Option<u32>,
    acquire: Option<String>,
    lease: Option<Time>,
    expect: Option<String>,
    reason: Option<String>,
    record: Option<String>,
    outcome: Option<String>,
    kind: Option<String>,
    retry_after: Option<Time>,
    drop: Option<String>,
    panic: Option<String>,
    mark_slow: Option<String>,
    command: Option<String>,
    health: Option<String>,
    upstream: Option<String>,
    #[serde(rename = "for")]
    for_: Option<Time>,
    see: Option<See>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct See {
    state: Option<String>,
    generation: Option<u64>,
    mode: Option<String>,
    consecutive_failures: Option<u32>,
    opens_for: Option<Time>,
    probes_in_flight: Option<u32>,
    late: Option<u64>,
    success: Option<u64>,
    failure: Option<u64>,
    slow: Option<u64>,
    would_reject: Option<u64>,
    excused: Option<u64>,
    failure_threshold: Option<u32>,
    failure_rate: Option<f64>,
    ramp: Option<String>,
    throttled: Option<String>,
}

/// A duration as in configuration.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Time(Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Time, String> {
        match text.as_str() {
            "0s" => Ok(Time(Duration::ZERO)),
            _ => duration_from_json(&text.into()).map(Time),
        }
    }
}

// ===== faces =====

/// What a breaker looks like, as far as scenarios ask.
struct View {
    state: PhaseName,
    generation: u64,
    mode: &'static str,
    consecutive_failures: u32,
    opens_for: Option<Duration>,
    probes_in_flight: u32,
    late: u64,
    success: u64,
    failure: u64,
    slow: u64,
    would_reject: u64,
    excused: u64,
    /// In force.
    failure_threshold: Option<u32>,
    /// In force.
    failure_rate: Option<f64>,
    ramp: Option<Ratio>,
    throttled: Option<Ratio>,
}

/// The answer to a call that wants through.
#[derive(PartialEq, Debug)]
enum Answer {
    Admitted,
    Probe,
    Rejected { reason: &'static str, retry_after: Duration },
}

/// How a call ends.
#[derive(Copy, Clone)]
enum End {
    Outcome(Outcome),
    Dropped,
    Panicked,
}

/// A breaker under a scenario.
trait Face {
    fn set_time(&mut self, now: Duration);
    fn acquire(&mut self, call: &str, lease: Option<Duration>) -> Answer;
    fn end(&mut self, call: &str, end: End);
    fn mark_slow(&mut self, call: &str);
    fn command(&mut self, command: Command);
    /// Orders something of the circuit called `upstream`, on which the subject depends.
    fn command_upstream(&mut self, command: Command);
    fn view(&mut self) -> View;
    fn transitions(&mut self) -> Vec<Transition>;
}

/// The lock-free breaker, by permits.
struct Shell {
    clock: ManualClock,
    breaker: CircuitBreaker,
    upstream: Option<CircuitBreaker>,
    events: Subscription,
    calls: HashMap<String, OwnedPermit>,
}

impl Shell {
    fn new(settings: Settings, upstream: Option<Settings>) -> Shell {
        let clock = ManualClock::new();
        let builder = |name, settings| {
            CircuitBreaker::builder(name).settings(settings).clock(clock.clone()).seed(1)
        };
        let upstream = upstream.map(|settings| builder("upstream", settings).build());
        let breaker = builder("subject", settings).depends_on(&upstream).build();
        let (events, calls) = (breaker.subscribe(), HashMap::new());
        Shell { clock, breaker, upstream, events, calls }
    }
}

impl Face for Shell {
    fn set_time(&mut self, now: Duration) {
        self.clock.set(Tick::ZERO.after(now));
    }

    fn acquire(&mut self, call: &str, lease: Option<Duration>) -> Answer {
        match self.breaker.try_acquire_owned(lease) {
            Ok(permit) => {
                let answer = if permit.is_probe() { Answer::Probe } else { Answer::Admitted };
                self.calls.insert(call.to_owned(), permit);
                answer
            }
            Err(rejected) => Answer::Rejected {
                reason: rejected.reason().name(),
                retry_after: rejected.retry_after(),
            },
        }
    }

    fn end(&mut self, call: &str, end: End) {
        let permit = self.calls.remove(call).expect("the call is under way");
        match end {
            End::Outcome(outcome) => permit.record(outcome),
            End::Dropped => drop(permit),
            End::Panicked => {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let _guarded = permit;
                    std::panic::resume_unwind(Box::new("out of order"));
                }));
                assert!(result.is_err(), "the panic goes on");
            }
        }
    }

    fn mark_slow(&mut self, call: &str) {
        self.calls.get_mut(call).expect("the call is under way").mark_slow();
    }

    fn command(&mut self, command: Command) {
        self.breaker.command(command);
    }

    fn command_upstream(&mut self, command: Command) {
        self.upstream.as_ref().expect("it depends on something").command(command);
    }

    fn view(&mut self) -> View {
        let snapshot = self.breaker.snapshot();
        View {
            state: snapshot.phase,
            generation: snapshot.generation,
            mode: snapshot.mode.name(),
            consecutive_failures: snapshot.streak,
            opens_for: snapshot.opens_for,
            probes_in_flight: snapshot.probes.map_or(0, |probes| probes.in_flight),
            late: snapshot.counters.late,
            success: snapshot.counters.success,
            failure: snapshot.counters.failure(),
            slow: snapshot.counters.slow,
            would_reject: snapshot.counters.would_reject,
            excused: snapshot.counters.excused,
            failure_threshold: snapshot.thresholds.streak,
            failure_rate: snapshot.thresholds.failure_rate.map(panelboard::Ratio::as_f64),
            ramp: snapshot.ramp.map(|ramp| ramp.share),
            throttled: snapshot.throttled,
        }
    }

    fn transitions(&mut self) -> Vec<Transition> {
        let mut transitions = Vec::new();
        while let Some(event) = self.events.try_next().expect("few events") {
            if let What::Transition { record, .. } = &event.what {
                transitions.push(record.transition);
            }
        }
        transitions
    }
}

/// The reference in plain values.
struct Reference {
    now: Tick,
    machine: Machine,
    upstream: Option<Machine>,
    transitions: Vec<Transition>,
    calls: HashMap<String, (Ticket, Option<Tick>)>,
}

impl Reference {
    fn new(settings: Settings, upstream: Option<Settings>) -> Reference {
        let machine = |settings| Machine::new(settings, 1, Tick::ZERO);
        let (machine, upstream) = (machine(settings), upstream.map(machine));
        let (transitions, calls) = (Vec::new(), HashMap::new());
        Reference { now: Tick::ZERO, machine, upstream, transitions, calls }
    }

    fn dependency(&mut self) -> Option<OpenDependency> {
        let upstream = self.upstream.as_mut()?;
        upstream.step(self.now, Input::Look);
        OpenDependency::of(upstream.state(), upstream.settings(), self.now)
    }

    fn step(&mut self, input: Input) -> panelboard_core::machine::Step {
        let step = self.machine.step(self.now, input);
        self.transitions.extend(step.changes.iter().filter_map(|change| match change {
            Change::Phase(transition) => Some(*transition),
            Change::Mode(_) => None,
        }));
        step
    }
}

impl Face for Reference {
    fn set_time(&mut self, now: Duration) {
        self.now = Tick::ZERO.after(now);
    }

    fn acquire(&mut self, call: &str, lease: Option<Duration>) -> Answer {
        let lease = lease.unwrap_or(self.machine.settings().lease());
        let dependency = self.dependency();
        match self.step(Input::Acquire { lease, dependency }).decision.expect("a decision") {
            Decision::Admit { ticket, .. } => {
                let started = self.machine.settings().has_slow_rule().then_some(self.now);
                self.calls.insert(call.to_owned(), (ticket, started));
                match ticket.role {
                    Role::Probe(_) => Answer::Probe,
                    Role::Voter | Role::Bystander => Answer::Admitted,
                }
            }
            Decision::Reject { reason, retry_after } => {
                Answer::Rejected { reason: reason.name(), retry_after }
            }
        }
    }

    fn end(&mut self, call: &str, end: End) {
        let (ticket, started) = self.calls.remove(call).expect("the call is under way");
        let outcome = match end {
            End::Outcome(outcome) => outcome,
            End::Dropped => Outcome::Neutral,
            End::Panicked => Outcome::failure(Kind::Panic),
        };
        let speed = match (started, self.machine.settings().slow_call_duration()) {
            (Some(started), Some(bound)) if self.now.since(started) >= bound => Speed::Slow,
            (Some(_), Some(_)) => Speed::Fast,
            _ => Speed::Unjudged,
        };
        let took = started.map(|started| self.now.since(started));
        let (end, dependency) = (Ended { outcome, speed, took }, self.dependency());
        self.step(Input::Settle { ticket, end, dependency });
    }

    fn mark_slow(&mut self, call: &str) {
        let (ticket, started) = self.calls.get_mut(call).expect("the call is under way");
        *started = None;
        let ticket = *ticket;
        self.step(Input::MarkSlow { ticket });
    }

    fn command(&mut self, command: Command) {
        self.step(Input::Command(command));
    }

    fn command_upstream(&mut self, command: Command) {
        let upstream = self.upstream.as_mut().expect("it depends on something");
        upstream.step(self.now, Input::Command(command));
    }

    fn view(&mut self) -> View {
        self.step(Input::Look);
        let (machine, now) = (&self.machine, self.now);
        let (state, counters) = (machine.state(), machine.counters());
        let open_until = state.open_until(machine.settings());
        let tally = machine.evidence().tally(now);
        let thresholds = adaptive::in_force(machine.settings(), state.health(), tally);
        View {
            state: state.phase(),
            generation: state.generation(),
            mode: state.mode(machine.settings()).name(),
            consecutive_failures: machine.evidence().streak(),
            opens_for: open_until.map(|until| until.until_from(now)),
            probes_in_flight: state.round().map_or(0, |round| round.in_flight(now)),
            late: counters.late,
            success: counters.success,
            failure: counters.failure(),
            slow: counters.slow,
            would_reject: counters.would_reject,
            excused: counters.excused,
            failure_threshold: thresholds.streak,
            failure_rate: thresholds.failure_rate.map(panelboard::Ratio::as_f64),
            ramp: state.ramping(machine.settings(), now).map(|step| step.share),
            throttled: state.throttled(machine.settings(), now),
        }
    }

    fn transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }
}

// ===== playing =====

fn play(scenario: &Scenario, face: &mut dyn Face) {
    for (number, step) in scenario.step.iter().enumerate() {
        if let Some(Time(at)) = step.at {
            face.set_time(at);
        }
        for _ in 0..step.repeat.unwrap_or(1) {
            one(step, number + 1, face);
        }
    }
    face.view();
    let seen: Vec<String> = face
        .transitions()
        .iter()
        .map(|t| format!("{} -> {}: {}", t.from, t.to, t.cause.name()))
        .collect();
    assert_eq!(seen, scenario.trace);
}

fn one(step: &Step, number: usize, face: &mut dyn Face) {
    if let Some(call) = &step.acquire {
        let answer = face.acquire(call, step.lease.map(|Time(lease)| lease));
        match (step.expect.as_deref(), &answer) {
            (None | Some("admitted"), Answer::Admitted) | (None | Some("probe"), Answer::Probe) => {
            }
            (Some("rejected"), Answer::Rejected { reason, retry_after }) => {
                if let Some(expected) = &step.reason {
                    assert_eq!(reason, expected, "step {number}");
                }
                if let Some(Time(expected)) = step.retry_after {
                    assert_eq!(*retry_after, expected, "step {number}");
                }
            }
            (expected, answer) => panic!("step {number}: {answer:?}, not {expected:?}"),
        }
    }
    if let Some(call) = &step.record {
        face.end(call, End::Outcome(outcome(step)));
    }
    if let Some(call) = &step.drop {
        face.end(call, End::Dropped);
    }
    if let Some(call) = &step.panic {
        face.end(call, End::Panicked);
    }
    if let Some(call) = &step.mark_slow {
        face.mark_slow(call);
    }
    if let Some(name) = &step.command {
        face.command(command(name, step.for_.map(|Time(time)| time)));
    }
    if let Some(name) = &step.health {
        let report = HealthReport::ALL.into_iter().find(|report| report.name() == name);
        face.command(Command::Health(report.expect("a report")));
    }
    if let Some(name) = &step.upstream {
        face.command_upstream(command(name, step.for_.map(|Time(time)| time)));
    }
    if let Some(see) = &step.see {
        look(see, &face.view(), number);
    }
}

fn outcome(step: &Step) -> Outcome {
    let retry_after = step.retry_after.map(|Time(hint)| hint);
    match step.outcome.as_deref() {
        Some("success") => Outcome::Success,
        Some("neutral") => Outcome::Neutral,
        Some("pushback") => Outcome::pushback(retry_after),
        Some("quota_used_up") => Outcome::quota_used_up(retry_after),
        Some("failure") => {
            let kind = step.kind.as_deref().map_or(Kind::OTHER, panelboard::kinds::named);
            Outcome::Failure { kind, retry_after }
        }
        other => panic!("no such outcome: {other:?}"),
    }
}

fn command(name: &str, time: Option<Duration>) -> Command {
    let time = || time.expect("this command takes `for`");
    match name {
        "force_open" => Command::ForceOpen(time()),
        "force_closed" => Command::ForceClosed(time()),
        "observe" => Command::Observe(time()),
        "auto" => Command::Auto(time()),
        "probe" => Command::Probe,
        "open_for" => Command::OpenFor(time()),
        "reset" => Command::Reset,
        "trip" => Command::Trip,
        other => panic!("no such command: {other}"),
    }
}

fn look(see: &See, view: &View, number: usize) {
    fn same<T: Copy + PartialEq + std::fmt::Debug>(
        what: &str,
        seen: T,
        expected: Option<T>,
        number: usize,
    ) {
        if let Some(expected) = expected {
            assert_eq!(seen, expected, "{what} at step {number}");
        }
    }
    same("state", view.state.name(), see.state.as_deref(), number);
    same("generation", view.generation, see.generation, number);
    same("mode", view.mode, see.mode.as_deref(), number);
    let streak = view.consecutive_failures;
    same("consecutive_failures", streak, see.consecutive_failures, number);
    let opens_for = see.opens_for.map(|Time(time)| Some(time));
    same("opens_for", view.opens_for, opens_for, number);
    same("probes_in_flight", view.probes_in_flight, see.probes_in_flight, number);
    same("late", view.late, see.late, number);
    same("success", view.success, see.success, number);
    same("failure", view.failure, see.failure, number);
    same("slow", view.slow, see.slow, number);
    same("would_reject", view.would_reject, see.would_reject, number);
    same("excused", view.excused, see.excused, number);
    let threshold = see.failure_threshold.map(Some);
    same("failure_threshold", view.failure_threshold, threshold, number);
    same("failure_rate", view.failure_rate, see.failure_rate.map(Some), number);
    let ratio =
        |ratio: Option<Ratio>| ratio.map_or("off".into(), |r| r.to_string().replace(' ', ""));
    for (what, seen, expected) in
        [("ramp", view.ramp, &see.ramp), ("throttled", view.throttled, &see.throttled)]
    {
        if let Some(expected) = expected {
            assert_eq!(ratio(seen), *expected, "{what} at step {number}");
        }
    }
}

#[test]
fn every_scenario_holds_for_every_face() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut failed = Vec::new();
    for path in &files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!scenario.title.is_empty() && !scenario.source.is_empty(), "{name}");
        let checked = check(ConfigInput::new().file(Source::new(&name, &text)));
        let config = checked.config.unwrap_or_else(|| panic!("{name}: {:?}", checked.diagnostics));
        let settings = config.settings("subject");
        let depends = !config.as_ref().depends_on.direct("subject").is_empty();
        let upstream = depends.then(|| config.settings("upstream"));
        let faces: [(&str, Box<dyn Face>); 2] = [
            ("reference", Box::new(Reference::new(settings, upstream))),
            ("lock-free", Box::new(Shell::new(settings, upstream))),
        ];
        for (face, mut subject) in faces {
            let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                play(&scenario, &mut *subject);
            }));
            if played.is_err() {
                failed.push(format!("{name} ({face})"));
            }
        }
    }
    assert!(failed.is_empty(), "these scenarios failed, see above: {failed:#?}");
    for case in ["t1", "t2", "t3", "t4", "t5", "t8"] {
        let prefix = format!("{case}-");
        let there = |path: &std::path::PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        };
        assert!(files.iter().any(there), "the field's case {case} has no scenario");
    }
}
