//! The gateway's listeners and limits.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::SecretRef;
use super::tls::{Http2Limits, Listener};

/// How the gateway listens, and what it bears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// Where requests come in; never empty, no address twice.
    pub listen: Vec<Listener>,
    /// What clients that speak HTTP/2 are allowed.
    pub http2: Http2Limits,
    /// The admin API.
    pub admin: Admin,
    /// How long requests in flight may take to finish after a signal to stop.
    pub shutdown_grace: Duration,
    /// How long a client may take to send the head of a request.
    pub header_read_timeout: Duration,
    /// How long a client's connection may lie idle: between requests, within a body, or while the
    /// client takes none of its answer.
    pub idle_timeout: Duration,
    /// How many bytes the head of a request may have.
    pub max_header_bytes: usize,
    /// How many headers a request may have.
    pub max_headers: usize,
    /// How many bytes the target of a request may have.
    pub max_uri_bytes: usize,
    /// How many connections clients may have, over all addresses.
    pub max_connections: usize,
    /// How many connections one client may have; `None` for any number.
    pub max_connections_per_ip: Option<usize>,
    /// Proxies whose word on who asks is taken. See [`Gateway::trusts`].
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each request is logged.
    pub access_log: bool,
    /// How much of a request's body may be read to find the model it names.
    pub model_body_limit: usize,
    /// Whether answers carry `X-Panelboard-*` headers.
    pub response_headers: bool,
    /// Where events are written down, relative to the configuration file.
    pub events_file: Option<PathBuf>,
}

/// The admin API's listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Where it listens; on loopback, unless somebody is asked for a token.
    pub listen: SocketAddr,
    /// Host names it answers to besides those of loopback, in small letters, without port.
    pub allowed_hosts: Vec<String>,
    /// The file with an operator's token, relative to the configuration file.
    pub token_file: Option<PathBuf>,
    /// Who else may ask.
    pub tokens: Vec<Token>,
    /// Whether metrics and health are for everybody.
    pub public_metrics: bool,
    /// Where changes are put on record, relative to the configuration file.
    pub audit_file: Option<PathBuf>,
}

/// Somebody who may use the admin API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What the audit log calls them.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where their token is.
    pub secret: SecretRef,
}

/// What somebody may do with the admin API.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look, and change things.
    Operator,
}

impl Admin {
    /// Whether a token is asked for.
    pub fn asks_for_token(&self) -> bool {
        self.token_file.is_some() || !self.tokens.is_empty()
    }
}

impl Role {
    /// The name in config.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }
}

impl Gateway {
    /// Whether this is a proxy whose word on who asks is taken.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        // An IPv4 client of a listener for both is written as an IPv6 address.
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}
