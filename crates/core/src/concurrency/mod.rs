//! Adaptive concurrency limits: as many calls at once as the dependency can take without queueing.
//!
//! # Vegas, and why
//! The limit follows TCP Vegas (Brakmo and Peterson, "TCP Vegas: End to End Congestion Avoidance on
//! a Global Internet", 1995), with the bounds that Netflix' concurrency-limits gives it for
//! services. From the latency without a queue (`base`) and the latency seen now it estimates how
//! many calls wait inside the dependency, by Little's law:
//!
//! ```text
//! queue = in flight × (1 − base / latency)
//! ```
//!
//! and keeps that between two small numbers. The alternative, a gradient of a long-term over a
//! short-term average (concurrency-limits' Gradient2), needs no base, but takes a queue that grows
//! slowly for normal: under steady overload its limit drifts to the maximum. Vegas' weakness is a
//! base that has become wrong. So here it is no minimum, which one lucky call would set, but the
//! mean of a window; it follows windows that show no queue, and if for 30 s none did, the limit is
//! halved until the queue has drained and a window has measured it anew (as BBR's `ProbeRTT` does).
//!
//! Means of windows are compared with means of windows, so calls of different weight do no harm as
//! long as their mix stays about the same.

mod window;

#[cfg(test)]
mod tests;

use core::time::Duration;

use window::Window;

use crate::settings::{SettingsError, within};
use crate::time::nanos;
use crate::{Tick, limits};

/// A window has at least so many calls.
const MIN_CALLS: u32 = 10;

/// A window, and the draining before the base is measured, lasts at least so long.
const MIN_WINDOW: Duration = Duration::from_millis(100);

/// When for so long every window has shown a queue, the base is measured anew.
const BASE_KEPT: Duration = Duration::from_secs(30);

/// The bounds of an adaptive limit, checked.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Bounds {
    min: u32,
    max: u32,
    initial: u32,
}

/// An adaptive limit: plain values, changed by the end of each call.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    bounds: Bounds,
    allowed: u32,
    /// The latency without a queue, in nanoseconds; 0 while unknown.
    base: u64,
    window: Window,
    stage: Stage,
    /// Since when every window has shown a queue.
    queued_since: Option<Tick>,
    /// Calls that began before have no say in another decrease for overload.
    lowered_at: Tick,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Stage {
    /// The limit follows the queue.
    Follow,
    /// The limit is halved until the queue has drained.
    Drain { before: u32 },
    /// The next window is the base.
    Measure { before: u32 },
}

/// What the end of a call says of the load.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Sign {
    /// It was served; its latency counts.
    Served,
    /// It timed out or was pushed back: too much.
    Overloaded,
    /// Nothing: it failed some other way, or was cancelled.
    Nothing,
}

/// A call that has ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// When it began.
    pub started: Tick,
    /// Calls that were in flight when it ended, itself among them.
    pub in_flight: u32,
    /// What it says.
    pub sign: Sign,
}

// ===== impl Bounds =====

impl Bounds {
    /// Between `min` and `max`, at first `initial`.
    ///
    /// # Errors
    /// Unless 1 ≤ `min` ≤ `initial` ≤ `max` ≤ 1,000,000.
    pub fn new(min: u32, initial: u32, max: u32) -> Result<Bounds, SettingsError> {
        let max = within("concurrency_limit.max", max, limits::CONCURRENT)?;
        let min = within("concurrency_limit.min", min, *limits::CONCURRENT.start()..=max)?;
        let initial = within("concurrency_limit.initial", initial, min..=max)?;
        Ok(Bounds { min, max, initial })
    }

    /// The limit never falls below.
    pub const fn min(&self) -> u32 {
        self.min
    }

    /// The limit never rises above.
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// Where it begins.
    pub const fn initial(&self) -> u32 {
        self.initial
    }
}

impl Default for Bounds {
    /// 1 to 200, at first 20.
    fn default() -> Bounds {
        Bounds { min: 1, max: 200, initial: 20 }
    }
}

// ===== impl Limit =====

impl Limit {
    /// A limit at its initial value.
    pub const fn new(bounds: Bounds, now: Tick) -> Limit {
        Limit {
            bounds,
            allowed: bounds.initial,
            base: 0,
            window: Window::new(now),
            stage: Stage::Follow,
            queued_since: None,
            lowered_at: Tick::ZERO,
        }
    }

    /// Calls that may be in flight now.
    pub const fn limit(&self) -> u32 {
        self.allowed
    }

    /// The latency without a queue, once it is known.
    pub const fn base(&self) -> Option<Duration> {
        match self.base {
            0 => None,
            base => Some(Duration::from_nanos(base)),
        }
    }

    /// Takes note of the end of a call.
    pub fn end(&mut self, call: Ended, now: Tick) {
        match call.sign {
            Sign::Served => self.window.add(call, now),
            // Those that began before the last decrease met the load that it was made for.
            Sign::Overloaded if call.started >= self.lowered_at => self.lower(now),
            Sign::Overloaded | Sign::Nothing => {}
        }
        let age = now.since(self.window.started());
        match self.stage {
            Stage::Follow if self.is_full(now) => self.follow(now),
            Stage::Follow => {}
            Stage::Drain { before } if age >= self.span() && call.in_flight <= self.allowed => {
                self.enter(Stage::Measure { before }, now);
            }
            Stage::Measure { before } if self.is_full(now) => {
                self.base = self.window.mean();
                self.resume(before, now);
            }
            // A dependency that serves nothing cannot be measured; the limit must not stay halved.
            Stage::Drain { before } | Stage::Measure { before } => {
                if age >= self.span().saturating_mul(8) {
                    self.resume(before, now);
                }
            }
        }
    }

    /// A window's shortest span: long enough for a change of the limit to show.
    fn span(&self) -> Duration {
        MIN_WINDOW.max(Duration::from_nanos(self.base))
    }

    fn is_full(&self, now: Tick) -> bool {
        self.window.calls() >= MIN_CALLS && now.since(self.window.started()) >= self.span()
    }

    /// Moves the limit by what the window shows of the queue.
    fn follow(&mut self, now: Tick) {
        let (mean, peak) = (self.window.mean(), self.window.peak());
        if self.base == 0 {
            self.base = mean;
        }
        let queue = queue(peak, self.base, mean);
        let step = step(self.allowed);
        let (low, high) = (3 * step, 6 * step);
        // It has been the limit that held calls back; else there is no telling what more would do.
        let used = peak >= self.allowed;
        let limit = match queue {
            queue if queue <= step && used => self.allowed.saturating_add(high),
            queue if queue < low && used => self.allowed.saturating_add(step),
            queue if queue > high => {
                let most = step.max(self.allowed / 10);
                self.allowed.saturating_sub((queue - high).clamp(step, most))
            }
            _ => self.allowed,
        };
        self.set(limit);
        if queue <= step {
            self.base = towards(self.base, mean);
            self.queued_since = None;
        } else if now.since(*self.queued_since.get_or_insert(now)) >= BASE_KEPT {
            let before = self.allowed;
            self.set(before / 2);
            return self.enter(Stage::Drain { before }, now);
        }
        self.window = Window::new(now);
    }

    /// Overload: less by a quarter, at once.
    fn lower(&mut self, now: Tick) {
        self.lowered_at = now;
        let less = |limit: u32| limit - (limit / 4).max(1).min(limit);
        match &mut self.stage {
            Stage::Follow => self.window = Window::new(now),
            Stage::Drain { before } | Stage::Measure { before } => *before = less(*before),
        }
        self.set(less(self.allowed));
    }

    fn enter(&mut self, stage: Stage, now: Tick) {
        self.stage = stage;
        self.window = match stage {
            // Calls from before the queue had drained say nothing of a base.
            Stage::Measure { .. } => Window::since(now),
            Stage::Follow | Stage::Drain { .. } => Window::new(now),
        };
    }

    fn resume(&mut self, before: u32, now: Tick) {
        self.set(before);
        self.queued_since = None;
        self.enter(Stage::Follow, now);
    }

    fn set(&mut self, limit: u32) {
        self.allowed = limit.clamp(self.bounds.min, self.bounds.max);
    }
}

/// Calls of `in_flight` that wait: `in_flight × (1 − base / latency)`, rounded down.
fn queue(in_flight: u32, base: u64, latency: u64) -> u32 {
    let Some(waiting) = latency.checked_sub(base).filter(|waiting| *waiting > 0) else { return 0 };
    let queue = u128::from(in_flight) * u128::from(waiting) / u128::from(latency);
    u32::try_from(queue).unwrap_or(in_flight)
}

/// By how much the limit moves: the digits of its decimal, less one, at least 1 (`log10`, as in
/// concurrency-limits).
fn step(limit: u32) -> u32 {
    limit.checked_ilog10().unwrap_or(0).max(1)
}

/// An eighth of the way.
fn towards(from: u64, to: u64) -> u64 {
    let part = from.abs_diff(to) / 8;
    if to > from { from + part } else { from - part }
}

/// The latency of a call, at least a nanosecond.
fn latency(started: Tick, now: Tick) -> u64 {
    nanos(now.since(started)).max(1)
}
