//! What besides the counts of calls decides: thresholds that move, suspicion, dependencies.

use std::fmt::Write as _;

use panelboard_core::HealthReport;
use panelboard_core::rules::Thresholds;

use super::text::{Many, Time};
use crate::{PhaseName, Score, Snapshot};

impl Snapshot {
    /// That thresholds are not what is configured, and why.
    pub(super) fn say_thresholds(&self, out: &mut String) {
        // Of a ramp, during which fewer calls are enough, there is a sentence already.
        let min_calls = self.thresholds.min_calls;
        let configured = Thresholds { min_calls, ..Thresholds::of(&self.settings) };
        if self.thresholds == configured {
            return;
        }
        let moved = match self.thresholds.streak > configured.streak {
            true => "relaxed",
            false => "tightened",
        };
        let health = self.health_report.map(|report| format!("health is {report}"));
        let mean = self.tally.mean_latency().zip(self.settings.slow_call_duration());
        let slow = mean.filter(|(mean, bound)| mean > bound);
        let slow = slow.map(|(mean, _)| format!("calls take {} on average", Time(mean)));
        // A healthy report is no reason to tighten.
        let health =
            health.filter(|_| self.health_report != Some(HealthReport::Healthy) || slow.is_none());
        let why: Vec<String> = health.into_iter().chain(slow).collect();
        say!(out, "Thresholds are {moved}: {}", why.join(", "));
    }

    /// What the sequential rule holds against the dependency.
    pub(super) fn say_suspicion(&self, out: &mut String) {
        if let (Some(suspicion), Some(limit)) = (self.suspicion, self.thresholds.score)
            && suspicion.score > Score::FLOOR
        {
            let (score, normal) = (suspicion.score, suspicion.base_rate);
            say!(out, "Failures score {score}, opens at {limit} ({normal} would be normal)");
        }
    }

    /// Which dependencies are open, and what that means.
    pub(super) fn say_dependencies(&self, out: &mut String) {
        let open: Vec<String> = self
            .dependencies
            .iter()
            .filter(|dependency| dependency.open.is_some())
            .map(|dependency| format!("`{}`", dependency.name.printable()))
            .collect();
        if !open.is_empty() {
            let (names, are) = (open.join(", "), if open.len() == 1 { "is" } else { "are" });
            let meaning = match self.phase {
                PhaseName::Closed => "failures are excused",
                PhaseName::Open => "recovery may have to wait for that",
                PhaseName::HalfOpen => "recovery waits",
            };
            say!(out, "{names} {are} open, on which it depends: {meaning}");
        }
        if self.counters.excused > 0 {
            let excused = Many(self.counters.excused, "failure");
            let were = if self.counters.excused == 1 { "was" } else { "were" };
            say!(out, "{excused} {were} excused so far, for a dependency was open");
        }
    }
}
