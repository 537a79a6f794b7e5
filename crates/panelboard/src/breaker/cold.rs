//! The paths that go by the lock: probes, transitions, commands, settings, snapshots.
//!
//! Behind the lock stands the plain state machine of the core. It is held for a few dozen
//! instructions and never over user code; what happened is announced after it was let go.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use panelboard_core::cusum::{Cusum, Ended};
use panelboard_core::evidence::{self, Evidence, Signs};
use panelboard_core::state::Role;
use panelboard_core::{
    Cause, Change, Command, Decision, End, Outcome, Settings, Speed, State, Tick, Ticket, Verdict,
    adaptive, rules,
};

use super::dependencies::Dependencies;
use super::gate::{Lent, Members};
use super::inner::{Charge, Inner};
use crate::claim::Claim;
use crate::error::Rejected;
use crate::event::{LastError, Order, TripRecord, What};
use crate::face::Door;
use crate::hot::Recorder;
use crate::permit::ErrorDetail;
use crate::shard::{RECENT, Shard};
use crate::stats::Stats;
use crate::streak::{Judging, Next};

/// What stands behind the lock.
pub(crate) struct Cold {
    pub(super) settings: Arc<Settings>,
    pub(super) state: State,
    /// What was seen while closed, if the window looks back over calls; else the shards and the
    /// streak word hold it.
    pub(super) evidence: Option<Box<Evidence>>,
    /// What the sequential rule holds against the dependency, if it is at work.
    pub(super) cusum: Option<Box<Cusum>>,
    /// What it depends on, if on anything.
    pub(super) dependencies: Option<Dependencies>,
    /// Calls that had succeeded before this phase.
    pub(super) successes_before: u64,
    /// Names the window in the shards; raised when it changes.
    pub(super) epoch: u16,
    /// What a breaker does not need before its first failure.
    pub(super) rare: Option<Box<Rare>>,
}

#[derive(Default)]
pub(super) struct Rare {
    pub(super) stats: Stats,
    pub(super) trip: Option<Arc<TripRecord>>,
    pub(super) last: Option<Arc<TripRecord>>,
    pub(super) override_order: Option<Order>,
    pub(super) details: VecDeque<LastError>,
    /// Probes of the parent's that calls hold, and how many have been lent.
    pub(super) lent: Vec<Lent>,
    pub(super) lends: u32,
    /// The family that it is the parent of.
    pub(super) family: Option<Weak<dyn Members>>,
}

// ===== impl Cold =====

impl Cold {
    pub(super) fn new(settings: Arc<Settings>, seed: u64, now: Tick) -> Cold {
        let evidence = locked_evidence(&settings);
        let cusum = settings.sequential().map(|rule| Box::new(Cusum::new(rule, Ended::default())));
        Cold {
            settings,
            state: State::new(seed, now),
            evidence,
            cusum,
            dependencies: None,
            successes_before: 0,
            epoch: 0,
            rare: None,
        }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Counts how a probe ended. `against`: whatever came of it, it was slow.
    pub(super) fn count_probe(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        against: bool,
        verdict: Verdict,
    ) {
        if let Role::Probe(_) = ticket.role {
            let probes = &mut self.rare().stats.probes;
            let count = match (verdict, outcome) {
                (Verdict::Late, _) => &mut probes.expired,
                (Verdict::NoVote, _) => &mut probes.neutral,
                _ if against => &mut probes.failure,
                (_, Outcome::Neutral | Outcome::Pushback { .. }) => &mut probes.neutral,
                (_, Outcome::Success) => &mut probes.success,
                (_, Outcome::Failure { .. }) => &mut probes.failure,
            };
            *count += 1;
        }
    }

    /// What the rules reckon with besides window and streak.
    pub(super) fn signs(&self) -> Signs {
        Signs {
            health: self.state.health(),
            score: self.cusum.as_deref().map(Cusum::score).unwrap_or_default(),
        }
    }

    /// Whether this probe has been found slow while it ran.
    fn has_voted(&self, ticket: Ticket) -> bool {
        match (self.state.round(), ticket.role) {
            (Some(round), Role::Probe(probe)) => round.has_voted(probe),
            _ => false,
        }
    }

    pub(super) fn remember(&mut self, error: LastError) {
        let details = &mut self.rare().details;
        if details.len() == RECENT {
            details.pop_front();
        }
        details.push_back(error);
    }
}

/// What the end of a call of one key says of what all keys share. Pushback is meant for that key.
fn for_parent(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Pushback { .. } => Outcome::Neutral,
        outcome => outcome,
    }
}

fn locked_evidence(settings: &Settings) -> Option<Box<Evidence>> {
    (Recorder::of(settings) == Recorder::Locked).then(|| Box::new(Evidence::new(settings)))
}

// ===== impl Inner: with the lock =====

impl Inner {
    /// The one way in: locks, lets the state machine work, publishes what came of it, unlocks,
    /// announces.
    pub(super) fn locked<T>(
        &self,
        work: impl FnOnce(&Inner, &mut Cold, &mut Vec<Change>) -> T,
    ) -> T {
        self.locked_for(None, work)
    }

    fn locked_for<T>(
        &self,
        order: Option<&Order>,
        work: impl FnOnce(&Inner, &mut Cold, &mut Vec<Change>) -> T,
    ) -> T {
        let mut log = Vec::new();
        let mut cold = self.cold.lock();
        let pace = *cold.state.pace();
        let result = work(self, &mut cold, &mut log);
        // Most work of a closed breaker changes nothing that calls get to see.
        let same = log.is_empty() && pace == *cold.state.pace();
        let face = self.face.load();
        let stands = match face.door() {
            Door::Voter => true,
            // Asking is all there is to be shown at a gate, and while not all calls may.
            Door::Ask => face.is_gated() || cold.state.admits_some(&cold.settings),
            Door::Bystander | Door::Refuse => false,
        };
        if !same || !stands {
            self.publish(&mut cold, &log, order);
        }
        if let Some(cusum) = &mut cold.cusum
            && !log.is_empty()
        {
            cusum.disturb(self.shards.ended());
        }
        self.show_evidence(&cold);
        drop(cold);
        if !log.is_empty() {
            self.bus().announce();
            // What was ordered is no evidence against what the family shares.
            if log.iter().any(|change| change.opens() && change.cause() != Some(Cause::Ordered)) {
                self.report_opening();
            }
        }
        result
    }

    pub(super) fn admit_by_the_lock(&self, lease: Option<Duration>) -> Result<Claim, Rejected> {
        let dependency = if self.hot.load().depends() { self.open_dependency() } else { None };
        let decision = self.locked(|inner, cold, log| {
            let Cold { settings, state, .. } = cold;
            let lease = lease.unwrap_or_else(|| settings.lease());
            let now = inner.clock.now();
            let decision = state.acquire(settings, now, (lease, dependency), log);
            (decision, state.mode(settings), state.phase(), state.generation())
        });
        match decision {
            (Decision::Admit { ticket, would_reject }, mode, ..) => {
                let claim = Claim::new(ticket, self.started(self.face.load()));
                let claim = match self.ask_above(claim, mode, lease) {
                    Ok(claim) => claim,
                    Err(rejected) => {
                        self.give_back(ticket);
                        self.shards.write(|shard| shard.rejected(rejected.reason()));
                        return Err(rejected);
                    }
                };
                self.shards.write(|shard| {
                    shard.admitted();
                    if would_reject.is_some() {
                        shard.would_reject();
                    }
                });
                Ok(claim)
            }
            (Decision::Reject { reason, retry_after }, _, phase, generation) => {
                self.shards.write(|shard| shard.rejected(reason));
                let name = self.name.clone();
                Err(Rejected { name, phase, reason, retry_after, generation })
            }
        }
    }

    /// Takes back what a call was let through on that does not take place.
    fn give_back(&self, ticket: Ticket) {
        self.locked(|inner, cold, log| {
            let (now, end) = (inner.clock.now(), (Outcome::Neutral, Speed::Unjudged));
            // Neutral: whatever it meant, it had no vote.
            let _ = cold.state.settle(&cold.settings, now, ticket, end, log);
        });
    }

    #[cold]
    pub(super) fn settle_by_the_lock(
        &self,
        claim: Claim,
        outcome: Outcome,
        detail: Option<&ErrorDetail>,
    ) {
        let (ticket, started) = (claim.ticket(), claim.started());
        let above = self.locked(|inner, cold, log| {
            let (now, hot) = (inner.clock.now(), inner.hot.load());
            let above = self.lent(cold, claim);
            cold.take_back(claim);
            let speed = inner.hot.speed(hot, started, now);
            let took = hot.took(started, now);
            let pushback = matches!(outcome, Outcome::Pushback { .. });
            let against = cold.has_voted(ticket) || (speed == Speed::Slow && !pushback);
            let verdict = cold.state.settle(&cold.settings, now, ticket, (outcome, speed), log);
            cold.count_probe(ticket, outcome, against, verdict);
            // Before it is weighed, for it may trip, and then it belongs into the record.
            if let Outcome::Failure { kind, .. } = outcome
                && verdict != Verdict::Late
            {
                match detail {
                    Some(detail) => cold.remember(detail.to_error(inner.clock.wall(now), kind)),
                    None => inner.shards.write(|shard| shard.remember(kind, now)),
                }
            }
            // Before it is weighed, too, for what has ended so far is what is learned from.
            inner.shards.write(|shard| {
                if speed == Speed::Slow {
                    shard.slow();
                }
                match outcome {
                    _ if verdict == Verdict::Late => shard.late(),
                    Outcome::Success => shard.success(),
                    Outcome::Failure { kind, .. } => shard.failure(kind),
                    Outcome::Neutral => shard.neutral(),
                    Outcome::Pushback { .. } => shard.pushback(),
                }
            });
            if verdict == Verdict::Weigh {
                inner.weigh(cold, ticket, End { outcome, speed, took }, now, log);
            }
            above
        });
        if let Some((parent, from_parent)) = above {
            parent.settle(from_parent, for_parent(outcome), detail);
        }
    }

    /// A running call has passed the slow bound.
    pub(crate) fn mark_slow(&self, claim: Claim) {
        let ticket = claim.ticket();
        self.shards.write(Shard::slow);
        let above = self.locked(|inner, cold, log| {
            let now = inner.clock.now();
            let verdict = cold.state.mark_slow(&cold.settings, now, ticket, log);
            if verdict == Verdict::Weigh {
                let end = End::passed_the_bound(&cold.settings);
                inner.weigh(cold, ticket, end, now, log);
            }
            self.lent(cold, claim)
        });
        if let Some((parent, from_parent)) = above {
            parent.mark_slow(from_parent);
        }
    }

    /// A probe that takes long makes progress.
    pub(crate) fn renew(&self, claim: Claim, lease: Duration) {
        let above = self.locked(|inner, cold, log| {
            let now = inner.clock.now();
            cold.state.renew(&cold.settings, now, (claim.ticket(), lease), log);
            self.lent(cold, claim)
        });
        if let Some((parent, from_parent)) = above {
            parent.renew(from_parent, lease);
        }
    }

    /// Weighs a voter's result while the lock is held.
    fn weigh(&self, cold: &mut Cold, ticket: Ticket, end: End, now: Tick, log: &mut Vec<Change>) {
        let End { outcome, speed, took } = end;
        let (kind, hint) = match outcome {
            Outcome::Failure { kind, retry_after } => (Some(kind), retry_after),
            _ => (None, None),
        };
        // Read under the lock, as they are published: these go with `cold`.
        let hot = self.hot.load();
        let generation = ticket.generation;
        if let Some(cusum) = &mut cold.cusum {
            cusum.weigh(outcome, || self.shards.ended());
        }
        let signs = cold.signs();
        if let Some(evidence) = &mut cold.evidence {
            let judged = cold.state.judged_by(&cold.settings, now);
            if let Some(fired) = evidence.record(&judged, now, end, signs) {
                let closed_for = now.since(cold.state.entered());
                let proven = evidence.fills_a_window(&cold.settings, closed_for);
                self.note_successes(cold);
                cold.state.trip(&cold.settings, now, fired, (hint, proven), log);
            }
            return;
        }
        let speed = if hot.timed() { speed } else { Speed::Unjudged };
        let bad = rules::Bad { failure: kind.is_some(), slow: speed == Speed::Slow };
        let ended = matches!(outcome, Outcome::Success | Outcome::Failure { .. });
        if hot.recorder() == Recorder::Shards {
            let frame = self.frame(cold, generation);
            self.shards.write(|shard| {
                if ended {
                    shard.end(frame, now, kind);
                }
                if bad.slow || (ended && speed == Speed::Fast) {
                    shard.speed(frame, now, bad.slow);
                    if let Some(took) = took {
                        shard.took(frame, now, took);
                    }
                }
            });
        }
        if outcome == Outcome::Success {
            self.streak.end(generation);
        }
        let charge = Charge { generation, bad, hint, now };
        if bad.any()
            && let Next::Judge(judging) = self.hold_against(hot, charge)
        {
            self.judge_with(cold, charge, judging, log);
        }
    }

    /// Sums the window up and asks the rules.
    pub(super) fn judge_with(
        &self,
        cold: &mut Cold,
        charge: Charge,
        judging: Judging,
        log: &mut Vec<Change>,
    ) {
        let Charge { generation, bad, hint, now } = charge;
        if cold.state.generation() != generation {
            return;
        }
        let frame = self.frame(cold, generation);
        let tally = self.shards.tally(frame, now);
        // A slack that is granted while fewer calls are enough holds also when more are needed.
        let signs = cold.signs();
        let judged = cold.state.judged_by(&cold.settings, now);
        let thresholds = adaptive::in_force(&judged, signs.health, tally);
        let seen = rules::Seen { streak: judging.streak, tally, score: signs.score };
        match rules::judge(&thresholds, bad, seen) {
            None => {
                let slack = rules::slack(&adaptive::tightest(&judged), tally);
                self.streak.grant(judging, slack);
            }
            Some(fired) => {
                self.note_successes(cold);
                let Cold { settings, state, .. } = cold;
                let closed_for = now.since(state.entered());
                let ends = self.shards.ends(frame);
                let proven = evidence::fills_a_window(settings, closed_for, ends);
                state.trip(settings, now, fired, (hint, proven), log);
            }
        }
    }

    /// Tells the state machine of the successes that took no lock.
    fn note_successes(&self, cold: &mut Cold) {
        if self.shards.successes() > cold.successes_before {
            cold.state.note_success();
        }
    }

    /// Does what time alone brings about.
    pub(crate) fn look(&self) {
        if self.cold.is_fresh() {
            return;
        }
        self.locked(|inner, cold, log| {
            cold.state.look(&cold.settings, inner.clock.now(), log);
        });
    }

    /// How often the settings want health checked.
    #[cfg(feature = "tokio")]
    pub(super) fn health_interval(&self) -> Option<Duration> {
        self.cold.peek(|cold| cold.settings.health_check())
    }

    pub(crate) fn command(&self, command: Command, order: Option<&Order>) {
        // Apart, so that what time has brought about is not laid at the door of whoever orders.
        self.look();
        self.locked_for(order, |inner, cold, log| {
            inner.note_successes(cold);
            cold.state.command(&cold.settings, inner.clock.now(), command, log);
        });
    }

    /// Changes the settings and keeps phase, generation, streak, and the window if it looks back
    /// just as far (invariant B-9).
    pub(crate) fn reconfigure(&self, settings: Arc<Settings>) {
        if self.cold.runs_on(&settings) {
            return;
        }
        let changed = self.locked(|inner, cold, log| {
            // Somebody else may have brought the same.
            if cold.settings == settings {
                return false;
            }
            let now = inner.clock.now();
            cold.state.look(&cold.settings, now, log);
            inner.carry_over(cold, &settings);
            cold.state.look(&settings, now, log);
            cold.settings = settings;
            inner.show_settings(cold);
            inner.bus().push(inner.name.clone(), inner.clock.wall(now), What::Reconfigured);
            // A phase that begins with this is shown when its streak has been started, not before.
            if log.is_empty() {
                inner.show_face(cold);
            }
            true
        });
        if changed {
            self.bus().announce();
        }
        self.cold.fold();
    }

    /// Brings what was seen so far to where the new settings want it.
    fn carry_over(&self, cold: &mut Cold, settings: &Settings) {
        let generation = cold.state.generation();
        let streak = match &cold.evidence {
            Some(evidence) => evidence.streak(),
            None => self.streak.get(),
        };
        if cold.settings.window() != settings.window() || !settings.has_window_rule() {
            cold.epoch = cold.epoch.wrapping_add(1);
        }
        match (&mut cold.evidence, Recorder::of(settings)) {
            (Some(evidence), Recorder::Locked) => evidence.reconfigure(settings),
            (evidence, _) => {
                *evidence = locked_evidence(settings);
                if let Some(evidence) = evidence {
                    evidence.set_streak(streak);
                } else if self.streak.get() != streak {
                    self.streak.restart(generation, streak);
                }
            }
        }
        let ended = self.shards.ended();
        let cusum = cold.cusum.take().map(|cusum| *cusum);
        let cusum = Cusum::reconfigure(cusum, settings.sequential(), ended);
        cold.cusum = cusum.map(|mut cusum| {
            cusum.disturb(ended);
            Box::new(cusum)
        });
        self.streak.forget_slack();
    }
}
