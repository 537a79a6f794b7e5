//! The gateway's listeners and limits.

use std::net::SocketAddr;
use std::time::Duration;

/// How the gateway listens, and what it bears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// Where requests come in; never empty, no address twice.
    pub listen: Vec<SocketAddr>,
    /// The admin API.
    pub admin: Admin,
    /// How long requests in flight may take to finish after a signal to stop.
    pub shutdown_grace: Duration,
    /// How long a client may take to send the head of a request.
    pub header_read_timeout: Duration,
    /// How long a client's connection may lie idle, between requests or within a body.
    pub idle_timeout: Duration,
    /// How many bytes the head of a request may have.
    pub max_header_bytes: usize,
    /// How many headers a request may have.
    pub max_headers: usize,
    /// How many clients may be connected.
    pub max_connections: usize,
    /// How much of a request's body may be read to find the model it names.
    pub model_body_limit: usize,
    /// Whether answers carry `X-Panelboard-*` headers.
    pub response_headers: bool,
}

/// The admin API's listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Where it listens; on loopback.
    pub listen: SocketAddr,
    /// Host names it answers to besides those of loopback, in small letters, without port.
    pub allowed_hosts: Vec<String>,
}
