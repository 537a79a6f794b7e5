//! The trip record: what a breaker knew at the moment it entered a phase.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Order;
use crate::{Kind, Transition, WindowSpec};

/// What a breaker knew at the moment it entered a phase. "Why is it open?" is answered from this.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TripRecord {
    /// From where to where, when, and why: for a trip, the rule with its numbers and thresholds.
    pub transition: Transition,
    /// When, by the wall clock.
    pub at: SystemTime,
    /// Over what the rules looked back.
    pub window: WindowSpec,
    /// Failures in the window by kind, most frequent first.
    pub kinds: Vec<(Kind, u64)>,
    /// The last errors, oldest first, at most 20.
    pub errors: Vec<LastError>,
    /// Recoveries that had failed before: the backoff exponent.
    pub failed_recoveries: u32,
    /// How the planned open phases grow, before jitter: the one before, this one, the next (or
    /// this one and the next two, if it is the first).
    pub waits: Vec<Duration>,
    /// For how long it opens, if it does.
    pub opens_for: Option<Duration>,
    /// How many probes must succeed, and out of how many.
    pub probes: (u32, u32),
    /// Who ordered it, if somebody did.
    pub order: Option<Order>,
    /// Calls this breaker had refused before.
    pub rejected_before: u64,
}

/// One failure, as far as it is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LastError {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// How.
    pub kind: Kind,
    /// HTTP status or the like.
    pub status: Option<u16>,
    /// How long the call took.
    pub latency: Option<Duration>,
    /// What the caller said of it, without secrets.
    pub message: Option<Arc<str>>,
    /// The trace it belongs to.
    pub trace_id: Option<Arc<str>>,
}

impl LastError {
    /// The short name of what went wrong: `HTTP 503`, or the kind.
    pub fn label(&self) -> String {
        match self.status {
            Some(status) => format!("HTTP {status}"),
            None => crate::kinds::label(self.kind).to_string(),
        }
    }
}
