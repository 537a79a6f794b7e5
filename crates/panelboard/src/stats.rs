//! Figures over a breaker's life that change only with its phases.

use std::time::Duration;

use crate::{Cause, PhaseName, Tick, Transition};

/// Upper bounds of the time-to-recover histogram, in seconds.
pub const RECOVERY_BOUNDS: [u64; 11] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600];

/// Figures over a breaker's life.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Transitions so far, by from, to and the name of the cause.
    pub transitions: Vec<((PhaseName, PhaseName, &'static str), u64)>,
    /// Time spent open, the present phase included.
    pub open: Duration,
    /// How long it took from opening until closed again.
    pub recoveries: Recoveries,
    /// How probes ended.
    pub probes: ProbeCounts,
    /// Since when it has been open; `None` if it is not.
    pub(crate) open_since: Option<Tick>,
    /// Since when it has not been closed; `None` if it is.
    pub(crate) tripped_at: Option<Tick>,
}

/// A histogram of the time from opening until closed again.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Recoveries {
    /// How many fell at or under each of [`RECOVERY_BOUNDS`] but over the one before; the last
    /// place is for longer ones.
    pub buckets: [u64; RECOVERY_BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

/// How probes ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProbeCounts {
    /// They counted for closing.
    pub success: u64,
    /// They counted against it: failed, or slow.
    pub failure: u64,
    /// They said nothing: cancelled, pushed back, or given while a mode was forced.
    pub neutral: u64,
    /// Their lease had run out, or their round was over.
    pub expired: u64,
}

// ===== impl Stats =====

impl Stats {
    pub(crate) fn count(&mut self, transition: &Transition) {
        let Transition { from, to, at, cause, .. } = *transition;
        self.add(from, to, cause);
        if let Some(since) = self.open_since.take() {
            self.open += at.since(since);
        }
        match to {
            PhaseName::Open => {
                self.open_since = Some(at);
                self.tripped_at.get_or_insert(at);
            }
            PhaseName::HalfOpen => {}
            PhaseName::Closed => {
                if let Some(tripped) = self.tripped_at.take() {
                    self.recoveries.add(at.since(tripped));
                }
            }
        }
    }

    /// These figures with the present open phase included.
    pub(crate) fn at(&self, now: Tick) -> Stats {
        let mut stats = self.clone();
        if let Some(since) = self.open_since {
            stats.open += now.since(since);
        }
        stats
    }

    fn add(&mut self, from: PhaseName, to: PhaseName, cause: Cause) {
        let key = (from, to, cause.name());
        match self.transitions.iter_mut().find(|(known, _)| *known == key) {
            Some((_, count)) => *count += 1,
            None => self.transitions.push((key, 1)),
        }
    }
}

impl Recoveries {
    fn add(&mut self, took: Duration) {
        let place = RECOVERY_BOUNDS.iter().position(|bound| took <= Duration::from_secs(*bound));
        self.buckets[place.unwrap_or(RECOVERY_BOUNDS.len())] += 1;
        self.sum += took;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}
