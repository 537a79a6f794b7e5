//! Starting, running and stopping.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use panelboard::event::Bus;
use panelboard::{Clock, Registry};
use panelboard_config::{Change, Loaded};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::admin::{Act, Outcome};
use crate::drain::{Drain, LULL};
use crate::listen::ListenError;
use crate::listeners::{Inherited, Listeners};
use crate::reload::Ask;
use crate::shared::{LoadError, Shared, addresses};
use crate::{admin, housekeeping, probe};

/// A gateway that listens, but does not serve yet.
pub struct Gateway {
    shared: Arc<Shared>,
    admin: Arc<TcpListener>,
}

/// Puts another configuration to work while the gateway runs.
#[derive(Clone)]
pub struct Reloader {
    shared: Arc<Shared>,
}

/// The sockets that a gateway listens on, for another process to listen on, too.
#[derive(Clone)]
pub struct Sockets {
    shared: Arc<Shared>,
    admin: Arc<TcpListener>,
}

/// Why a gateway is to end.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Leave {
    /// It was told to stop.
    Stopping,
    /// Another process serves the same sockets by now.
    HandedOver,
}

/// Why a gateway cannot start, or cannot do what another configuration asks for.
#[derive(Debug)]
pub struct StartError(Reason);

#[derive(Debug)]
enum Reason {
    Listen(ListenError),
    Load(LoadError),
}

impl Gateway {
    /// Opens the listeners of a configuration, but for those that are there already. To be called
    /// within a runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on, or an upstream cannot be served at all.
    pub fn open(loaded: Loaded, mut inherited: Inherited) -> Result<Gateway, StartError> {
        let gateway = loaded.config.gateway();
        // An address with any port takes whatever is left.
        let wants_any = gateway.admin.listen.port() == 0;
        let first = match wants_any {
            false => Some(inherited.take(gateway.admin.listen)?),
            true => None,
        };
        let listeners = Listeners::open(&addresses(&loaded.config), &mut inherited)?;
        let admin = match first {
            Some(admin) => admin,
            None => inherited.take(gateway.admin.listen)?,
        };
        inherited.leave();
        // Requests take microseconds, so an exact clock costs them nothing that matters.
        let registry =
            Registry::with(&panelboard::Catalog::default(), Clock::precise(), Bus::new());
        let shared = Arc::new(Shared::new(loaded, registry, listeners)?);
        Ok(Gateway { shared, admin: Arc::new(admin) })
    }

    /// Where it listens for requests.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shared.listeners.addresses()
    }

    /// The same as URLs.
    pub fn urls(&self) -> Vec<String> {
        self.shared.listeners.urls(&self.shared)
    }

    /// Where the admin API listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.local_addr().ok()
    }

    /// To change the configuration while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader { shared: Arc::clone(&self.shared) }
    }

    /// To hand its sockets over while it runs.
    pub fn sockets(&self) -> Sockets {
        Sockets { shared: Arc::clone(&self.shared), admin: Arc::clone(&self.admin) }
    }

    /// Serves until `leave` is ready; then lets requests in flight finish within
    /// `shutdown_grace`. The admin API answers to the end, unless another process does.
    pub async fn run(self, leave: impl Future<Output = Leave>) {
        let Gateway { shared, admin } = self;
        let administering = Drain::default();
        shared.listeners.serve(&shared);
        let mut others = JoinSet::new();
        others.spawn(admin::serve(admin, Arc::clone(&shared), administering.clone()));
        others.spawn(admin::send_changes(Arc::clone(&shared)));
        others.spawn(admin::write_audit(Arc::clone(&shared)));
        others.spawn(admin::write_events(Arc::clone(&shared)));
        others.spawn(housekeeping::log_events(Arc::clone(&shared)));
        others.spawn(housekeeping::watch_clock(Arc::clone(&shared)));
        others.spawn(probe::keep(Arc::clone(&shared)));
        others.spawn(housekeeping::watch_certificates(Arc::clone(&shared)));

        if leave.await == Leave::HandedOver {
            // Whoever follows what happens here follows the wrong process.
            let administering = administering.clone();
            others.spawn(async move {
                administering.run(2 * LULL).await;
            });
        }
        let grace = shared.runtime().config.gateway().shutdown_grace;
        info!(?grace, "stopping: no new connections, requests in flight may finish");
        shared.listeners.close();
        if !shared.listeners.drain.run(grace).await {
            warn!(?grace, "some requests did not finish in time and are cut off");
        }
        // A connection that is kept alive must not keep the process.
        administering.run(Duration::from_millis(50)).await;
        others.shutdown().await;
    }
}

impl Reloader {
    /// Puts another configuration to work and says what it changes. Requests under way are not
    /// touched, circuits that are the same keep everything, and others keep phase, generation and
    /// streak. Only the address of the admin API stays as it was.
    ///
    /// # Errors
    /// When an address cannot be listened on, an upstream cannot be served at all, or a token file
    /// cannot be used; then everything stays as it was.
    pub fn reload(&self, loaded: Loaded) -> Result<Vec<Change>, StartError> {
        Ok(self.shared.reload(loaded)?)
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

impl Sockets {
    /// As they are now: those for requests, then the admin API's.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn all(&self) -> std::io::Result<Vec<OwnedFd>> {
        let mut sockets = self.shared.listeners.sockets()?;
        sockets.push(self.admin.as_fd().try_clone_to_owned()?);
        Ok(sockets)
    }
}

impl From<ListenError> for StartError {
    fn from(error: ListenError) -> StartError {
        StartError(Reason::Listen(error))
    }
}

impl From<LoadError> for StartError {
    fn from(error: LoadError) -> StartError {
        StartError(Reason::Load(error))
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
