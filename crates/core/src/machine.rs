//! The reference breaker: the kernels put together in plain values, for one thread.
//!
//! It is what the lock-free breaker is held to, step by step; the simulator runs on it; and it
//! serves wherever speed does not matter.

use alloc::vec::Vec;
use core::time::Duration;

use crate::cusum::{Cusum, Ended};
use crate::evidence::{Evidence, Signs};
use crate::{
    Cause, Change, Command, Decision, End, Fired, Kind, OpenDependency, Outcome, Reason, Settings,
    Speed, State, Tick, Ticket, Verdict,
};

/// A whole breaker in plain values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    settings: Settings,
    state: State,
    evidence: Evidence,
    cusum: Option<Cusum>,
    counters: Counters,
}

/// What can happen to a breaker.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Somebody looks.
    Look,
    /// A call wants through; it may hold a probe's slot for `lease`.
    Acquire {
        /// How long.
        lease: Duration,
        /// A dependency that is open.
        dependency: Option<OpenDependency>,
    },
    /// A call that was let through has ended.
    Settle {
        /// What it was let through on.
        ticket: Ticket,
        /// What came of it.
        end: End,
        /// A dependency that is open.
        dependency: Option<OpenDependency>,
    },
    /// A call that is still running has passed the slow bound.
    MarkSlow {
        /// What it was let through on.
        ticket: Ticket,
    },
    /// A call that is still running makes progress.
    Renew {
        /// What it was let through on.
        ticket: Ticket,
        /// How long it may go on holding a probe's slot.
        lease: Duration,
    },
    /// Somebody orders something.
    Command(Command),
    /// The settings change.
    Reconfigure(Settings),
}

/// What a breaker makes of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The answer to [`Input::Acquire`].
    pub decision: Option<Decision>,
    /// The answer to [`Input::Settle`].
    pub verdict: Option<Verdict>,
    /// What happened, in the order in which it did.
    pub changes: Vec<Change>,
}

/// What was counted, ever.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Calls let through.
    pub admitted: u64,
    /// Calls that ended in success.
    pub success: u64,
    /// Calls that failed, by [`Kind::index`].
    pub failures: [u64; Kind::COUNT],
    /// Calls that ended neutral.
    pub neutral: u64,
    /// Those of them that failed while a dependency was open.
    pub excused: u64,
    /// Calls that ended in pushback.
    pub pushback: u64,
    /// Results that came too late to be weighed.
    pub late: u64,
    /// Calls found slow.
    pub slow: u64,
    /// Calls refused, by [`Reason::index`].
    pub rejected: [u64; Reason::ALL.len()],
    /// Calls let through in observe mode that would have been refused.
    pub would_reject: u64,
}

// ===== impl Machine =====

impl Machine {
    /// A closed breaker that has seen nothing.
    pub fn new(settings: Settings, seed: u64, now: Tick) -> Machine {
        Machine {
            settings,
            state: State::new(seed, now),
            evidence: Evidence::new(&settings),
            cusum: settings.sequential.map(|rule| Cusum::new(rule, Ended::default())),
            counters: Counters::default(),
        }
    }

    /// The one door in.
    pub fn step(&mut self, now: Tick, input: Input) -> Step {
        let (mut decision, mut verdict, mut changes) = (None, None, Vec::new());
        let (settings, log) = (self.settings, &mut changes);
        match input {
            Input::Look => self.state.look(&settings, now, log),
            Input::Acquire { lease, dependency } => {
                let answer = self.state.acquire(&settings, now, (lease, dependency), log);
                self.counters.count_decision(answer);
                decision = Some(answer);
            }
            Input::Settle { ticket, end, dependency } => {
                verdict = Some(self.settle(now, ticket, end, dependency, log));
            }
            Input::MarkSlow { ticket } => {
                self.counters.slow += 1;
                let given = self.state.mark_slow(&settings, now, ticket, log);
                if given == Verdict::Weigh {
                    let judged = self.state.judged_by(&settings, now);
                    let fired = self.evidence.record_slow(&judged, now, self.signs());
                    self.trip(fired, None, now, log);
                }
            }
            Input::Renew { ticket, lease } => {
                self.state.renew(&settings, now, (ticket, lease), log);
            }
            Input::Command(command) => self.state.command(&settings, now, command, log),
            Input::Reconfigure(settings) => {
                let changed = self.settings != settings;
                self.state.look(&self.settings, now, log);
                self.settings = settings;
                self.evidence.reconfigure(&settings);
                let ended = self.counters.ended();
                self.cusum = Cusum::reconfigure(self.cusum.take(), settings.sequential, ended);
                self.state.look(&settings, now, log);
                if changed {
                    self.disturb();
                }
            }
        }
        for change in &changes {
            // Entering a phase empties the windows.
            if let Change::Phase(transition) = change {
                self.evidence.clear();
                if let Some(cusum) = &mut self.cusum {
                    cusum.clear(transition.cause == Cause::Reset);
                }
            }
        }
        if !changes.is_empty() {
            self.disturb();
        }
        Step { decision, verdict, changes }
    }

    fn settle(
        &mut self,
        now: Tick,
        ticket: Ticket,
        end: End,
        dependency: Option<OpenDependency>,
        log: &mut Vec<Change>,
    ) -> Verdict {
        let settings = self.settings;
        let outcome = settings.regard(end.outcome);
        let excused = dependency.is_some() && OpenDependency::excuses(outcome);
        let end = if excused { End::EXCUSED } else { End { outcome, ..end } };
        let given = self.state.settle(&settings, now, ticket, (end.outcome, end.speed), log);
        self.counters.count_end(given, end, excused);
        if given == Verdict::Weigh {
            let hint = match end.outcome {
                Outcome::Failure { retry_after, .. } => retry_after,
                _ => None,
            };
            if let Some(cusum) = &mut self.cusum {
                cusum.weigh(end.outcome, || self.counters.ended());
            }
            let judged = self.state.judged_by(&settings, now);
            let fired = self.evidence.record(&judged, now, end, self.signs());
            self.trip(fired, hint, now, log);
        }
        given
    }

    fn signs(&self) -> Signs {
        Signs {
            health: self.state.health(),
            score: self.cusum.as_ref().map(Cusum::score).unwrap_or_default(),
        }
    }

    fn disturb(&mut self) {
        if let Some(cusum) = &mut self.cusum {
            cusum.disturb(self.counters.ended());
        }
    }

    fn trip(
        &mut self,
        fired: Option<Fired>,
        hint: Option<Duration>,
        now: Tick,
        log: &mut Vec<Change>,
    ) {
        if let Some(fired) = fired {
            let closed_for = now.since(self.state.entered());
            let proven = self.evidence.fills_a_window(&self.settings, closed_for);
            self.state.trip(&self.settings, now, fired, (hint, proven), log);
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Phase and mode, as of the last step.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Streak and window.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What the sequential rule holds against the dependency, if it is at work.
    pub fn cusum(&self) -> Option<&Cusum> {
        self.cusum.as_ref()
    }

    /// What was counted, ever.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

// ===== impl Counters =====

impl Counters {
    /// Calls that failed, of any kind.
    pub fn failure(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// Calls that ended in success or failure.
    pub fn ended(&self) -> Ended {
        let failures = self.failure();
        Ended { calls: self.success + failures, failures }
    }

    /// Calls let through whose end is not known yet (invariant B-11).
    pub fn in_flight(&self) -> u64 {
        let ended = self.success + self.failure() + self.neutral + self.pushback + self.late;
        self.admitted.saturating_sub(ended)
    }

    /// Adds what another breaker has counted.
    pub fn add(&mut self, other: &Counters) {
        // Taken apart, so that none is left out.
        let Counters {
            admitted,
            success,
            failures,
            neutral,
            excused,
            pushback,
            late,
            slow,
            rejected,
            would_reject,
        } = other;
        self.admitted += admitted;
        self.success += success;
        self.neutral += neutral;
        self.excused += excused;
        self.pushback += pushback;
        self.late += late;
        self.slow += slow;
        self.would_reject += would_reject;
        for (sum, count) in self.failures.iter_mut().zip(failures) {
            *sum += count;
        }
        for (sum, count) in self.rejected.iter_mut().zip(rejected) {
            *sum += count;
        }
    }

    fn count_decision(&mut self, decision: Decision) {
        match decision {
            Decision::Admit { would_reject, .. } => {
                self.admitted += 1;
                self.would_reject += u64::from(would_reject.is_some());
            }
            Decision::Reject { reason, .. } => self.rejected[reason.index()] += 1,
        }
    }

    fn count_end(&mut self, verdict: Verdict, end: End, excused: bool) {
        self.slow += u64::from(end.speed == Speed::Slow);
        if verdict == Verdict::Late {
            self.late += 1;
            return;
        }
        self.excused += u64::from(excused);
        match end.outcome {
            Outcome::Success => self.success += 1,
            Outcome::Failure { kind, .. } => self.failures[kind.index()] += 1,
            Outcome::Neutral => self.neutral += 1,
            Outcome::Pushback { .. } => self.pushback += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HealthReport, Jitter, PhaseName, Ratio, Rule, SequentialSpec, SettingsBuilder};

    const LEASE: Duration = Duration::from_secs(30);

    fn secs(n: u64) -> Tick {
        Tick::ZERO.after(Duration::from_secs(n))
    }

    fn machine(settings: SettingsBuilder) -> Machine {
        let settings = settings.failure_threshold(1).jitter(Jitter::None).build().unwrap();
        Machine::new(settings, 7, Tick::ZERO)
    }

    /// A call, if it is let through.
    fn call(machine: &mut Machine, now: Tick, outcome: Outcome) -> bool {
        let step = machine.step(now, Input::Acquire { lease: LEASE, dependency: None });
        let Some(Decision::Admit { ticket, .. }) = step.decision else { return false };
        let end = End { outcome, speed: Speed::Unjudged, took: None };
        machine.step(now, Input::Settle { ticket, end, dependency: None });
        true
    }

    #[test]
    fn kinds_that_do_not_count_are_neutral() {
        let mut machine = machine(Settings::builder().ignore([Kind::ClientError]));
        assert!(call(&mut machine, secs(1), Outcome::failure(Kind::ClientError)));
        assert_eq!((machine.counters().neutral, machine.counters().failure()), (1, 0));
        assert!(call(&mut machine, secs(1), Outcome::failure(Kind::ServerError)), "it is closed");
        assert_eq!((machine.counters().neutral, machine.counters().failure()), (1, 1));
        assert!(!call(&mut machine, secs(1), Outcome::Success), "and now open");
    }

    /// Lets a call through that must be.
    fn ticket(machine: &mut Machine, now: Tick) -> Ticket {
        let step = machine.step(now, Input::Acquire { lease: LEASE, dependency: None });
        match step.decision {
            Some(Decision::Admit { ticket, .. }) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn settle(
        machine: &mut Machine,
        now: Tick,
        ticket: Ticket,
        (outcome, speed): (Outcome, Speed),
    ) {
        let end = End { outcome, speed, took: None };
        let step = machine.step(now, Input::Settle { ticket, end, dependency: None });
        assert!(step.verdict.is_some());
    }

    fn timeout() -> Outcome {
        Outcome::failure(Kind::Timeout)
    }

    /// B-11, on a history in which everything comes to pass that is counted.
    #[test]
    fn b11_each_call_is_counted_by_what_came_of_it() {
        let rules = Settings::builder().failure_threshold(3).failure_rate(None).pace(false);
        let slow_rule = rules.slow_call_duration(Duration::from_secs(1));
        let settings = slow_rule.jitter(Jitter::None).build().unwrap();
        let (mut machine, now) = (Machine::new(settings, 7, Tick::ZERO), secs(1));
        let running = ticket(&mut machine, now);
        let late = [(); 2].map(|()| ticket(&mut machine, now));
        for end in [
            (Outcome::Success, Speed::Fast),
            (Outcome::Success, Speed::Slow),
            (Outcome::Success, Speed::Unjudged),
            (Outcome::Neutral, Speed::Fast),
            (timeout(), Speed::Fast),
            (Outcome::pushback(None), Speed::Fast),
            (Outcome::failure(Kind::Connect), Speed::Slow),
        ] {
            let ticket = ticket(&mut machine, now);
            settle(&mut machine, now, ticket, end);
        }
        let dependency = Some(OpenDependency { wait: None });
        let end = End { outcome: timeout(), speed: Speed::Slow, took: None };
        let excused = Input::Settle { ticket: ticket(&mut machine, now), end, dependency };
        machine.step(now, excused);
        assert!(call(&mut machine, now, timeout()), "the third in a row");
        // It is open.
        assert!(!call(&mut machine, now, Outcome::Success));
        assert!(!call(&mut machine, now, Outcome::Success));
        settle(&mut machine, now, late[0], (Outcome::Success, Speed::Fast));
        settle(&mut machine, now, late[1], (timeout(), Speed::Fast));
        machine.step(now, Input::MarkSlow { ticket: running });
        // Now nobody is refused.
        machine.step(now, Input::Command(Command::Observe(Duration::from_secs(60))));
        assert!(call(&mut machine, now, Outcome::Success));
        let probe = ticket(&mut machine, secs(7));
        let bystander = ticket(&mut machine, secs(7));
        assert_ne!(probe.role, bystander.role);
        let mut expected = Counters {
            admitted: 15,
            success: 4,
            neutral: 2,
            excused: 1,
            pushback: 1,
            late: 2,
            slow: 3,
            would_reject: 2,
            ..Counters::default()
        };
        expected.failures[Kind::Timeout.index()] = 2;
        expected.failures[Kind::Connect.index()] = 1;
        expected.rejected[Reason::Open.index()] = 2;
        assert_eq!(*machine.counters(), expected);
        assert_eq!(expected.failure(), 3);
        assert_eq!(expected.ended(), Ended { calls: 7, failures: 3 });
        assert_eq!(expected.in_flight(), 3, "one that runs on, a probe and a bystander");
    }

    /// What a family has counted is what its members have, count by count.
    #[test]
    fn counters_add_up_count_by_count() {
        let counted = |n: u64| Counters {
            admitted: n,
            success: 2 * n,
            failures: core::array::from_fn(|at| (at as u64 + 3) * n),
            neutral: 20 * n,
            excused: 21 * n,
            pushback: 22 * n,
            late: 23 * n,
            slow: 24 * n,
            rejected: core::array::from_fn(|at| (at as u64 + 25) * n),
            would_reject: 40 * n,
        };
        let mut sum = counted(2);
        sum.add(&counted(3));
        assert_eq!(sum, counted(5));
    }

    /// A call that hangs is evidence as soon as it is slow, not when it gives up.
    #[test]
    fn calls_that_are_slow_while_they_run_trip_the_slow_rule() {
        let slow_rule = Settings::builder().slow_call_duration(Duration::from_secs(1)).min_calls(2);
        let mut machine = machine(slow_rule);
        let running = [(); 2].map(|()| ticket(&mut machine, secs(1)));
        machine.step(secs(2), Input::MarkSlow { ticket: running[0] });
        assert_eq!(machine.state().phase(), PhaseName::Closed);
        machine.step(secs(2), Input::MarkSlow { ticket: running[1] });
        assert_eq!(machine.state().phase(), PhaseName::Open);
    }

    fn sequential(spec: SequentialSpec) -> Settings {
        let rules = Settings::builder().failure_threshold(None).failure_rate(None).sequential(spec);
        rules.jitter(Jitter::None).build().unwrap()
    }

    /// Five failures are odds of 20⁵ to one, three of them are 60 % of five.
    #[test]
    fn rules_reckon_with_the_score_and_with_what_a_health_check_found() {
        let adaptive = Settings::builder().failure_threshold(5).adaptive(true).build().unwrap();
        let health = Some(HealthReport::Degraded);
        for (settings, health, failures, rule) in [
            (sequential(SequentialSpec::default()), None, 5, Rule::Sequential),
            (adaptive, None, 5, Rule::ConsecutiveFailures),
            (adaptive, health, 3, Rule::ConsecutiveFailures),
        ] {
            let mut machine = Machine::new(settings, 7, Tick::ZERO);
            if let Some(report) = health {
                machine.step(secs(1), Input::Command(Command::Health(report)));
            }
            for _ in 1..failures {
                assert!(call(&mut machine, secs(1), timeout()));
            }
            let last = ticket(&mut machine, secs(1));
            let end = End { outcome: timeout(), speed: Speed::Unjudged, took: None };
            let step = machine.step(secs(1), Input::Settle { ticket: last, end, dependency: None });
            match step.changes[..] {
                [Change::Phase(transition)] => assert_eq!(transition.cause.name(), rule.name()),
                ref other => panic!("{other:?}"),
            }
        }
    }

    /// A machine that learns its base rate, and every tenth of whose calls fails.
    struct Learner(Machine);

    impl Learner {
        fn new() -> Learner {
            let learned = SequentialSpec::default().learned().fault_rate(0.5);
            Learner(Machine::new(sequential(learned), 7, Tick::ZERO))
        }

        /// The base rate after so many calls more, in basis points.
        fn after(&mut self, calls: u32) -> u64 {
            for n in 1..=calls {
                let failed = n.is_multiple_of(10);
                assert!(call(
                    &mut self.0,
                    secs(1),
                    if failed { timeout() } else { Outcome::Success }
                ));
            }
            self.0.cusum().unwrap().base_rate().as_basis_points()
        }
    }

    /// (5 % × 8,000 + 100) / 9,000 = 5.56 %.
    #[test]
    fn a_base_rate_is_learned_from_a_thousand_calls_that_nothing_disturbed() {
        let same = Learner::new().0.settings;
        let other = Settings { min_calls: 3, ..same };
        for (input, disturbs) in [
            (Input::Look, false),
            (Input::Reconfigure(same), false),
            (Input::Reconfigure(other), true),
            (Input::Command(Command::Observe(Duration::from_secs(9))), true),
        ] {
            let mut learner = Learner::new();
            assert_eq!(learner.after(500), 500);
            learner.0.step(secs(1), input);
            assert_eq!(learner.after(490), 500, "{input:?}");
            assert_eq!(learner.after(10), if disturbs { 500 } else { 556 }, "{input:?}");
            assert_eq!(learner.after(490), if disturbs { 500 } else { 556 }, "{input:?}");
            assert_eq!(learner.after(10), 556, "{input:?}");
        }
    }

    /// What is normal for a dependency outlasts an outage, but not the order to forget everything.
    #[test]
    fn a_learned_base_rate_outlasts_all_but_a_reset() {
        for (order, base_rate) in [(Command::Trip, 556), (Command::Reset, 500)] {
            let mut learner = Learner::new();
            assert_eq!(learner.after(1_000), 556);
            learner.0.step(secs(1), Input::Command(order));
            let cusum = learner.0.cusum().unwrap();
            assert_eq!(cusum.base_rate(), Ratio::basis_points(base_rate).unwrap(), "{order:?}");
        }
    }

    /// A server that fails and says when to come back is not asked earlier.
    #[test]
    fn the_hint_of_the_failure_that_trips_keeps_it_open() {
        let mut machine = machine(Settings::builder().recovery_timeout(Duration::from_secs(5)));
        let retry_after = Some(Duration::from_secs(60));
        let failure = Outcome::Failure { kind: Kind::ServerError, retry_after };
        assert!(call(&mut machine, secs(1), failure));
        assert!(!call(&mut machine, secs(60), Outcome::Success));
        assert!(call(&mut machine, secs(61), Outcome::Success));
    }
}
