//! Snapshots as JSON.

use std::time::{Duration, SystemTime};

use panelboard::event::{LastError, TripRecord};
use panelboard::snapshot::{Dependency, Thresholds};
use panelboard::{Cause, HealthReport, Kind, Ratio, Reason, Score, Snapshot, kinds};
use panelboard_config::Config;
use serde_json::{Map, Value, json};

/// What lists show of a circuit.
pub(super) fn summary(snapshot: &Snapshot) -> Value {
    let counters = &snapshot.counters;
    let mut value = json!({
        "name": &*snapshot.name,
        "state": snapshot.phase.name(),
        "mode": snapshot.mode.name(),
        "health": snapshot.health().name(),
        "generation": snapshot.generation,
        "in_state_seconds": seconds(snapshot.in_phase),
        "failure_ratio": snapshot.failure_ratio(),
        "slow_ratio": snapshot.slow_ratio(),
        "consecutive_failures": snapshot.consecutive_failures(),
        "in_flight": counters.in_flight(),
        "calls": {
            "admitted": counters.admitted,
            "success": counters.success,
            "failure": counters.failure(),
            "neutral": counters.neutral,
            "excused": counters.excused,
            "pushback": counters.pushback,
            "late": counters.late,
            "slow": counters.slow,
            "rejected": snapshot.rejected(),
            "would_reject": counters.would_reject,
        },
    });
    if let Some(wait) = snapshot.retry_after() {
        value["retry_after_seconds"] = seconds(wait);
    }
    if let Some(wait) = snapshot.paced_for {
        value["paced_for_seconds"] = seconds(wait);
    }
    if let Some(ramp) = snapshot.ramp {
        value["ramp"] = json!({
            "share": ramp.share.as_f64(),
            "next_in_seconds": seconds(ramp.next_in),
            "ends_in_seconds": seconds(ramp.ends_in),
        });
    }
    if let Some(share) = snapshot.throttled {
        value["throttled_ratio"] = share.as_f64().into();
    }
    if let Some(keys) = keys(snapshot) {
        value["keys"] = keys;
    }
    if let Some(over) = &snapshot.override_ {
        value["override"] = json!({
            "for_seconds": seconds(over.for_),
            "by": over.order.as_ref().map(|order| &*order.by),
            "reason": over.order.as_ref().map(|order| &*order.reason),
        });
    }
    if let Some(probes) = snapshot.probes {
        value["probes"] = json!({
            "in_flight": probes.in_flight,
            "successes": probes.successes,
            "failures": probes.failures,
            "needed": probes.needed,
            "of": probes.of,
        });
    }
    value
}

/// Of a circuit with a breaker for each key, what has become of those.
pub(super) fn keys(snapshot: &Snapshot) -> Option<Value> {
    let keys = snapshot.keys?;
    Some(json!({ "count": keys.count, "open": keys.open }))
}

/// Everything there is to know of a circuit.
pub(super) fn detail(snapshot: &Snapshot, config: &Config) -> Value {
    let mut value = summary(snapshot);
    value["explain"] = snapshot.explain().into();
    value["settings"] = settings(snapshot, config);
    value["window"] = json!({
        "calls": snapshot.tally.calls,
        "failures": snapshot.tally.failures,
        "timed": snapshot.tally.timed,
        "slow": snapshot.tally.slow,
        "failures_by_kind": by_kind(&snapshot.kinds),
    });
    let rejected = Reason::ALL
        .iter()
        .map(|reason| {
            let count = snapshot.counters.rejected[reason.index()];
            (reason.name().to_owned(), count.into())
        })
        .collect();
    value["thresholds"] = thresholds(&snapshot.thresholds);
    value["mean_latency_seconds"] = snapshot.tally.mean_latency().map_or(Value::Null, seconds);
    value["health_report"] = snapshot.health_report.map(HealthReport::name).into();
    if let Some(suspicion) = snapshot.suspicion {
        value["sequential"] = json!({
            "score": suspicion.score.as_f64(),
            "base_rate": suspicion.base_rate.as_f64(),
        });
    }
    if !snapshot.dependencies.is_empty() {
        let dependency = |on: &Dependency| {
            let wait = on.open.and_then(|open| open.wait);
            let open_for = wait.map(seconds);
            json!({ "name": &*on.name, "open": on.open.is_some(), "open_for_seconds": open_for })
        };
        value["depends_on"] = snapshot.dependencies.iter().map(dependency).collect();
    }
    value["rejected_by_reason"] = Value::Object(rejected);
    value["failed_recoveries"] = snapshot.failed_recoveries.into();
    value["open_seconds"] = seconds(snapshot.stats.open);
    value["trip"] = snapshot.trip.as_deref().map_or(Value::Null, record);
    value["last_transition"] = snapshot.last.as_deref().map_or(Value::Null, record);
    value["last_errors"] = snapshot.errors.iter().map(error).collect();
    value
}

/// The effective settings, each with where it was said.
fn settings(snapshot: &Snapshot, config: &Config) -> Value {
    let name = snapshot.name.as_str();
    // A keyed circuit has the settings of its family, or of a rule of it.
    let family = name.split('/').next().unwrap_or(name);
    let Some(circuit) = config.circuit(name).or_else(|| config.circuit(family)) else {
        return Value::Null;
    };
    let entries: Map<String, Value> = circuit
        .effective()
        .map(|(key, value, origin)| {
            (key.to_owned(), json!({ "value": value, "origin": origin.to_string() }))
        })
        .collect();
    Value::Object(entries)
}

fn record(record: &TripRecord) -> Value {
    let transition = &record.transition;
    let mut value = json!({
        "at": timestamp(record.at),
        "from": transition.from.name(),
        "to": transition.to.name(),
        "generation": transition.generation,
        "cause": transition.cause.name(),
        "failures_by_kind": by_kind(&record.kinds),
        "failed_recoveries": record.failed_recoveries,
        "opens_for_seconds": record.opens_for.map(seconds),
        "by": record.order.as_ref().map(|order| &*order.by),
        "reason": record.order.as_ref().map(|order| &*order.reason),
        "errors": record.errors.iter().map(error).collect::<Value>(),
    });
    if let Cause::Tripped(fired) = transition.cause {
        value["rule"] = json!({
            "name": fired.rule.name(),
            "consecutive_failures": fired.streak,
            "calls": fired.tally.calls,
            "failures": fired.tally.failures,
            "timed": fired.tally.timed,
            "slow": fired.tally.slow,
            "score": fired.score.as_f64(),
            "thresholds": thresholds(&fired.thresholds),
        });
    }
    value
}

fn thresholds(thresholds: &Thresholds) -> Value {
    json!({
        "failure_threshold": thresholds.streak,
        "failure_rate": thresholds.failure_rate.map(Ratio::as_f64),
        "failure_count": thresholds.failure_count,
        "slow_call_rate": thresholds.slow_rate.map(Ratio::as_f64),
        "min_calls": thresholds.min_calls,
        "sequential": thresholds.score.map(Score::as_f64),
    })
}

fn error(error: &LastError) -> Value {
    json!({
        "at": timestamp(error.at),
        "kind": kinds::label(error.kind).as_str(),
        "status": error.status,
        "latency_seconds": error.latency.map(seconds),
        "message": error.message.as_deref(),
        "trace_id": error.trace_id.as_deref(),
    })
}

fn by_kind(kinds: &[(Kind, u64)]) -> Value {
    let entries =
        kinds.iter().map(|(kind, count)| (kind.name().to_owned(), (*count).into())).collect();
    Value::Object(entries)
}

/// Seconds, to the millisecond.
fn seconds(time: Duration) -> Value {
    (time.as_millis() as f64 / 1_000.0).into()
}

/// RFC 3339, in UTC, to the second: for people. Durations are for arithmetic.
fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
