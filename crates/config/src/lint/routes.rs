//! Routes: what does not fit their deadlines, and where their requests come back to.
//!
//! Not looked for, because no key says it: retries that do not fit the deadline, retries around
//! retries, probes beyond a bulkhead, health checks without a timeout. With `retry`, `bulkhead` and
//! `probe`, the first belongs into [`chain`], beside the time that upstreams take to give up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use panelboard_core::Kind;

use super::fields::{is_loopback, patience};
use super::{Lint, span_of, time};
use crate::context::{At, key_text};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{KeyPart, Route, Upstream};
use crate::sections::RouteKeys;
use crate::source::Span;

pub(super) fn look(lint: &mut Lint<'_>) {
    let keys = lint.keys.routes.as_ref().map_or(&[][..], |at| &at.value);
    for (i, (keys, route)) in keys.iter().zip(&lint.parts.routes).enumerate() {
        let subject = format!("routes[{i}]");
        attempts(&subject, keys, route, lint);
        chain(&subject, keys, route, lint);
        comes_back(&subject, keys, route, lint);
    }
    grace(lint);
    shared(lint);
    pushback(lint);
}

// ===== time =====

/// Attempts that the deadline ends before their own timeout does.
fn attempts(subject: &str, keys: &At<RouteKeys>, route: &Route, lint: &mut Lint<'_>) {
    let Some(deadline) = route.deadline else { return };
    for name in &route.upstreams {
        let Some(upstream) = lint.parts.upstreams.get(name) else { continue };
        let laid = lint.circuits.get(route.circuit_for(name)).copied();
        let own = lint.upstream_keys.get(name.as_str());
        let total = own.map_or(Span::NOWHERE, |own| own.total_timeout.span);
        let limits = [
            (upstream.timeouts.total, format!("upstreams.{}.total_timeout", key_text(name)), total),
            (
                laid.and_then(|laid| laid.settings.timeout()),
                laid.map_or_else(String::new, |laid| format!("{}.timeout", laid.subject)),
                laid.map_or(Span::NOWHERE, |laid| laid.place("timeout")),
            ),
        ];
        for (limit, setting, at) in limits {
            let Some(limit) = limit.filter(|limit| *limit > deadline) else { continue };
            let message = format!(
                "`{subject}.deadline` is {}, but one attempt may take {} (`{setting}`): the deadline \
                 ends it {} before",
                time(deadline),
                time(limit),
                time(limit.saturating_sub(deadline))
            );
            let rest = if route.upstreams.len() > 1 {
                "no time is left for another upstream, and none is blamed; keep attempts shorter"
            } else {
                "keep the attempt shorter than the whole"
            };
            let problem = Problem::new(codes::ATTEMPT_OVER_DEADLINE, message)
                .at(keys.value.deadline.span, "for everything together")
                .also(at, "for one attempt")
                .help(rest);
            lint.tell(problem);
        }
    }
}

/// Upstreams that are never asked, because those before them use up the deadline.
fn chain(subject: &str, keys: &At<RouteKeys>, route: &Route, lint: &mut Lint<'_>) {
    let Some(deadline) = route.deadline else { return };
    let mut spent = Duration::ZERO;
    for (i, name) in route.upstreams.iter().enumerate() {
        if i > 0 && spent >= deadline {
            let before = match i {
                1 => format!("`{}` hangs", route.upstreams[0]),
                n => format!("the {n} before it hang"),
            };
            let message = format!(
                "`{subject}` never asks `{name}` when {before}: giving up takes {}, and the \
                 deadline is {}",
                time(spent),
                time(deadline)
            );
            let list = keys.value.upstreams.as_ref().and_then(|list| list.value.get(i));
            let problem = Problem::new(codes::CHAIN_OVER_DEADLINE, message)
                .at(span_of(list), "comes too late")
                .also(keys.value.deadline.span, "over by then")
                .help(format!(
                    "allow more than {} in all, or shorten `connect_timeout` and \
                     `first_byte_timeout` of those before",
                    time(spent)
                ));
            lint.tell(problem);
            return;
        }
        let Some(upstream) = lint.parts.upstreams.get(name) else { continue };
        spent = spent.saturating_add(patience(upstream));
    }
}

/// Requests that are cut off when the gateway is stopped.
fn grace(lint: &mut Lint<'_>) {
    let grace = lint.parts.gateway.shutdown_grace;
    let at = lint.keys.gateway.as_ref().map_or(Span::NOWHERE, |at| at.value.shutdown_grace.span);
    let keys = lint.keys.routes.as_ref().map_or(&[][..], |at| &at.value);
    let longest = keys
        .iter()
        .enumerate()
        .filter_map(|(i, keys)| Some((keys.value.deadline.value?, i, keys.value.deadline.span)))
        .max_by_key(|(deadline, i, _)| (*deadline, std::cmp::Reverse(*i)));
    let Some((deadline, i, deadline_span)) = longest.filter(|(longest, ..)| *longest > grace)
    else {
        return;
    };
    let message = format!(
        "a stop waits {} (`gateway.shutdown_grace`), but requests may take {} (`routes[{i}].deadline`): \
         those with more than {} to go are cut off",
        time(grace),
        time(deadline),
        time(grace)
    );
    let problem = super::clash(
        codes::SHORT_GRACE,
        message,
        (at, String::from("waits this long")),
        (deadline_span, String::from("may take this long")),
    );
    let defaults = super::unwritten(&[("shutdown_grace", at)]);
    lint.tell(problem.help(format!(
        "`shutdown_grace = \"{}\"` loses none; whoever stops the process must wait as long{defaults}",
        crate::text::duration(deadline)
    )));
}

// ===== where requests go =====

/// Upstreams that are the gateway itself, or one server under two names.
fn comes_back(subject: &str, keys: &At<RouteKeys>, route: &Route, lint: &mut Lint<'_>) {
    let places: Vec<Span> = match (&keys.value.upstreams, &keys.value.upstream) {
        (Some(list), _) => list.value.iter().map(|at| at.span).collect(),
        (None, one) => vec![span_of(one.as_ref())],
    };
    let mut seen: Vec<(&str, &Upstream, Span)> = Vec::new();
    for (name, span) in route.upstreams.iter().zip(places) {
        let Some(upstream) = lint.parts.upstreams.get(name) else { continue };
        let listens =
            lint.parts.gateway.listen.iter().map(|listen| listen.address).find(|listen| {
                let all = listen.ip().is_unspecified() || listen.ip().is_loopback();
                let host = upstream.url.host();
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let same = bare.parse() == Ok(listen.ip()) || (all && is_loopback(host));
                same && listen.port() == upstream.url.port() && listen.port() != 0
            });
        if let Some(listen) = listens {
            let message = format!(
                "`{subject}` sends requests to `{name}`, which is this gateway (it listens on \
                 {listen}): each comes back until its deadline, or for ever"
            );
            let problem = Problem::new(codes::COMES_BACK, message)
                .at(span, "leads back here")
                .help("name the server behind the gateway");
            lint.tell(problem);
        }
        let twin = seen.iter().find(|(_, other, _)| {
            other.url.host() == upstream.url.host()
                && other.url.port() == upstream.url.port()
                && other.url.path() == upstream.url.path()
                && other.models == upstream.models
        });
        if let Some((other, _, first)) = twin {
            let message = format!(
                "`{subject}` falls back from `{other}` to `{name}`, which is the same server: {}",
                upstream.url
            );
            let problem = Problem::new(codes::COMES_BACK, message)
                .at(span, "has just failed")
                .also(*first, "the same address")
                .help("a fallback is worth something only if it does not fail together with it");
            lint.tell(problem);
        }
        seen.push((name, upstream, span));
    }
}

/// Breakers that refuse calls to one server because another one fails.
fn shared(lint: &mut Lint<'_>) {
    let mut users: BTreeMap<&str, BTreeMap<(String, &str), &str>> = BTreeMap::new();
    for route in &lint.parts.routes {
        let Some(circuit) = route.circuit.as_deref() else { continue };
        for name in &route.upstreams {
            let Some(upstream) = lint.parts.upstreams.get(name) else { continue };
            let server = (upstream.url.authority(), upstream.kind.name());
            users.entry(circuit).or_default().entry(server).or_insert(name);
        }
    }
    for (circuit, servers) in users.iter().filter(|(_, servers)| servers.len() > 1) {
        let built = lint.parts.circuits.get(*circuit);
        if built.is_none_or(|built| built.key.contains(&KeyPart::Upstream)) {
            continue;
        }
        let Some(laid) = lint.circuits.get(circuit).copied() else { continue };
        let names: BTreeSet<&str> = servers.values().copied().collect();
        let names: Vec<String> =
            names.into_iter().take(4).map(|name| format!("`{name}`")).collect();
        let enough = match (laid.settings.failure_threshold(), laid.settings.failure_rate()) {
            (Some(streak), _) => format!("{streak} failures in a row"),
            (None, Some(share)) => format!("{} failures", super::percent(share.as_f64())),
            (None, None) => String::from("failures"),
        };
        let chained =
            lint.parts.routes.iter().any(|route| {
                route.circuit.as_deref() == Some(circuit) && route.upstreams.len() > 1
            });
        let also = if chained { ", and the next in the chain is refused with it" } else { "" };
        let message = format!(
            "`{}` is one breaker for {} servers, {}: {enough} at one of them refuse calls to all{also}",
            laid.subject,
            servers.len(),
            names.join(", ")
        );
        let first = lint.keys.routes.as_ref().into_iter().flat_map(|routes| &routes.value);
        let used = first
            .filter_map(|route| route.value.circuit.as_ref())
            .find(|at| at.value == *circuit)
            .map_or(Span::NOWHERE, |at| at.span);
        let problem = Problem::new(codes::SHARED_CIRCUIT, message)
            .at(laid.name_span, "one breaker for all")
            .also(used, "used here")
            .help("`key = [\"upstream\"]` gives each its own, with the same settings");
        lint.tell(problem);
    }
}

/// Breakers of language models that take a full quota for an outage.
fn pushback(lint: &mut Lint<'_>) {
    let circuits = lint.keys.circuit_breaker.as_ref().and_then(|at| at.value.circuits.as_ref());
    for entry in circuits.map_or(&[][..], |at| &at.value) {
        let mut listed = entry.value.settings.record.iter().flat_map(|list| &list.value);
        let pushed = |at: &&At<Kind>| matches!(at.value, Kind::RateLimited | Kind::Overloaded);
        let Some(at) = listed.find(pushed) else { continue };
        let is_llm = |name: &String| {
            lint.parts.upstreams.get(name).is_some_and(|upstream| upstream.kind.is_llm())
        };
        let guards = lint.parts.routes.iter().any(|route| {
            route.upstreams.iter().any(|u| route.circuit_for(u) == entry.name && is_llm(u))
        });
        let Some(built) = lint.parts.circuits.get(&entry.name).filter(|_| guards) else { continue };
        let message = format!(
            "`circuits.{}` counts {} as a failure of a language model: a token limit that is full for \
             seconds would keep it open for {}, growing up to {}",
            key_text(&entry.name),
            at.value.name(),
            time(built.settings.recovery_timeout()),
            time(built.settings.backoff().max())
        );
        let problem = Problem::new(codes::PUSHBACK_AS_FAILURE, message)
            .at(at.span, "pushback, not an outage")
            .help("leave it out: 429 and 529 hold calls back for as long as the provider asks");
        lint.tell(problem);
    }
}
