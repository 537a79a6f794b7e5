//! What requests, the admin API and housekeeping have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use panelboard::Registry;
use panelboard_config::{Change, Edit, Loaded, diff};

use crate::metrics::Metrics;
use crate::runtime::Runtime;
use crate::upstream::ClientError;

/// The gateway's state.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    /// Whether new requests are no longer taken.
    draining: AtomicBool,
    runtime: ArcSwap<Runtime>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

impl Shared {
    pub(crate) fn new(loaded: Loaded, registry: Registry) -> Result<Shared, ClientError> {
        let metrics = Metrics::new(registry.clone());
        let runtime = Runtime::new(loaded.config, &loaded.secrets, &registry, &metrics, None)?;
        metrics.reloaded(true);
        let runtime = ArcSwap::from_pointee(runtime);
        let draining = AtomicBool::new(false);
        Ok(Shared { registry, metrics, draining, runtime, reloading: Mutex::new(()) })
    }

    /// From now on no new requests are taken.
    pub(crate) fn drain(&self) {
        // Nothing else is published by it.
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether new requests are no longer taken.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// What requests that arrive now run on.
    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        self.runtime.load_full()
    }

    /// Puts another configuration to work, and says what it changes. Requests under way keep
    /// what they began with.
    ///
    /// # Errors
    /// When it cannot be put to work; then everything stays as it was.
    pub(crate) fn reload(&self, loaded: Loaded) -> Result<Vec<Change>, ClientError> {
        let _turn = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.runtime();
        let changes = diff(&before.config, &loaded.config);
        let next = Runtime::new(
            loaded.config,
            &loaded.secrets,
            &self.registry,
            &self.metrics,
            Some(&before),
        );
        match next {
            Ok(next) => {
                self.runtime.store(Arc::new(next));
                for change in &changes {
                    if let Change::Circuit(name, Edit::Removed) = change {
                        self.metrics.forget(name);
                    }
                }
                self.metrics.reloaded(true);
                Ok(changes)
            }
            Err(error) => {
                self.metrics.reloaded(false);
                Err(error)
            }
        }
    }
}
