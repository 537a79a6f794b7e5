//! The admin API: seeing and steering, on a listener of its own.
//!
//! Without a token it listens on loopback only, and every route checks `Host` (against DNS
//! rebinding). A browser on this machine may be made to send requests here by any page; so changes
//! need JSON, and what a page of another site sends is refused.
//!
//! Each route is declared once, with what it takes and answers; the document that is served, the
//! role that a request needs and the names its query may have follow from that (`doc`).

mod audit;
mod circuits;
mod config;
mod desk;
mod doc;
mod events;
mod extract;
mod failures;
mod guard;
mod journal;
mod problem;
mod settings;
mod stream;
mod system;
mod token;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router, middleware};
use http::StatusCode;
use panelboard_config::Http2Limits;
use tokio::net::TcpListener;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use audit::{Act, Outcome};
pub(crate) use desk::Desk;
pub(crate) use journal::{writable, write_audit, write_events};
pub(crate) use stream::send_changes;
pub(crate) use token::{TokenError, Tokens};

use crate::admission::Admission;
use crate::drain::Drain;
use crate::front::Front;
use crate::listen::{self, Caller, Limits, Terms};
use crate::shared::Shared;
use guard::{Guard, Peer};
use problem::Problem;
use system::Described;

/// Commands are small.
const BODY: usize = 16 * 1024;

/// Configurations are not.
const TEXT: usize = 1024 * 1024;

/// What the admin listener bears: people and monitors, not traffic.
const LIMITS: Limits = Limits {
    header_read_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(60),
    max_header_bytes: 16 * 1024,
    max_headers: 100,
    max_connections: 512,
    max_per_client: None,
    // Not spoken here.
    http2: Http2Limits {
        max_streams: 1,
        max_resets: 1,
        ping_interval: None,
        ping_timeout: Duration::from_secs(10),
    },
};

/// Serves the admin API until `drain` says so.
pub(crate) async fn serve(listener: Arc<TcpListener>, shared: Arc<Shared>, drain: Drain) {
    let router = router(shared);
    let answer = move |caller: Arc<Caller>, mut request: http::Request<hyper::body::Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(Peer(caller.ip));
        async move {
            use tower_service::Service as _;
            let mut router = router;
            router.call(request).await.unwrap_or_else(|never| match never {})
        }
    };
    let address = listener.local_addr().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let front = Arc::new(Front::plain(address));
    let terms = Terms {
        limits: |_| LIMITS,
        front: move || Arc::clone(&front),
        admission: Arc::<Admission>::default(),
        drain,
    };
    listen::serve(listener, terms, answer).await;
}

/// The document that describes the admin API, as JSON.
pub fn openapi_json() -> String {
    let (_, document) = described();
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Every route, and the document.
fn described() -> (Router<Arc<Shared>>, utoipa::openapi::OpenApi) {
    let texts =
        OpenApiRouter::new().routes(routes!(config::check)).layer(DefaultBodyLimit::max(TEXT));
    let (router, mut document) = OpenApiRouter::with_openapi(doc::Document::openapi())
        .routes(routes!(system::healthz))
        .routes(routes!(system::readyz))
        .routes(routes!(system::health_status))
        .routes(routes!(system::metrics))
        .routes(routes!(circuits::list))
        .routes(routes!(circuits::show))
        .routes(routes!(circuits::explain))
        .routes(routes!(circuits::order))
        .routes(routes!(settings::get, settings::put))
        .routes(routes!(events::list))
        .routes(routes!(stream::follow))
        .routes(routes!(config::show))
        .routes(routes!(config::reload))
        .routes(routes!(system::audit))
        .routes(routes!(system::openapi))
        .layer(DefaultBodyLimit::max(BODY))
        .merge(texts)
        .split_for_parts();
    doc::complete(&mut document);
    (router, document)
}

fn router(shared: Arc<Shared>) -> Router {
    let (router, mut document) = described();
    let rules = doc::Rules::of(&document);
    let text = |document: &utoipa::openapi::OpenApi| document.to_json().unwrap_or_default().into();
    let with_tokens = text(&document);
    doc::make_tokens_optional(&mut document);
    let described = Described { with_tokens, without: text(&document) };
    let guard = Arc::new(Guard { shared: Arc::clone(&shared), rules });
    router
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(Extension(described))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(shared)
}

async fn not_found(uri: Uri) -> Response {
    let hint = slash_hint(&uri);
    let path: String = uri.path().chars().take(200).collect();
    Problem::not_found(format!("There is nothing at {path}.{hint}")).into_response()
}

async fn not_allowed(uri: Uri) -> Response {
    let hint = slash_hint(&uri);
    let detail = format!("This path does not take this method.{hint}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}

/// Circuits of a family have slashes in their names, which look like other paths.
fn slash_hint(uri: &Uri) -> &'static str {
    let below = uri.path().strip_prefix("/api/v1/circuits/");
    match below.is_some_and(|name| name.contains('/')) {
        true => " A slash in the name of a circuit is written %2F.",
        false => "",
    }
}
