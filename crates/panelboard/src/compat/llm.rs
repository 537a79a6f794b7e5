//! The old breakers of language models.

use super::{OldMethods, UnifiedCircuitConfig};
use crate::{CircuitBreaker, Registry, Settings, Snapshot};

/// Circuits of language models, by the name of a model's configuration: `llm_NAME`, and
/// `NAME_structured` for answers with a schema.
///
/// What they run on goes by the name: models that are fast (`fast`, `gpt-3.5`) open after 5 failures
/// for 20 s, with 10 s for a call; large ones (`gemini-2.5-…`, `claude`) after 3, for 60 s, with 30 s;
/// all others after 7, for 45 s, with 20 s.
///
/// # Examples
/// ```
/// use panelboard::Registry;
/// use panelboard::compat::LLMCircuitBreakerManager;
///
/// let models = LLMCircuitBreakerManager::new(Registry::new());
/// let claude = models.get_circuit_breaker("claude-large");
/// assert_eq!(claude.name().as_str(), "llm_claude-large");
/// assert_eq!(claude.snapshot().settings.failure_threshold(), Some(3));
/// ```
#[derive(Clone, Debug)]
pub struct LLMCircuitBreakerManager {
    registry: Registry,
}

impl LLMCircuitBreakerManager {
    /// The circuits of this registry.
    pub fn new(registry: Registry) -> LLMCircuitBreakerManager {
        LLMCircuitBreakerManager { registry }
    }

    /// The circuit of this model, created if there is none.
    pub fn get_circuit_breaker(&self, model: &str) -> CircuitBreaker {
        let has = |words: &[&str]| words.iter().any(|word| model.contains(word));
        let (failures, recovery, timeout, slow) = if has(&["fast", "gpt-3.5"]) {
            (5, 20.0, 10.0, 3.0)
        } else if has(&["gemini-2.5-", "claude"]) {
            (3, 60.0, 30.0, 20.0)
        } else {
            (7, 45.0, 20.0, 15.0)
        };
        self.on(&format!("llm_{model}"), failures, recovery, timeout, slow)
    }

    /// The circuit for answers with a schema of this model, created if there is none.
    pub fn get_structured_circuit_breaker(&self, model: &str) -> CircuitBreaker {
        self.on(&format!("{model}_structured"), 3, 20.0, 10.0, 5.0)
    }

    /// What each of them looks like now.
    pub fn get_all_circuit_status(&self) -> Vec<Snapshot> {
        self.all().iter().map(CircuitBreaker::snapshot).collect()
    }

    /// Resets all of them, those for structured answers included: once they were left out.
    pub fn reset_all(&self) {
        for breaker in self.all() {
            breaker.reset();
        }
    }

    fn on(
        &self,
        name: &str,
        failure_threshold: u32,
        recovery_timeout: f64,
        timeout_seconds: f64,
        slow_call_threshold: f64,
    ) -> CircuitBreaker {
        let config = UnifiedCircuitConfig {
            failure_threshold,
            recovery_timeout,
            timeout_seconds,
            slow_call_threshold,
            ..UnifiedCircuitConfig::default()
        };
        // A test holds that none of them fails to convert.
        self.registry.breaker_with(name, Settings::try_from(config).unwrap_or_default())
    }

    fn all(&self) -> Vec<CircuitBreaker> {
        let mut breakers = self.registry.breakers();
        breakers.retain(|it| it.name().starts_with("llm_") || it.name().ends_with("_structured"));
        breakers
    }
}
