//! The old names keep their promises, and not their bugs. Numbers are those of the systems before.

use std::time::Duration;

use panelboard::compat::{
    AgentCircuitBreaker, CircuitBreakerConfig, CircuitBreakerManager, CircuitBreakerOpenError,
    CircuitBreakerRegistry, CircuitOpenException, CircuitState, DomainCircuitBreakerManager,
    DomainType, LLMCircuitBreakerManager, OldMethods, UnifiedCircuitBreaker,
    UnifiedCircuitBreakerManager, UnifiedCircuitBreakerState, UnifiedCircuitConfig,
    UnifiedServiceCircuitBreakers, get_circuit_breaker, get_unified_circuit_breaker_manager,
};
use panelboard::event::Bus;
use panelboard::{
    Catalog, Clock, Error, Jitter, ManualClock, Outcome, Ratio, Registry, Settings, WindowSpec,
};

fn settings(config: UnifiedCircuitConfig) -> Settings {
    Settings::try_from(config).unwrap()
}

fn message(config: UnifiedCircuitConfig) -> String {
    Settings::try_from(config).unwrap_err().to_string()
}

fn plain() -> UnifiedCircuitConfig {
    UnifiedCircuitConfig { jitter: false, ..UnifiedCircuitConfig::default() }
}

fn timed(config: UnifiedCircuitConfig) -> (UnifiedCircuitBreaker, ManualClock) {
    let clock = ManualClock::new();
    let breaker = UnifiedCircuitBreaker::builder("old")
        .settings(settings(config))
        .clock(clock.clone())
        .build();
    (breaker, clock)
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn defaults_are_what_they_were() {
    let now = settings(UnifiedCircuitConfig::default());
    assert_eq!(now.failure_threshold(), Some(5));
    assert_eq!(now.success_threshold(), 3);
    assert_eq!(now.recovery_timeout(), secs(60));
    assert_eq!(now.half_open_max_calls(), 3);
    assert_eq!(now.timeout(), Some(secs(30)));
    assert_eq!(now.window(), WindowSpec::Calls(10));
    assert_eq!(now.failure_rate(), Ratio::percent(50));
    assert_eq!(now.min_calls(), 3);
    assert_eq!(now.slow_call_duration(), Some(secs(5)));
    assert_eq!((now.backoff().multiplier_millis(), now.backoff().max()), (2_000, secs(300)));
    assert_eq!(now.jitter(), Jitter::Proportional(Ratio::percent(10).unwrap()));
    assert_eq!(UnifiedCircuitConfig::default().name, "default_circuit");
    assert_eq!(UnifiedCircuitConfig::new("x").name, "x");
}

#[test]
fn checks_say_what_they_said() {
    let base = UnifiedCircuitConfig::default;
    for (config, field) in [
        (UnifiedCircuitConfig { failure_threshold: 0, ..base() }, "failure_threshold"),
        (UnifiedCircuitConfig { recovery_timeout: 0.0, ..base() }, "recovery_timeout"),
        (UnifiedCircuitConfig { recovery_timeout: -1.0, ..base() }, "recovery_timeout"),
        (UnifiedCircuitConfig { recovery_timeout: f64::NAN, ..base() }, "recovery_timeout"),
        (UnifiedCircuitConfig { timeout_seconds: 0.0, ..base() }, "timeout_seconds"),
        (UnifiedCircuitConfig { sliding_window_size: 0, ..base() }, "sliding_window_size"),
        (UnifiedCircuitConfig { min_requests_threshold: 0, ..base() }, "min_requests_threshold"),
        // These were not checked, and broke the breaker instead.
        (UnifiedCircuitConfig { success_threshold: 0, ..base() }, "success_threshold"),
        (UnifiedCircuitConfig { half_open_max_calls: 0, ..base() }, "half_open_max_calls"),
        (UnifiedCircuitConfig { slow_call_threshold: 0.0, ..base() }, "slow_call_threshold"),
        (UnifiedCircuitConfig { max_backoff_seconds: -1.0, ..base() }, "max_backoff_seconds"),
    ] {
        assert_eq!(message(config), format!("{field} must be positive"));
    }
    for rate in [-0.1, 1.1, f64::NAN] {
        let config = UnifiedCircuitConfig { error_rate_threshold: rate, ..base() };
        assert_eq!(message(config), "error_rate_threshold must be between 0 and 1");
    }
    let config = UnifiedCircuitConfig { recovery_timeout: f64::INFINITY, ..base() };
    assert_eq!(message(config), "recovery_timeout must be a number of seconds");
    let config = UnifiedCircuitConfig { recovery_timeout: 1e9, ..base() };
    assert!(message(config).starts_with("recovery_timeout is 1000000000s, but must be"));
}

#[test]
fn fractions_of_seconds_are_kept() {
    let config = UnifiedCircuitConfig { recovery_timeout: 0.5, ..plain() };
    assert_eq!(settings(config).recovery_timeout(), Duration::from_millis(500));
}

/// The older configuration knew neither backoff nor jitter; its window is kept.
#[test]
fn the_older_configuration_is_converted_as_a_whole() {
    let old = CircuitBreakerConfig { sliding_window_size: 100, ..CircuitBreakerConfig::default() };
    let now = Settings::try_from(old).unwrap();
    assert_eq!(now.window(), WindowSpec::Calls(100));
    assert_eq!((now.backoff().multiplier_millis(), now.jitter()), (1_000, Jitter::None));
    assert_eq!(now.failure_threshold(), Some(5));
    assert_eq!(now.timeout(), Some(secs(30)));
}

/// With defaults a fresh breaker opens after three failures: the rate is reached first.
#[test]
fn the_rate_opens_before_the_threshold() {
    let (breaker, _) = timed(plain());
    breaker.record_failure();
    breaker.record_failure();
    assert!(breaker.is_closed() && breaker.can_execute());
    breaker.record_failure();
    assert!(breaker.is_open() && !breaker.can_execute() && !breaker.is_healthy());
}

#[test]
fn a_rate_of_zero_opens_at_any_failure_from_the_minimum_on() {
    let (breaker, _) = timed(UnifiedCircuitConfig { error_rate_threshold: 0.0, ..plain() });
    for _ in 0..9 {
        breaker.record_success();
    }
    assert!(breaker.is_closed());
    breaker.record_failure();
    assert!(breaker.is_open());
}

/// 1×, not 2×, at first; doubling with each failed recovery; to the cap and not beyond.
#[test]
fn waits_begin_at_the_recovery_timeout_and_double() {
    let config = UnifiedCircuitConfig {
        recovery_timeout: 10.0,
        max_backoff_seconds: 35.0,
        half_open_max_calls: 1,
        ..plain()
    };
    let (breaker, clock) = timed(config);
    for _ in 0..3 {
        breaker.record_failure();
    }
    for wait in [10, 20, 35, 35] {
        assert_eq!(breaker.snapshot().opens_for, Some(secs(wait)));
        clock.advance(secs(wait - 1) + Duration::from_millis(999));
        assert!(!breaker.can_execute() && breaker.is_open());
        clock.advance(Duration::from_millis(1));
        assert!(breaker.can_execute() && breaker.is_half_open(), "and so all views say");
        breaker.record_failure();
        assert!(breaker.is_open(), "any failed probe reopens");
    }
}

/// Plain records close a breaker again, and what was counted before cannot reopen it.
#[test]
fn records_close_and_closing_forgets() {
    let (breaker, clock) = timed(plain());
    for _ in 0..3 {
        breaker.record_failure();
    }
    clock.advance(secs(60));
    for _ in 0..3 {
        assert!(!breaker.is_closed());
        breaker.record_success();
    }
    assert!(breaker.is_closed() && breaker.is_healthy());
    breaker.record_failure();
    assert!(breaker.is_closed());
}

#[test]
fn half_open_admits_no_more_than_it_says() {
    let (breaker, clock) = timed(UnifiedCircuitConfig { half_open_max_calls: 2, ..plain() });
    for _ in 0..3 {
        breaker.record_failure();
    }
    clock.advance(secs(60));
    let probes: Vec<_> = (0..50).filter_map(|_| breaker.try_acquire().ok()).collect();
    assert_eq!(probes.len(), 2);
    assert!(!breaker.can_execute());
    let before = breaker.snapshot().rejected();
    breaker.record_failure();
    assert_eq!(breaker.snapshot().rejected(), before, "a record is no call to be refused");
}

#[test]
fn force_open_holds_and_reset_clears() {
    let (breaker, clock) = timed(plain());
    breaker.record_failure();
    breaker.force_open();
    clock.advance(secs(3_600));
    assert!(breaker.is_open() && !breaker.can_execute());
    let refused: Result<(), Error<()>> = breaker.call(|| Ok(()));
    let open: CircuitBreakerOpenError = match refused {
        Err(Error::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    };
    let same: CircuitOpenException = open;
    assert_eq!(same.name().as_str(), "old");
    breaker.reset();
    assert!(breaker.is_closed() && breaker.can_execute());
    assert_eq!(breaker.snapshot().streak, 0);
}

#[test]
fn the_first_configuration_of_a_name_counts() {
    let config = |failure_threshold| UnifiedCircuitConfig { failure_threshold, ..plain() };
    let first = get_circuit_breaker("compat-first", config(2)).unwrap();
    let second = get_circuit_breaker("compat-first", config(9)).unwrap();
    first.record_failure();
    first.record_failure();
    assert!(second.is_open(), "one breaker, not two");
    assert_eq!(second.snapshot().settings.failure_threshold(), Some(2));
    assert!(get_circuit_breaker("compat-first", config(0)).is_err());
    let kept = CircuitBreakerConfig { success_threshold: 7, ..CircuitBreakerConfig::default() };
    let kept = get_circuit_breaker("compat-kept", kept).unwrap();
    assert_eq!(kept.snapshot().settings.success_threshold(), 7, "not three fields of it only");
    let manager = get_unified_circuit_breaker_manager();
    assert!(manager.get_circuit_breaker("compat-first").is_some());
}

#[test]
fn the_manager_counts_and_resets() {
    let manager: CircuitBreakerManager = UnifiedCircuitBreakerManager::new(Registry::new());
    let manager: CircuitBreakerRegistry = manager;
    assert!(manager.get_circuit_breaker("a").is_none());
    assert_eq!(manager.get_health_summary().overall_health, "healthy");
    let a = manager.create_circuit_breaker("a", plain()).unwrap();
    manager.create_circuit_breaker("b", plain()).unwrap();
    assert_eq!(manager.call_with_circuit_breaker("b", || Ok::<_, ()>(1)), Ok(1));
    a.force_open();
    let summary = manager.get_health_summary();
    assert_eq!((summary.total_circuit_breakers, summary.healthy_circuit_breakers), (2, 1));
    assert_eq!((summary.unhealthy_circuit_breakers, summary.overall_health), (1, "degraded"));
    assert_eq!(summary.circuit_breaker_names, manager.get_circuit_breaker_names());
    let status = manager.get_all_status();
    assert_eq!(status["b"].counters.success, 1);
    assert!(manager.reset_circuit_breaker("a") && !manager.reset_circuit_breaker("c"));
    assert!(a.is_closed());
    a.force_open();
    manager.reset_all();
    let state: UnifiedCircuitBreakerState = a.state();
    assert_eq!(state, CircuitState::Closed);
}

#[test]
fn services_run_on_their_presets_and_are_one_each() {
    let all = [
        UnifiedServiceCircuitBreakers::get_database_circuit_breaker(),
        UnifiedServiceCircuitBreakers::get_auth_service_circuit_breaker(),
        UnifiedServiceCircuitBreakers::get_llm_service_circuit_breaker(),
        UnifiedServiceCircuitBreakers::get_clickhouse_circuit_breaker(),
        UnifiedServiceCircuitBreakers::get_redis_circuit_breaker(),
    ];
    let thresholds = all.each_ref().map(|it| it.snapshot().settings.failure_threshold().unwrap());
    assert_eq!(thresholds, [3, 5, 10, 4, 5]);
    let waits = all.each_ref().map(|it| it.snapshot().settings.recovery_timeout().as_secs());
    assert_eq!(waits, [30, 60, 10, 45, 20]);
    all[0].call(|| Ok::<_, ()>(())).unwrap();
    let again = UnifiedServiceCircuitBreakers::get_database_circuit_breaker();
    assert_eq!(again.snapshot().counters.success, 1);
}

/// A domain with one probe at a time can close, which it could not.
#[test]
fn domains_open_and_close() {
    let clock = ManualClock::new();
    let registry = Registry::with(&Catalog::default(), Clock::from(clock.clone()), Bus::new());
    let domains = DomainCircuitBreakerManager::new(registry);
    let llm = DomainType::LlmService;
    domains.record_failure(llm, "gpt");
    domains.record_failure(llm, "gpt");
    domains.record_success(DomainType::Cache, "pages");
    assert!(!domains.can_execute(llm, "gpt"));
    let status = domains.get_domain_status(llm);
    assert_eq!((status.circuits.len(), status.healthy), (1, 0));
    assert_eq!(status.circuits[0].name.as_str(), "llm_service:gpt");
    assert_eq!(domains.get_all_status().len(), 2);
    clock.advance(secs(133));
    domains.record_success(llm, "gpt");
    domains.record_success(llm, "gpt");
    assert_eq!(domains.get_domain_status(llm).healthy, 1);
    let (least, all) = (0.0_f64, domains.get_domain_status(DomainType::Network));
    assert!(all.health_percentage > least && all.circuits.is_empty());
    domains.breaker(llm, "gpt").force_open();
    domains.reset_circuit_breaker(llm, "gpt");
    assert!(domains.can_execute(llm, "gpt"));
    domains.breaker(llm, "gpt").force_open();
    domains.reset_all_domain_breakers(llm);
    assert!(domains.can_execute(llm, "gpt"));
    for domain in [
        DomainType::Database,
        DomainType::ExternalApi,
        llm,
        DomainType::Cache,
        DomainType::FileSystem,
        DomainType::Network,
    ] {
        assert_eq!(domain.settings().success_threshold(), 2, "{domain:?} builds");
    }
}

#[test]
fn agents_and_models_run_on_what_they_ran_on() {
    let agent = AgentCircuitBreaker::new("compat-triage");
    let now = agent.snapshot().settings;
    assert_eq!((now.failure_threshold(), now.half_open_max_calls()), (Some(3), 2));
    assert_eq!((now.recovery_timeout(), now.timeout()), (secs(60), Some(secs(120))));
    agent.try_acquire().unwrap().record(Outcome::Success);

    let registry = Registry::new();
    let models = LLMCircuitBreakerManager::new(registry.clone());
    for (model, failures, recovery, timeout, slow) in [
        ("gpt-3.5-turbo", 5, 20, 10, 3),
        ("fast-one", 5, 20, 10, 3),
        ("gemini-2.5-pro", 3, 60, 30, 20),
        ("claude-x", 3, 60, 30, 20),
        ("llama", 7, 45, 20, 15),
    ] {
        let now = models.get_circuit_breaker(model).snapshot().settings;
        assert_eq!(now.failure_threshold(), Some(failures), "{model}");
        assert_eq!(now.recovery_timeout(), secs(recovery), "{model}");
        assert_eq!(now.timeout(), Some(secs(timeout)), "{model}");
        assert_eq!(now.slow_call_duration(), Some(secs(slow)), "{model}: it was dropped");
    }
    let structured = models.get_structured_circuit_breaker("llama");
    assert_eq!(structured.snapshot().settings.recovery_timeout(), secs(20));
    registry.breaker("something else");
    assert_eq!(models.get_all_circuit_status().len(), 6);
    structured.force_open();
    models.reset_all();
    assert!(structured.is_closed());
}
