//! Circuits.

use std::collections::BTreeMap;
use std::time::Duration;

use panelboard::{HealthReport, Reason, Snapshot, snapshot};
use panelboard_config::Config;
use serde::Serialize;
use utoipa::ToSchema;

use super::record::{LastError, Record, Thresholds, by_kind, last_error};
use super::{Health, Mode, State, seconds};

/// What lists show of a circuit.
#[derive(Clone, PartialEq, Serialize, ToSchema, Debug)]
pub(crate) struct Summary {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) mode: Mode,
    health: Health,
    /// The number of the phase; every transition raises it.
    generation: u64,
    in_state_seconds: f64,
    failure_ratio: f64,
    slow_ratio: f64,
    consecutive_failures: u32,
    in_flight: u64,
    calls: Calls,
    /// When it is worth coming back, if calls are refused now.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<f64>,
    /// For how much longer pushback holds calls back.
    #[serde(skip_serializing_if = "Option::is_none")]
    paced_for_seconds: Option<f64>,
    /// Whether the upstream said that a quota is used up, and no call has succeeded since that tried.
    quota_used_up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ramp: Option<Ramp>,
    /// The share of calls that the throttle refuses now.
    #[serde(skip_serializing_if = "Option::is_none")]
    throttled_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Keys>,
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    over: Option<Override>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<Probes>,
}

/// What was counted, ever.
#[derive(Copy, Clone, PartialEq, Serialize, ToSchema, Debug)]
pub(crate) struct Calls {
    admitted: u64,
    success: u64,
    failure: u64,
    neutral: u64,
    excused: u64,
    pushback: u64,
    late: u64,
    slow: u64,
    rejected: u64,
    would_reject: u64,
}

/// How far traffic has come back after a recovery.
#[derive(Copy, Clone, PartialEq, Serialize, ToSchema, Debug)]
pub(crate) struct Ramp {
    share: f64,
    next_in_seconds: f64,
    ends_in_seconds: f64,
}

/// Of a family: how the breakers of its keys are doing.
#[derive(Copy, Clone, PartialEq, Serialize, ToSchema, Debug)]
pub(crate) struct Keys {
    count: usize,
    open: usize,
}

/// An operator's override.
#[derive(Clone, PartialEq, Serialize, ToSchema, Debug)]
pub(crate) struct Override {
    for_seconds: f64,
    by: Option<String>,
    reason: Option<String>,
}

/// One round of probes.
#[derive(Copy, Clone, PartialEq, Serialize, ToSchema, Debug)]
pub(crate) struct Probes {
    in_flight: u32,
    successes: u32,
    failures: u32,
    /// How many must succeed.
    needed: u32,
    /// Out of how many.
    of: u32,
}

/// A circuit, and the sentence that explains it.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Explained {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    explain: String,
}

/// Only the sentence.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Explanation {
    name: String,
    state: State,
    explain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Keys>,
}

/// Everything there is to know of a circuit.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Detail {
    #[serde(flatten)]
    explained: Explained,
    /// The effective settings, by key; `null` for a circuit that is not configured.
    settings: Option<BTreeMap<&'static str, Setting>>,
    window: Window,
    /// The thresholds in force. With `adaptive`, or during a ramp, they may be others than those of
    /// the settings.
    thresholds: Thresholds,
    mean_latency_seconds: Option<f64>,
    /// What a health check last reported.
    health_report: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequential: Option<Sequential>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    depends_on: Vec<Dependency>,
    rejected_by_reason: BTreeMap<&'static str, u64>,
    failed_recoveries: u32,
    open_seconds: f64,
    /// The root of the incident: when it last opened from closed.
    trip: Option<Record>,
    last_transition: Option<Record>,
    last_errors: Vec<LastError>,
}

/// A setting, as one would write it, and where it was said.
#[derive(Clone, Serialize, ToSchema, Debug)]
pub(crate) struct Setting {
    pub(crate) value: String,
    /// `panelboard.toml:12`, a preset, a variable, `admin` or `default`.
    pub(crate) origin: String,
}

/// What is in the window.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Window {
    calls: u64,
    failures: u64,
    timed: u64,
    slow: u64,
    failures_by_kind: BTreeMap<String, u64>,
}

/// What the sequential rule holds against the dependency.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Sequential {
    score: f64,
    base_rate: f64,
}

/// A circuit that another depends on.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Dependency {
    name: String,
    open: bool,
    open_for_seconds: Option<f64>,
}

// ===== impl Summary =====

impl Summary {
    pub(crate) fn of(snapshot: &Snapshot) -> Summary {
        let counters = &snapshot.counters;
        Summary {
            name: snapshot.name.to_string(),
            state: snapshot.phase.into(),
            mode: snapshot.mode.into(),
            health: snapshot.health().into(),
            generation: snapshot.generation,
            in_state_seconds: seconds(snapshot.in_phase),
            failure_ratio: snapshot.failure_ratio(),
            slow_ratio: snapshot.slow_ratio(),
            consecutive_failures: snapshot.consecutive_failures(),
            in_flight: counters.in_flight(),
            calls: Calls {
                admitted: counters.admitted,
                success: counters.success,
                failure: counters.failure(),
                neutral: counters.neutral,
                excused: counters.excused,
                pushback: counters.pushback,
                late: counters.late,
                slow: counters.slow,
                rejected: snapshot.rejected(),
                would_reject: counters.would_reject,
            },
            retry_after_seconds: snapshot.retry_after().map(seconds),
            paced_for_seconds: snapshot.paced_for.map(seconds),
            quota_used_up: snapshot.quota_used_up,
            ramp: snapshot.ramp.map(|ramp| Ramp {
                share: ramp.share.as_f64(),
                next_in_seconds: seconds(ramp.next_in),
                ends_in_seconds: seconds(ramp.ends_in),
            }),
            throttled_ratio: snapshot.throttled.map(panelboard::Ratio::as_f64),
            keys: Keys::of(snapshot),
            over: snapshot.override_.as_ref().map(|over| Override {
                for_seconds: seconds(over.for_),
                by: over.order.as_ref().map(|order| order.by.to_string()),
                reason: over.order.as_ref().map(|order| order.reason.to_string()),
            }),
            probes: snapshot.probes.map(|probes| Probes {
                in_flight: probes.in_flight,
                successes: probes.successes,
                failures: probes.failures,
                needed: probes.needed,
                of: probes.of,
            }),
        }
    }

    /// The same without what time alone changes: two of these differ only if something happened.
    pub(crate) fn steady(&self) -> Summary {
        let mut steady = self.clone();
        steady.in_state_seconds = 0.0;
        for time in [&mut steady.retry_after_seconds, &mut steady.paced_for_seconds] {
            *time = time.map(|_| 0.0);
        }
        if let Some(ramp) = &mut steady.ramp {
            (ramp.next_in_seconds, ramp.ends_in_seconds) = (0.0, 0.0);
        }
        if let Some(over) = &mut steady.over {
            over.for_seconds = 0.0;
        }
        steady
    }
}

impl Keys {
    fn of(snapshot: &Snapshot) -> Option<Keys> {
        snapshot.keys.map(|keys| Keys { count: keys.count, open: keys.open })
    }
}

impl Explained {
    pub(crate) fn of(snapshot: &Snapshot) -> Explained {
        Explained { summary: Summary::of(snapshot), explain: snapshot.explain() }
    }
}

impl Explanation {
    pub(crate) fn of(snapshot: &Snapshot) -> Explanation {
        Explanation {
            name: snapshot.name.to_string(),
            state: snapshot.phase.into(),
            explain: snapshot.explain(),
            keys: Keys::of(snapshot),
        }
    }
}

impl Detail {
    pub(crate) fn of(snapshot: &Snapshot, config: &Config) -> Detail {
        let rejected = |reason: Reason| (reason.name(), snapshot.counters.rejected[reason.index()]);
        Detail {
            explained: Explained::of(snapshot),
            settings: settings(&snapshot.name, config),
            window: Window {
                calls: snapshot.tally.calls,
                failures: snapshot.tally.failures,
                timed: snapshot.tally.timed,
                slow: snapshot.tally.slow,
                failures_by_kind: by_kind(&snapshot.kinds),
            },
            thresholds: Thresholds::of(&snapshot.thresholds),
            mean_latency_seconds: snapshot.tally.mean_latency().map(seconds),
            health_report: snapshot.health_report.map(HealthReport::name),
            sequential: snapshot.suspicion.map(|suspicion| Sequential {
                score: suspicion.score.as_f64(),
                base_rate: suspicion.base_rate.as_f64(),
            }),
            depends_on: snapshot.dependencies.iter().map(Dependency::of).collect(),
            rejected_by_reason: Reason::ALL.into_iter().map(rejected).collect(),
            failed_recoveries: snapshot.failed_recoveries,
            open_seconds: seconds(snapshot.stats.open),
            trip: snapshot.trip.as_deref().map(Record::of),
            last_transition: snapshot.last.as_deref().map(Record::of),
            last_errors: snapshot.errors.iter().map(last_error).collect(),
        }
    }
}

impl Dependency {
    fn of(on: &snapshot::Dependency) -> Dependency {
        let wait: Option<Duration> = on.open.and_then(|open| open.wait);
        Dependency {
            name: on.name.to_string(),
            open: on.open.is_some(),
            open_for_seconds: wait.map(seconds),
        }
    }
}

/// The effective settings of a circuit, each with where it was said.
pub(crate) fn settings(name: &str, config: &Config) -> Option<BTreeMap<&'static str, Setting>> {
    // A keyed circuit has the settings of its family, or of a rule of it.
    let family = name.split('/').next().unwrap_or(name);
    let circuit = config.circuit(name).or_else(|| config.circuit(family))?;
    let setting = |(key, value, origin): (&'static str, String, &panelboard_config::Origin)| {
        (key, Setting { value, origin: origin.to_string() })
    };
    Some(circuit.effective().map(setting).collect())
}
