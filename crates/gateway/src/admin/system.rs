//! Health, metrics, and the API itself.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::audit::Entry;
use super::circuits::{after, limit};
use super::extract::Params;
use super::problem::{Answer, Problem};
use crate::health;
use crate::shared::Shared;

/// How many entries are listed at once at most.
const LISTED: u32 = 1_000;

/// How the process is.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    /// `alive`, `ready` or `draining`.
    status: &'static str,
}

/// How health is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Strictly {
    /// `1`: the status is 503 unless everything is healthy.
    #[param(pattern = "^[01]$")]
    strict: Option<String>,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Those after the one with this number, oldest first; the newest if it is not given.
    after: Option<u64>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1_000, default = 1_000)]
    limit: Option<u32>,
}

/// Entries of the audit log, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLog)]
pub(super) struct Log {
    entries: Vec<Entry>,
    /// The number of the newest entry there is; 0 before the first.
    last: u64,
}

/// The document, as it is served.
#[derive(Clone)]
pub(super) struct Described {
    /// Where tokens are asked for.
    pub(super) with_tokens: Bytes,
    /// Where they are not.
    pub(super) without: Bytes,
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = Status)))]
pub(super) async fn healthz() -> Json<Status> {
    Json(Status { status: "alive" })
}

/// It takes requests: it does from when it listens until it is told to stop.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Status),
        (status = 503, description = "It takes no new requests", body = Status)))]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Status>) {
    match shared.is_draining() {
        true => (StatusCode::SERVICE_UNAVAILABLE, Json(Status { status: "draining" })),
        false => (StatusCode::OK, Json(Status { status: "ready" })),
    }
}

/// The health document that monitors read.
#[utoipa::path(get, path = "/api/health/status", params(Strictly), tag = "health",
    security(("token" = ["viewer"])),
    responses((status = 200, body = health::Document),
        (status = 503, description = "Not everything is healthy (`strict=1`)",
            body = health::Document),
        (status = 404, description = "It is switched off (`expose_health_endpoint = false`)",
            body = Problem, content_type = "application/problem+json")))]
pub(super) async fn health_status(
    State(shared): State<Arc<Shared>>,
    Params(Strictly { strict }): Params<Strictly>,
) -> Answer<Response> {
    if !shared.runtime().config.switches().expose_health_endpoint {
        return Err(Problem::not_found(
            "The health document is switched off (`expose_health_endpoint = false`).",
        ));
    }
    let strict = match strict.as_deref() {
        None | Some("0") => None,
        Some("1") => Some("strict=1"),
        Some(other) => {
            return Err(Problem::bad(format!("`strict` is `{other}`, but must be 0 or 1.")));
        }
    };
    Ok(health::respond(&shared, false, strict).map(axum::body::Body::from))
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", security(("token" = ["viewer"])),
    responses((status = 200, content(
            (String = "text/plain; version=0.0.4; charset=utf-8"),
            (String = "application/openmetrics-text; version=1.0.0; charset=utf-8"))),
        (status = 404, description = "They are switched off (`metrics_enabled = false`)",
            body = Problem, content_type = "application/problem+json")))]
pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Answer<Response> {
    if !shared.runtime().config.switches().metrics_enabled {
        return Err(Problem::not_found("Metrics are switched off (`metrics_enabled = false`)."));
    }
    let mut accepted =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (media, text) = match accepted.any(|media| media.contains("application/openmetrics-text")) {
        true => {
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", shared.metrics.text())
        }
        false => ("text/plain; version=0.0.4; charset=utf-8", shared.metrics.plain_text()),
    };
    Ok(([(header::CONTENT_TYPE, media)], text).into_response())
}

/// Who changed what, or was not let to: the last 1,000 entries.
#[utoipa::path(get, path = "/api/v1/audit", params(Filter), tag = "audit",
    security(("token" = ["viewer"])), responses((status = 200, body = Log)))]
pub(super) async fn audit(
    State(shared): State<Arc<Shared>>,
    Params(filter): Params<Filter>,
) -> Answer<Json<Log>> {
    let audit = &shared.desk.audit;
    let entries = audit.entries(after(filter.after)?, limit(filter.limit, LISTED)?);
    Ok(Json(Log { entries, last: audit.last() }))
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "meta",
    security(("token" = ["viewer"])),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi(
    State(shared): State<Arc<Shared>>,
    Extension(described): Extension<Described>,
) -> Response {
    let text = match shared.desk.tokens().is_empty() {
        true => described.without,
        false => described.with_tokens,
    };
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
