//! What is published of a breaker: its face, its events, its snapshot.

use std::sync::Arc;
use std::time::Duration;

use panelboard_core::machine::Counters;
use panelboard_core::rollup::Child;
use panelboard_core::window::KindTally;
use panelboard_core::{
    Cause, Change, Kind, Mode, Score, Tally, Tick, Transition, adaptive, backoff, evidence,
};

use super::cold::{Cold, Rare};
use super::inner::Inner;
use crate::event::{LastError, Order, TripRecord, What};
use crate::face::Face;
use crate::permit::ErrorDetail;
use crate::shard::{Frame, RECENT};
use crate::sync::atomic::Ordering;
use crate::{PhaseName, Snapshot, snapshot};

// ===== impl Inner: what comes of it =====

impl Inner {
    pub(super) fn publish(&self, cold: &mut Cold, log: &[Change], order: Option<&Order>) {
        for change in log {
            let at = self.clock.wall(change.at());
            let what = match change {
                Change::Phase(transition) => self.enter(cold, transition, order),
                Change::Mode(change) => {
                    cold.rare().override_order = change.until.and(order.cloned());
                    What::Mode {
                        from: change.from,
                        to: change.to,
                        until: change.until.map(|until| self.clock.wall(until)),
                        order: order.cloned(),
                    }
                }
            };
            self.bus().push(self.name.clone(), at, what);
        }
        self.show_face(cold);
    }

    pub(super) fn show_face(&self, cold: &Cold) {
        let shape = (cold.epoch, self.home.above.is_some());
        self.face.publish(&cold.state, &cold.settings, shape, self.clock.now());
    }

    /// Shows calls the settings they need; a face is to be shown after.
    pub(super) fn show_settings(&self, cold: &Cold) {
        self.hot.publish(&cold.settings, cold.dependencies.is_some());
    }

    /// Tells calls whether one more success would change anything behind the lock.
    pub(super) fn show_evidence(&self, cold: &Cold) {
        let Cold { settings, evidence, cusum, .. } = cold;
        let saturated = match (evidence, cusum) {
            (None, None) => false,
            (evidence, cusum) => {
                evidence.as_ref().is_none_or(|e| e.is_saturated_with_success(settings))
                    && cusum.as_ref().is_none_or(|cusum| cusum.score() == Score::FLOOR)
            }
        };
        let clean = if saturated { cold.state.generation() } else { 0 };
        // Release: pairs with the acquire in `settle_success`.
        self.clean.store(clean, Ordering::Release);
    }

    /// A phase was entered: keep what was known, and start the windows empty.
    fn enter(&self, cold: &mut Cold, transition: &Transition, order: Option<&Order>) -> What {
        let record = Arc::new(self.record(cold, transition, order));
        let rare = cold.rare();
        rare.stats.count(transition);
        if transition.from == PhaseName::Closed && transition.to == PhaseName::Open {
            rare.trip = Some(Arc::clone(&record));
        }
        rare.last = Some(Arc::clone(&record));
        if let Some(evidence) = &mut cold.evidence {
            evidence.clear();
        }
        if let Some(cusum) = &mut cold.cusum {
            cusum.clear(transition.cause == Cause::Reset);
        }
        cold.successes_before = self.shards.successes();
        // Before the face shows the new generation: whoever sees that must find this.
        self.streak.restart(transition.generation, 0);
        What::Transition {
            from: transition.from,
            to: transition.to,
            generation: transition.generation,
            mode: cold.state.mode(&cold.settings),
            cause: transition.cause,
            record,
        }
    }

    fn record(&self, cold: &Cold, transition: &Transition, order: Option<&Order>) -> TripRecord {
        let Cold { settings, state, .. } = cold;
        let before = transition.generation - 1;
        let failed = state.failed_recoveries();
        let first = failed.saturating_sub(1);
        let open_until = state.open_until(settings);
        TripRecord {
            transition: *transition,
            at: self.clock.wall(transition.at),
            window: settings.window(),
            kinds: self.kinds(cold, before, transition.at),
            errors: self.errors(cold),
            failed_recoveries: failed,
            waits: (first..first + 3).map(|n| backoff::planned(settings, n)).collect(),
            opens_for: open_until.map(|until| until.since(transition.at)),
            probes: (settings.success_threshold(), settings.probe_calls()),
            order: order.cloned(),
            rejected_before: self.shards.totals().rejected.iter().sum(),
        }
    }

    /// The failures in the window of a generation by kind, most frequent first.
    fn kinds(&self, cold: &Cold, generation: u64, now: Tick) -> Vec<(Kind, u64)> {
        let tally: KindTally = match &cold.evidence {
            Some(evidence) => evidence.kinds(now),
            None => self.shards.kinds(self.frame(cold, generation), now),
        };
        let mut kinds: Vec<(Kind, u64)> =
            Kind::ALL.into_iter().zip(tally).filter(|(_, count)| *count > 0).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        kinds
    }

    /// Which cells of the shards count in a generation.
    pub(super) fn frame(&self, cold: &Cold, generation: u64) -> Frame {
        Frame { stamp: Face::stamp_of(generation, cold.epoch), width: self.hot.width() }
    }

    /// The last errors, oldest first: those somebody told more about, and the bare ones.
    fn errors(&self, cold: &Cold) -> Vec<LastError> {
        let bare =
            self.shards.recent().into_iter().map(|failure| {
                ErrorDetail::new().to_error(self.clock.wall(failure.at), failure.kind)
            });
        let told = cold.rare.iter().flat_map(|rare| rare.details.iter().cloned());
        let mut errors: Vec<LastError> = bare.chain(told).collect();
        errors.sort_by_key(|error| error.at);
        errors.split_off(errors.len().saturating_sub(RECENT))
    }

    pub(super) fn remember(&self, kind: Kind, detail: &ErrorDetail, now: Tick) {
        let error = detail.to_error(self.clock.wall(now), kind);
        self.cold.lock().remember(error);
    }

    /// Failures in a row, and what is in the window.
    fn seen(&self, cold: &Cold, now: Tick) -> (u32, Tally) {
        match &cold.evidence {
            Some(evidence) => (evidence.streak(), evidence.tally(now)),
            None => {
                let frame = self.frame(cold, cold.state.generation());
                (self.streak(), self.shards.tally(frame, now))
            }
        }
    }

    /// Failures in a row, as the streak word has them.
    #[cfg(all(test, panelboard_loom))]
    pub(crate) fn streak_now(&self) -> u32 {
        self.streak()
    }

    /// Calls that ever succeeded.
    pub(crate) fn successes(&self) -> u64 {
        self.shards.successes()
    }

    /// What was counted, ever.
    pub(crate) fn totals(&self) -> Counters {
        self.shards.totals()
    }

    /// Whether it may be forgotten: a new breaker would decide alike, and time has brought nothing
    /// about that is still to be announced. Announces nothing itself.
    pub(crate) fn is_clean(&self, now: Tick) -> bool {
        // Light counts are of successes alone.
        if self.shards.is_light() && self.cold.is_fresh() {
            return true;
        }
        self.cold.peek(|cold| {
            let (mut state, mut log) = (cold.state.clone(), Vec::new());
            state.look(&cold.settings, now, &mut log);
            let (streak, tally) = self.seen(cold, now);
            if self.shards.successes() > cold.successes_before {
                state.note_success();
            }
            log.is_empty()
                && state.is_clean(&cold.settings, now)
                && evidence::is_clean(streak, tally)
                && cold.cusum.as_ref().is_none_or(|cusum| cusum.is_clean())
        })
    }

    /// What its parent needs to know. `since` is when the parent entered its phase.
    pub(crate) fn as_child(&self, since: Tick, now: Tick) -> Child {
        self.cold.peek(|cold| {
            let Cold { settings, state, .. } = cold;
            // Looked at apart: what time has brought about is for others to notice and announce.
            let mut state = state.clone();
            state.look(settings, now, &mut Vec::new());
            let is_called = match settings.has_window_rule() {
                true => self.seen(cold, now).1.calls > 0,
                // Without a window, a call at any time.
                false => self.shards.totals().admitted > 0,
            };
            Child { phase: state.phase(), is_news: state.entered() >= since, is_called }
        })
    }

    /// Its phase, the number of that, and since when it is in it.
    pub(crate) fn phase_since(&self) -> (PhaseName, u64, Tick) {
        self.cold.peek(|cold| {
            let state = &cold.state;
            (state.phase(), state.generation(), state.entered())
        })
    }

    /// The operator's override in force, if there is one: the mode, for how long, and whose order.
    pub(crate) fn override_in_force(&self) -> Option<(Mode, Duration, Option<Order>)> {
        self.look();
        self.cold.peek(|cold| {
            let for_ = cold.state.override_until()?.until_from(self.clock.now());
            let order = cold.rare.as_ref().and_then(|rare| rare.override_order.clone());
            Some((cold.state.mode(&cold.settings), for_, order))
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.look();
        let dependencies = self.look_at_dependencies();
        let mut snapshot = self.cold.peek(|cold| self.snapshot_of(cold));
        // Their locks are not taken under this one.
        snapshot.keys = self.family().map(|family| family.keys());
        snapshot.dependencies = dependencies;
        snapshot
    }

    fn snapshot_of(&self, cold: &Cold) -> Snapshot {
        let Cold { settings, state, rare, .. } = cold;
        let now = self.clock.now();
        let generation = state.generation();
        let (streak, tally) = self.seen(cold, now);
        let empty = Rare::default();
        let rare = rare.as_deref().unwrap_or(&empty);
        Snapshot {
            name: self.name.clone(),
            at: self.clock.wall(now),
            phase: state.phase(),
            generation,
            in_phase: now.since(state.entered()),
            mode: state.mode(settings),
            override_: state.override_until().map(|until| snapshot::Override {
                for_: until.until_from(now),
                order: rare.override_order.clone(),
            }),
            settings: **settings,
            streak,
            tally,
            health_report: state.health(),
            thresholds: adaptive::in_force(&state.judged_by(settings, now), state.health(), tally),
            suspicion: cold.cusum.as_ref().map(|cusum| snapshot::Suspicion {
                score: cusum.score(),
                base_rate: cusum.base_rate(),
            }),
            dependencies: Vec::new(),
            kinds: self.kinds(cold, generation, now),
            counters: self.shards.totals(),
            opens_for: state.refuses_until(settings, now).map(|until| until.until_from(now)),
            awaits_health: state.awaits_health(settings, now),
            ramp: state.ramping(settings, now).map(|step| snapshot::Ramp {
                share: step.share,
                next_in: step.until.until_from(now),
                ends_in: step.ends.until_from(now),
            }),
            throttled: state.throttled(settings, now),
            paced_for: state.pace().until(now).map(|until| until.until_from(now)),
            quota_used_up: state.pace().quota_used_up(),
            probes: state.round().map(|round| snapshot::Probes {
                in_flight: round.in_flight(now),
                successes: round.successes(),
                failures: round.failures(),
                needed: settings.success_threshold(),
                of: settings.probe_calls(),
            }),
            failed_recoveries: state.failed_recoveries(),
            trip: rare.trip.clone(),
            last: rare.last.clone(),
            errors: self.errors(cold),
            stats: rare.stats.at(now),
            keys: None,
        }
    }

    fn look_at_dependencies(&self) -> Vec<snapshot::Dependency> {
        let dependencies = self.dependencies();
        let each = dependencies.iter().flat_map(|all| all.iter());
        each.map(|dependency| snapshot::Dependency {
            name: dependency.name.clone(),
            open: dependency.is_open(),
        })
        .collect()
    }
}
