//! The data plane: from a client's request to an answer.

mod answer;
mod attempt;
mod guard;
mod headers;
mod model;
mod upload;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use panelboard::PhaseName;

use answer::now;
pub(crate) use answer::{Answer, AnswerError};
use attempt::{Attempt, Circuit, Exchange, Turn, attempt};
use model::{Asked, BadBody, Look};
pub(crate) use upload::UploadBody;
use upload::{Upload, UploadFault};

use crate::fallback::{self, Cause, Wanted, Why};
use crate::judge::{Failover, Observed};
use crate::runtime::{Plan, Runtime};
use crate::shared::Shared;

const CIRCUIT: HeaderName = HeaderName::from_static("x-panelboard-circuit");
const STATE: HeaderName = HeaderName::from_static("x-panelboard-state");
const UPSTREAM: HeaderName = HeaderName::from_static("x-panelboard-upstream");

/// When it is worth coming back, where no circuit says.
const SOON: Duration = Duration::from_secs(1);

pin_project_lite::pin_project! {
    /// What a client gets.
    #[project = ReplyProj]
    pub(crate) enum Reply {
        /// Something of our own.
        Whole { bytes: Option<Bytes> },
        /// An upstream's answer.
        Answer { #[pin] answer: Answer },
    }
}

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
    let response = match route(&runtime, plan, peer, head, body).await {
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
    let bad = |detail| Some(fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", detail));
    let headers = &head.headers;
    match headers.get_all(HOST).iter().count() {
        0 if head.version == Version::HTTP_11 => return bad("There is no Host."),
        0 | 1 => {}
        _ => return bad("There is more than one Host."),
    }
    if head.method == Method::CONNECT {
        let mut refused = fallback::refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "Method not allowed",
            "This is not a forward proxy: CONNECT is not served.",
        );
        refused.headers_mut().insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
        return Some(refused);
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

/// Sends a request along a route's chain of upstreams.
async fn route(
    runtime: &Arc<Runtime>,
    plan: &Arc<Plan>,
    peer: IpAddr,
    head: Parts,
    body: Incoming,
) -> Result<Response<Reply>, Response<Bytes>> {
    let (upload, asked) = read(runtime, plan, &head, body).await?;
    let path = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = match &plan.route.strip_prefix {
        Some(prefix) => stripped(path, prefix),
        None => path.to_owned(),
    };
    let deadline = plan.route.deadline.and_then(|deadline| now().checked_add(deadline));
    let exchange =
        Exchange { head: &head, upload: &upload, target: &target, asked: &asked, peer, deadline };
    let shows_headers = runtime.config.gateway().response_headers;
    let mut cause: Option<Cause> = None;
    let mut held = None;
    let mut unshared = true;
    for (place, target) in plan.targets.iter().enumerate() {
        if place > 0 && deadline.is_some_and(|deadline| now() >= deadline) {
            break;
        }
        let turn = Turn { addressed: place == 0, unshared };
        let (circuit, outcome) = attempt(&exchange, target, turn).await;
        let upstream = target.client.header();
        match outcome {
            Attempt::Answered(answer) => {
                return Ok(passed_on(answer, &circuit, upstream, shows_headers));
            }
            Attempt::Upload(fault) => return Err(bad_upload(fault, plan)),
            Attempt::Refused(rejected) => {
                let refused = Cause {
                    circuit: circuit.breaker.name().to_string(),
                    phase: rejected.phase(),
                    why: Why::Refused(rejected.reason()),
                    retry_after: rejected.retry_after(),
                };
                // The client is told of whichever upstream can be tried again first.
                let sooner = |known: &Cause| {
                    matches!(known.why, Why::Refused(_)) && known.retry_after <= refused.retry_after
                };
                if !cause.as_ref().is_some_and(sooner) {
                    cause = Some(refused);
                }
            }
            Attempt::Failed { observed, answer } => {
                unshared = false;
                let failed = failure(&circuit, observed);
                if !may_go_on(plan, &head.method, &upload, observed) {
                    held = answer.map(|answer| (answer, circuit, upstream));
                    cause = Some(failed);
                    break;
                }
                if let Some(answer) = answer {
                    held = Some((answer, circuit, upstream));
                }
                cause = Some(failed);
            }
        }
    }
    // An upstream's own error says more than any words of ours.
    if let Some((answer, circuit, upstream)) = held {
        return Ok(passed_on(answer, &circuit, upstream, shows_headers));
    }
    let cause = cause.unwrap_or_else(|| Cause {
        circuit: plan.targets.first().map_or(String::new(), |target| target.circuit.clone()),
        phase: PhaseName::Closed,
        why: Why::Failed(Observed::OutOfTime),
        retry_after: SOON,
    });
    let wanted = Wanted {
        kind: plan.kind(),
        method: &head.method,
        path: head.uri.path(),
        model: asked.model.as_deref(),
        stream: asked.stream,
    };
    Ok(exhausted(runtime, plan, &cause, wanted, shows_headers))
}

/// The body, and what it asks for if that matters.
async fn read(
    runtime: &Runtime,
    plan: &Plan,
    head: &Parts,
    body: Incoming,
) -> Result<(Upload, Asked), Response<Bytes>> {
    let most = plan.route.max_body_bytes;
    // What is known to be too large need not begin.
    if let Some(limit) = most.filter(|limit| body.size_hint().lower() > *limit) {
        return Err(too_large(limit));
    }
    let media = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let look = Look::of(media);
    if !plan.reads_body || look == Look::Never {
        return Ok((Upload::streamed(body, most), Asked::default()));
    }
    let limit = runtime.config.gateway().model_body_limit as u64;
    let limit = most.map_or(limit, |most| most.min(limit));
    let whole = model::read(body, limit).await.map_err(bad_body)?;
    let asked = model::asked(&whole, look).map_err(bad_body)?;
    Ok((Upload::Whole(whole), asked))
}

/// Whether the next upstream may be asked.
fn may_go_on(plan: &Plan, method: &Method, upload: &Upload, observed: Observed) -> bool {
    let safe = match observed.verdict().failover {
        Failover::Safe => true,
        Failover::IfRepeatable => method.is_idempotent() || plan.route.failover_non_idempotent,
        Failover::No => false,
    };
    safe && upload.is_repeatable()
}

fn failure(circuit: &Circuit, observed: Observed) -> Cause {
    let snapshot = circuit.breaker.snapshot();
    Cause {
        circuit: snapshot.name.to_string(),
        phase: snapshot.phase,
        why: Why::Failed(observed),
        retry_after: snapshot.retry_after().unwrap_or(SOON),
    }
}

fn exhausted(
    runtime: &Runtime,
    plan: &Plan,
    cause: &Cause,
    wanted: Wanted<'_>,
    shows_headers: bool,
) -> Response<Reply> {
    let circuit = plan.targets.first().map_or("", |target| target.circuit.as_str());
    let mut response = match runtime.config.fallback_for(&plan.route, circuit) {
        Some(fallback) => fallback::friendly(fallback, cause, wanted),
        None => fallback::error(cause, wanted),
    };
    if shows_headers {
        let headers = response.headers_mut();
        if let Ok(name) = HeaderValue::from_str(&cause.circuit) {
            headers.insert(CIRCUIT, name);
        }
        headers.insert(STATE, HeaderValue::from_static(cause.phase.name()));
    }
    whole(response)
}

/// An upstream's answer, as the client gets it.
fn passed_on(
    mut answer: Response<Answer>,
    circuit: &Circuit,
    upstream: Option<HeaderValue>,
    shows_headers: bool,
) -> Response<Reply> {
    let headers = answer.headers_mut();
    headers::remove_hop_by_hop(headers);
    // Only we may say so.
    for ours in [CIRCUIT, STATE, UPSTREAM, fallback::FALLBACK_HEADER] {
        headers.remove(ours);
    }
    if shows_headers {
        if let Some(name) = &circuit.header {
            headers.insert(CIRCUIT, name.clone());
        }
        headers.insert(STATE, HeaderValue::from_static(circuit.breaker.phase().name()));
        if let Some(upstream) = upstream {
            headers.insert(UPSTREAM, upstream);
        }
    }
    answer.map(|answer| Reply::Answer { answer })
}

fn stripped(path: &str, prefix: &str) -> String {
    match path.strip_prefix(prefix) {
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        Some(rest) => format!("/{rest}"),
        None => path.to_owned(),
    }
}

fn bad_body(bad: BadBody) -> Response<Bytes> {
    match bad {
        BadBody::TooLarge { limit } => too_large(limit),
        BadBody::Cut => cut_short(),
        BadBody::Unreadable(reason) => {
            let detail = format!("The model cannot be read from this request: {reason}.");
            fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", &detail)
        }
    }
}

fn bad_upload(fault: UploadFault, plan: &Plan) -> Response<Bytes> {
    match fault {
        UploadFault::Client => cut_short(),
        UploadFault::TooLarge => too_large(plan.route.max_body_bytes.unwrap_or_default()),
    }
}

fn too_large(limit: u64) -> Response<Bytes> {
    let detail = format!("The body is larger than the {limit} bytes that are accepted here.");
    fallback::refusal(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", &detail)
}

fn cut_short() -> Response<Bytes> {
    let detail = "The body did not come to its end.";
    fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", detail)
}

pub(crate) fn whole(response: Response<Bytes>) -> Response<Reply> {
    response.map(|bytes| Reply::Whole { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()) })
}

impl Body for Reply {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.project() {
            ReplyProj::Whole { bytes } => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            ReplyProj::Answer { answer } => answer.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Whole { bytes } => bytes.is_none(),
            Reply::Answer { answer } => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Reply::Answer { answer } => answer.size_hint(),
        }
    }
}
