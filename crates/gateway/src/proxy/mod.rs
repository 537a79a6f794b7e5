//! The data plane: from a client's request to an answer.

mod admit;
mod answer;
mod attempt;
mod body;
mod chain;
mod cut;
mod form;
mod guard;
mod headers;
mod model;
mod opening;
mod origin;
mod paced;
mod patience;
mod reply;
mod speech;
mod tokens;
mod translated;
mod tunnel;
mod upgrade;
mod upload;
mod via;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, HOST};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;
use tracing::info;

pub(crate) use attempt::wall_now;
use chain::Wish;
use origin::Origin;
pub(crate) use origin::REQUEST_ID;
use reply::{Reply, whole};
pub(crate) use tunnel::End;
pub(crate) use upgrade::Upgrade;
pub(crate) use upload::UploadBody;
use via::Loop;
pub(crate) use via::Pseudonym;

use crate::fallback;
use crate::listen::Caller;
use crate::runtime::Runtime;
use crate::shared::Shared;

/// Longer paths are cut in the log.
const LONGEST_PATH: usize = 512;

/// Answers one request.
pub(crate) async fn serve(
    shared: &Shared,
    caller: &Arc<Caller>,
    request: Request<Incoming>,
) -> Response<Reply> {
    let runtime = shared.runtime();
    let gateway = runtime.config.gateway();
    let origin = Origin::of(gateway, caller, request.headers());
    let told = gateway.access_log.then(|| Told::new(&request));
    let mut response = answer(shared, &runtime, &origin, request).await;
    // An upstream's own is what its makers ask for.
    if !response.headers().contains_key(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, origin.id.clone());
    }
    if let Some(told) = told {
        told.log(&origin, &response);
    }
    response
}

async fn answer(
    shared: &Shared,
    runtime: &Arc<Runtime>,
    origin: &Origin,
    request: Request<Incoming>,
) -> Response<Reply> {
    let (mut head, body) = request.into_parts();
    let upgrade = Upgrade::of(&mut head);
    let refusal = inadmissible(shared, runtime, &head)
        .or_else(|| upgrade.as_ref().and_then(|_| no_body(&body)));
    if let Some(refusal) = refusal {
        shared.metrics.count_request("", refusal.status());
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
    let wish = Wish { head, body, upgrade };
    let response = match chain::route(shared, runtime, plan, origin, wish).await {
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
fn inadmissible(shared: &Shared, runtime: &Runtime, head: &Parts) -> Option<Response<Bytes>> {
    let headers = &head.headers;
    // Whoever sent this may not mean the next bytes as we would read them.
    let closing = |mut refused: Response<Bytes>| {
        refused.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Some(refused)
    };
    if let Some(detail) = form::fault(head) {
        return closing(fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", detail));
    }
    let most = runtime.config.gateway().max_uri_bytes;
    if head.uri.path_and_query().is_some_and(|target| target.as_str().len() > most) {
        let detail = format!("The target is longer than the {most} bytes that are accepted here.");
        return Some(fallback::refusal(StatusCode::URI_TOO_LONG, "Target too long", &detail));
    }
    if let Err(found) = shared.pseudonym.check(headers) {
        let detail = match found {
            Loop::Again => "The request has passed here before: an upstream sends it back.",
            Loop::TooFar => "The request has passed too many proxies.",
        };
        return Some(fallback::refusal(StatusCode::LOOP_DETECTED, "Loop detected", detail));
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
    None
}

/// A connection changes when the request is complete, which it is with its head.
fn no_body(body: &Incoming) -> Option<Response<Bytes>> {
    (!body.is_end_stream()).then(|| {
        let detail = "A request to upgrade the connection has no body here.";
        fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", detail)
    })
}

/// The host a request is for, in small letters and without its port.
fn host(head: &Parts) -> Option<String> {
    let authority = match head.uri.authority() {
        Some(authority) => authority.clone(),
        None => head.headers.get(HOST)?.to_str().ok()?.parse().ok()?,
    };
    Some(authority.host().to_ascii_lowercase())
}

/// What the access log tells of a request.
struct Told {
    method: Method,
    path: String,
    started: Instant,
}

impl Told {
    fn new(request: &Request<Incoming>) -> Told {
        let path = request.uri().path();
        // A path is ASCII without control characters, as the parser has seen to.
        let path = path[..path.len().min(LONGEST_PATH)].to_owned();
        Told { method: request.method().clone(), path, started: answer::now() }
    }

    /// When the head of the answer is ready: of a long answer, the rest is yet to come.
    fn log(&self, origin: &Origin, response: &Response<Reply>) {
        let header = |name: &HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-")
        };
        info!(
            target: "panelboard::access",
            client = %origin.client,
            method = %self.method,
            path = self.path,
            status = response.status().as_u16(),
            upstream = header(&reply::UPSTREAM),
            circuit = header(&reply::CIRCUIT),
            fallback = header(&fallback::FALLBACK_HEADER),
            millis = self.started.elapsed().as_millis() as u64,
            request = origin.id.to_str().unwrap_or("-"),
            "request"
        );
    }
}
