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
    use crate::{Jitter, SettingsBuilder};

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
