//! The names of the systems that Panelboard replaces, for code that moves over.
//!
//! Every name is an alias of, or a few lines over, the one engine: what is made here is in
//! [`Registry::global`](crate::Registry::global), with everything else. New code has no use for it.
//!
//! | old name | what it is |
//! | --- | --- |
//! | [`UnifiedCircuitBreaker`] | [`CircuitBreaker`](crate::CircuitBreaker); its old methods are in [`OldMethods`] |
//! | [`CircuitState`], [`UnifiedCircuitBreakerState`] | [`PhaseName`](crate::PhaseName) |
//! | [`CircuitBreakerOpenError`], [`CircuitOpenException`] | [`Rejected`](crate::Rejected) |
//! | [`UnifiedCircuitConfig`], [`CircuitBreakerConfig`] | the old fields, `TryInto` [`Settings`](crate::Settings) |
//! | [`UnifiedCircuitBreakerManager`], [`CircuitBreakerManager`], [`CircuitBreakerRegistry`] | the old methods of a [`Registry`](crate::Registry) |
//! | [`get_circuit_breaker`], [`get_unified_circuit_breaker_manager`] | the global one |
//! | [`UnifiedServiceCircuitBreakers`] | five of the [`presets`](crate::presets) |
//! | [`DomainCircuitBreakerManager`], [`AgentCircuitBreaker`], [`LLMCircuitBreakerManager`] | circuits with the settings they had |
//!
//! # What is different
//! Names, defaults and checks are the old ones. Behaviour that nobody can have wanted is not:
//!
//! - The first open phase lasts `recovery_timeout`, not twice that. Waits are measured from the
//!   opening, grow only with recoveries that fail, are spread once, and never beyond
//!   `max_backoff_seconds`.
//! - `half_open_max_calls` is kept, any failed probe reopens, and what was counted before closing
//!   cannot reopen.
//! - Looking at state or status changes nothing; all views agree.
//! - `force_open` holds until `reset`, and refused calls count in no rate.
//! - `success_threshold`, `half_open_max_calls`, `slow_call_threshold` and `max_backoff_seconds` are
//!   checked as the others always were.
//! - A call is slow from `slow_call_threshold` on, and opens the circuit when 80 % of the calls in the
//!   window are: slow calls were counted, but had no effect.
//! - `expected_exception_types` and `health_check_interval` still have none: say `record` or `ignore`
//!   in [`Settings`](crate::Settings), or classify.
//!
//! # Examples
//! ```
//! use panelboard::compat::{UnifiedCircuitConfig, get_circuit_breaker};
//!
//! let config = UnifiedCircuitConfig { failure_threshold: 3, ..UnifiedCircuitConfig::default() };
//! let breaker = get_circuit_breaker("billing", config)?;
//! assert_eq!(breaker.call(|| Ok::<_, ()>("paid")), Ok("paid"));
//!
//! let wrong = UnifiedCircuitConfig { recovery_timeout: 0.0, ..UnifiedCircuitConfig::default() };
//! let error = get_circuit_breaker("shipping", wrong).unwrap_err();
//! assert_eq!(error.to_string(), "recovery_timeout must be positive");
//! # Ok::<(), panelboard::compat::ConfigError>(())
//! ```

mod config;
mod domain;
mod llm;
mod manager;
mod methods;
mod services;

pub use config::{CircuitBreakerConfig, ConfigError, UnifiedCircuitConfig};
pub use domain::{AgentCircuitBreaker, DomainCircuitBreakerManager, DomainStatus, DomainType};
pub use llm::LLMCircuitBreakerManager;
pub use manager::{
    HealthSummary, UnifiedCircuitBreakerManager, get_circuit_breaker,
    get_unified_circuit_breaker_manager,
};
pub use methods::OldMethods;
pub use services::UnifiedServiceCircuitBreakers;

/// The breaker.
pub type UnifiedCircuitBreaker = crate::CircuitBreaker;
/// Closed, open or half-open.
pub type CircuitState = crate::PhaseName;
/// Closed, open or half-open.
pub type UnifiedCircuitBreakerState = crate::PhaseName;
/// A refusal.
pub type CircuitBreakerOpenError = crate::Rejected;
/// A refusal.
pub type CircuitOpenException = crate::Rejected;
/// The manager; what bore this name once was a breaker.
pub type CircuitBreakerManager = UnifiedCircuitBreakerManager;
/// The manager.
pub type CircuitBreakerRegistry = UnifiedCircuitBreakerManager;
