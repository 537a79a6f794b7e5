//! What a client gets when nothing is left: a friendly answer that cannot pass for a real one.

pub(crate) mod shape;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use panelboard::{PhaseName, Reason};
use panelboard_config::{Fallback, UpstreamKind};
use serde_json::{Value, json};

use crate::judge::Observed;
use crate::llm::translate::Foreign;

/// Says that an answer is not the upstream's.
pub(crate) const FALLBACK_HEADER: HeaderName = HeaderName::from_static("x-panelboard-fallback");

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cause {
    pub(crate) circuit: String,
    pub(crate) phase: PhaseName,
    pub(crate) why: Why,
    pub(crate) retry_after: Duration,
    /// Sentences about upstreams that could not be asked in their own API's words.
    pub(crate) left_out: String,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// The circuit refused.
    Refused(Reason),
    /// The circuit refused, for a quota is used up.
    QuotaUsedUp,
    /// So many tokens as are allowed have been used.
    TokenLimit,
    /// The last upstream failed.
    Failed(Observed),
}

/// Which policy of a route refused. It says nothing of any upstream.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Limit {
    /// So many requests a period.
    Rate,
    /// So many at once.
    Bulkhead,
    /// Some, while many fail.
    Throttle,
}

/// What the client asked for, as far as the shape of the answer depends on it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) kind: UpstreamKind,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) model: Option<&'a str>,
    /// Whether a stream was asked for, if anything was said of it.
    pub(crate) stream: Option<bool>,
}

impl Cause {
    /// One word for machines.
    pub(crate) fn reason(&self) -> &'static str {
        match self.why {
            Why::Refused(Reason::Open) => "open",
            Why::Refused(Reason::Probing) => "probing",
            Why::Refused(Reason::Paced) | Why::QuotaUsedUp => "paced",
            Why::Refused(Reason::Forced) => "forced",
            Why::Refused(Reason::Ramping) => "ramping",
            Why::Refused(Reason::Throttled) => "throttled",
            Why::Refused(Reason::Dependency) => "dependency",
            Why::Refused(_) => "refused",
            Why::TokenLimit => "token_limit",
            Why::Failed(Observed::ConnectFailed | Observed::ConnectTimeout) => "unreachable",
            Why::Failed(
                Observed::FirstByteTimeout | Observed::TotalTimeout | Observed::OutOfTime,
            ) => "timeout",
            Why::Failed(Observed::NoFirstToken) => "stalled",
            Why::Failed(_) => "bad_answer",
        }
    }

    /// For people: one sentence, and one for each upstream that was left out.
    pub(crate) fn detail(&self) -> String {
        self.sentence() + &self.left_out
    }

    fn sentence(&self) -> String {
        let Cause { circuit, .. } = self;
        match self.why {
            Why::Refused(Reason::Open) => {
                format!("Circuit `{circuit}` is open: its upstream has been failing.")
            }
            Why::Refused(Reason::Probing) => {
                format!("Circuit `{circuit}` is half-open, and its probes are under way.")
            }
            Why::Refused(Reason::Paced) => {
                format!("The upstream behind circuit `{circuit}` asked to slow down.")
            }
            Why::QuotaUsedUp => {
                format!("The upstream behind circuit `{circuit}` said that its quota is used up.")
            }
            Why::TokenLimit => {
                format!("As many tokens as are allowed for `{circuit}` have been used.")
            }
            Why::Refused(Reason::Ramping) => {
                format!(
                    "Circuit `{circuit}` has just recovered, and its traffic comes back in steps."
                )
            }
            Why::Refused(Reason::Throttled) => {
                format!("Circuit `{circuit}` sheds some calls: too many fail.")
            }
            Why::Refused(Reason::Dependency) => {
                format!("Circuit `{circuit}` waits for one that it depends on and that is open.")
            }
            Why::Refused(_) => format!("An operator has forced circuit `{circuit}` open."),
            Why::Failed(observed) => {
                format!("The upstream behind circuit `{circuit}` failed: {}.", observed.words())
            }
        }
    }

    /// Whole seconds until it is worth coming back, at least one.
    pub(crate) fn retry_secs(&self) -> u64 {
        whole_secs(self.retry_after)
    }
}

impl Limit {
    /// One word for machines.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Limit::Rate => "rate_limit",
            Limit::Bulkhead => "bulkhead",
            Limit::Throttle => "throttled",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Limit::Rate => StatusCode::TOO_MANY_REQUESTS,
            Limit::Bulkhead | Limit::Throttle => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One sentence for people.
    fn detail(self, route: &str) -> String {
        match self {
            Limit::Rate => format!("Route `{route}` takes no more requests just now."),
            Limit::Bulkhead => {
                format!("Route `{route}` has as many requests under way as it may.")
            }
            Limit::Throttle => format!("Route `{route}` sheds some requests: too many fail."),
        }
    }
}

/// At least one.
fn whole_secs(time: Duration) -> u64 {
    let secs = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    secs.max(1)
}

/// The friendly answer called `name`: in the shape of a chat completion where one was asked for,
/// else as a problem (RFC 9457).
pub(crate) fn friendly(
    (name, fallback): (&str, &Fallback),
    cause: &Cause,
    wanted: Wanted<'_>,
) -> Response<Bytes> {
    let text = shape::text(fallback, cause);
    let mut response = match shape::completion(&text, wanted) {
        Some(response) => response,
        None => {
            let status =
                StatusCode::from_u16(fallback.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let mut body = problem(cause, status, &fallback.title);
            body["fallback_used"] = true.into();
            body["message"] = fallback.message.clone().into();
            body["alternatives"] = fallback.alternatives.clone().into();
            reply(status, "application/problem+json", &body)
        }
    };
    if let Ok(name) = HeaderValue::from_str(name) {
        response.headers_mut().insert(FALLBACK_HEADER, name);
    }
    seal(response, cause)
}

/// An error in the API's own shape.
pub(crate) fn error(cause: &Cause, wanted: Wanted<'_>) -> Response<Bytes> {
    let (status, title) = match cause.why {
        Why::TokenLimit => (StatusCode::TOO_MANY_REQUESTS, "Too many tokens"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "Service is unavailable"),
    };
    let response = match shape::error(cause, wanted) {
        Some(body) => reply(status, "application/json", &body),
        None => {
            let body = problem(cause, status, title);
            reply(status, "application/problem+json", &body)
        }
    };
    seal(response, cause)
}

/// A policy of the route refused the request.
pub(crate) fn limited(
    limit: Limit,
    retry_after: Duration,
    route: &str,
    kind: UpstreamKind,
) -> Response<Bytes> {
    let status = limit.status();
    let detail = limit.detail(route);
    let secs = whole_secs(retry_after);
    let (media, body) = match shape::limited(limit, &detail, kind) {
        Some(body) => ("application/json", body),
        None => {
            let body = json!({
                "type": format!("urn:panelboard:problem:{}", limit.reason().replace('_', "-")),
                "title": status.canonical_reason().unwrap_or("Refused"),
                "status": status.as_u16(),
                "detail": detail,
                "reason": limit.reason(),
                "retry_after": secs,
            });
            ("application/problem+json", body)
        }
    };
    let mut response = reply(status, media, &body);
    response.headers_mut().insert(RETRY_AFTER, secs.into());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request that cannot be put in the words of the upstream it is for.
pub(crate) fn foreign(foreign: &Foreign, upstream: &str, path: &str) -> Response<Bytes> {
    let status = StatusCode::BAD_REQUEST;
    let message = format!("Upstream `{upstream}` cannot be asked this: {foreign}.");
    match shape::refusal(&message, path) {
        Some(body) => reply(status, "application/json", &body),
        None => self::refusal(status, "Bad request", &message),
    }
}

/// A request that cannot be served as it is: nothing to do with any circuit.
pub(crate) fn refusal(status: StatusCode, title: &str, detail: &str) -> Response<Bytes> {
    let kind = title.to_lowercase().replace(' ', "-");
    let body = json!({
        "type": format!("urn:panelboard:problem:{kind}"),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    reply(status, "application/problem+json", &body)
}

fn problem(cause: &Cause, status: StatusCode, title: &str) -> Value {
    json!({
        "type": format!("urn:panelboard:problem:{}", cause.reason().replace('_', "-")),
        "title": title,
        "status": status.as_u16(),
        "detail": cause.detail(),
        "circuit": cause.circuit,
        "state": cause.phase.name(),
        "reason": cause.reason(),
        "retry_after": cause.retry_secs(),
    })
}

fn reply(status: StatusCode, media: &'static str, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// What every answer of ours says: when to come back, and not to be kept.
fn seal(mut response: Response<Bytes>, cause: &Cause) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, cause.retry_secs().into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
