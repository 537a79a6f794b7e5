//! One request along its route's chain of upstreams.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use hyper::body::Incoming;
use panelboard::PhaseName;

use super::answer::now;
use super::attempt::{Attempt, Circuit, Exchange, Switched, Turn, attempt};
use super::body::{bad_upload, read};
use super::origin::Origin;
use super::reply::{self, CIRCUIT, Reply, STATE, passed_on, whole};
use super::tunnel::Tunnel;
use super::upgrade::{Upgrade, is_websocket};
use super::upload::Upload;
use crate::fallback::{self, Cause, Wanted, Why};
use crate::judge::{Failover, Observed};
use crate::runtime::{Plan, Runtime};
use crate::shared::Shared;

/// When it is worth coming back, where no circuit says.
const SOON: Duration = Duration::from_secs(1);

/// What a client wants.
pub(super) struct Wish {
    pub(super) head: Parts,
    pub(super) body: Incoming,
    /// The protocol to go on in.
    pub(super) upgrade: Option<Upgrade>,
}

/// Sends a request along a route's chain of upstreams.
pub(super) async fn route(
    shared: &Shared,
    runtime: &Arc<Runtime>,
    plan: &Arc<Plan>,
    origin: &Origin,
    Wish { head, body, upgrade }: Wish,
) -> Result<Response<Reply>, Response<Bytes>> {
    let (upload, asked) = read(runtime, plan, &head, body).await?;
    let path = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = match &plan.route.strip_prefix {
        Some(prefix) => stripped(path, prefix),
        None => path.to_owned(),
    };
    let deadline = plan.route.deadline.and_then(|deadline| now().checked_add(deadline));
    let exchange = Exchange {
        head: &head,
        upload: &upload,
        target: &target,
        asked: &asked,
        origin,
        pseudonym: &shared.pseudonym,
        upgrade: upgrade.as_ref(),
        deadline,
    };
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
            Attempt::Switched(switched) => {
                let Switched { head, upstream: theirs, trace } = *switched;
                if let Some(upgrade) = upgrade {
                    let tunnel = Tunnel {
                        client: upgrade.client,
                        upstream: theirs,
                        websocket: is_websocket(&head.headers),
                        idle: target.client.timeouts().tunnel_idle,
                        gauge: shared.metrics.tunnel(&plan.route.name, &target.circuit),
                        breaker: circuit.breaker.clone(),
                        trace,
                        caller: origin.caller(),
                    };
                    tunnel.open(&shared.listeners.drain);
                }
                return Ok(reply::switched(head, &circuit, upstream, shows_headers));
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

fn stripped(path: &str, prefix: &str) -> String {
    match path.strip_prefix(prefix) {
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        Some(rest) => format!("/{rest}"),
        None => path.to_owned(),
    }
}
