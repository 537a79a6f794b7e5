//! The gateway's listeners.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{tls, unwritten};
use crate::context::{At, Context, Named};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{Admin, Gateway, Token};
use crate::sections::{AdminKeys, GatewayKeys, RootKeys, TokenKeys};

pub(super) fn build(root: &RootKeys, cx: &mut Context) -> Gateway {
    let events = root.events.as_ref().and_then(|at| at.value.file.clone());
    let keys: GatewayKeys = root.gateway.as_ref().map_or_else(unwritten, |at| at.value.clone());
    let admin: AdminKeys = keys.admin.as_ref().map_or_else(unwritten, |at| at.value.clone());
    let asks_for_token = admin.token_file.is_some() || admin.tokens.is_some();
    if !admin.listen.value.ip().is_loopback() && !asks_for_token {
        let problem = Problem::new(
            codes::PUBLIC_ADMIN,
            format!("`gateway.admin.listen` is {}, which is not loopback", admin.listen.value),
        )
        .at(admin.listen.span, "others could reach it")
        .help(
            "without a token whoever reaches it may steer the gateway: use 127.0.0.1 or [::1], or \
             set `token_file` or `tokens`",
        );
        cx.report(problem);
    }
    for listen in &keys.listen.value {
        if let Some(address) = listen.value.address() {
            check_conflict(&At::new(address, listen.span), &admin.listen, cx);
        }
    }
    let trusted = keys.trusted_proxies.map_or_else(Vec::new, |at| at.value);
    let allowed_hosts = admin.allowed_hosts.map_or_else(Vec::new, |at| at.value);
    let file = |at: Option<At<String>>| at.map(|at| PathBuf::from(at.value));
    let tokens = admin.tokens.map_or_else(Vec::new, |at| at.value);
    Gateway {
        listen: tls::listeners(&keys.listen.value, cx),
        http2: tls::limits(keys.http2.as_ref()),
        admin: Admin {
            listen: admin.listen.value,
            allowed_hosts: allowed_hosts.into_iter().map(|at| at.value).collect(),
            token_file: file(admin.token_file),
            tokens: tokens.into_iter().filter_map(token).collect(),
            public_metrics: admin.public_metrics.value,
            audit_file: file(admin.audit_file),
        },
        shutdown_grace: keys.shutdown_grace.value,
        header_read_timeout: keys.header_read_timeout.value,
        idle_timeout: keys.idle_timeout.value,
        max_header_bytes: keys.max_header_bytes.value as usize,
        max_headers: keys.max_headers.value as usize,
        max_uri_bytes: keys.max_uri_bytes.value as usize,
        max_connections: keys.max_connections.value as usize,
        max_connections_per_ip: keys.max_connections_per_ip.map(|at| at.value as usize),
        trusted_proxies: trusted.into_iter().map(|at| at.value).collect(),
        access_log: keys.access_log.value,
        model_body_limit: keys.model_body_limit.value as usize,
        response_headers: keys.response_headers.value,
        events_file: file(events),
    }
}

/// Without a secret it has been reported.
fn token(token: Named<TokenKeys>) -> Option<Token> {
    let Named { name, value: keys, .. } = token;
    Some(Token { name, role: keys.role.value, secret: keys.secret?.value })
}

/// An address for all interfaces leaves no room for one of them on the same port.
fn check_conflict(listen: &At<SocketAddr>, admin: &At<SocketAddr>, cx: &mut Context) {
    let (a, b) = (listen.value, admin.value);
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    if a.port() == 0 || a.port() != b.port() || !overlap {
        return;
    }
    let (at, also) = if listen.span.is_nowhere() {
        (admin.span, listen.span)
    } else {
        (listen.span, admin.span)
    };
    let problem = Problem::new(
        codes::SAME_ADDRESS,
        format!("requests and the admin API cannot both listen on port {}", a.port()),
    )
    .at(at, "this port")
    .also(also, "and this")
    .help("give one of them another port");
    cx.report(problem);
}
