//! The client side: connections to one upstream.

mod connect;
mod error;
mod head;
mod lanes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use panelboard_config::{
    Http2, OllamaApi, Probe, Scheme, Secret, Timeouts, Upstream, UpstreamKind,
};
use tokio::sync::Semaphore;
use tokio_rustls::rustls::pki_types::ServerName;

use connect::{Connector, Tls, Used};
pub(crate) use error::{SendError, Unseen};
use head::is_unambiguous;
use lanes::Lanes;
pub(crate) use lanes::Place;

use crate::llm::TokenLimit;
use crate::llm::translate::Dialect;
use crate::policies::Pending;
use crate::proxy::{Upgrade, UploadBody};
use crate::tls::{self, TlsError};

/// How long a connection of HTTP/2 with requests under way may be silent before it is asked for a
/// sign of life, and how long that may take. Together less than `first_byte_timeout` is by
/// default, so that no request waits on a connection that is dead.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a body may be under way on a stream of HTTP/2, and on all of a connection. What one
/// client does not take must not hold up the others.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Connections to one upstream, and what every request to it has in common.
pub(crate) struct Client {
    name: String,
    header: Option<HeaderValue>,
    upstream: Upstream,
    secret: Option<Secret>,
    auth: Option<(HeaderName, HeaderValue)>,
    lanes: Lanes,
    tokens: Option<TokenLimit>,
    /// The same without keeping any connection: each request gets one of its own.
    fresh: Pool<Connector, UploadBody>,
    /// For what is to become another protocol, which HTTP/2 cannot: each request gets a connection
    /// of its own, of HTTP/1.1.
    upgraded: Pool<Connector, UploadBody>,
    /// Of both kinds of connection.
    tls: [Option<Arc<Tls>>; 2],
    pending: Pending,
}

/// Why an upstream or a listener cannot be served at all.
#[derive(Debug)]
pub(crate) struct ClientError {
    whose: String,
    reason: String,
}

impl ClientError {
    pub(crate) fn listener(address: SocketAddr, error: &TlsError) -> ClientError {
        ClientError { whose: format!("listener {address}"), reason: error.to_string() }
    }
}

impl Client {
    pub(crate) fn new(
        name: &str,
        upstream: Upstream,
        secret: Option<&Secret>,
    ) -> Result<Client, ClientError> {
        let failed = |reason: String| ClientError { whose: format!("upstream `{name}`"), reason };
        let auth = match (&upstream.auth, secret) {
            (Some(auth), Some(secret)) => {
                let value = match &auth.scheme {
                    Some(scheme) => format!("{scheme} {}", secret.expose()),
                    None => secret.expose().to_owned(),
                };
                let mut value = HeaderValue::try_from(value)
                    .map_err(|_| failed("its credential cannot go into a header".into()))?;
                value.set_sensitive(true);
                Some((auth.header.clone(), value))
            }
            (Some(_), None) => return Err(failed("its credential was not read".into())),
            (None, _) => None,
        };
        let connector = connector(name, &upstream).map_err(failed)?;
        let mut builder = Pool::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(upstream.timeouts.pool_idle)
            .http2_only(upstream.http2 == Http2::On)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW);
        let mut plain = connector.clone();
        if upstream.http2 != Http2::Off {
            let only = Upstream { http2: Http2::Off, ..upstream.clone() };
            plain = self::connector(name, &only).map_err(failed)?;
            // One bound for all of them.
            plain.slots.clone_from(&connector.slots);
        }
        let tls = [connector.tls.clone(), plain.tls.clone()];
        let upgraded = builder.clone().http2_only(false).pool_max_idle_per_host(0).build(plain);
        let fresh = builder.clone().pool_max_idle_per_host(0).build(connector.clone());
        builder.pool_max_idle_per_host(upstream.max_idle_connections);
        let lanes = Lanes::new(&builder, &connector, upstream.http2 == Http2::On);
        let header = HeaderValue::from_str(name).ok();
        let (name, secret) = (name.to_owned(), secret.cloned());
        let tokens = upstream.token_limit.and_then(TokenLimit::new);
        Ok(Client {
            name,
            header,
            upstream,
            secret,
            auth,
            lanes,
            tokens,
            fresh,
            upgraded,
            tls,
            pending: Pending::default(),
        })
    }

    /// Whether it already is what this configuration asks for.
    pub(crate) fn serves(&self, upstream: &Upstream, secret: Option<&Secret>) -> bool {
        self.upstream == *upstream && self.secret.as_ref() == secret
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name as a header, if it can be one.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        self.header.clone()
    }

    /// The requests under way, of routes that balance by them.
    pub(crate) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The cheap request that tells whether it works.
    pub(crate) fn probe(&self) -> Option<&Probe> {
        self.upstream.probe.as_ref()
    }

    pub(crate) fn kind(&self) -> UpstreamKind {
        self.upstream.kind
    }

    /// The API in which it is asked by a client of this one; `None` if it is no language model, or
    /// nobody has said so.
    pub(crate) fn dialect(&self, client: Dialect) -> Option<Dialect> {
        match self.upstream.kind {
            UpstreamKind::Http => None,
            UpstreamKind::OpenAi => Some(Dialect::OpenAi),
            UpstreamKind::Anthropic => Some(Dialect::Anthropic),
            // It serves OpenAI's API as well.
            UpstreamKind::Ollama
                if client == Dialect::OpenAi
                    && self.upstream.ollama_api == OllamaApi::Compatible =>
            {
                Some(Dialect::OpenAi)
            }
            UpstreamKind::Ollama => Some(Dialect::Ollama),
        }
    }

    /// What goes before the path of every request.
    pub(crate) fn base_path(&self) -> &str {
        self.upstream.url.path()
    }

    /// How long an answer may be where a request does not say and the API must be told.
    pub(crate) fn default_max_tokens(&self) -> u64 {
        self.upstream.default_max_tokens.into()
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.upstream.timeouts
    }

    /// What it calls a model, if not as everybody else does.
    pub(crate) fn model(&self, name: &str) -> Option<&str> {
        self.upstream.models.get(name).map(String::as_str)
    }

    /// Whether it thinks before it answers as this model.
    pub(crate) fn reasons(&self, model: Option<&str>) -> bool {
        model.is_some_and(|model| self.upstream.reasons(model))
    }

    /// How many tokens its requests may cost.
    pub(crate) fn tokens(&self) -> Option<&TokenLimit> {
        self.tokens.as_ref()
    }

    /// Whether it calls models otherwise.
    pub(crate) fn renames_models(&self) -> bool {
        !self.upstream.models.is_empty()
    }

    /// Where a request goes.
    pub(crate) fn uri(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        self.upstream.url.join(path_and_query)
    }

    /// The credential that goes with every request.
    pub(crate) fn auth(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.auth.as_ref()
    }

    /// Looks whether the files of its TLS have changed.
    pub(crate) fn look(&self) {
        for tls in self.tls.iter().flatten() {
            tls.config.look();
        }
    }

    /// Sends a request and waits for the head of its answer, which may have a [`Place`] among its
    /// extensions.
    pub(crate) async fn send(
        &self,
        request: Request<UploadBody>,
    ) -> Result<Response<Incoming>, SendError> {
        let (pool, place) = self.lanes.next();
        let mut answer = self.send_by(pool, request).await?;
        self.lanes.answered_in(answer.version() == Version::HTTP_2);
        if let Some(place) = place {
            answer.extensions_mut().insert(place);
        }
        Ok(answer)
    }

    /// The same, on a connection that nobody has used before.
    pub(crate) async fn send_afresh(
        &self,
        request: Request<UploadBody>,
    ) -> Result<Response<Incoming>, SendError> {
        self.send_by(&self.fresh, request).await
    }

    /// Sends a request to go on in another protocol. The answer is 101 only if it agrees to that.
    pub(crate) async fn send_to_upgrade(
        &self,
        request: Request<UploadBody>,
        upgrade: &Upgrade,
    ) -> Result<Response<Incoming>, SendError> {
        let answer = self.upgraded.request(request).await;
        let answer = answer.map_err(|error| SendError::of(&error))?;
        let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        match switched && upgrade.is_answered_by(answer.headers()) {
            true => Ok(answer),
            false => unambiguous(answer),
        }
    }

    async fn send_by(
        &self,
        pool: &Pool<Connector, UploadBody>,
        mut request: Request<UploadBody>,
    ) -> Result<Response<Incoming>, SendError> {
        let connection = capture_connection(&mut request);
        let mut answer = pool.request(request).await.map_err(|error| SendError::of(&error))?;
        if answer.version() == Version::HTTP_2
            && let Some(used) = answer.extensions_mut().remove::<Used>()
        {
            used.set();
        }
        let answer = unambiguous(answer);
        // hyper has its own idea of where such a body ends, and would go on after it.
        if answer.is_err()
            && let Some(connection) = connection.connection_metadata().as_ref()
        {
            connection.poison();
        }
        answer
    }
}

/// An answer whose body has one end, and which is one.
fn unambiguous(answer: Response<Incoming>) -> Result<Response<Incoming>, SendError> {
    match is_unambiguous(answer.status(), answer.headers()) {
        true => Ok(answer),
        false => Err(SendError::garbage(match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS => "it changes to a protocol nobody asked for",
            _ => "where its body ends can be read in more than one way",
        })),
    }
}

/// What makes connections to this upstream.
fn connector(name: &str, upstream: &Upstream) -> Result<Connector, String> {
    let patience = upstream.timeouts.connect;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(patience));
    let tls = match upstream.url.scheme() {
        Scheme::Http => None,
        Scheme::Https => {
            let whose = format!("upstream `{name}`");
            let config = tls::client(whose, &upstream.tls, upstream.http2)
                .map_err(|error| error.to_string())?;
            let host = upstream.tls.server_name.as_deref().unwrap_or(upstream.url.host());
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host)
                .map_err(|_| String::from("no certificate can be for the name of its host"))?;
            Some(Arc::new(Tls { config, name }))
        }
    };
    let slots = upstream.max_connections.map(|most| Arc::new(Semaphore::new(most)));
    Ok(Connector { tcp, tls, slots, patience, http2_only: upstream.http2 == Http2::On })
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cannot be served: {}", self.whose, self.reason)
    }
}

impl std::error::Error for ClientError {}
