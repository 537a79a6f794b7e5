//! What requests, the admin API and housekeeping have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use panelboard::Registry;
use panelboard_config::{Change, Config, Diagnostics, Edit, Listing, Loaded, Secrets, View, diff};
use serde_json::Value;
use tokio::sync::watch;
use tracing::warn;

use crate::admin::{Desk, TokenError, Tokens, writable};
use crate::listen::ListenError;
use crate::listeners::Listeners;
use crate::metrics::Metrics;
use crate::proxy::Pseudonym;
use crate::runtime::Runtime;
use crate::upstream::ClientError;

/// The gateway's state.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) desk: Desk,
    pub(crate) listeners: Listeners,
    /// Who we are among the proxies that a request passes.
    pub(crate) pseudonym: Pseudonym,
    /// Whether others than this machine reach the admin API, for as long as this process runs.
    public_admin: bool,
    runtime: ArcSwap<Runtime>,
    /// Told after the runtime has changed.
    changed: watch::Sender<()>,
    /// One change at a time.
    sources: Mutex<Sources>,
}

/// What the runtime is made from.
struct Sources {
    loaded: Loaded,
    /// What circuits were told through the admin API, by their names.
    told: Told,
}

/// Settings by the names of circuits.
pub(crate) type Told = BTreeMap<String, Value>;

/// Why a configuration cannot be put to work.
#[derive(Debug)]
pub(crate) enum LoadError {
    Listen(ListenError),
    Client(ClientError),
    Token(TokenError),
    /// A file that cannot be written.
    Journal(PathBuf, std::io::Error),
}

/// Why a circuit cannot be told something.
#[derive(Debug)]
pub(crate) enum TellError {
    /// The settings are not those it was said about.
    Stale,
    Invalid(Diagnostics),
    Load(LoadError),
}

impl Shared {
    pub(crate) fn new(
        loaded: Loaded,
        registry: Registry,
        listeners: Listeners,
    ) -> Result<Shared, LoadError> {
        let tokens = Tokens::load(&loaded).map_err(LoadError::Token)?;
        check_journals(&loaded)?;
        let metrics = Metrics::new(registry.clone());
        let config = loaded.config.clone();
        let public_admin = !config.gateway().admin.listen.ip().is_loopback();
        let runtime = Runtime::new(config, &loaded.secrets, &registry, &metrics, None)
            .map_err(LoadError::Client)?;
        metrics.reloaded(true);
        Ok(Shared {
            registry,
            metrics,
            desk: Desk::new(tokens),
            listeners,
            pseudonym: Pseudonym::random(),
            public_admin,
            runtime: ArcSwap::from_pointee(runtime),
            changed: watch::Sender::new(()),
            sources: Mutex::new(Sources { loaded, told: BTreeMap::new() }),
        })
    }

    /// Whether new requests are no longer taken.
    pub(crate) fn is_draining(&self) -> bool {
        self.listeners.drain.is_closing()
    }

    /// Follows changes of the runtime.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What requests that arrive now run on.
    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        self.runtime.load_full()
    }

    /// Puts another configuration to work, and says what it changes. Requests under way keep
    /// what they began with.
    ///
    /// What circuits were told still holds for those of which the configuration says the same as
    /// before.
    ///
    /// # Errors
    /// When it cannot be put to work; then everything stays as it was.
    pub(crate) fn reload(self: &Arc<Self>, loaded: Loaded) -> Result<Vec<Change>, LoadError> {
        let mut sources = self.sources();
        let changed = self.try_reload(&mut sources, loaded);
        self.metrics.reloaded(changed.is_ok());
        changed
    }

    fn try_reload(
        self: &Arc<Self>,
        sources: &mut Sources,
        loaded: Loaded,
    ) -> Result<Vec<Change>, LoadError> {
        let tokens = Tokens::load(&loaded).map_err(LoadError::Token)?;
        if self.public_admin && tokens.is_empty() {
            return Err(LoadError::Token(TokenError::Public));
        }
        check_journals(&loaded)?;
        let mut told = sources.told.clone();
        let before = &sources.loaded.config;
        told.retain(|name, _| before.circuit(name) == loaded.config.circuit(name));
        let config = match loaded.with_requests(&texts(&told)) {
            Ok(config) => config,
            Err(wrong) => {
                warn!("what circuits were told does not go with the new configuration: {wrong}");
                told.clear();
                loaded.config.clone()
            }
        };
        let changes = self.put_to_work(config, &loaded.secrets)?;
        for name in sources.told.keys().filter(|name| !told.contains_key(*name)) {
            warn!(circuit = name, "`{name}` is what the file says again, not what it was told");
        }
        self.desk.set_tokens(tokens);
        *sources = Sources { loaded, told };
        Ok(changes)
    }

    /// Tells a circuit other settings, or nothing any more, if `fits` holds for what runs now. It is
    /// asked while no one else may change that, so it asks nothing of this in turn.
    ///
    /// # Errors
    /// When it does not, or they cannot be; then everything stays as it was.
    pub(crate) fn tell(
        self: &Arc<Self>,
        circuit: &str,
        settings: Option<&Value>,
        fits: impl Fn(&Config) -> bool,
    ) -> Result<(), TellError> {
        let mut sources = self.sources();
        if !fits(&self.runtime().config) {
            return Err(TellError::Stale);
        }
        let mut told = sources.told.clone();
        match settings {
            Some(settings) => told.insert(circuit.to_owned(), settings.clone()),
            None => told.remove(circuit),
        };
        let config = sources.loaded.with_requests(&texts(&told)).map_err(TellError::Invalid)?;
        self.put_to_work(config, &sources.loaded.secrets).map_err(TellError::Load)?;
        sources.told = told;
        Ok(())
    }

    /// What a circuit was told.
    pub(crate) fn told(&self, circuit: &str) -> Option<Value> {
        self.sources().told.get(circuit).cloned()
    }

    /// A path of the running configuration: relative ones start beside its file.
    pub(crate) fn path(&self, of: impl Fn(&Config) -> Option<&Path>) -> Option<PathBuf> {
        let runtime = self.runtime();
        of(&runtime.config).map(|path| self.sources().loaded.resolve(path))
    }

    /// The file, what circuits were told, and every value that comes of both.
    pub(crate) fn listed(&self) -> (Option<PathBuf>, Told, Result<Listing, Diagnostics>) {
        let sources = self.sources();
        let listing = sources.loaded.list(&texts(&sources.told), View::Effective);
        (sources.loaded.path.clone(), sources.told.clone(), listing)
    }

    fn put_to_work(
        self: &Arc<Self>,
        config: Config,
        secrets: &Secrets,
    ) -> Result<Vec<Change>, LoadError> {
        let before = self.runtime();
        let changes = diff(&before.config, &config);
        // What can fail comes first, and is undone if the rest does.
        let listeners = self.listeners.prepare(&addresses(&config)).map_err(LoadError::Listen)?;
        let next = Runtime::new(config, secrets, &self.registry, &self.metrics, Some(&before))
            .map_err(LoadError::Client)?;
        self.runtime.store(Arc::new(next));
        self.listeners.change(self, listeners);
        self.changed.send_replace(());
        for change in &changes {
            if let Change::Circuit(name, Edit::Removed) = change {
                self.metrics.forget(name);
            }
        }
        Ok(changes)
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where requests are to come in.
pub(crate) fn addresses(config: &Config) -> Vec<SocketAddr> {
    config.gateway().listen.iter().map(|listen| listen.address).collect()
}

/// Whether what is to be written down can be.
fn check_journals(loaded: &Loaded) -> Result<(), LoadError> {
    let gateway = loaded.config.gateway();
    for path in [&gateway.admin.audit_file, &gateway.events_file].into_iter().flatten() {
        let path = loaded.resolve(path);
        if let Err(error) = writable(&path) {
            return Err(LoadError::Journal(path, error));
        }
    }
    Ok(())
}

/// What circuits were told, as text.
fn texts(told: &Told) -> Vec<(String, String)> {
    told.iter().map(|(name, settings)| (name.clone(), settings.to_string())).collect()
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Listen(error) => error.fmt(f),
            LoadError::Client(error) => error.fmt(f),
            LoadError::Token(error) => error.fmt(f),
            LoadError::Journal(path, error) => {
                write!(f, "cannot write {}: {error}", path.display())
            }
        }
    }
}
