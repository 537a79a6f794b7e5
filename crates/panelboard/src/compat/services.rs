//! The old presets by service.

use crate::{CircuitBreaker, Registry, Settings, presets};

/// Five circuits of [`Registry::global`], each on a preset, unless configuration names it.
///
/// # Examples
/// ```
/// use panelboard::compat::UnifiedServiceCircuitBreakers;
///
/// let database = UnifiedServiceCircuitBreakers::get_database_circuit_breaker();
/// assert_eq!(database.snapshot().settings.failure_threshold(), Some(3));
/// ```
#[derive(Copy, Clone, Debug)]
pub struct UnifiedServiceCircuitBreakers;

impl UnifiedServiceCircuitBreakers {
    /// `database`, on [`presets::database`].
    pub fn get_database_circuit_breaker() -> CircuitBreaker {
        on("database", presets::database)
    }

    /// `auth_service`, on [`presets::auth`].
    pub fn get_auth_service_circuit_breaker() -> CircuitBreaker {
        on("auth_service", presets::auth)
    }

    /// `llm_service`, on [`presets::llm`].
    pub fn get_llm_service_circuit_breaker() -> CircuitBreaker {
        on("llm_service", presets::llm)
    }

    /// `clickhouse`, on [`presets::clickhouse`].
    pub fn get_clickhouse_circuit_breaker() -> CircuitBreaker {
        on("clickhouse", presets::clickhouse)
    }

    /// `redis`, on [`presets::redis`].
    pub fn get_redis_circuit_breaker() -> CircuitBreaker {
        on("redis", presets::redis)
    }
}

/// The circuit of this name, on a preset unless configuration says otherwise.
pub(super) fn on(name: &str, preset: presets::Preset) -> CircuitBreaker {
    // A test of the core holds that every preset can be built.
    let settings = preset().build().unwrap_or_else(|_| Settings::default());
    Registry::global().breaker_with(name, settings)
}
