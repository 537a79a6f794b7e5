//! Routes.

use std::collections::{BTreeMap, HashMap};

use super::circuits::{Circuits, unknown_circuit};
use super::{fallbacks, policies, upstreams};
use crate::context::{At, Context, shorten};
use crate::describe::Keys;
use crate::describe::suggest::nearest;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{Fallback, PathPattern, Route, RouteFallback, Upstream};
use crate::sections::{RootKeys, RouteKeys};
use crate::source::Span;

/// What routes are checked against.
struct Against<'a> {
    keys: &'a RootKeys,
    upstreams: &'a BTreeMap<String, Upstream>,
    fallbacks: &'a BTreeMap<String, Fallback>,
}

/// The routes. Upstreams whose routes name no circuit get one of their own.
pub(super) fn build(
    keys: &RootKeys,
    upstreams: &BTreeMap<String, Upstream>,
    circuits: &mut Circuits,
    fallbacks: &BTreeMap<String, Fallback>,
    cx: &mut Context,
) -> Vec<Route> {
    let Some(written) = keys.routes.as_ref().map(|at| &at.value) else { return Vec::new() };
    let against = Against { keys, upstreams, fallbacks };
    let mut routes: Vec<(Route, &At<RouteKeys>)> = Vec::with_capacity(written.len());
    for (i, at) in written.iter().enumerate() {
        let route =
            cx.within("routes", |cx| cx.within_item(i, |cx| route(at, &against, circuits, cx)));
        routes.push((route, at));
    }
    check_names(&mut routes, cx);
    check_shadows(&routes, cx);
    for (route, _) in &routes {
        for upstream in route.upstreams.iter().filter(|_| route.circuit.is_none()) {
            let own = || circuits.defaults.clone();
            if !circuits.built.contains_key(upstream) {
                circuits.built.insert(upstream.clone(), own());
            }
        }
    }
    routes.into_iter().map(|(route, _)| route).collect()
}

fn route(
    at: &At<RouteKeys>,
    against: &Against<'_>,
    circuits: &Circuits,
    cx: &mut Context,
) -> Route {
    let keys = &at.value;
    let upstreams = route_upstreams(at, against, cx);
    if let Some(circuit) = &keys.circuit
        && !circuits.built.contains_key(&circuit.value)
    {
        let subject = format!("{}.circuit", cx.subject());
        let names = circuits.built.keys().map(String::as_str);
        unknown_circuit(&subject, &circuit.value, circuit.span, names, cx);
    }
    let all_llm = upstreams
        .iter()
        .all(|name| against.upstreams.get(name).is_some_and(|upstream| upstream.kind.is_llm()));
    let failover_non_idempotent = keys
        .failover_non_idempotent
        .as_ref()
        .map_or(all_llm && !upstreams.is_empty(), |at| at.value);
    Route {
        name: keys.name.as_ref().map_or_else(String::new, |name| name.value.clone()),
        host: keys.host.as_ref().map(|host| host.value.clone()),
        path: keys.path.value.clone(),
        methods: keys.methods.as_ref().map_or_else(Vec::new, |methods| {
            methods.value.iter().map(|method| method.value.clone()).collect()
        }),
        headers: keys.headers.as_ref().map_or_else(Vec::new, |headers| headers.value.clone()),
        circuit: keys.circuit.as_ref().map(|circuit| circuit.value.clone()),
        deadline: keys.deadline.value,
        fallback: fallback(keys, against, cx),
        failover_non_idempotent,
        strip_prefix: keys.strip_prefix.as_ref().and_then(|prefix| strip(prefix, keys, cx)),
        max_body_bytes: keys.max_body_bytes.as_ref().map(|at| at.value),
        when_open: policies::when_open(keys, cx),
        balance: keys.balance.value,
        retry: policies::retry(keys, failover_non_idempotent, cx),
        hedge: policies::hedge(keys, cx),
        retry_budget: policies::budget(keys, cx),
        rate_limit: policies::rate_limit(keys, cx),
        bulkhead: policies::bulkhead(keys),
        throttle: policies::throttle(keys, cx),
        cache: policies::cache(keys, cx),
        token_limit: keys.token_limit.as_ref().and_then(|at| at.value.limit()),
        upstreams,
    }
}

fn route_upstreams(at: &At<RouteKeys>, against: &Against<'_>, cx: &mut Context) -> Vec<String> {
    let keys = &at.value;
    let list = keys.upstreams.as_ref().map_or(&[][..], |list| &list.value);
    let named: Vec<&At<String>> = list.iter().chain(&keys.upstream).collect();
    let written = |key: &str| keys.reading().wrote(key);
    if !written("upstreams") && !written("upstream") {
        let problem =
            Problem::new(codes::NO_UPSTREAM, format!("`{}` has no upstream", cx.subject()))
                .at(at.span, "leads nowhere")
                .help("add `upstreams`, a list of names from [upstreams]");
        cx.report(problem);
    }
    let configured = upstreams::named(against.keys);
    for name in &named {
        if !configured.iter().any(|upstream| upstream.name == name.value) {
            unknown_upstream(name, against.keys, cx);
        }
    }
    named.into_iter().map(|name| name.value.clone()).collect()
}

fn unknown_upstream(name: &At<String>, keys: &RootKeys, cx: &mut Context) {
    let names: Vec<&str> = upstreams::named(keys).iter().map(|u| u.name.as_str()).collect();
    let message = format!(
        "`{}` names the upstream `{}`, which is not configured",
        cx.subject(),
        shorten(&name.value)
    );
    let problem = Problem::new(codes::UNKNOWN_UPSTREAM, message).at(name.span, "unknown upstream");
    let problem = match nearest(&name.value, names.iter().copied()) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None if names.is_empty() => {
            problem.help("no upstream is configured; add [upstreams.NAME] with a `url`")
        }
        None => problem.help(format!("configured are {}", shorten(&names.join(", ")))),
    };
    cx.report(problem);
}

fn fallback(keys: &RouteKeys, against: &Against<'_>, cx: &mut Context) -> RouteFallback {
    match &keys.fallback {
        None => RouteFallback::Circuit,
        Some(name) if name.value == fallbacks::ERROR => RouteFallback::ApiError,
        Some(name) => {
            if !against.fallbacks.contains_key(&name.value) {
                let subject = format!("{}.fallback", cx.subject());
                fallbacks::unknown(&subject, &name.value, name.span, against.fallbacks, cx);
            }
            RouteFallback::Named(name.value.clone())
        }
    }
}

/// What is taken off a path: the whole segments that every path of the route begins with.
fn strip(prefix: &At<PathPattern>, keys: &RouteKeys, cx: &mut Context) -> Option<String> {
    let text = prefix.value.prefix()?;
    let head = keys.path.value.literal_head();
    let rest = head.strip_prefix(text);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        let message = format!(
            "`{}.strip_prefix` is \"{}\", but paths of this route begin with \"{}\"",
            cx.subject(),
            prefix.value,
            if head.is_empty() { "/" } else { head },
        );
        let problem = Problem::new(codes::BAD_STRIP_PREFIX, message)
            .at(prefix.span, "not where they begin")
            .also(keys.path.span, "the paths")
            .help("it takes whole segments off the front");
        cx.report(problem);
    }
    (!text.is_empty()).then(|| text.to_owned())
}

// ===== routes among each other =====

/// Names the nameless, and finds names given twice.
fn check_names(routes: &mut [(Route, &At<RouteKeys>)], cx: &mut Context) {
    let mut taken: HashMap<String, Span> = HashMap::new();
    for (_, keys) in routes.iter() {
        let Some(name) = &keys.value.name else { continue };
        if let Some(first) = taken.get(&name.value) {
            let message = format!("two routes are called `{}`", shorten(&name.value));
            let problem = Problem::new(codes::DUPLICATE_ROUTE, message)
                .at(name.span, "again here")
                .also(*first, "first here")
                .help("names of routes are labels of metrics: give each its own");
            cx.report(problem);
        } else {
            taken.insert(name.value.clone(), name.span);
        }
    }
    for (route, keys) in routes.iter_mut().filter(|(_, keys)| keys.value.name.is_none()) {
        let host = route.host.as_ref().map_or_else(String::new, ToString::to_string);
        let name = format!("{host}{}", route.path);
        let numbered = (2..).map(|n| format!("{name} #{n}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|n| !taken.contains_key(n));
        route.name = free.unwrap_or(name);
        taken.insert(route.name.clone(), keys.span);
    }
}

/// Finds routes that an earlier one leaves nothing to take.
fn check_shadows(routes: &[(Route, &At<RouteKeys>)], cx: &mut Context) {
    // What a route with an unreadable key takes is not known.
    let known = |keys: &At<RouteKeys>| keys.value.reading().is_clean();
    for (i, (route, keys)) in routes.iter().enumerate().filter(|(_, (_, keys))| known(keys)) {
        let mut earlier = routes[..i].iter().enumerate().filter(|(_, (_, keys))| known(keys));
        let Some((n, (first, wide))) = earlier.find(|(_, (wide, _))| wide.covers(route)) else {
            continue;
        };
        let message = format!(
            "`routes[{i}]` ({}) is never reached: `routes[{n}]` ({}) takes all its requests",
            describe(route),
            describe(first),
        );
        let problem = Problem::new(codes::SHADOWED_ROUTE, message)
            .at(place(keys), "never reached")
            .also(place(wide), "takes everything first")
            .help("the first route that matches takes the request: put the narrower one first");
        cx.report(problem);
    }
}

/// What stands for a route: its path, or the table.
fn place(keys: &At<RouteKeys>) -> Span {
    let path = keys.value.path.span;
    if path.is_nowhere() { keys.span } else { path }
}

fn describe(route: &Route) -> String {
    let methods: Vec<&str> = route.methods.iter().map(http::Method::as_str).collect();
    let host = route.host.as_ref().map_or_else(String::new, ToString::to_string);
    let target = format!("{host}{}", route.path);
    if methods.is_empty() { target } else { format!("{} {target}", methods.join(",")) }
}
