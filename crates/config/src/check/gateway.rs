//! The gateway's listeners.

use std::net::SocketAddr;

use super::unwritten;
use crate::context::{At, Context};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{Admin, Gateway};
use crate::sections::{AdminKeys, GatewayKeys, RootKeys};

pub(super) fn build(keys: &RootKeys, cx: &mut Context) -> Gateway {
    let keys: GatewayKeys = keys.gateway.as_ref().map_or_else(unwritten, |at| at.value.clone());
    let admin: AdminKeys = keys.admin.as_ref().map_or_else(unwritten, |at| at.value.clone());
    if !admin.listen.value.ip().is_loopback() {
        let problem = Problem::new(
            codes::PUBLIC_ADMIN,
            format!("`gateway.admin.listen` is {}, which is not loopback", admin.listen.value),
        )
        .at(admin.listen.span, "others could reach it")
        .help(
            "the admin API has no authentication in this version: use 127.0.0.1 or [::1], and a \
             tunnel or an authenticating proxy for access from elsewhere",
        );
        cx.report(problem);
    }
    for listen in &keys.listen.value {
        check_conflict(listen, &admin.listen, cx);
    }
    let allowed_hosts = admin.allowed_hosts.map_or_else(Vec::new, |at| at.value);
    Gateway {
        listen: keys.listen.value.into_iter().map(|at| at.value).collect(),
        admin: Admin {
            listen: admin.listen.value,
            allowed_hosts: allowed_hosts.into_iter().map(|at| at.value).collect(),
        },
        shutdown_grace: keys.shutdown_grace.value,
        header_read_timeout: keys.header_read_timeout.value,
        idle_timeout: keys.idle_timeout.value,
        max_header_bytes: keys.max_header_bytes.value as usize,
        max_headers: keys.max_headers.value as usize,
        max_connections: keys.max_connections.value as usize,
        model_body_limit: keys.model_body_limit.value as usize,
        response_headers: keys.response_headers.value,
    }
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
