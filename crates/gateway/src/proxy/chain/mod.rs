//! One request along its route's chain of upstreams.

mod again;
mod cached;
mod hedge;
mod wait;
mod walk;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::response::Parts as ResponseHead;
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use panelboard::PhaseName;

use self::cached::{Cached, gives_way};
use self::walk::{Answered, Outcome, SOON, Walk, out_of_tokens};
use super::admit::Circuit;
use super::answer::now;
use super::attempt::{Exchange, Switched};
use super::body::{bad_body, bad_upload, read};
use super::origin::Origin;
use super::reply::{self, CIRCUIT, Reply, STATE, passed_on, whole};
use super::speech::Speech;
use super::tunnel::Tunnel;
use super::upgrade::{Upgrade, is_websocket};
use super::{model, tokens, upload};
use crate::fallback::{self, Cause, Limit, Wanted, Why};
use crate::listen::Caller;
use crate::runtime::{Plan, Runtime, Target};
use crate::shared::Shared;

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
    if let Err((limit, wait)) = admitted(plan, origin.client, &head) {
        return Ok(limited(plan, limit, wait));
    }
    let (upload, asked) = read(runtime, plan, &head, body).await?;
    let rest = upload::Wanted::new(&upload);
    let path = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = match &plan.route.strip_prefix {
        Some(prefix) => stripped(path, prefix),
        None => path.to_owned(),
    };
    let asked = match plan.reads_body {
        true => model::by_path(asked, &target).map_err(bad_body)?,
        false => asked,
    };
    let wanted = Wanted {
        kind: plan.kind(),
        method: &head.method,
        path: head.uri.path(),
        model: asked.model.as_deref(),
        stream: asked.stream,
    };
    let shows_headers = runtime.config.gateway().response_headers;
    let estimate = tokens::estimate(&upload, &asked);
    let room = match tokens::reserve(plan.tokens.as_ref(), estimate) {
        Ok(room) => room,
        Err(wait) => {
            let cause = out_of_tokens(&plan.route.name, PhaseName::Closed, wait);
            return Ok(exhausted(runtime, plan, &cause, wanted, shows_headers));
        }
    };
    let deadline = plan.route.deadline.and_then(|deadline| now().checked_add(deadline));
    let speech = Speech::of(&head);
    let exchange = Exchange {
        plan,
        head: &head,
        upload: &upload,
        target: &target,
        asked: &asked,
        speech: &speech,
        origin,
        pseudonym: &shared.pseudonym,
        upgrade: upgrade.as_ref(),
        deadline,
        estimate,
        room,
    };
    let cached = Cached::of(&exchange);
    if let Some(hit) = cached.as_ref().and_then(Cached::hit) {
        return Ok(hit);
    }
    let cause = match Walk::new(plan, &exchange).run().await {
        Outcome::Answered(Answered { answer, circuit, upstream }) => {
            if let Some(cached) = cached.as_ref().filter(|_| gives_way(&answer)) {
                let shown = circuit.header.clone().filter(|_| shows_headers);
                let shown = shown.map(|name| (name, circuit.breaker.phase()));
                if let Some(last) = cached.last(shown) {
                    return Ok(last);
                }
            }
            let mut answer = passed_on(answer, &circuit, upstream, shows_headers);
            if let Some(cached) = &cached {
                answer = cached.record(answer);
            }
            return Ok(answer.map(|answer| answer.with_upload(rest)));
        }
        Outcome::Switched { switched, place, circuit } => {
            let (target, by) = (&plan.targets[place], origin.caller());
            let head = tunnelled(shared, plan, target, &circuit, *switched, upgrade, by);
            return Ok(reply::switched(head, &circuit, target.client.header(), shows_headers));
        }
        Outcome::Upload(fault) => return Err(bad_upload(fault, plan)),
        Outcome::Foreign { foreign, place } => {
            let upstream = plan.targets[place].client.name();
            return Err(fallback::foreign(&foreign, upstream, head.uri.path()));
        }
        Outcome::Full => return Ok(limited(plan, Limit::Bulkhead, SOON)),
        Outcome::Nothing(cause) => cause,
    };
    if let Some(cached) = &cached {
        let shown = HeaderValue::from_str(&cause.circuit).ok().filter(|_| shows_headers);
        if let Some(last) = cached.last(shown.map(|name| (name, cause.phase))) {
            return Ok(last);
        }
    }
    Ok(exhausted(runtime, plan, &cause, wanted, shows_headers))
}

/// Goes on in the protocol that client and upstream have agreed on; gives the head that tells the
/// client so.
fn tunnelled(
    shared: &Shared,
    plan: &Plan,
    target: &Target,
    circuit: &Circuit,
    switched: Switched,
    upgrade: Option<Upgrade>,
    caller: Arc<Caller>,
) -> ResponseHead {
    let Switched { head, upstream, trace, kept } = switched;
    if let Some(upgrade) = upgrade {
        let tunnel = Tunnel {
            client: upgrade.client,
            upstream,
            websocket: is_websocket(&head.headers),
            idle: target.client.timeouts().tunnel_idle,
            gauge: shared.metrics.tunnel(&plan.route.name, &target.circuit),
            breaker: circuit.breaker.clone(),
            trace,
            caller,
            kept,
        };
        tunnel.open(&shared.listeners.drain);
    }
    head
}

/// What the route's own limits say to a request, before anything is done for it.
fn admitted(plan: &Plan, peer: IpAddr, head: &Parts) -> Result<(), (Limit, Duration)> {
    if let Some(limit) = &plan.policies.limit {
        limit.take(peer, &head.headers).map_err(|wait| (Limit::Rate, wait))?;
    }
    if let Some(shed) = &plan.policies.shed {
        shed.admit().map_err(|wait| (Limit::Throttle, wait))?;
    }
    Ok(())
}

fn limited(plan: &Plan, limit: Limit, retry_after: Duration) -> Response<Reply> {
    plan.policies.counts.rejected(limit.reason());
    whole(fallback::limited(limit, retry_after, &plan.route.name, plan.kind()))
}

fn exhausted(
    runtime: &Runtime,
    plan: &Plan,
    cause: &Cause,
    wanted: Wanted<'_>,
    shows_headers: bool,
) -> Response<Reply> {
    let circuit = plan.targets.first().map_or("", |target| target.circuit.as_str());
    let fallback = runtime.config.fallback_for(&plan.route, circuit);
    // A limit is for the client to know of, and nothing is the matter with the service.
    let mut response = match fallback.filter(|_| cause.why != Why::TokenLimit) {
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
