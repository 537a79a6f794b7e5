//! The old breakers by domain.

use std::ops::Deref;
use std::time::Duration;

use super::OldMethods;
use super::services::on;
use crate::{CircuitBreaker, Health, Registry, Settings, Snapshot, presets};

/// What sort of thing a circuit stands before.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DomainType {
    /// 3 failures, 30 s, 2 probes at a time.
    Database,
    /// 5 failures, 60 s, 3 probes at a time.
    ExternalApi,
    /// 2 failures, 120 s, 1 probe at a time.
    LlmService,
    /// 10 failures, 15 s, 5 probes at a time.
    Cache,
    /// 3 failures, 45 s, 2 probes at a time.
    FileSystem,
    /// 5 failures, 30 s, 3 probes at a time.
    Network,
}

/// Circuits by domain and name: `database:users`. They count failures in a row and nothing else,
/// and two successes close them, also where only one probe goes at a time: once those could never
/// close.
///
/// # Examples
/// ```
/// use panelboard::Registry;
/// use panelboard::compat::{DomainCircuitBreakerManager, DomainType};
///
/// let domains = DomainCircuitBreakerManager::new(Registry::new());
/// for _ in 0..3 {
///     domains.record_failure(DomainType::Database, "users");
/// }
/// assert!(!domains.can_execute(DomainType::Database, "users"));
/// assert!(domains.can_execute(DomainType::Database, "orders"));
/// ```
#[derive(Clone, Debug)]
pub struct DomainCircuitBreakerManager {
    registry: Registry,
}

/// How the circuits of a domain are doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DomainStatus {
    /// What each looks like now, by name.
    pub circuits: Vec<Snapshot>,
    /// How many of them are closed.
    pub healthy: usize,
    /// The share of those, from 0 to 100; 100 if there are none.
    pub health_percentage: f64,
}

// ===== impl DomainType =====

impl DomainType {
    /// The name, as in the names of circuits.
    pub const fn name(self) -> &'static str {
        match self {
            DomainType::Database => "database",
            DomainType::ExternalApi => "external_api",
            DomainType::LlmService => "llm_service",
            DomainType::Cache => "cache",
            DomainType::FileSystem => "file_system",
            DomainType::Network => "network",
        }
    }

    /// What its circuits run on.
    pub fn settings(self) -> Settings {
        let (failures, recovery, probes) = match self {
            DomainType::Database => (3, 30, 2),
            DomainType::ExternalApi => (5, 60, 3),
            DomainType::LlmService => (2, 120, 1),
            DomainType::Cache => (10, 15, 5),
            DomainType::FileSystem => (3, 45, 2),
            DomainType::Network => (5, 30, 3),
        };
        let settings = Settings::builder()
            .failure_threshold(failures)
            .failure_rate(None)
            .recovery_timeout(Duration::from_secs(recovery))
            .backoff_multiplier(1.0)
            .half_open_max_calls(probes)
            .success_threshold(2);
        // A test holds that none of them fails to build.
        settings.build().unwrap_or_default()
    }
}

// ===== impl DomainCircuitBreakerManager =====

impl DomainCircuitBreakerManager {
    /// The circuits of this registry.
    pub fn new(registry: Registry) -> DomainCircuitBreakerManager {
        DomainCircuitBreakerManager { registry }
    }

    /// The circuit of this name in this domain, created if there is none.
    pub fn breaker(&self, domain: DomainType, name: &str) -> CircuitBreaker {
        let name = format!("{}:{name}", domain.name());
        self.registry.breaker_with(&name, domain.settings())
    }

    /// Whether a call would be let through now.
    pub fn can_execute(&self, domain: DomainType, name: &str) -> bool {
        self.breaker(domain, name).can_execute()
    }

    /// Counts a call that succeeded.
    pub fn record_success(&self, domain: DomainType, name: &str) {
        self.breaker(domain, name).record_success();
    }

    /// Counts a call that failed.
    pub fn record_failure(&self, domain: DomainType, name: &str) {
        self.breaker(domain, name).record_failure();
    }

    /// How the circuits of this domain are doing. Looking changes nothing.
    pub fn get_domain_status(&self, domain: DomainType) -> DomainStatus {
        let breakers = self.of(domain);
        let circuits: Vec<Snapshot> = breakers.iter().map(CircuitBreaker::snapshot).collect();
        let healthy = circuits.iter().filter(|it| it.health() == Health::Healthy).count();
        let health_percentage = match circuits.len() {
            0 => 100.0,
            all => 100.0 * healthy as f64 / all as f64,
        };
        DomainStatus { circuits, healthy, health_percentage }
    }

    /// What every circuit looks like now.
    pub fn get_all_status(&self) -> Vec<Snapshot> {
        self.registry.snapshots()
    }

    /// Resets the circuit of this name in this domain.
    pub fn reset_circuit_breaker(&self, domain: DomainType, name: &str) {
        self.breaker(domain, name).reset();
    }

    /// Resets all circuits of this domain.
    pub fn reset_all_domain_breakers(&self, domain: DomainType) {
        for breaker in self.of(domain) {
            breaker.reset();
        }
    }

    fn of(&self, domain: DomainType) -> Vec<CircuitBreaker> {
        let mut breakers = self.registry.breakers();
        let of_domain = |name: &str| name.split_once(':').is_some_and(|(d, _)| d == domain.name());
        breakers.retain(|breaker| of_domain(breaker.name()));
        breakers
    }
}

/// The circuit of an agent in [`Registry::global`], on [`presets::agent`].
///
/// # Examples
/// ```
/// use panelboard::compat::AgentCircuitBreaker;
///
/// let agent = AgentCircuitBreaker::new("triage");
/// assert_eq!(agent.call(|| Ok::<_, ()>("done")), Ok("done"));
/// ```
#[derive(Clone, Debug)]
pub struct AgentCircuitBreaker(CircuitBreaker);

impl AgentCircuitBreaker {
    /// The circuit of this name, created if there is none.
    pub fn new(name: &str) -> AgentCircuitBreaker {
        AgentCircuitBreaker(on(name, presets::agent))
    }
}

impl Deref for AgentCircuitBreaker {
    type Target = CircuitBreaker;

    fn deref(&self) -> &CircuitBreaker {
        &self.0
    }
}
