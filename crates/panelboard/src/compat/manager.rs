//! The old managers, over a registry.

use std::collections::BTreeMap;

use super::{ConfigError, OldMethods, UnifiedCircuitConfig};
use crate::{CircuitBreaker, Error, Health, Name, Registry, Settings, Snapshot};

/// The old methods of a [`Registry`].
///
/// # Examples
/// ```
/// use panelboard::Registry;
/// use panelboard::compat::{UnifiedCircuitBreakerManager, UnifiedCircuitConfig};
///
/// let manager = UnifiedCircuitBreakerManager::new(Registry::new());
/// assert!(manager.get_circuit_breaker("auth").is_none());
/// manager.create_circuit_breaker("auth", UnifiedCircuitConfig::default())?;
/// assert_eq!(manager.get_health_summary().healthy_circuit_breakers, 1);
/// # Ok::<(), panelboard::compat::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnifiedCircuitBreakerManager {
    registry: Registry,
}

/// How all circuits are doing.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HealthSummary {
    /// All of them.
    pub total_circuit_breakers: usize,
    /// Those that are closed.
    pub healthy_circuit_breakers: usize,
    /// Those that are not.
    pub unhealthy_circuit_breakers: usize,
    /// `"healthy"` if all of them are, else `"degraded"`.
    pub overall_health: &'static str,
    /// Their names, in order.
    pub circuit_breaker_names: Vec<Name>,
}

/// The manager of [`Registry::global`].
pub fn get_unified_circuit_breaker_manager() -> UnifiedCircuitBreakerManager {
    UnifiedCircuitBreakerManager::new(Registry::global().clone())
}

/// The breaker of this name in [`Registry::global`], created with this configuration if there is
/// none; the first configuration counts. It is kept as a whole: once only three fields of it were.
///
/// # Errors
/// When the configuration cannot be, also for a breaker that exists.
pub fn get_circuit_breaker(
    name: &str,
    config: impl Into<UnifiedCircuitConfig>,
) -> Result<CircuitBreaker, ConfigError> {
    get_unified_circuit_breaker_manager().create_circuit_breaker(name, config)
}

// ===== impl UnifiedCircuitBreakerManager =====

impl UnifiedCircuitBreakerManager {
    /// The manager of this registry.
    pub fn new(registry: Registry) -> UnifiedCircuitBreakerManager {
        UnifiedCircuitBreakerManager { registry }
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The breaker of this name, created with this configuration if there is none.
    ///
    /// # Errors
    /// When the configuration cannot be, also for a breaker that exists.
    pub fn create_circuit_breaker(
        &self,
        name: &str,
        config: impl Into<UnifiedCircuitConfig>,
    ) -> Result<CircuitBreaker, ConfigError> {
        Ok(self.registry.breaker_with(name, Settings::try_from(config.into())?))
    }

    /// The breaker of this name, if there is one.
    pub fn get_circuit_breaker(&self, name: &str) -> Option<CircuitBreaker> {
        self.registry.get(name)
    }

    /// Makes a call through the breaker of this name, created if there is none.
    ///
    /// # Errors
    /// As [`CircuitBreaker::call`].
    pub fn call_with_circuit_breaker<T, E>(
        &self,
        name: &str,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Error<E>> {
        self.registry.breaker(name).call(call)
    }

    /// What every breaker looks like now.
    pub fn get_all_status(&self) -> BTreeMap<Name, Snapshot> {
        let snapshots = self.registry.snapshots();
        snapshots.into_iter().map(|snapshot| (snapshot.name.clone(), snapshot)).collect()
    }

    /// How all of them are doing.
    pub fn get_health_summary(&self) -> HealthSummary {
        let snapshots = self.registry.snapshots();
        let total = snapshots.len();
        let healthy = snapshots.iter().filter(|it| it.health() == Health::Healthy).count();
        HealthSummary {
            total_circuit_breakers: total,
            healthy_circuit_breakers: healthy,
            unhealthy_circuit_breakers: total - healthy,
            overall_health: if healthy == total { "healthy" } else { "degraded" },
            circuit_breaker_names: snapshots.into_iter().map(|it| it.name).collect(),
        }
    }

    /// The names of all of them, in order.
    pub fn get_circuit_breaker_names(&self) -> Vec<Name> {
        self.registry.breakers().iter().map(|breaker| breaker.name().clone()).collect()
    }

    /// Resets the breaker of this name, and says whether there is one.
    pub fn reset_circuit_breaker(&self, name: &str) -> bool {
        let breaker = self.registry.find(name);
        if let Some(breaker) = &breaker {
            breaker.reset();
        }
        breaker.is_some()
    }

    /// Resets all of them.
    pub fn reset_all(&self) {
        for breaker in self.registry.breakers() {
            breaker.reset();
        }
    }
}
