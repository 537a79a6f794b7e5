//! Recovery that is tried with a health check first: the gate between the end of an open
//! breaker's wait and its first probe.

use alloc::vec::Vec;
use core::time::Duration;

use super::{HealthReport, Phase, State};
use crate::round::Round;
use crate::time::nanos;
use crate::{Cause, Change, Settings, Tick};

/// For how many intervals no report may come in before real calls probe all the same: whoever
/// checks may have died.
const MISSED_REPORTS: u32 = 3;

/// The shortest such time, so that frequent checks may pause.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(30);

impl State {
    /// While open: until when calls are refused for certain, unless a health check passes before.
    ///
    /// That is the end of the wait; then, with a health check, when its next report may be in, or
    /// real calls probe without one.
    pub fn refuses_until(&self, settings: &Settings, now: Tick) -> Option<Tick> {
        let wait = self.open_until(settings)?;
        let Some(interval) = settings.health_check.filter(|_| now >= wait) else {
            return Some(wait);
        };
        let heard = self.last_heard(wait);
        let missed = nanos(now.since(heard)) / nanos(interval);
        let due = heard.after(Duration::from_nanos(nanos(interval).saturating_mul(missed + 1)));
        self.ends_by_time(settings).map(|ends| ends.min(due))
    }

    /// Whether an open breaker has waited long enough, and now waits for a health check to pass.
    pub fn awaits_health(&self, settings: &Settings, now: Tick) -> bool {
        settings.health_check.is_some() && self.open_until(settings).is_some_and(|wait| now >= wait)
    }

    /// When an open phase ends if nothing else happens.
    pub(super) fn ends_by_time(&self, settings: &Settings) -> Option<Tick> {
        let wait = self.open_until(settings)?;
        Some(match settings.health_check {
            None => wait,
            Some(interval) => {
                let patience = interval.saturating_mul(MISSED_REPORTS).max(SHORTEST_PATIENCE);
                self.last_heard(wait).after(patience)
            }
        })
    }

    /// When the last report came in that counts: one from before the end of the wait does not.
    fn last_heard(&self, wait: Tick) -> Tick {
        match &self.phase {
            Phase::Open(opening) => opening.reported.map_or(wait, |at| at.max(wait)),
            Phase::Closed | Phase::HalfOpen(_) => wait,
        }
    }

    /// A health check has reported.
    pub(super) fn hear(
        &mut self,
        settings: &Settings,
        now: Tick,
        report: HealthReport,
        log: &mut Vec<Change>,
    ) {
        self.health = Some(report);
        if !self.awaits_health(settings, now) {
            return;
        }
        match (report, &mut self.phase) {
            (HealthReport::Unhealthy, Phase::Open(opening)) => opening.reported = Some(now),
            _ => self.half_open(now, Cause::HealthCheckPassed, log),
        }
    }

    /// The open phase is over.
    pub(super) fn half_open(&mut self, at: Tick, cause: Cause, log: &mut Vec<Change>) {
        // Not zero, however short: it has been open.
        self.last_open = at.since(self.entered).max(Duration::from_nanos(1));
        self.enter(Phase::HalfOpen(Round::default()), at, cause, log);
    }
}
