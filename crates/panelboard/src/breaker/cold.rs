//! The paths that go by the lock: probes, transitions, commands, settings, snapshots.
//!
//! Behind the lock stands the plain state machine of the core. It is held for a few dozen
//! instructions and never over user code; what happened is announced after it was let go.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use panelboard_core::cusum::{Cusum, Ended};
use panelboard_core::evidence::{Evidence, Signs};
use panelboard_core::state::Role;
use panelboard_core::{
    Change, Command, Decision, End, Kind, Mode, Outcome, Settings, Speed, State, Tick, Ticket,
    Verdict, adaptive,
};

use super::dependencies::Dependencies;
use super::gate::{Lent, Members};
use super::inner::Inner;
use crate::claim::Claim;
use crate::error::Rejected;
use crate::event::{LastError, Order, TripRecord, What};
use crate::face::{Door, Told};
use crate::hot::Recorder;
use crate::permit::ErrorDetail;
use crate::shard::{RECENT, Shard};
use crate::stats::Stats;

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

/// What the state machine let through.
pub(super) struct Passed {
    pub(super) ticket: Ticket,
    /// It only observes, or this would have been refused.
    pub(super) would_reject: bool,
    pub(super) mode: Mode,
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

    /// A success of a bystander from an earlier phase is counted, but not as one of this phase.
    fn count_stray(&mut self, ticket: Ticket, outcome: Outcome) {
        let stray = ticket.role == Role::Bystander && ticket.generation != self.state.generation();
        self.successes_before += u64::from(stray && outcome == Outcome::Success);
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
            Door::Ask if face.is_gated() => true,
            Door::Ask => {
                let only_throttles = cold.state.only_throttles(&cold.settings, self.clock.now());
                cold.state.admits_some(&cold.settings) && face.only_throttles() == only_throttles
            }
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
            self.report(&log);
        }
        result
    }

    pub(super) fn admit_by_the_lock(&self, lease: Option<Duration>) -> Result<Claim, Rejected> {
        let Passed { ticket, would_reject, mode } = self.decide(lease)?;
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
            if would_reject {
                shard.would_reject();
            }
        });
        Ok(claim)
    }

    /// Asks the state machine for a call, and counts it if it is refused.
    pub(super) fn decide(&self, lease: Option<Duration>) -> Result<Passed, Rejected> {
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
                Ok(Passed { ticket, would_reject: would_reject.is_some(), mode })
            }
            (Decision::Reject { reason, retry_after }, _, phase, generation) => {
                self.shards.write(|shard| shard.rejected(reason));
                let told = Told::new(phase, reason, generation);
                // A wait that fits into no tick is one of centuries.
                let wait = retry_after.as_nanos().try_into().unwrap_or(u64::MAX);
                Err(Rejected::new(self.name.clone(), told, wait))
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
            let above = self.take_back(cold, claim);
            let speed = match claim.was_found_slow() {
                true => Speed::Unjudged,
                false => inner.hot.speed(started, now),
            };
            let took = hot.took(started, now);
            let pushback = matches!(outcome, Outcome::Pushback { .. });
            let against = cold.has_voted(ticket) || (speed == Speed::Slow && !pushback);
            let verdict = cold.state.settle(&cold.settings, now, ticket, (outcome, speed), log);
            cold.count_probe(ticket, outcome, against, verdict);
            cold.count_stray(ticket, outcome);
            // Before it is weighed, for it may trip, and then it belongs into the record.
            if let Outcome::Failure { kind, .. } = outcome
                && verdict != Verdict::Late
            {
                match detail {
                    Some(detail) => cold.remember(detail.to_error(inner.clock.wall(now), kind)),
                    None => inner.shards.write(|shard| shard.remember_other(kind, now)),
                }
            }
            inner.shards.write(|shard| {
                if speed == Speed::Slow {
                    shard.slow();
                }
                match outcome {
                    _ if verdict == Verdict::Late => shard.late(),
                    Outcome::Success | Outcome::Failure { .. } if verdict == Verdict::Weigh => {}
                    Outcome::Success => shard.success(),
                    Outcome::Failure { kind, .. } => shard.failure(kind),
                    Outcome::Neutral => shard.neutral(),
                    Outcome::Pushback { .. } => shard.pushback(),
                }
            });
            if verdict == Verdict::Weigh {
                inner.weigh(cold, ticket.generation, End { outcome, speed, took }, now, log);
            }
            above
        });
        if let Some((parent, from_parent)) = above {
            parent.settle(from_parent, for_parent(outcome), detail);
        }
    }

    /// A voter's success or failure that is held against something behind the lock. Mostly it goes no
    /// further, and the state machine need not be asked. `now` was read before the lock was taken.
    pub(super) fn settle_in_order(
        &self,
        claim: Claim,
        failure: Option<Kind>,
        speed: Speed,
        now: Tick,
    ) {
        let outcome = failure.map_or(Outcome::Success, Outcome::failure);
        let counts = self.locked(|inner, cold, log| {
            let hot = inner.hot.load();
            // Faces are published under this lock. While this one is shown, the state machine would
            // say `Weigh` and change nothing, unless it keeps account of failures for a throttle;
            // else it has to be asked.
            let asks = !inner.face.load().weighs(claim) || (failure.is_some() && hot.throttled());
            if asks {
                return false;
            }
            inner.shards.write(|shard| {
                if speed == Speed::Slow {
                    shard.slow();
                }
                if let Some(kind) = failure {
                    shard.remember_other(kind, now);
                }
            });
            let end = End { outcome, speed, took: hot.took(claim.started(), now) };
            inner.weigh(cold, claim.generation(), end, now, log);
            true
        });
        if !counts {
            self.settle_by_the_lock(claim, outcome, None);
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
                inner.weigh(cold, ticket.generation, end, now, log);
            }
            let (parent, from_parent) = self.lent(cold, claim)?;
            let timed = *from_parent;
            // As with the call itself: its end must not be timed again.
            from_parent.find_slow().then_some((parent, timed))
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
            self.lent(cold, claim).map(|(parent, from_parent)| (parent, *from_parent))
        });
        if let Some((parent, from_parent)) = above {
            parent.renew(from_parent, lease);
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
            None => self.streak(),
        };
        if cold.settings.window() != settings.window() || !settings.has_window_rule() {
            cold.epoch = cold.epoch.wrapping_add(1);
        }
        let was_in_order = cold.evidence.is_some();
        match (&mut cold.evidence, Recorder::of(settings)) {
            (Some(evidence), Recorder::Locked) => evidence.reconfigure(settings),
            (evidence, _) => {
                *evidence = locked_evidence(settings);
                if let Some(evidence) = evidence {
                    evidence.set_streak(streak);
                } else if was_in_order {
                    self.streak.restart(generation, streak);
                } else if adaptive::tightest(settings).asked_from().is_some() {
                    self.streak.gather(|run| self.shards.run(run));
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
    }
}
