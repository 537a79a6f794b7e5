//! The gateway.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::context::{At, Named};
use crate::describe::keys;
use crate::kinds::{
    AddressKind, Choice, Count, Flag, HostNameKind, List, ListenKind, ListenValue, Many, Nested,
    NetworkKind, OneOrMany, Rules, SecretKind, Size, Text, Time,
};
use crate::model::{Role, SecretRef};
use crate::sections::Http2Keys;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(super) const FILE: Text = Text { what: "the path of a file", longest: 4_096, lines: false };

const ROLES: Choice<Role> = Choice::of(
    "a role",
    &[(Role::Viewer.name(), Role::Viewer), (Role::Operator.name(), Role::Operator)],
);

keys! {
    /// The gateway's listeners and limits.
    pub(crate) struct GatewayKeys = "gateway" in "gateway" {
        /// Where requests come in: one address, or a list, of which a table says more.
        listen: Vec<At<ListenValue>> =
            OneOrMany(List { item: ListenKind, rules: Rules::SOME_DISTINCT }),
            default "127.0.0.1:8080";
        /// What clients that speak HTTP/2 are allowed.
        http2: Http2Keys = Nested::<Http2Keys>::HERE, optional "the defaults below";
        /// The admin API. A bare address is its `listen`.
        admin: AdminKeys = Nested::<AdminKeys>::HERE, optional "127.0.0.1:9090";
        /// How long requests in flight may take to finish after a signal to stop.
        shutdown_grace: Duration = Time::ANY, default "30s";
        /// How long a client may take to send the head of a request.
        header_read_timeout: Duration = Time::ANY, default "10s";
        /// How long a client's connection may lie idle: between requests, within a body, or while
        /// the client takes none of its answer.
        idle_timeout: Duration = Time::ANY, default "75s";
        /// How many bytes the head of a request may have.
        max_header_bytes: u64 = Size(8 * KIB..=MIB), default "64KiB";
        /// How many headers a request may have.
        max_headers: u32 = Count(8..=1_000), default "100";
        /// How many bytes the target of a request may have: its path and query.
        max_uri_bytes: u64 = Size(256..=64 * KIB), default "32KiB";
        /// How many connections clients may have, over all addresses.
        max_connections: u32 = Count(1..=1_000_000), default "10000";
        /// How many connections one client may have: one IPv4 address, or one IPv6 network of 64
        /// bits. Trusted proxies may have any number.
        max_connections_per_ip: u32 = Count(1..=1_000_000), optional "no limit";
        /// Proxies whose word on who asks is taken: addresses and networks. From others,
        /// `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are replaced.
        trusted_proxies: Vec<At<IpNet>> = List { item: NetworkKind, rules: Rules::DISTINCT },
            optional "[]";
        /// Whether each request is logged: who, what, which answer, from where, how long; no query
        /// and no headers.
        access_log: bool = Flag, default "false";
        /// How much of a request's body may be read to find the model it names.
        model_body_limit: u64 = Size(KIB..=GIB), default "10MiB";
        /// Whether answers carry `X-Panelboard-*` headers.
        response_headers: bool = Flag, default "true";
    }
}

keys! {
    /// The admin API: health, metrics, circuits and their commands. Without a token it listens on
    /// loopback only.
    pub(crate) struct AdminKeys = "admin" in "gateway.admin" {
        /// Where it listens.
        listen: SocketAddr = AddressKind, default "127.0.0.1:9090";
        /// Host names it answers to besides those of loopback.
        allowed_hosts: Vec<At<String>> = List { item: HostNameKind, rules: Rules::DISTINCT },
            optional "[]";
        /// A file with the token of an operator: made with a random one, for its owner alone, if it
        /// is not there. A relative path starts at the configuration file.
        token_file: String = FILE, optional "none";
        /// Who else may ask, by the name that the audit log will show. With any token, every request
        /// needs one, but for `/healthz` and `/readyz`.
        tokens: Vec<Named<TokenKeys>> = Many::<TokenKeys>::of("a token", 1_000), optional "none";
        /// Whether `/metrics` and the health document are served without a token.
        public_metrics: bool = Flag, default "false";
        /// A file to which a line of JSON is added for each change that somebody makes or is
        /// refused. At 10 MiB it is moved aside; five such files are kept.
        audit_file: String = FILE, optional "none";
    }
    shorthand listen;
}

keys! {
    /// Somebody who may use the admin API.
    pub(crate) struct TokenKeys = "token" in "gateway.admin.tokens.NAME" {
        /// What they may do: only look (`viewer`), or also change things (`operator`).
        role: Role = ROLES, default "viewer";
        /// Where the token is: at least 16 characters.
        secret: SecretRef = SecretKind, required;
    }
}
