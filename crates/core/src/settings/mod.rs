//! The checked numbers a breaker runs on.

mod builder;
mod checks;
mod error;
mod sequential;

use core::time::Duration;

pub use builder::SettingsBuilder;
pub(crate) use checks::{duration, within, within_time};
pub use error::SettingsError;
pub use sequential::{BaseRate, Sequential, SequentialSpec};

use crate::{KindSet, Mode, Outcome, Ratio};

/// The settings of one breaker: parsed, checked, and never checked again.
///
/// Made by [`Settings::builder`]; [`Settings::default`] is what a breaker runs on when nothing is
/// said.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub(crate) mode: Mode,
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) failure_rate: Option<Ratio>,
    pub(crate) failure_count: Option<u32>,
    pub(crate) min_calls: u32,
    pub(crate) window: WindowSpec,
    pub(crate) slow_call_duration: Option<Duration>,
    pub(crate) slow_call_rate: Ratio,
    pub(crate) sequential: Option<Sequential>,
    pub(crate) adaptive: bool,
    pub(crate) recovery_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) jitter: Jitter,
    pub(crate) max_retry_after: Duration,
    pub(crate) half_open_max_calls: u32,
    pub(crate) success_threshold: u32,
    pub(crate) probe_calls: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) pace: bool,
    pub(crate) ramp: Option<Duration>,
    pub(crate) throttle: Option<Throttle>,
    pub(crate) health_check: Option<Duration>,
    pub(crate) ignore: KindSet,
}

/// Over what the rate and count rules look back.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum WindowSpec {
    /// The last so-and-so long, in ten buckets.
    Time(Duration),
    /// The last so many calls.
    Calls(u32),
}

/// How the open phase grows with each failed recovery.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Backoff {
    pub(crate) multiplier_millis: u32,
    pub(crate) max: Duration,
}

/// How calls are shed in proportion to what fails.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Throttle {
    pub(crate) k_millis: u32,
    pub(crate) window: Duration,
    pub(crate) max: Ratio,
}

/// How the open phase is spread, so that many instances do not probe in step.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Jitter {
    /// Not at all.
    None,
    /// Up to this share more or less.
    Proportional(Ratio),
    /// Half of it fixed, half of it drawn ("equal jitter").
    Equal,
    /// All of it drawn ("full jitter").
    Full,
}

// ===== impl Settings =====

impl Settings {
    /// Starts from the defaults.
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder::default()
    }

    /// Who decides while no operator override is in force.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Consecutive failures that trip; `None` when the rule is off.
    pub const fn failure_threshold(&self) -> Option<u32> {
        self.failure_threshold
    }

    /// Share of failures in the window that trips; `None` when the rule is off.
    pub const fn failure_rate(&self) -> Option<Ratio> {
        self.failure_rate
    }

    /// Failures in the window that trip; `None` when the rule is off.
    pub const fn failure_count(&self) -> Option<u32> {
        self.failure_count
    }

    /// Calls in the window below which no rate rule trips.
    pub const fn min_calls(&self) -> u32 {
        self.min_calls
    }

    /// Over what the rate and count rules look back.
    pub const fn window(&self) -> WindowSpec {
        self.window
    }

    /// From when on a call is slow; `None` when the slow rule is off.
    pub const fn slow_call_duration(&self) -> Option<Duration> {
        self.slow_call_duration
    }

    /// Share of slow calls in the window that trips.
    pub const fn slow_call_rate(&self) -> Ratio {
        self.slow_call_rate
    }

    /// What the sequential rule tells apart; `None` when the rule is off.
    pub const fn sequential(&self) -> Option<Sequential> {
        self.sequential
    }

    /// Whether thresholds tighten while there are signs of trouble ([`crate::adaptive`]).
    pub const fn adaptive(&self) -> bool {
        self.adaptive
    }

    /// The first open phase of an incident.
    pub const fn recovery_timeout(&self) -> Duration {
        self.recovery_timeout
    }

    /// How the open phase grows.
    pub const fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// How the open phase is spread.
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// The longest a server's hint is believed.
    pub const fn max_retry_after(&self) -> Duration {
        self.max_retry_after
    }

    /// Probes in flight at most.
    pub const fn half_open_max_calls(&self) -> u32 {
        self.half_open_max_calls
    }

    /// Successful probes that close.
    pub const fn success_threshold(&self) -> u32 {
        self.success_threshold
    }

    /// Probes out of which `success_threshold` must succeed.
    pub const fn probe_calls(&self) -> u32 {
        self.probe_calls
    }

    /// The attempt timeout that async calls enforce; `None` for none.
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether pushback holds calls back, or is only counted.
    pub const fn pace(&self) -> bool {
        self.pace
    }

    /// How long traffic takes to come back after a recovery; `None` for at once.
    pub const fn ramp(&self) -> Option<Duration> {
        self.ramp
    }

    /// How calls are shed in proportion to what fails; `None` for not at all.
    pub const fn throttle(&self) -> Option<Throttle> {
        self.throttle
    }

    /// How often a health check reports, if recovery is to wait for one.
    pub const fn health_check(&self) -> Option<Duration> {
        self.health_check
    }

    /// The same, but recovery waits for a health check that reports so often, or for none.
    #[must_use]
    pub const fn with_health_check(self, interval: Option<Duration>) -> Settings {
        Settings { health_check: interval, ..self }
    }

    /// Failure kinds that are neutral here.
    pub const fn ignore(&self) -> KindSet {
        self.ignore
    }

    /// What an outcome is under these settings: a failure of an ignored kind is neutral.
    pub const fn regard(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failure { kind, .. } if self.ignore.contains(kind) => Outcome::Neutral,
            outcome => outcome,
        }
    }

    /// Whether any rule looks at the window.
    pub const fn has_window_rule(&self) -> bool {
        self.failure_rate.is_some() || self.failure_count.is_some() || self.has_slow_rule()
    }

    /// Whether calls are timed.
    pub const fn has_slow_rule(&self) -> bool {
        self.slow_call_duration.is_some()
    }

    /// Whether thresholds depend on how long the calls in the window took.
    pub const fn tracks_latency(&self) -> bool {
        self.adaptive && self.has_slow_rule()
    }

    /// How long a probe holds its slot when nobody says otherwise: the attempt timeout and 2 s,
    /// or 30 s without one.
    pub const fn lease(&self) -> Duration {
        match self.timeout {
            Some(timeout) => timeout.saturating_add(Duration::from_secs(2)),
            None => Duration::from_secs(30),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            mode: Mode::Auto,
            failure_threshold: Some(5),
            failure_rate: Some(const { Ratio::percent(50).unwrap() }),
            failure_count: None,
            min_calls: 10,
            window: WindowSpec::Time(Duration::from_secs(10)),
            slow_call_duration: None,
            slow_call_rate: const { Ratio::percent(80).unwrap() },
            sequential: None,
            adaptive: false,
            recovery_timeout: Duration::from_secs(5),
            backoff: Backoff { multiplier_millis: 2_000, max: Duration::from_secs(60) },
            jitter: Jitter::Proportional(const { Ratio::percent(10).unwrap() }),
            max_retry_after: Duration::from_secs(300),
            half_open_max_calls: 1,
            success_threshold: 3,
            probe_calls: 3,
            timeout: None,
            pace: true,
            ramp: Some(Duration::from_secs(10)),
            throttle: None,
            health_check: None,
            ignore: KindSet::EMPTY,
        }
    }
}

impl Backoff {
    /// By what each failed recovery lengthens the open phase, in thousandths (2,000 doubles it).
    pub const fn multiplier_millis(self) -> u32 {
        self.multiplier_millis
    }

    /// How long the open phase may grow (`recovery_timeout`, if that is longer).
    pub const fn max(self) -> Duration {
        self.max
    }
}

impl Throttle {
    /// How many requests for each accepted one are let go unshed, in thousandths (2,000 for two).
    pub const fn k_millis(self) -> u32 {
        self.k_millis
    }

    /// Over what requests and failures are counted.
    pub const fn window(self) -> Duration {
        self.window
    }

    /// The largest share of calls that is ever refused.
    pub const fn max(self) -> Ratio {
        self.max
    }
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle {
            k_millis: 2_000,
            window: Duration::from_secs(30),
            max: const { Ratio::percent(90).unwrap() },
        }
    }
}
