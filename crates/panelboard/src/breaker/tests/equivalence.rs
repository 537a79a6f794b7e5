//! B-12: the breaker does, step by step, what the reference in plain values does.

use std::time::Duration;

use panelboard_core::machine::{Input, Machine};
use panelboard_core::state::Role;
use panelboard_core::{
    Change, Decision, End, KindSet, OpenDependency, SequentialSpec, Speed, WindowSpec, adaptive,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::breaker::{Above, Home, Members};
use crate::event::{Subscription, What};
use crate::slot::{self, OVERFLOW};
use crate::snapshot::Keys;
use crate::{
    Cause, CircuitBreaker, Command, HealthReport, Jitter, Kind, ManualClock, Mode, Outcome,
    OwnedPermit, Reason, Settings, Tick,
};

/// Steps a case takes, and cases: 1,050,000 steps in all, of which a third also compare
/// everything there is to see.
const STEPS: usize = 350;
const CASES: u32 = 3_000;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Wait(u64),
    Acquire {
        lease: Option<u64>,
    },
    Settle {
        which: usize,
        outcome: Outcome,
    },
    Abandon {
        which: usize,
    },
    MarkSlow {
        which: usize,
    },
    Renew {
        which: usize,
        lease: u64,
    },
    Command(Command),
    /// Orders something of the dependency.
    Upstream(Command),
    Reconfigure(usize),
    Compare,
}

pub(super) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let hint = || proptest::option::of((0_u64..5_000).prop_map(millis));
    let kind = || select(vec![Kind::Timeout, Kind::Connect, Kind::ServerError, Kind::OTHER]);
    prop_oneof![
        6 => Just(Outcome::Success),
        6 => (kind(), hint()).prop_map(|(kind, retry_after)| Outcome::Failure { kind, retry_after }),
        1 => Just(Outcome::Neutral),
        1 => hint().prop_map(Outcome::pushback),
        1 => hint().prop_map(Outcome::quota_used_up),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    (0_u64..3_000).prop_map(millis).prop_flat_map(|time| {
        select(vec![
            Command::ForceOpen(time),
            Command::ForceClosed(time),
            Command::Observe(time),
            Command::Auto(time),
            Command::OpenFor(time),
            Command::Reset,
            Command::Trip,
            Command::Probe,
        ])
    })
}

fn reports() -> impl Strategy<Value = Command> {
    select(HealthReport::ALL.to_vec()).prop_map(Command::Health)
}

pub(super) fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => prop_oneof![Just(0), 0_u64..30, 0_u64..400, 0_u64..3_000, Just(40_000)].prop_map(Op::Wait),
        30 => proptest::option::of(0_u64..3_000).prop_map(|lease| Op::Acquire { lease }),
        30 => (any::<usize>(), outcomes()).prop_map(|(which, outcome)| Op::Settle { which, outcome }),
        2 => any::<usize>().prop_map(|which| Op::Abandon { which }),
        2 => reports().prop_map(Op::Command),
        2 => any::<usize>().prop_map(|which| Op::MarkSlow { which }),
        2 => (any::<usize>(), 0_u64..40_000).prop_map(|(which, lease)| Op::Renew { which, lease }),
        1 => commands().prop_map(Op::Command),
        2 => prop_oneof![commands(), reports()].prop_map(Op::Upstream),
        1 => any::<usize>().prop_map(Op::Reconfigure),
        38 => Just(Op::Compare),
    ]
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let windows = prop_oneof![
        (1_u64..=20).prop_map(|n| WindowSpec::Time(millis(n * 100))),
        (1_u32..=20).prop_map(WindowSpec::Calls),
    ];
    let rules = (
        proptest::option::of(1_u32..8),
        proptest::option::of(select(vec![0.1, 0.3, 0.5, 0.75, 1.0])),
        proptest::option::of(1_u32..10),
        1_u32..12,
        windows,
        proptest::option::of((1_u64..300).prop_map(millis)),
    );
    let recovery = (
        (1_u64..1_000).prop_map(millis),
        select(vec![1.0, 2.0, 3.5]),
        select(vec![Jitter::None, Jitter::Equal, Jitter::Full]),
        1_u32..4,
        1_u32..4,
        0_u32..3,
    );
    let rest = (
        select(vec![Mode::Auto, Mode::Auto, Mode::Observe, Mode::ForcedOpen, Mode::ForcedClosed]),
        any::<bool>(),
        proptest::option::of((1_u64..500).prop_map(millis)),
        select(vec![KindSet::EMPTY, KindSet::EMPTY.with(Kind::Connect)]),
    );
    let admission = (
        proptest::option::of(select(vec![500, 3_000, 60_000]).prop_map(millis)),
        proptest::option::weighted(0.3, select(vec![1.0, 1.3, 2.0])),
        select(vec![200, 3_000, 30_000]).prop_map(millis),
        select(vec![0.5, 1.0]),
        proptest::option::weighted(0.3, (1_u64..15_000).prop_map(millis)),
    );
    let all = (rules, recovery, rest, signs(), admission);
    all.prop_map(|(rules, recovery, rest, signs, admission)| {
        let (sequential, adaptive) = signs;
        let (streak, rate, count, min_calls, window, slow) = rules;
        let (recovery_timeout, multiplier, jitter, cap, successes, spare) = recovery;
        let (mode, pace, timeout, ignore) = rest;
        let (ramp, throttle, throttle_window, throttle_max, health_check) = admission;
        Settings::builder()
            .failure_threshold(streak)
            .failure_rate(rate)
            .failure_count(count)
            .min_calls(min_calls)
            .window(window)
            .slow_call_duration(slow)
            .slow_call_rate(0.5)
            .sequential(sequential)
            .adaptive(adaptive)
            .recovery_timeout(recovery_timeout)
            .backoff_multiplier(multiplier)
            .backoff_max(millis(4_000))
            .jitter(jitter)
            .half_open_max_calls(cap)
            .success_threshold(successes)
            .probe_calls(successes + spare)
            .max_retry_after(millis(3_000))
            .mode(mode)
            .pace(pace)
            .timeout(timeout)
            .ignore(ignore.iter())
            .ramp(ramp)
            .throttle(throttle)
            .throttle_window(throttle_window)
            .throttle_max(throttle_max)
            .health_check(health_check)
            .build()
            .unwrap()
    })
}

/// Some of them make a fault plausible after few failures, so that the rule is ahead of the others.
fn signs() -> impl Strategy<Value = (Option<SequentialSpec>, bool)> {
    let spec = SequentialSpec::default;
    let sequential = prop_oneof![
        4 => Just(None),
        1 => Just(Some(spec())),
        1 => Just(Some(spec().base_rate(0.001).fault_rate(0.9))),
        1 => Just(Some(spec().base_rate(0.3).fault_rate(0.5))),
        1 => Just(Some(spec().learned().fault_rate(0.6))),
    ];
    (sequential, any::<bool>())
}

/// A breaker and its reference, given the same history.
struct Pair {
    clock: ManualClock,
    shell: CircuitBreaker,
    reference: Machine,
    /// What they depend on, if they do; itself a pair.
    upstream: Option<(CircuitBreaker, Machine)>,
    events: Subscription,
    expected: Vec<Change>,
    happened: Vec<Change>,
    calls: Vec<Call>,
}

/// A call under way, in both.
struct Call {
    permit: OwnedPermit,
    ticket: panelboard_core::Ticket,
    started: Option<Tick>,
    found_slow: bool,
}

/// The family of a breaker whose parent stays closed.
struct Nobody;

impl Members for Nobody {
    fn child_opened(&self, _: Tick) {}

    fn parent_closed(&self, _: u64) {}

    fn keys(&self) -> Keys {
        Keys::default()
    }
}

impl Pair {
    /// `member` is whether the breaker is one of a family: it must do the same, though it counts
    /// otherwise and asks a parent.
    fn new(settings: Settings, depends: bool, member: bool) -> Pair {
        let clock = ManualClock::new();
        clock.set(Tick::from_nanos(123_456_789));
        let seed = 7;
        let breaker = |name| CircuitBreaker::builder(name).clock(clock.clone()).seed(seed);
        let upstream = depends.then(|| {
            let settings = Settings::builder().health_check(millis(3_000)).build().unwrap();
            let machine = Machine::new(settings, seed, clock.now());
            (breaker("upstream").settings(settings).build(), machine)
        });
        let bus = crate::event::Bus::with_capacity(1_000);
        let parent = CircuitBreaker::builder("parent").clock(clock.clone()).build();
        let above = Above { parent: parent.inner, family: std::sync::Weak::<Nobody>::new() };
        let home = Home { bus, above: member.then_some(above) };
        let shell = breaker("pair")
            .settings(settings)
            .home(std::sync::Arc::new(home))
            .depends_on(upstream.iter().map(|(breaker, _)| breaker))
            .build();
        Pair {
            events: shell.subscribe(),
            shell,
            upstream,
            reference: Machine::new(settings, seed, clock.now()),
            clock,
            expected: Vec::new(),
            happened: Vec::new(),
            calls: Vec::new(),
        }
    }

    fn reference(&mut self, input: Input) -> panelboard_core::machine::Step {
        let step = self.reference.step(self.clock.now(), input);
        self.expected.extend(&step.changes);
        self.happened.extend(&step.changes);
        step
    }

    fn step(&mut self, op: &Op, variants: &[Settings]) {
        match *op {
            Op::Wait(by) => self.clock.advance(millis(by)),
            Op::Acquire { lease } => self.acquire(lease.map(millis)),
            Op::Settle { which, outcome } => self.settle(which, outcome, false),
            Op::Abandon { which } => self.settle(which, Outcome::Neutral, true),
            Op::MarkSlow { which } => self.mark_slow(which),
            Op::Renew { which, lease } => {
                let count = self.calls.len().max(1);
                if let Some(call) = self.calls.get(which % count) {
                    call.permit.renew(millis(lease));
                    let ticket = call.ticket;
                    // Only a probe's renewal reaches the state machine.
                    if call.permit.is_probe() {
                        self.reference(Input::Renew { ticket, lease: millis(lease) });
                    }
                }
            }
            Op::Command(command) => {
                self.shell.command(command);
                self.reference(Input::Command(command));
            }
            Op::Upstream(command) => {
                if let Some((breaker, reference)) = &mut self.upstream {
                    breaker.command(command);
                    reference.step(self.clock.now(), Input::Command(command));
                }
            }
            Op::Reconfigure(which) => {
                let settings = variants[which % variants.len()];
                self.shell.reconfigure(settings);
                self.reference(Input::Reconfigure(settings));
            }
            Op::Compare => self.compare(),
        }
    }

    /// Whether the dependency is open, by its own reference.
    fn dependency(&mut self) -> Option<OpenDependency> {
        let now = self.clock.now();
        let (_, reference) = self.upstream.as_mut()?;
        reference.step(now, Input::Look);
        OpenDependency::of(reference.state(), reference.settings(), now)
    }

    fn acquire(&mut self, lease: Option<Duration>) {
        let settings = *self.reference.settings();
        let answer = self.shell.try_acquire_owned(lease);
        let lease = lease.unwrap_or(settings.lease());
        let dependency = self.dependency();
        let decision = self.reference(Input::Acquire { lease, dependency }).decision.unwrap();
        match (answer, decision) {
            (Ok(permit), Decision::Admit { ticket, .. }) => {
                assert_eq!(permit.ticket().role, ticket.role);
                // A bystander's result is never weighed, whatever the generation; so the shell
                // need not look whether time has changed the phase under a forced mode.
                if ticket.role != Role::Bystander {
                    assert_eq!(permit.ticket(), ticket);
                }
                let started = settings.has_slow_rule().then(|| self.clock.now());
                self.calls.push(Call { permit, ticket, started, found_slow: false });
            }
            (Err(rejected), Decision::Reject { reason, retry_after }) => {
                assert_eq!(rejected.reason(), reason);
                assert_eq!(rejected.retry_after(), retry_after);
                // Nor under a forced mode when it refuses.
                if reason != Reason::Forced {
                    assert_eq!(rejected.generation(), self.reference.state().generation());
                    assert_eq!(rejected.phase(), self.reference.state().phase());
                }
            }
            (answer, decision) => panic!("{answer:?}, but reference says {decision:?}"),
        }
    }

    fn settle(&mut self, which: usize, outcome: Outcome, drop_it: bool) {
        if self.calls.is_empty() {
            return;
        }
        let Call { permit, ticket, started, found_slow } =
            self.calls.swap_remove(which % self.calls.len());
        let took = started.map(|started| self.clock.now().since(started));
        let speed = match (self.reference.settings().slow_call_duration(), started) {
            _ if found_slow => Speed::Unjudged,
            (Some(bound), Some(started)) if self.clock.now().since(started) >= bound => Speed::Slow,
            (Some(_), Some(_)) => Speed::Fast,
            _ => Speed::Unjudged,
        };
        match drop_it {
            true => drop(permit),
            false => permit.record(outcome),
        }
        let (end, dependency) = (End { outcome, speed, took }, self.dependency());
        self.reference(Input::Settle { ticket, end, dependency });
    }

    fn mark_slow(&mut self, which: usize) {
        let count = self.calls.len().max(1);
        let Some(call) = self.calls.get_mut(which % count) else { return };
        call.permit.mark_slow();
        let ticket = call.ticket;
        if call.started.is_some() && !std::mem::replace(&mut call.found_slow, true) {
            self.reference(Input::MarkSlow { ticket });
        }
    }

    /// Everything there is to see.
    fn compare(&mut self) {
        let seen = self.shell.snapshot();
        self.reference(Input::Look);
        let (now, settings) = (self.clock.now(), *self.reference.settings());
        let (state, evidence) = (self.reference.state(), self.reference.evidence());
        assert_eq!(seen.phase, state.phase());
        assert_eq!(seen.generation, state.generation());
        assert_eq!(seen.mode, state.mode(&settings));
        assert_eq!(seen.in_phase, now.since(state.entered()));
        assert_eq!(seen.failed_recoveries, state.failed_recoveries());
        let until = |tick: Option<Tick>| tick.map(|tick| tick.until_from(now));
        assert_eq!(seen.opens_for, until(state.refuses_until(&settings, now)));
        assert_eq!(seen.awaits_health, state.awaits_health(&settings, now));
        assert_eq!(seen.paced_for, until(state.pace().until(now)));
        assert_eq!(seen.quota_used_up, state.pace().quota_used_up());
        let ramp = seen.ramp.map(|ramp| (ramp.share, ramp.next_in, ramp.ends_in));
        let expected = state
            .ramping(&settings, now)
            .map(|step| (step.share, step.until.until_from(now), step.ends.until_from(now)));
        assert_eq!(ramp, expected);
        assert_eq!(seen.throttled, state.throttled(&settings, now));
        assert_eq!(seen.override_.as_ref().map(|o| o.for_), until(state.override_until()));
        assert_eq!(seen.streak, evidence.streak());
        if settings.has_window_rule() {
            assert_eq!(seen.tally, evidence.tally(now));
            let kinds: u64 = seen.kinds.iter().map(|(_, count)| count).sum();
            assert_eq!(kinds, evidence.kinds(now).iter().sum::<u64>());
        }
        assert_eq!(seen.health_report, state.health());
        let tally = seen.tally;
        let judged = state.judged_by(&settings, now);
        assert_eq!(seen.thresholds, adaptive::in_force(&judged, state.health(), tally));
        let suspicion = seen.suspicion.map(|suspicion| (suspicion.score, suspicion.base_rate));
        let cusum = self.reference.cusum();
        assert_eq!(suspicion, cusum.map(|cusum| (cusum.score(), cusum.base_rate())));
        let probes = seen.probes.map(|p| (p.in_flight, p.successes, p.failures));
        let expected = state.round().map(|r| (r.in_flight(now), r.successes(), r.failures()));
        assert_eq!(probes, expected);
        assert_eq!(seen.counters, *self.reference.counters());
        let open = seen.dependencies.first().and_then(|dependency| dependency.open);
        assert_eq!(open, self.dependency());
        self.compare_events();
    }

    fn compare_events(&mut self) {
        let mut seen = Vec::new();
        while let Some(event) = self.events.try_next().unwrap() {
            match &event.what {
                What::Transition { record, .. } => seen.push(Change::Phase(record.transition)),
                What::Mode { from, to, .. } => seen.push(mode_change(*from, *to)),
                What::Reconfigured => {}
            }
        }
        let expected: Vec<Change> = std::mem::take(&mut self.expected)
            .into_iter()
            .map(|change| match change {
                Change::Mode(mode) => mode_change(mode.from, mode.to),
                phase @ Change::Phase(_) => phase,
            })
            .collect();
        assert_eq!(seen, expected);
    }
}

/// Without the times, which are checked with the state: a wall clock has none of the ticks.
fn mode_change(from: Mode, to: Mode) -> Change {
    Change::Mode(panelboard_core::ModeChange { from, to, at: Tick::ZERO, until: None })
}

/// `PROPTEST_CASES` may ask for more.
fn config() -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    ProptestConfig { cases: config.cases.max(CASES), ..config }
}

proptest! {
    #![proptest_config(config())]

    /// On one thread, and as if by turns on several.
    #[test]
    fn b12_shell_and_reference_agree_on_every_history(
        variants in vec(settings(), 3),
        history in vec((ops(), select(vec![0, 1, 5, OVERFLOW])), STEPS),
        threads: bool,
        depends: bool,
        member: bool,
    ) {
        let mut pair = Pair::new(variants[0], depends, member);
        for (op, slot) in &history {
            slot::pretend(if threads { *slot } else { 0 });
            pair.step(op, &variants);
        }
        pair.compare();
    }
}

/// The histories above are too short to learn from.
#[test]
fn b12_shell_and_reference_learn_the_same() {
    let rule = SequentialSpec::default().learned().fault_rate(0.9);
    let base = || {
        let off = Settings::builder().failure_threshold(None).failure_rate(None).ramp(None);
        off.sequential(rule)
    };
    let by_time = base().failure_count(60_000);
    for settings in [base(), by_time, by_time.window(50_u32)] {
        let settings = settings.build().unwrap();
        let mut pair = Pair::new(settings, false, false);
        let one = |pair: &mut Pair, failed: bool| {
            pair.acquire(None);
            let outcome = if failed { Outcome::failure(Kind::OTHER) } else { Outcome::Success };
            pair.settle(0, outcome, false);
        };
        let many = |pair: &mut Pair, calls: u32, of_which_fails_one_in: u32| {
            for call in 0..calls {
                slot::pretend([0, 1, OVERFLOW][call as usize % 3]);
                one(pair, call % of_which_fails_one_in == 0);
            }
            pair.compare();
        };
        let learned = |pair: &Pair| pair.reference.cusum().unwrap().base_rate();
        many(&mut pair, 5_000, 8);
        many(&mut pair, 900, 2_000);
        let first = learned(&pair);
        assert!(first > panelboard_core::cusum::LEAST_LEARNED, "{first:?}");
        // Results under a forced mode, and those before it, are no lesson.
        pair.step(&Op::Command(Command::ForceClosed(millis(50))), &[]);
        many(&mut pair, 3_000, 2);
        pair.step(&Op::Wait(60), &[]);
        many(&mut pair, 900, 2_000);
        assert_eq!(learned(&pair), first);
        // Nor is what tripped it, nor what probes brought.
        for _ in 0..20 {
            one(&mut pair, true);
        }
        assert_eq!(pair.reference.state().phase(), crate::PhaseName::Open);
        pair.step(&Op::Wait(60_000), &[]);
        many(&mut pair, 3, 2_000_000);
        pair.step(&Op::Command(Command::Trip), &[]);
        pair.step(&Op::Wait(60_000), &[]);
        for _ in 0..3 {
            one(&mut pair, false);
        }
        many(&mut pair, 3_000, 20);
        assert!(learned(&pair) < first, "it forgets slowly what is no longer so");
        pair.step(&Op::Reconfigure(0), &[settings]);
        many(&mut pair, 1_000, 20);
        pair.step(&Op::Command(Command::Reset), &[]);
        pair.compare();
        assert_eq!(learned(&pair), panelboard_core::cusum::LEAST_LEARNED);
        slot::pretend(0);
    }
}

/// The histories above are worth little if they never get anywhere.
#[test]
fn histories_reach_every_phase_and_rule() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut causes = std::collections::BTreeMap::<&str, u32>::new();
    let mut modes = std::collections::BTreeSet::new();
    let (mut dependent, mut excused, mut waited, mut tightened) = (0, 0, 0, 0);
    let mut rejected = [0; Reason::ALL.len()];
    for round in 0..300 {
        let variants = vec(settings(), 3).new_tree(&mut runner).unwrap().current();
        let history = vec(ops(), STEPS).new_tree(&mut runner).unwrap().current();
        let mut pair = Pair::new(variants[0], round % 2 == 0, round % 3 == 0);
        for op in history {
            pair.step(&op, &variants);
        }
        let counters = pair.reference.counters();
        dependent += u32::from(pair.upstream.is_some());
        excused += counters.excused;
        waited += counters.rejected[Reason::Dependency.index()];
        for (sum, count) in rejected.iter_mut().zip(pair.reference.counters().rejected) {
            *sum += count;
        }
        for change in &pair.happened {
            match change {
                Change::Phase(transition) => {
                    if let Cause::Tripped(fired) = transition.cause {
                        let (streak, rate) = (fired.thresholds.streak, fired.tally.failures);
                        let configured = variants.iter().map(Settings::failure_threshold);
                        let moved = configured.clone().all(|threshold| threshold != streak);
                        tightened += u32::from(moved && rate > 0);
                    }
                    *causes.entry(transition.cause.name()).or_default() += 1;
                }
                Change::Mode(mode) => {
                    modes.insert(mode.to.name());
                }
            }
        }
    }
    for cause in [
        "consecutive_failures",
        "failure_rate",
        "failure_count",
        "slow_rate",
        "sequential",
        "recovery_due",
        "health_check_passed",
        "probes_succeeded",
        "probes_failed",
        "round_stalled",
        "ordered",
        "reset",
    ] {
        assert!(causes.get(cause).is_some_and(|n| *n >= 10), "{cause}: {causes:?}");
    }
    assert_eq!(modes.len(), Mode::ALL.len());
    let seldom = (dependent, excused, waited, tightened);
    assert!(excused >= 50 && waited >= 50 && tightened >= 10, "{seldom:?}");
    for reason in Reason::ALL {
        assert!(rejected[reason.index()] >= 10, "{reason}: {rejected:?}");
    }
}
