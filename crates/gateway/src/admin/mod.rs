//! The admin API: seeing and steering, on a listener of its own.
//!
//! There is no authentication yet, so it listens on loopback only, and every route checks `Host`
//! (against DNS rebinding). A browser on this machine may be made to send requests here by any
//! page; so changes need JSON and are refused when the browser says that another site sent them.

mod circuits;
mod guard;
mod json;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::health;
use crate::listen::{self, Limits};
use crate::shared::Shared;

/// Commands are small.
const BODY: usize = 16 * 1024;

/// What the admin listener bears: people and monitors, not traffic.
const LIMITS: Limits = Limits {
    header_read_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(60),
    max_header_bytes: 16 * 1024,
    max_headers: 100,
    max_connections: 512,
};

/// Serves the admin API until `stop` says so.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: watch::Receiver<bool>) {
    let router = router(shared);
    let answer = move |_, request: http::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            use tower_service::Service as _;
            let mut router = router;
            router.call(request).await.unwrap_or_else(|never| match never {})
        }
    };
    listen::serve(listener, LIMITS, stop, answer).await;
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route(health::PATH, get(health_status))
        .route("/metrics", get(metrics))
        .route("/api/v1/circuits", get(circuits::list))
        .route("/api/v1/circuits/{name}", get(circuits::show))
        .route("/api/v1/circuits/{name}/explain", get(circuits::explain))
        .route("/api/v1/circuits/{name}/{order}", post(circuits::order))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard::check))
        .with_state(shared)
}

/// The process is alive.
async fn healthz() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

/// It takes requests: it does from when it listens until it is told to stop.
async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    if shared.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "draining" })))
            .into_response();
    }
    Json(json!({ "status": "ready" })).into_response()
}

async fn health_status(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    if !shared.runtime().config.switches().expose_health_endpoint {
        return problem(
            StatusCode::NOT_FOUND,
            "The health document is switched off (`expose_health_endpoint = false`).",
        );
    }
    health::respond(&shared, false, uri.query()).map(axum::body::Body::from)
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !shared.runtime().config.switches().metrics_enabled {
        return problem(
            StatusCode::NOT_FOUND,
            "Metrics are switched off (`metrics_enabled = false`).",
        );
    }
    let mut accepted =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (media, text) = match accepted.any(|media| media.contains("application/openmetrics-text")) {
        true => {
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", shared.metrics.text())
        }
        false => ("text/plain; version=0.0.4; charset=utf-8", shared.metrics.plain_text()),
    };
    ([(header::CONTENT_TYPE, media)], text).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let hint = slash_hint(&uri);
    problem(StatusCode::NOT_FOUND, &format!("There is nothing at {}.{hint}", uri.path()))
}

async fn not_allowed(uri: Uri) -> Response {
    let hint = slash_hint(&uri);
    let detail = format!("This path does not take this method.{hint}");
    problem(StatusCode::METHOD_NOT_ALLOWED, &detail)
}

/// Circuits of a family have slashes in their names, which look like other paths.
fn slash_hint(uri: &Uri) -> &'static str {
    let below = uri.path().strip_prefix("/api/v1/circuits/");
    match below.is_some_and(|name| name.contains('/')) {
        true => " A slash in the name of a circuit is written %2F.",
        false => "",
    }
}

/// An error as RFC 9457 has it.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    let media = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, media, body.to_string()).into_response()
}
