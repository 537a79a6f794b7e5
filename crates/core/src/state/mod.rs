//! The state machine: phase × mode, and what time, calls, results and commands make of it.
//!
//! ```text
//!                 a rule fires
//!      ┌────────┐ ───────────────► ┌──────┐
//!      │ closed │                  │ open │ ◄──────────────┐
//!      └────────┘ ◄──────────┐     └──────┘                │ too many probes fail,
//!                  enough    │         │ the wait is over  │ or nothing is learnt
//!                  probes    │         ▼                   │
//!                  succeed   └──── ┌───────────┐ ──────────┘
//!                                  │ half-open │
//!                                  └───────────┘
//! ```
//!
//! Every entry into a phase raises the generation. A ticket carries the generation it was issued
//! under, and a result whose generation is not current has no vote.

mod gate;
mod order;
#[cfg(test)]
mod tests;
mod types;
mod view;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

pub use types::{Command, Decision, HealthReport, Mode, PhaseName, Reason, Role, Ticket, Verdict};

use crate::backoff::mix;
use crate::pace::Pace;
use crate::ramp::Ramp;
use crate::round::{Returned, Round, Standing};
use crate::throttle::Demand;
use crate::{
    Cause, Change, Fired, ModeChange, OpenDependency, Outcome, Settings, Speed, Tick, Transition,
};

/// The state of one breaker, apart from what it has seen while closed
/// ([`Evidence`](crate::evidence::Evidence)).
///
/// Every method takes `now`, and first does what time alone has brought about; so looking at a
/// state, however often, never changes what it will decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    seed: u64,
    generation: u64,
    entered: Tick,
    phase: Phase,
    over: Option<Override>,
    pace: Pace,
    /// Of this closed phase, if it followed a recovery and the ramp is not known to be over.
    ramp: Option<Box<Ramp>>,
    /// Of this closed phase, once a call has asked under a throttle.
    demand: Option<Box<Demand>>,
    /// The backoff exponent.
    failed_recoveries: u32,
    /// How long the last open phase was; zero before the first.
    last_open: Duration,
    /// Whether a call is known to have succeeded in this phase.
    succeeded: bool,
    /// What a health check last reported.
    health: Option<HealthReport>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    Closed,
    Open(Opening),
    HalfOpen(Round),
}

/// What the end of an open phase depends on, besides when it began.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
struct Opening {
    /// Ordered length, instead of the backoff's.
    ordered: Option<Duration>,
    /// The server's hint, or a later order. It only ever extends.
    hint: Option<Tick>,
    /// When a health check last found the dependency unhealthy after the wait.
    reported: Option<Tick>,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Override {
    mode: Mode,
    until: Tick,
}

// ===== impl State: what time and callers do =====

impl State {
    /// A closed breaker. `seed` spreads the jitter between breakers that open together.
    pub fn new(seed: u64, now: Tick) -> State {
        State {
            seed,
            generation: 1,
            entered: now,
            phase: Phase::Closed,
            over: None,
            pace: Pace::default(),
            ramp: None,
            demand: None,
            failed_recoveries: 0,
            last_open: Duration::ZERO,
            succeeded: false,
            health: None,
        }
    }

    /// Does what time alone brings about: the end of an override, of an open phase, of a stalled
    /// round.
    pub fn look(&mut self, settings: &Settings, now: Tick, log: &mut Vec<Change>) {
        let from = log.len();
        if let Some(over) = self.over.filter(|over| over.until <= now) {
            self.over = None;
            self.log_mode(over.mode, settings, over.until, log);
        }
        // Ends: a fresh round stands undecided and has no end of its own.
        loop {
            match &self.phase {
                Phase::Closed => break,
                Phase::Open(_) => {
                    let until = self.ends_by_time(settings).unwrap_or(Tick::MAX);
                    if until > now {
                        break;
                    }
                    self.half_open(until, Cause::RecoveryDue, log);
                }
                Phase::HalfOpen(round) => match (round.standing(settings), round.stalled_at()) {
                    (Standing::Won, _) => {
                        self.enter(Phase::Closed, now, Cause::ProbesSucceeded, log);
                    }
                    (Standing::Lost, _) => self.reopen(now, None, log),
                    (Standing::Undecided, Some(at)) if at <= now => {
                        let open = Phase::Open(Opening::default());
                        self.enter(open, at, Cause::RoundStalled, log);
                    }
                    (Standing::Undecided, _) => break,
                },
            }
        }
        if self.ramping(settings, now).is_none() {
            self.ramp = None;
        }
        if settings.throttle.is_none() {
            self.demand = None;
        }
        if !settings.pace {
            self.pace = Pace::default();
        }
        log[from..].sort_by_key(Change::at);
    }

    /// A call wants through. `lease` is how long it may hold a probe's slot; `dependency` is one
    /// that is open.
    pub fn acquire(
        &mut self,
        settings: &Settings,
        now: Tick,
        (lease, dependency): (Duration, Option<OpenDependency>),
        log: &mut Vec<Change>,
    ) -> Decision {
        self.look(settings, now, log);
        let generation = self.generation;
        let bystander = Ticket { generation, role: Role::Bystander };
        let mode = self.mode(settings);
        match mode {
            Mode::ForcedOpen => {
                let retry_after = match self.over {
                    Some(over) => over.until.until_from(now),
                    None => settings.recovery_timeout,
                };
                return Decision::Reject { reason: Reason::Forced, retry_after };
            }
            Mode::ForcedClosed => {
                return Decision::Admit { ticket: bystander, would_reject: None };
            }
            Mode::Auto | Mode::Observe => {}
        }
        match self.admit(settings, now, lease, dependency) {
            Ok(role) => Decision::Admit { ticket: Ticket { generation, role }, would_reject: None },
            Err((reason, _)) if mode == Mode::Observe => {
                Decision::Admit { ticket: bystander, would_reject: Some(reason) }
            }
            Err((reason, until)) => Decision::Reject { reason, retry_after: until.until_from(now) },
        }
    }

    /// What the machine itself thinks of a call: in which role it goes, or why and until when not.
    fn admit(
        &mut self,
        settings: &Settings,
        now: Tick,
        lease: Duration,
        dependency: Option<OpenDependency>,
    ) -> Result<Role, (Reason, Tick)> {
        let paced = self.pace.until(now);
        if let Some(until) = self.refuses_until(settings, now) {
            return Err((Reason::Open, until.max(paced.unwrap_or(Tick::ZERO))));
        }
        if let Some(until) = paced {
            return Err((Reason::Paced, until));
        }
        if let (Phase::HalfOpen(round), Some(open)) = (&mut self.phase, dependency) {
            // So the round does not stall: it is not the probes' fault that nothing is learnt.
            round.wait();
            let wait = open.wait.unwrap_or(settings.recovery_timeout);
            return Err((Reason::Dependency, now.after(wait)));
        }
        let role = match &mut self.phase {
            Phase::HalfOpen(round) => match round.admit(settings, now, lease) {
                Ok(probe) => Role::Probe(probe),
                // A slot comes free at the latest then; a lost round costs the wait anyway.
                Err(free) => {
                    return Err((Reason::Probing, free.min(now.after(settings.recovery_timeout))));
                }
            },
            Phase::Closed | Phase::Open(_) => {
                self.admit_some(settings, now)?;
                Role::Voter
            }
        };
        Ok(self.pace.admit(now, self.generation, role))
    }

    /// While closed, not all calls may go through: neither just after a recovery, nor when too
    /// many fail. The throttle is asked last, so it counts no request that did not reach it.
    fn admit_some(&mut self, settings: &Settings, now: Tick) -> Result<(), (Reason, Tick)> {
        if let Some(ramp) = &mut self.ramp
            && let Some(step) = ramp.step(settings, now)
            && !ramp.admit(step, now)
        {
            return Err((Reason::Ramping, step.until));
        }
        let Some(throttle) = settings.throttle else { return Ok(()) };
        let seed = self.seed ^ mix(self.generation);
        let demand = match &mut self.demand {
            Some(demand) if demand.fits(throttle) => demand,
            other => other.insert(Box::new(Demand::new(throttle, seed, now))),
        };
        demand.admit(throttle, now).map_err(|until| (Reason::Throttled, until))
    }

    /// A call has ended. Dropping a permit is a neutral end.
    pub fn settle(
        &mut self,
        settings: &Settings,
        now: Tick,
        ticket: Ticket,
        (outcome, speed): (Outcome, Speed),
        log: &mut Vec<Change>,
    ) -> Verdict {
        self.look(settings, now, log);
        if ticket.role == Role::Bystander {
            // Nobody's vote, but in its phase the dependency did its job.
            let current = ticket.generation == self.generation;
            self.succeeded |= current && outcome == Outcome::Success;
            return Verdict::NoVote;
        }
        if ticket.generation != self.generation {
            return Verdict::Late;
        }
        let weighs = self.mode(settings).weighs();
        let slot = match (&mut self.phase, ticket.role) {
            (Phase::HalfOpen(round), Role::Probe(probe)) => Some(round.give_back(probe, now)),
            _ => None,
        };
        if slot == Some(Returned::Expired) {
            return Verdict::Late;
        }
        self.succeeded |= outcome == Outcome::Success;
        if !weighs {
            return Verdict::NoVote;
        }
        match outcome {
            Outcome::Pushback { retry_after, quota } => {
                self.pace.push_back(settings, now, (retry_after, quota));
                if let Phase::HalfOpen(round) = &mut self.phase {
                    round.wait();
                }
                return Verdict::Counted;
            }
            Outcome::Success => self.pace.succeed(ticket),
            Outcome::Neutral => self.pace.abandon(now, ticket),
            Outcome::Failure { .. } => {}
        }
        if slot == Some(Returned::Voted) {
            return Verdict::Counted;
        }
        let Phase::HalfOpen(round) = &mut self.phase else {
            if let (Outcome::Failure { .. }, Some(demand)) = (outcome, &mut self.demand) {
                demand.fail(now);
            }
            return Verdict::Weigh;
        };
        // With a slow rule a slow probe is no sign of recovery, or the breaker would flap.
        let slow = settings.has_slow_rule() && speed == Speed::Slow;
        match outcome {
            Outcome::Success => round.vote(!slow),
            Outcome::Failure { .. } => round.vote(false),
            Outcome::Neutral if slow => round.vote(false),
            Outcome::Neutral | Outcome::Pushback { .. } => {}
        }
        let hint = match outcome {
            Outcome::Failure { retry_after, .. } => retry_after,
            _ => None,
        };
        if round.standing(settings) == Standing::Lost {
            self.reopen(now, believed(settings, now, hint), log);
        }
        self.look(settings, now, log);
        Verdict::Counted
    }

    /// A call that is still running has passed the slow bound. Its end is then given with
    /// [`Speed::Unjudged`].
    pub fn mark_slow(
        &mut self,
        settings: &Settings,
        now: Tick,
        ticket: Ticket,
        log: &mut Vec<Change>,
    ) -> Verdict {
        self.look(settings, now, log);
        let current = ticket.generation == self.generation;
        let weighs = self.mode(settings).weighs() && settings.has_slow_rule();
        if !current || ticket.role == Role::Bystander || !weighs {
            return Verdict::NoVote;
        }
        match (&mut self.phase, ticket.role) {
            (Phase::HalfOpen(round), Role::Probe(probe)) => {
                if !round.vote_slow(probe, now) {
                    return Verdict::NoVote;
                }
                self.look(settings, now, log);
                Verdict::Counted
            }
            _ => Verdict::Weigh,
        }
    }

    /// A call that is still running makes progress: a probe may hold its slot for `lease` from now.
    pub fn renew(
        &mut self,
        settings: &Settings,
        now: Tick,
        (ticket, lease): (Ticket, Duration),
        log: &mut Vec<Change>,
    ) {
        self.look(settings, now, log);
        if let (Phase::HalfOpen(round), Role::Probe(probe)) = (&mut self.phase, ticket.role)
            && ticket.generation == self.generation
        {
            round.renew(probe, now, lease);
        }
    }

    /// A call has succeeded in this phase. [`settle`](Self::settle) notices by itself; a shell that
    /// does not bring every success here says so before a rule or an order opens the breaker.
    pub fn note_success(&mut self) {
        self.succeeded = true;
    }

    /// A rule fired on a voter's result. `proven` says whether this closed phase has seen a whole
    /// window with enough calls.
    ///
    /// The wait starts over if the closed phase was healthy: a call has succeeded in it, and it has
    /// either seen such a window or lasted for ten times the last open phase. If not, the recovery
    /// before it counts as failed and the wait grows. Time alone is no proof of health, nor are
    /// failures, however many.
    ///
    /// Does nothing unless closed and weighing, so a shell may call it late.
    pub fn trip(
        &mut self,
        settings: &Settings,
        now: Tick,
        fired: Fired,
        (hint, proven): (Option<Duration>, bool),
        log: &mut Vec<Change>,
    ) {
        self.look(settings, now, log);
        if !matches!(self.phase, Phase::Closed) || !self.mode(settings).weighs() {
            return;
        }
        let opening = Opening { hint: believed(settings, now, hint), ..Opening::default() };
        self.open_after_health(opening, proven, now, Cause::Tripped(fired), log);
    }

    /// Opens from closed. A closed phase that was no proof of health was a recovery that failed.
    fn open_after_health(
        &mut self,
        opening: Opening,
        proven: bool,
        now: Tick,
        cause: Cause,
        log: &mut Vec<Change>,
    ) {
        self.failed_recoveries = match self.has_been_healthy(now, proven) {
            true => 0,
            // Without an open phase before there was nothing to recover from.
            false if self.last_open.is_zero() => 0,
            false => self.failed_recoveries.saturating_add(1),
        };
        self.enter(Phase::Open(opening), now, cause, log);
    }

    /// Whether the closed phase has shown that the last incident is over and done with.
    pub(super) fn has_been_healthy(&self, now: Tick, proven: bool) -> bool {
        let long = || now.since(self.entered) >= self.last_open.saturating_mul(10);
        matches!(self.phase, Phase::Closed) && self.succeeded && (proven || long())
    }

    fn reopen(&mut self, now: Tick, hint: Option<Tick>, log: &mut Vec<Change>) {
        self.failed_recoveries = self.failed_recoveries.saturating_add(1);
        let opening = Opening { hint, ..Opening::default() };
        self.enter(Phase::Open(opening), now, Cause::ProbesFailed, log);
    }

    fn enter(&mut self, phase: Phase, at: Tick, cause: Cause, log: &mut Vec<Change>) {
        let from = self.phase();
        self.phase = phase;
        self.generation += 1;
        self.entered = at;
        self.succeeded = false;
        self.ramp = matches!(cause, Cause::ProbesSucceeded).then(|| Box::new(Ramp::new(at)));
        self.demand = None;
        let (to, generation) = (self.phase(), self.generation);
        log.push(Change::Phase(Transition { from, to, generation, at, cause }));
    }

    fn log_mode(&self, from: Mode, settings: &Settings, at: Tick, log: &mut Vec<Change>) {
        let until = self.over.map(|over| over.until);
        log.push(Change::Mode(ModeChange { from, to: self.mode(settings), at, until }));
    }
}

/// Until when a server's hint asks to wait, as far as it is believed.
fn believed(settings: &Settings, now: Tick, hint: Option<Duration>) -> Option<Tick> {
    hint.map(|hint| now.after(hint.min(settings.max_retry_after)))
}
