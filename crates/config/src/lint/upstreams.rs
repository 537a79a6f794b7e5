//! Upstreams: what crosses the network in the clear, and timeouts within timeouts.

use std::time::Duration;

use super::fields::is_loopback;
use super::{Lint, span_of, time, unwritten};
use crate::context::{Named, key_text};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{Scheme, Upstream};
use crate::sections::UpstreamKeys;

/// The longest that common libraries wait between two heartbeats (aiohttp and Socket.IO: 25 s, ws:
/// 30 s, `SignalR`: 15 s, websockets: 20 s).
const HEARTBEAT: Duration = Duration::from_secs(30);

pub(super) fn look(lint: &mut Lint<'_>) {
    for named in lint.upstreams() {
        let Some(upstream) = lint.parts.upstreams.get(&named.name) else { continue };
        plain_http(named, upstream, lint);
        total(named, upstream, lint);
        tunnel(named, upstream, lint);
    }
}

fn subject(named: &Named<UpstreamKeys>) -> String {
    format!("upstreams.{}", key_text(&named.name))
}

fn plain_http(named: &Named<UpstreamKeys>, upstream: &Upstream, lint: &mut Lint<'_>) {
    let host = upstream.url.host();
    if upstream.url.scheme() != Scheme::Http || is_loopback(host) {
        return;
    }
    let what = if upstream.auth.is_some() { "requests and its credential" } else { "requests" };
    let message = format!(
        "`{}.url` is plain http to {host}: {what} can be read and changed on the way",
        subject(named)
    );
    let problem = Problem::new(codes::PLAIN_HTTP, message)
        .at(span_of(named.value.url.as_ref()), "not encrypted")
        .help("use https, or a tunnel that ends on this machine");
    lint.tell(problem);
}

/// Tunnels that are cut between two heartbeats.
fn tunnel(named: &Named<UpstreamKeys>, upstream: &Upstream, lint: &mut Lint<'_>) {
    let idle = upstream.timeouts.tunnel_idle;
    if idle >= HEARTBEAT {
        return;
    }
    let message = format!(
        "`{}.tunnel_idle_timeout` is {}, but heartbeats come every 15 to 30 s as libraries send them: a \
         WebSocket that waits for its next one is cut",
        subject(named),
        time(idle)
    );
    let problem = Problem::new(codes::SHORT_TUNNEL, message)
        .at(named.value.tunnel_idle_timeout.span, "silent for so long")
        .help(format!("allow two of them to be missed: {}", time(HEARTBEAT * 2)));
    lint.tell(problem);
}

/// A whole that is shorter than its parts.
fn total(named: &Named<UpstreamKeys>, upstream: &Upstream, lint: &mut Lint<'_>) {
    let (keys, timeouts) = (&named.value, &upstream.timeouts);
    let Some(total) = timeouts.total else { return };
    let (key, first, at) = if upstream.kind.is_llm() && timeouts.first_token > timeouts.first_byte {
        ("first_token_timeout", timeouts.first_token, keys.first_token_timeout.span)
    } else {
        ("first_byte_timeout", timeouts.first_byte, keys.first_byte_timeout.span)
    };
    let connect = keys.connect_timeout.span;
    let needs = timeouts.connect.saturating_add(first);
    if needs > total && !(at.is_nowhere() && connect.is_nowhere()) {
        let message = format!(
            "`{}.total_timeout` is {}, but connecting may take {} and `{key}` is {}, {} together: it \
             ends calls {} before those would",
            subject(named),
            time(total),
            time(timeouts.connect),
            time(first),
            time(needs),
            time(needs.saturating_sub(total)),
        );
        let defaults = unwritten(&[("connect_timeout", connect), (key, at)]);
        let problem = Problem::new(codes::TIMEOUT_WITHIN_TIMEOUT, message)
            .at(keys.total_timeout.span, "the whole")
            .also(at, "part of it")
            .also(connect, "part of it")
            .help(format!("the whole is at least {}{defaults}", time(needs)));
        lint.tell(problem);
    }
    if timeouts.stall >= total && !keys.stall_timeout.span.is_nowhere() {
        let message = format!(
            "`{}.stall_timeout` is {}, but calls end after {} in all: no pause is ever too long",
            subject(named),
            time(timeouts.stall),
            time(total)
        );
        let problem = Problem::new(codes::TIMEOUT_WITHIN_TIMEOUT, message)
            .at(keys.stall_timeout.span, "never reached")
            .also(keys.total_timeout.span, "calls end here")
            .help(format!("a pause shorter than {} can be found out", time(total)));
        lint.tell(problem);
    }
}
