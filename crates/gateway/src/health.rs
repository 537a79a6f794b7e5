//! The health document that existing monitors read.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use panelboard::{Health, Snapshot};
use serde::Serialize;
use utoipa::ToSchema;

use crate::shared::Shared;

/// Where it is served, on both listeners.
pub(crate) const PATH: &str = "/api/health/status";

/// The document: a core that monitors know, and what was added to it.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthDocument)]
pub(crate) struct Document {
    /// `healthy`, `degraded` or `unhealthy`: the worst of all circuits.
    status: &'static str,
    circuit_breakers: Breakers,
}

/// All circuits.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthOfAll)]
pub(crate) struct Breakers {
    overall_health: &'static str,
    circuit_breakers: Vec<Breaker>,
}

/// One circuit.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthOfOne)]
pub(crate) struct Breaker {
    name: String,
    /// `closed`, `open` or `half_open`.
    state: &'static str,
    health: &'static str,
    statistics: Statistics,
    /// Who decides.
    mode: &'static str,
    /// When it is worth coming back, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f64>,
}

/// What was counted.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthStatistics)]
pub(crate) struct Statistics {
    total_calls: u64,
    success_count: u64,
    failure_count: u64,
    /// In percent, to one decimal.
    success_rate: f64,
    consecutive_failures: u32,
}

/// The document, and whether everything is healthy.
fn document(snapshots: &[Snapshot]) -> (Document, Health) {
    let overall = snapshots.iter().map(Snapshot::health).max().unwrap_or(Health::Healthy);
    let circuit_breakers = Breakers {
        overall_health: overall.name(),
        circuit_breakers: snapshots.iter().map(circuit).collect(),
    };
    (Document { status: overall.name(), circuit_breakers }, overall)
}

fn circuit(snapshot: &Snapshot) -> Breaker {
    let (success, failure) = (snapshot.counters.success, snapshot.counters.failure());
    let total = success + failure;
    // To one decimal, as monitors know it; a circuit nobody called has not failed.
    let rate = match total {
        0 => 100.0,
        _ => (success as f64 / total as f64 * 1_000.0).round() / 10.0,
    };
    Breaker {
        name: snapshot.name.to_string(),
        state: snapshot.phase.name(),
        health: snapshot.health().name(),
        statistics: Statistics {
            total_calls: total,
            success_count: success,
            failure_count: failure,
            success_rate: rate,
            consecutive_failures: snapshot.consecutive_failures(),
        },
        mode: snapshot.mode.name(),
        retry_after: snapshot.retry_after().map(|wait| wait.as_secs_f64().ceil()),
    }
}

/// The answer: 200, unless `?strict=1` and not everything is healthy.
pub(crate) fn respond(shared: &Shared, head_only: bool, query: Option<&str>) -> Response<Bytes> {
    let (document, health) = document(&shared.registry.snapshots());
    let strict = query.is_some_and(|query| query.split('&').any(|pair| pair == "strict=1"));
    let body = if head_only {
        Bytes::new()
    } else {
        Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
    };
    let mut response = Response::new(body);
    if strict && health != Health::Healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelboard::{Catalog, Jitter, Kind, Registry, Settings};
    use serde_json::{Value, json};

    fn document(snapshots: &[Snapshot]) -> (Value, Health) {
        let (document, health) = super::document(snapshots);
        (serde_json::to_value(document).unwrap(), health)
    }

    #[test]
    fn the_core_of_the_document_is_exactly_as_monitors_know_it() {
        let mut catalog = Catalog::default();
        let settings = Settings::builder().failure_threshold(3).jitter(Jitter::None);
        let settings = settings.build().unwrap();
        catalog.circuits.insert("data_analyst".into(), settings);
        let registry = Registry::from_config(&catalog);
        let breaker = registry.breaker("data_analyst");
        let statistics = |total: u64, success: u64, rate: f64, streak: u32| {
            json!({
                "total_calls": total, "success_count": success, "failure_count": total - success,
                "success_rate": rate, "consecutive_failures": streak,
            })
        };
        let core = |state: &str, health: &str, statistics: Value| {
            json!({ "status": health, "circuit_breakers": { "overall_health": health,
                "circuit_breakers": [{ "name": "data_analyst", "state": state, "health": health,
                    "statistics": statistics, "mode": "auto" }] } })
        };
        let (fresh, _) = document(&registry.snapshots());
        assert_eq!(fresh, core("closed", "healthy", statistics(0, 0, 100.0, 0)));
        for n in 0..42 {
            let permit = breaker.try_acquire().unwrap();
            if n % 21 == 0 { permit.failure(Kind::Timeout) } else { permit.success() }
        }
        let (used, _) = document(&registry.snapshots());
        assert_eq!(used, core("closed", "healthy", statistics(42, 40, 95.2, 0)));
        for _ in 0..3 {
            breaker.try_acquire().unwrap().failure(Kind::Timeout);
        }
        let (mut open, health) = document(&registry.snapshots());
        assert_eq!(health, Health::Degraded);
        let circuit = &mut open["circuit_breakers"]["circuit_breakers"][0];
        assert_eq!(circuit["retry_after"], 5.0);
        circuit.as_object_mut().unwrap().remove("retry_after");
        assert_eq!(open, core("open", "degraded", statistics(45, 40, 88.9, 3)));
    }
}
