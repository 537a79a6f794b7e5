//! What the calls of a short while have in common.

use super::{Ended, latency};
use crate::Tick;

/// A sum of calls that were served.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Window {
    started: Tick,
    /// Only calls that began then or later count.
    since: Tick,
    calls: u32,
    total: u64,
    /// Most calls in flight.
    peak: u32,
}

impl Window {
    pub(super) const fn new(now: Tick) -> Window {
        Window { started: now, since: Tick::ZERO, calls: 0, total: 0, peak: 0 }
    }

    /// A window of calls that begin in it.
    pub(super) const fn since(now: Tick) -> Window {
        Window { since: now, ..Window::new(now) }
    }

    pub(super) fn add(&mut self, call: Ended, now: Tick) {
        if call.started < self.since {
            return;
        }
        self.calls = self.calls.saturating_add(1);
        self.total = self.total.saturating_add(latency(call.started, now));
        self.peak = self.peak.max(call.in_flight);
    }

    pub(super) const fn started(&self) -> Tick {
        self.started
    }

    pub(super) const fn calls(&self) -> u32 {
        self.calls
    }

    pub(super) const fn peak(&self) -> u32 {
        self.peak
    }

    /// Mean latency, at least a nanosecond.
    pub(super) fn mean(&self) -> u64 {
        (self.total / u64::from(self.calls.max(1))).max(1)
    }
}
