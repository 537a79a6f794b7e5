//! The old settings, and what they are now.

use std::fmt;
use std::time::Duration;

use crate::{Jitter, Settings, SettingsError};

/// The settings of the unified breaker, with their old names, units and defaults.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::Settings;
/// use panelboard::compat::UnifiedCircuitConfig;
///
/// let settings = Settings::try_from(UnifiedCircuitConfig::default())?;
/// assert_eq!(settings.recovery_timeout(), Duration::from_secs(60));
/// assert_eq!(settings.min_calls(), 3);
/// # Ok::<(), panelboard::compat::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct UnifiedCircuitConfig {
    /// The circuit. Whoever looks a breaker up by name says it there; this one is not read.
    pub name: String,
    /// Failures in a row that open it. Default: 5. Now `failure_threshold`.
    pub failure_threshold: u32,
    /// Successes that close it. Default: 3. Now `success_threshold`.
    pub success_threshold: u32,
    /// Seconds of its first open phase. Default: 60. Now `recovery_timeout`.
    pub recovery_timeout: f64,
    /// Probes at a time. Default: 3. Now `half_open_max_calls`.
    pub half_open_max_calls: u32,
    /// Seconds that one async call may take. Default: 30. Now `timeout`.
    pub timeout_seconds: f64,
    /// Calls that rates look back over. Default: 10. Now `window`.
    pub sliding_window_size: u32,
    /// Share of failures that opens it. Default: 0.5. Now `failure_rate`. With 0 any failure does,
    /// from `min_requests_threshold` calls on.
    pub error_rate_threshold: f64,
    /// Calls below which no rate opens it. Default: 3. Now `min_calls`.
    pub min_requests_threshold: u32,
    /// Seconds from which on a call is slow. Default: 5. Now `slow_call_duration`.
    pub slow_call_threshold: f64,
    /// Whether failed recoveries lengthen the open phase. Default: true. Now `backoff`: 2 or 1.
    pub exponential_backoff: bool,
    /// Whether the open phase is spread by 10 %, if it grows at all. Default: true. Now `jitter`.
    pub jitter: bool,
    /// Seconds to which the open phase may grow. Default: 300. Now `backoff.max`.
    pub max_backoff_seconds: f64,
    /// Whether thresholds tighten in bad times. Default: false. Now `adaptive`.
    pub adaptive_threshold: bool,
    /// Seconds between health checks. Default: 30. Has no effect: recovery is tried with real calls.
    pub health_check_interval: f64,
    /// Names of exceptions. Default: none. Has no effect, as it never had.
    pub expected_exception_types: Vec<String>,
}

/// The settings of the older breaker of the services, which knew neither backoff nor jitter.
#[derive(Clone, PartialEq, Debug)]
pub struct CircuitBreakerConfig {
    /// Failures in a row that open it. Default: 5.
    pub failure_threshold: u32,
    /// Seconds of its open phase. Default: 60.
    pub recovery_timeout: f64,
    /// Successes that close it. Default: 3.
    pub success_threshold: u32,
    /// Seconds that one async call may take. Default: 30.
    pub timeout: f64,
    /// Names of exceptions. Default: none. Has no effect, as it never had.
    pub expected_exception_types: Vec<String>,
    /// Calls that rates look back over. Default: 10.
    pub sliding_window_size: u32,
    /// Share of failures that opens it. Default: 0.5.
    pub error_rate_threshold: f64,
    /// Calls below which no rate opens it. Default: 3.
    pub min_requests_threshold: u32,
}

/// Old settings that cannot be, in the old words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError(String);

// ===== impl UnifiedCircuitConfig =====

impl UnifiedCircuitConfig {
    /// The defaults, for a circuit of this name.
    pub fn new(name: impl Into<String>) -> UnifiedCircuitConfig {
        UnifiedCircuitConfig { name: name.into(), ..UnifiedCircuitConfig::default() }
    }
}

impl Default for UnifiedCircuitConfig {
    fn default() -> UnifiedCircuitConfig {
        UnifiedCircuitConfig {
            name: "default_circuit".into(),
            failure_threshold: 5,
            success_threshold: 3,
            recovery_timeout: 60.0,
            half_open_max_calls: 3,
            timeout_seconds: 30.0,
            sliding_window_size: 10,
            error_rate_threshold: 0.5,
            min_requests_threshold: 3,
            slow_call_threshold: 5.0,
            exponential_backoff: true,
            jitter: true,
            max_backoff_seconds: 300.0,
            adaptive_threshold: false,
            health_check_interval: 30.0,
            expected_exception_types: Vec::new(),
        }
    }
}

impl From<CircuitBreakerConfig> for UnifiedCircuitConfig {
    fn from(config: CircuitBreakerConfig) -> UnifiedCircuitConfig {
        UnifiedCircuitConfig {
            failure_threshold: config.failure_threshold,
            recovery_timeout: config.recovery_timeout,
            success_threshold: config.success_threshold,
            timeout_seconds: config.timeout,
            expected_exception_types: config.expected_exception_types,
            sliding_window_size: config.sliding_window_size,
            error_rate_threshold: config.error_rate_threshold,
            min_requests_threshold: config.min_requests_threshold,
            exponential_backoff: false,
            jitter: false,
            ..UnifiedCircuitConfig::default()
        }
    }
}

impl TryFrom<UnifiedCircuitConfig> for Settings {
    type Error = ConfigError;

    fn try_from(config: UnifiedCircuitConfig) -> Result<Settings, ConfigError> {
        Settings::try_from(&config)
    }
}

impl TryFrom<&UnifiedCircuitConfig> for Settings {
    type Error = ConfigError;

    fn try_from(config: &UnifiedCircuitConfig) -> Result<Settings, ConfigError> {
        let grows = config.exponential_backoff;
        let builder = Settings::builder()
            .failure_threshold(positive("failure_threshold", config.failure_threshold)?)
            .recovery_timeout(seconds("recovery_timeout", config.recovery_timeout)?)
            .timeout(seconds("timeout_seconds", config.timeout_seconds)?)
            .window(positive("sliding_window_size", config.sliding_window_size)?)
            .min_calls(positive("min_requests_threshold", config.min_requests_threshold)?)
            .failure_rate(share("error_rate_threshold", config.error_rate_threshold)?)
            .success_threshold(positive("success_threshold", config.success_threshold)?)
            .half_open_max_calls(positive("half_open_max_calls", config.half_open_max_calls)?)
            .slow_call_duration(seconds("slow_call_threshold", config.slow_call_threshold)?)
            .adaptive(config.adaptive_threshold)
            .backoff_multiplier(if grows { 2.0 } else { 1.0 })
            .backoff_max(seconds("max_backoff_seconds", config.max_backoff_seconds)?);
        let builder = match grows && config.jitter {
            true => builder.jitter_share(0.1),
            false => builder.jitter(Jitter::None),
        };
        Ok(builder.build()?)
    }
}

// ===== impl CircuitBreakerConfig =====

impl Default for CircuitBreakerConfig {
    fn default() -> CircuitBreakerConfig {
        CircuitBreakerConfig {
            failure_threshold: 5,
            recovery_timeout: 60.0,
            success_threshold: 3,
            timeout: 30.0,
            expected_exception_types: Vec::new(),
            sliding_window_size: 10,
            error_rate_threshold: 0.5,
            min_requests_threshold: 3,
        }
    }
}

impl TryFrom<CircuitBreakerConfig> for Settings {
    type Error = ConfigError;

    fn try_from(config: CircuitBreakerConfig) -> Result<Settings, ConfigError> {
        Settings::try_from(UnifiedCircuitConfig::from(config))
    }
}

// ===== impl ConfigError =====

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What is within the old ranges, but not within ours: years of waiting, say.
impl From<SettingsError> for ConfigError {
    fn from(error: SettingsError) -> ConfigError {
        ConfigError(error.to_string())
    }
}

// ===== the old checks =====

fn positive(field: &str, value: u32) -> Result<u32, ConfigError> {
    match value {
        0 => Err(ConfigError(format!("{field} must be positive"))),
        value => Ok(value),
    }
}

fn seconds(field: &str, value: f64) -> Result<Duration, ConfigError> {
    let must = |be: &str| ConfigError(format!("{field} must be {be}"));
    if value.is_nan() || value <= 0.0 {
        return Err(must("positive"));
    }
    Duration::try_from_secs_f64(value).map_err(|_| must("a number of seconds"))
}

fn share(field: &str, value: f64) -> Result<f64, ConfigError> {
    // What is looked at after a failure only, and opens at 0, opens at any share there is.
    const LEAST: f64 = 0.0001;
    if !(0.0..=1.0).contains(&value) {
        return Err(ConfigError(format!("{field} must be between 0 and 1")));
    }
    Ok(value.max(LEAST))
}
