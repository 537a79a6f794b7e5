//! Trip records, and the errors in them.

use std::collections::BTreeMap;

use panelboard::event::{self, TripRecord};
use panelboard::{Cause, Kind, Ratio, Score, kinds, snapshot};
use serde::Serialize;
use utoipa::ToSchema;

use super::{State, seconds, timestamp};

/// What a breaker knew when it entered a phase.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Record {
    at: String,
    from: State,
    to: State,
    generation: u64,
    cause: &'static str,
    /// The rule that fired, with its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Fired>,
    failures_by_kind: BTreeMap<String, u64>,
    failed_recoveries: u32,
    opens_for_seconds: Option<f64>,
    /// Who ordered it.
    by: Option<String>,
    reason: Option<String>,
    errors: Vec<LastError>,
}

/// The rule that fired.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Fired {
    name: &'static str,
    consecutive_failures: u32,
    calls: u64,
    failures: u64,
    timed: u64,
    slow: u64,
    score: f64,
    thresholds: Thresholds,
}

/// Thresholds; `null` for a rule that is off.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Thresholds {
    failure_threshold: Option<u32>,
    failure_rate: Option<f64>,
    failure_count: Option<u32>,
    slow_call_rate: Option<f64>,
    min_calls: u32,
    sequential: Option<f64>,
}

/// One failure, as far as it is known.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct LastError {
    at: String,
    kind: String,
    status: Option<u16>,
    latency_seconds: Option<f64>,
    message: Option<String>,
    trace_id: Option<String>,
}

impl Record {
    pub(crate) fn of(record: &TripRecord) -> Record {
        let transition = &record.transition;
        let rule = match transition.cause {
            Cause::Tripped(fired) => Some(Fired {
                name: fired.rule.name(),
                consecutive_failures: fired.streak,
                calls: fired.tally.calls,
                failures: fired.tally.failures,
                timed: fired.tally.timed,
                slow: fired.tally.slow,
                score: fired.score.as_f64(),
                thresholds: Thresholds::of(&fired.thresholds),
            }),
            _ => None,
        };
        Record {
            at: timestamp(record.at),
            from: transition.from.into(),
            to: transition.to.into(),
            generation: transition.generation,
            cause: transition.cause.name(),
            rule,
            failures_by_kind: by_kind(&record.kinds),
            failed_recoveries: record.failed_recoveries,
            opens_for_seconds: record.opens_for.map(seconds),
            by: record.order.as_ref().map(|order| order.by.to_string()),
            reason: record.order.as_ref().map(|order| order.reason.to_string()),
            errors: record.errors.iter().map(last_error).collect(),
        }
    }
}

impl Thresholds {
    pub(crate) fn of(thresholds: &snapshot::Thresholds) -> Thresholds {
        Thresholds {
            failure_threshold: thresholds.streak,
            failure_rate: thresholds.failure_rate.map(Ratio::as_f64),
            failure_count: thresholds.failure_count,
            slow_call_rate: thresholds.slow_rate.map(Ratio::as_f64),
            min_calls: thresholds.min_calls,
            sequential: thresholds.score.map(Score::as_f64),
        }
    }
}

pub(crate) fn last_error(error: &event::LastError) -> LastError {
    LastError {
        at: timestamp(error.at),
        kind: kinds::label(error.kind).to_string(),
        status: error.status,
        latency_seconds: error.latency.map(seconds),
        message: error.message.as_deref().map(str::to_owned),
        trace_id: error.trace_id.as_deref().map(str::to_owned),
    }
}

pub(crate) fn by_kind(kinds: &[(Kind, u64)]) -> BTreeMap<String, u64> {
    kinds.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect()
}
