//! Starting, running and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use panelboard::event::Bus;
use panelboard::{Clock, Registry};
use panelboard_config::{Change, Loaded};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::admin::{Act, Outcome};
use crate::listen::{self, Limits, ListenError};
use crate::reload::Ask;
use crate::shared::{LoadError, Shared};
use crate::{admin, housekeeping, proxy};

/// A gateway that listens, but does not serve yet.
pub struct Gateway {
    shared: Arc<Shared>,
    /// With the addresses as they were configured.
    listeners: Vec<(SocketAddr, TcpListener)>,
    admin: TcpListener,
}

/// Puts another configuration to work while the gateway runs.
#[derive(Clone)]
pub struct Reloader {
    shared: Arc<Shared>,
}

/// Why a gateway cannot start.
#[derive(Debug)]
pub struct StartError(Reason);

#[derive(Debug)]
enum Reason {
    Listen(ListenError),
    Load(LoadError),
}

impl Gateway {
    /// Opens the listeners of a configuration.
    ///
    /// # Errors
    /// When an address cannot be listened on, or an upstream cannot be served at all.
    pub async fn bind(loaded: Loaded) -> Result<Gateway, StartError> {
        let gateway = loaded.config.gateway().clone();
        let mut listeners = Vec::new();
        for listener in gateway.listen {
            let address = listener.address;
            listeners.push((address, listen::bind(address).await.map_err(Reason::Listen)?));
        }
        let admin = listen::bind(gateway.admin.listen).await.map_err(Reason::Listen)?;
        // Requests take microseconds, so an exact clock costs them nothing that matters.
        let registry =
            Registry::with(&panelboard::Catalog::default(), Clock::precise(), Bus::new());
        let shared = Arc::new(Shared::new(loaded, registry).map_err(Reason::Load)?);
        Ok(Gateway { shared, listeners, admin })
    }

    /// Where it listens for requests.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|(_, listener)| listener.local_addr().ok()).collect()
    }

    /// The same as URLs.
    pub fn urls(&self) -> Vec<String> {
        let runtime = self.shared.runtime();
        let url = |(address, listener): &(SocketAddr, TcpListener)| {
            let scheme = runtime.front(*address).map_or("http", |front| front.scheme().name());
            Some(format!("{scheme}://{}", listener.local_addr().ok()?))
        };
        self.listeners.iter().filter_map(url).collect()
    }

    /// Where the admin API listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.local_addr().ok()
    }

    /// To change the configuration while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader { shared: Arc::clone(&self.shared) }
    }

    /// Serves until `stop` is ready; then lets requests in flight finish within
    /// `shutdown_grace`. The admin API answers to the end.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Gateway { shared, listeners, admin } = self;
        let (stop_serving, serving) = watch::channel(false);
        let (stop_admin, administering) = watch::channel(false);
        let limits = limits(&shared);
        let mut servers = JoinSet::new();
        for (address, listener) in listeners {
            let Some(first) = shared.runtime().front(address).cloned() else { continue };
            let front = {
                let shared = Arc::clone(&shared);
                // One that a reload leaves out listens until a restart.
                move || shared.runtime().front(address).unwrap_or(&first).clone()
            };
            let shared = Arc::clone(&shared);
            let answer = move |peer, request| {
                let shared = Arc::clone(&shared);
                async move { proxy::serve(&shared, peer, request).await }
            };
            servers.spawn(listen::serve(listener, limits, serving.clone(), front, answer));
        }
        let mut others = JoinSet::new();
        others.spawn(admin::serve(admin, Arc::clone(&shared), administering));
        others.spawn(admin::send_changes(Arc::clone(&shared)));
        others.spawn(admin::write_audit(Arc::clone(&shared)));
        others.spawn(admin::write_events(Arc::clone(&shared)));
        others.spawn(housekeeping::log_events(Arc::clone(&shared)));
        others.spawn(housekeeping::watch_clock(Arc::clone(&shared)));
        others.spawn(housekeeping::watch_certificates(Arc::clone(&shared)));

        stop.await;
        shared.drain();
        let grace = shared.runtime().config.gateway().shutdown_grace;
        info!(?grace, "stopping: no new connections, requests in flight may finish");
        // The receivers live in the tasks above.
        let _ = stop_serving.send(true);
        let drained = async { while servers.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, drained).await.is_err() {
            warn!(?grace, "some requests did not finish in time and are cut off");
        }
        let _ = stop_admin.send(true);
        // A connection that is kept alive must not keep the process.
        tokio::time::sleep(Duration::from_millis(50)).await;
        others.shutdown().await;
    }
}

/// The limits of connections are those that the gateway started with.
fn limits(shared: &Shared) -> Limits {
    let runtime = shared.runtime();
    let gateway = runtime.config.gateway();
    Limits {
        header_read_timeout: gateway.header_read_timeout,
        idle_timeout: gateway.idle_timeout,
        max_header_bytes: gateway.max_header_bytes,
        max_headers: gateway.max_headers,
        max_connections: gateway.max_connections,
        http2: gateway.http2,
    }
}

impl Reloader {
    /// Puts another configuration to work and says what it changes. Requests under way are not
    /// touched, circuits that are the same keep everything, and others keep phase, generation and
    /// streak. Addresses and limits of listeners change only with a restart.
    ///
    /// # Errors
    /// When an upstream cannot be served at all, or a token file cannot be used; then everything
    /// stays as it was.
    pub fn reload(&self, loaded: Loaded) -> Result<Vec<Change>, StartError> {
        self.shared.reload(loaded).map_err(|error| StartError(Reason::Load(error)))
    }

    /// Whether there are routes to lose.
    pub(crate) fn has_routes(&self) -> bool {
        !self.shared.runtime().config.routes().is_empty()
    }

    /// Who asks for a reload; for one who follows them.
    pub(crate) fn asks(&self) -> Option<mpsc::Receiver<Ask>> {
        self.shared.desk.reloads.follow()
    }

    /// Puts a reload on record.
    pub(crate) fn record(&self, act: Act, outcome: Outcome) {
        self.shared.desk.audit.record(act, outcome);
    }

    /// Takes note of a configuration that was no good, for the metric.
    pub fn failed(&self) {
        self.shared.metrics.reloaded(false);
    }
}

impl From<Reason> for StartError {
    fn from(reason: Reason) -> StartError {
        StartError(reason)
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Reason::Listen(error) => error.fmt(f),
            Reason::Load(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}
