//! What a breaker looks like at one moment: the one type that every view renders.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use panelboard_core::machine::Counters;
pub use panelboard_core::rules::Thresholds;
use panelboard_core::{HealthReport, OpenDependency, Score};

use crate::event::{LastError, Order, TripRecord};
use crate::stats::Stats;
use crate::{Cause, Kind, Mode, Name, PhaseName, Ratio, Settings, Tally};

/// What a breaker looks like at one moment.
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Kind, PhaseName, Settings};
///
/// let mail = CircuitBreaker::new("mail", Settings::builder().failure_threshold(1).build()?);
/// mail.try_acquire()?.failure(Kind::Timeout);
/// let now = mail.snapshot();
/// assert_eq!((now.phase, now.counters.admitted), (PhaseName::Open, 1));
/// let why = now.trip.as_ref().expect("it is open");
/// println!("open since {:?}: {}", why.at, now.explain());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Which circuit.
    pub name: Name,
    /// When this was taken.
    pub at: SystemTime,
    /// The phase.
    pub phase: PhaseName,
    /// The number of the phase; every transition raises it.
    pub generation: u64,
    /// How long ago the phase was entered.
    pub in_phase: Duration,
    /// Who decides.
    pub mode: Mode,
    /// The operator's override, if one is in force.
    pub override_: Option<Override>,
    /// What the breaker runs on.
    pub settings: Settings,
    /// Failures in a row.
    pub streak: u32,
    /// What is in the window.
    pub tally: Tally,
    /// What a health check last reported.
    pub health_report: Option<HealthReport>,
    /// The thresholds in force. With `adaptive`, or during a ramp, they may be others than those of
    /// `settings`.
    pub thresholds: Thresholds,
    /// With `sequential`: what is held against the dependency.
    pub suspicion: Option<Suspicion>,
    /// What the circuit depends on, directly or not.
    pub dependencies: Vec<Dependency>,
    /// The failures in the window by kind, most frequent first.
    pub kinds: Vec<(Kind, u64)>,
    /// What was counted, ever.
    pub counters: Counters,
    /// While open: how long until calls may probe. When the wait is over and a health check is to
    /// pass first: until its next report is due.
    pub opens_for: Option<Duration>,
    /// Whether the wait is over and a health check is to pass first.
    pub awaits_health: bool,
    /// While pushback holds calls back: for how much longer.
    pub paced_for: Option<Duration>,
    /// Whether the dependency said that a quota is used up, and no call has succeeded since that was
    /// let through to try. The next try is when [`paced_for`](Self::paced_for) is over.
    pub quota_used_up: bool,
    /// After a recovery: how far traffic has come back; `None` when all of it may.
    pub ramp: Option<Ramp>,
    /// While closed, and if there is a throttle: the share of calls it refuses now.
    pub throttled: Option<Ratio>,
    /// While half-open: how the probes are doing.
    pub probes: Option<Probes>,
    /// Recoveries that failed since the last sign of health: the backoff exponent.
    pub failed_recoveries: u32,
    /// What the breaker knew when it last opened from closed: the root of the incident. Recoveries
    /// that failed since are transitions of their own.
    pub trip: Option<Arc<TripRecord>>,
    /// What the breaker knew at its last transition of any sort.
    pub last: Option<Arc<TripRecord>>,
    /// The last errors, oldest first, at most 20.
    pub errors: Vec<LastError>,
    /// Figures over the breaker's life.
    pub stats: Stats,
    /// The parent of a family only: how the breakers below it are doing.
    pub keys: Option<Keys>,
}

/// How the breakers of a family are doing.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Keys {
    /// How many there are, the overflow breaker included.
    pub count: usize,
    /// How many of them are open.
    pub open: usize,
    /// How many keys have a breaker of their own at most.
    pub max: usize,
}

/// An operator's override.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Override {
    /// How much longer it lasts.
    pub for_: Duration,
    /// Who ordered it, and why, if they said so.
    pub order: Option<Order>,
}

/// How far traffic has come back after a recovery.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Ramp {
    /// The share of calls that may go through, or 5 a second if that is more.
    pub share: Ratio,
    /// How long until a larger one may.
    pub next_in: Duration,
    /// How long until all of them may.
    pub ends_in: Duration,
}

/// One round of probes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Probes {
    /// Under way.
    pub in_flight: u32,
    /// Succeeded.
    pub successes: u32,
    /// Failed.
    pub failures: u32,
    /// How many must succeed.
    pub needed: u32,
    /// Out of how many.
    pub of: u32,
}

/// What the sequential rule holds against the dependency.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Suspicion {
    /// The score; the limit is in [`Snapshot::thresholds`].
    pub score: Score,
    /// The share of failures that is held to be normal, as given or as learned.
    pub base_rate: Ratio,
}

/// A circuit that another depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Dependency {
    /// Which.
    pub name: Name,
    /// Whether it is open, and for how long. While it is, failures are excused and recovery waits.
    pub open: Option<OpenDependency>,
}

/// How a circuit is doing, in one word.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Health {
    /// Closed.
    Healthy,
    /// Open or probing, or an operator has switched its protection off.
    Degraded,
    /// More than three recoveries have failed, or an operator has forced it open.
    Unhealthy,
}

// ===== impl Snapshot =====

impl Snapshot {
    /// How the circuit is doing.
    pub fn health(&self) -> Health {
        match (self.mode, self.phase) {
            (Mode::ForcedOpen, _) => Health::Unhealthy,
            (_, PhaseName::Open | PhaseName::HalfOpen) if self.failed_recoveries > 3 => {
                Health::Unhealthy
            }
            (Mode::ForcedClosed, _) if self.override_.is_some() => Health::Degraded,
            // Switched off in configuration: nothing is wrong with it.
            (Mode::ForcedClosed, _) | (_, PhaseName::Closed) => Health::Healthy,
            (_, PhaseName::Open | PhaseName::HalfOpen) => Health::Degraded,
        }
    }

    /// Failures in a row: those of the closed phase, or those that ended it.
    pub fn consecutive_failures(&self) -> u32 {
        match (self.phase, self.trip.as_ref().map(|trip| trip.transition.cause)) {
            (PhaseName::Open | PhaseName::HalfOpen, Some(Cause::Tripped(fired))) => fired.streak,
            _ => self.streak,
        }
    }

    /// Calls refused, for whatever reason.
    pub fn rejected(&self) -> u64 {
        self.counters.rejected.iter().sum()
    }

    /// Share of failures among the calls in the window, from 0 to 1.
    pub fn failure_ratio(&self) -> f64 {
        share(self.tally.failures, self.tally.calls)
    }

    /// Share of slow calls among those in the window, from 0 to 1.
    pub fn slow_ratio(&self) -> f64 {
        share(self.tally.slow, self.tally.timed)
    }

    /// When it is worth coming back, if calls are refused now.
    pub fn retry_after(&self) -> Option<Duration> {
        match (self.mode, &self.override_) {
            (Mode::ForcedOpen, Some(over)) => Some(over.for_),
            (Mode::ForcedOpen, None) => Some(self.settings.recovery_timeout()),
            (Mode::ForcedClosed | Mode::Observe, _) => None,
            (Mode::Auto, _) => self.opens_for.max(self.paced_for).max(self.waits_for()),
        }
    }

    /// While half-open: for how long an open dependency holds recovery back.
    fn waits_for(&self) -> Option<Duration> {
        let open = self.dependencies.iter().filter_map(|dependency| dependency.open);
        let open =
            open.reduce(OpenDependency::and).filter(|_| self.phase == PhaseName::HalfOpen)?;
        Some(open.wait.unwrap_or(self.settings.recovery_timeout()))
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Health {
    /// The name in the health document.
    pub const fn name(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unhealthy => "unhealthy",
        }
    }
}
