//! What is published of a breaker: its face, its events, its snapshot.

use std::sync::Arc;

use panelboard_core::window::KindTally;
use panelboard_core::{Cause, Change, Kind, Score, Tick, Transition, adaptive, backoff};

use super::cold::{Cold, Rare};
use super::inner::Inner;
use crate::event::{LastError, Order, TripRecord, What};
use crate::face::Face;
use crate::permit::ErrorDetail;
use crate::shard::{Frame, RECENT};
use crate::sync::atomic::Ordering;
use crate::sync::lock;
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
            self.bus.push(self.name.clone(), at, what);
        }
        self.show_face(cold);
    }

    pub(super) fn show_face(&self, cold: &Cold) {
        self.face.publish(&cold.state, &cold.settings, cold.epoch, self.clock.now());
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
        let bare = self.shards.recent().into_iter().map(|failure| {
            let at = self.clock.wall(Tick::from_nanos(failure.micros * 1_000));
            ErrorDetail::new().to_error(at, failure.kind)
        });
        let told = cold.rare.iter().flat_map(|rare| rare.details.iter().cloned());
        let mut errors: Vec<LastError> = bare.chain(told).collect();
        errors.sort_by_key(|error| error.at);
        errors.split_off(errors.len().saturating_sub(RECENT))
    }

    pub(super) fn remember(&self, kind: Kind, detail: &ErrorDetail, now: Tick) {
        let error = detail.to_error(self.clock.wall(now), kind);
        lock(&self.cold).remember(error);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.look();
        let dependencies = self.look_at_dependencies();
        let cold = lock(&self.cold);
        let Cold { settings, state, evidence, rare, .. } = &*cold;
        let now = self.clock.now();
        let generation = state.generation();
        let (streak, tally) = match evidence {
            Some(evidence) => (evidence.streak(), evidence.tally(now)),
            None => (self.streak.get(), self.shards.tally(self.frame(&cold, generation), now)),
        };
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
            thresholds: adaptive::in_force(settings, state.health(), tally),
            suspicion: cold.cusum.as_ref().map(|cusum| snapshot::Suspicion {
                score: cusum.score(),
                base_rate: cusum.base_rate(),
            }),
            dependencies,
            kinds: self.kinds(&cold, generation, now),
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
            errors: self.errors(&cold),
            stats: rare.stats.at(now),
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
