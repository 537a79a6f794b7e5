//! The data plane: from a client's request to an answer.

mod answer;
mod attempt;
mod body;
mod chain;
mod form;
mod guard;
mod headers;
mod model;
mod paced;
mod reply;
mod upload;

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use reply::{Reply, whole};
pub(crate) use upload::UploadBody;

use crate::fallback;
use crate::shared::Shared;

/// Answers one request.
pub(crate) async fn serve(
    shared: &Shared,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Reply> {
    let runtime = shared.runtime();
    let (head, body) = request.into_parts();
    if let Some(refusal) = inadmissible(&head) {
        return whole(refusal);
    }
    if head.uri.path() == crate::health::PATH && runtime.config.switches().expose_health_endpoint {
        return whole(crate::health::respond(
            shared,
            head.method == Method::HEAD,
            head.uri.query(),
        ));
    }
    let host = host(&head);
    let Some(plan) = runtime.route(host.as_deref(), &head) else {
        shared.metrics.count_request("", StatusCode::NOT_FOUND);
        let detail = format!("No route takes {} {}.", head.method, head.uri.path());
        return whole(fallback::refusal(StatusCode::NOT_FOUND, "No route", &detail));
    };
    let response = match chain::route(&runtime, plan, peer, head, body).await {
        Ok(response) => response,
        Err(refusal) => whole(refusal),
    };
    shared.metrics.count_request(&plan.route.name, response.status());
    if let Some(name) = response.headers().get(fallback::FALLBACK_HEADER) {
        shared.metrics.count_fallback(name.to_str().unwrap_or_default());
    }
    response
}

/// Requests that are no business of any route.
fn inadmissible(head: &Parts) -> Option<Response<Bytes>> {
    let headers = &head.headers;
    // Whoever sent this may not mean the next bytes as we would read them.
    let closing = |mut refused: Response<Bytes>| {
        refused.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Some(refused)
    };
    if let Some(detail) = form::fault(head) {
        return closing(fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", detail));
    }
    let why = match head.method {
        Method::CONNECT => Some("This is not a forward proxy: CONNECT is not served."),
        // The answer would repeat what was added for the upstream alone, such as its key.
        Method::TRACE => Some("TRACE is not served."),
        _ => None,
    };
    if let Some(why) = why {
        let mut refused =
            fallback::refusal(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", why);
        refused.headers_mut().insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
        return closing(refused);
    }
    if wants_upgrade(headers) {
        return Some(fallback::refusal(
            StatusCode::NOT_IMPLEMENTED,
            "Upgrade not supported",
            "This version passes on no upgraded connections, WebSocket among them.",
        ));
    }
    None
}

/// Whether the client asks to go on in another protocol, and means it: `h2c` is an offer that
/// clients make to everybody, and going on as before is a good answer (RFC 9110, section 7.8).
fn wants_upgrade(headers: &http::HeaderMap) -> bool {
    let words = |name| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
    };
    let nominated = words(CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"));
    nominated && words(UPGRADE).any(|protocol| !protocol.eq_ignore_ascii_case("h2c"))
}

/// The host a request is for, in small letters and without its port.
fn host(head: &Parts) -> Option<String> {
    let authority = match head.uri.authority() {
        Some(authority) => authority.clone(),
        None => head.headers.get(HOST)?.to_str().ok()?.parse().ok()?,
    };
    Some(authority.host().to_ascii_lowercase())
}
