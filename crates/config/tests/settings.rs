//! What the values of a configuration come to: types, defaults, layers, origins.

use std::time::Duration;

use panelboard_config::{Circuit, Config, Format, Input, KeyPart, Source, TextStyle, check};
use panelboard_core::{
    BaseRate, Jitter, Kind, Mode, Ratio, Sequential, Settings, WindowSpec, presets,
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn config(text: &str) -> Config {
    let checked = check(Input::new().file(Source::new("panelboard.toml", text)));
    let told = checked.diagnostics.render(Format::Text(TextStyle::default()));
    checked.config.unwrap_or_else(|| panic!("{told}"))
}

/// The circuit `c` with these keys.
fn circuit(keys: &str) -> Circuit {
    config(&format!("[circuit_breaker.circuits.c]\n{keys}")).circuit("c").unwrap().clone()
}

fn settings(keys: &str) -> Settings {
    circuit(keys).settings
}

fn origin(circuit: &Circuit, key: &str) -> String {
    circuit.origins.get(key).to_string()
}

// ===== values =====

#[test]
fn durations_are_seconds_or_text() {
    for (text, millis) in [
        ("45", 45_000),
        ("2.5", 2_500),
        ("0.001", 1),
        ("\"250ms\"", 250),
        ("\"5s\"", 5_000),
        ("\"2m\"", 120_000),
        ("\"1h30m\"", 5_400_000),
        ("\"1d\"", 86_400_000),
        ("31536000", 31_536_000_000),
        ("\"365d\"", 31_536_000_000),
    ] {
        let timeout = settings(&format!("timeout = {text}")).timeout();
        assert_eq!(timeout, Some(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn shares_are_numbers_or_percentages() {
    for (text, points) in
        [("0.5", 5_000), ("\"50%\"", 5_000), ("1", 10_000), ("\"100%\"", 10_000), ("0.0001", 1)]
    {
        let rate = settings(&format!("failure_rate = {text}")).failure_rate().unwrap();
        assert_eq!(rate.as_basis_points(), points, "{text}");
    }
}

#[test]
fn windows_are_times_or_calls() {
    assert_eq!(settings("window = \"30s\"").window(), WindowSpec::Time(secs(30)));
    assert_eq!(settings("window = 100").window(), WindowSpec::Calls(100));
}

#[test]
fn rules_can_be_switched_off() {
    for off in ["false", "\"off\""] {
        let settings = settings(&format!(
            "preset = \"database\"\nfailure_threshold = {off}\nfailure_rate = {off}\n\
             failure_count = {off}\nslow_call_duration = {off}\ntimeout = {off}"
        ));
        assert_eq!(settings.failure_threshold(), None);
        assert_eq!(settings.timeout(), None);
        assert!(!settings.has_window_rule());
    }
}

#[test]
fn what_can_be_off_says_so_whatever_was_written_instead() {
    for wrong in ["ramp = \"soon\"", "ramp = 0", "ramp = []", "ramp = true", "sequential = 3"] {
        let text = format!("[circuit_breaker.circuits.c]\n{wrong}");
        let checked = check(Input::new().file(Source::new("panelboard.toml", text)));
        let found = checked.diagnostics.iter().next().unwrap();
        assert!(found.message().ends_with(", or \"off\""), "{found}");
    }
    // Its keys cannot be.
    let text = "[circuit_breaker.circuits.c.sequential]\nfalse_trips_per = 0";
    let checked = check(Input::new().file(Source::new("panelboard.toml", text)));
    assert!(!checked.diagnostics.to_string().contains("\"off\""), "{}", checked.diagnostics);
}

#[test]
fn jitter_is_named_or_a_share() {
    assert_eq!(settings("jitter = \"none\"").jitter(), Jitter::None);
    assert_eq!(settings("jitter = \"equal\"").jitter(), Jitter::Equal);
    assert_eq!(settings("jitter = \"full\"").jitter(), Jitter::Full);
    let Jitter::Proportional(share) = settings("jitter = \"25%\"").jitter() else { panic!() };
    assert_eq!(share.as_basis_points(), 2_500);
}

#[test]
fn backoff_is_a_multiplier_or_a_table() {
    let backoff = settings("backoff = 3").backoff();
    assert_eq!((backoff.multiplier_millis(), backoff.max()), (3_000, secs(60)));
    let backoff = settings("backoff.max = \"5m\"").backoff();
    assert_eq!((backoff.multiplier_millis(), backoff.max()), (2_000, secs(300)));
}

#[test]
fn kinds_are_recorded_or_ignored() {
    let ignore = settings("ignore = [\"auth\", \"client_error\"]").ignore();
    assert!(ignore.contains(Kind::Auth) && !ignore.contains(Kind::Timeout));
    let ignore = settings("record = [\"timeout\"]").ignore();
    assert!(ignore.contains(Kind::Auth) && !ignore.contains(Kind::Timeout));
}

#[test]
fn a_disabled_circuit_lets_everything_through() {
    assert_eq!(settings("enabled = false").mode(), Mode::ForcedClosed);
    assert_eq!(settings("enabled = false\nmode = \"observe\"").mode(), Mode::ForcedClosed);
    assert_eq!(settings("enabled = true\nmode = \"observe\"").mode(), Mode::Observe);
    let config = config("[circuit_breaker]\nenabled = false\ncircuits.c.timeout = 5\n");
    assert_eq!(config.settings("c").mode(), Mode::ForcedClosed);
    assert_eq!(config.settings("unheard of").mode(), Mode::ForcedClosed);
    assert_eq!(config.circuit("c").unwrap().settings.mode(), Mode::Auto);
}

#[test]
fn probe_calls_follow_the_success_threshold() {
    let settings = settings("success_threshold = 7");
    assert_eq!((settings.success_threshold(), settings.probe_calls()), (7, 7));
}

// ===== defaults =====

#[test]
fn without_a_word_everything_has_its_default() {
    let config = Config::default();
    assert_eq!(config, check(Input::new()).config.unwrap());
    assert_eq!(*config.defaults(), Settings::default());
    assert_eq!(config.settings("any"), Settings::default());
    let switches = config.switches();
    assert!(switches.enabled && switches.expose_health_endpoint);
    assert!(switches.log_circuit_changes && switches.metrics_enabled);
    assert!(config.circuits().is_empty() && config.upstreams().is_empty());
    assert!(config.routes().is_empty());

    let gateway = config.gateway();
    let [listener] = &gateway.listen[..] else { panic!("{:?}", gateway.listen) };
    assert_eq!(listener.address, "127.0.0.1:8080".parse().unwrap());
    assert!(listener.tls.is_none() && !listener.h2c);
    assert_eq!(gateway.admin.listen, "127.0.0.1:9090".parse().unwrap());
    assert!(gateway.admin.allowed_hosts.is_empty());
    assert_eq!(gateway.shutdown_grace, secs(30));
    assert_eq!(gateway.header_read_timeout, secs(10));
    assert_eq!(gateway.idle_timeout, secs(75));
    assert_eq!(gateway.max_header_bytes, 64 << 10);
    assert_eq!(gateway.max_headers, 100);
    assert_eq!(gateway.max_uri_bytes, 32 << 10);
    assert_eq!(gateway.max_connections, 10_000);
    assert_eq!(gateway.max_connections_per_ip, None);
    assert!(gateway.trusted_proxies.is_empty() && !gateway.access_log);
    assert_eq!(gateway.model_body_limit, 10 << 20);
    assert!(gateway.response_headers);

    let names: Vec<&String> = config.fallbacks().keys().collect();
    assert_eq!(
        names,
        ["code_review", "data_analysis", "default", "rag_retrieval", "visualization"]
    );
    for fallback in config.fallbacks().values() {
        assert_eq!(fallback.status, 503);
        assert!(fallback.message.contains("temporarily unavailable"), "{}", fallback.message);
        assert!(!fallback.alternatives.is_empty());
    }
}

#[test]
fn a_circuit_without_words_has_the_defaults() {
    let circuit = circuit("");
    assert_eq!(circuit.settings, Settings::default());
    assert_eq!((circuit.max_keys, circuit.is_family()), (10_000, false));
    assert_eq!(circuit.origins.iter().count(), 0);
    let effective: Vec<String> = circuit
        .effective()
        .map(|(key, value, origin)| format!("{key} = {value} ({origin})"))
        .collect();
    insta::assert_snapshot!(effective.join("\n"), @r"
    mode = auto (default)
    failure_threshold = 5 (default)
    failure_rate = 0.5 (default)
    failure_count = off (default)
    min_calls = 10 (default)
    window = 10s (default)
    slow_call_duration = off (default)
    slow_call_rate = 0.8 (default)
    sequential = off (default)
    adaptive = false (default)
    recovery_timeout = 5s (default)
    backoff.multiplier = 2 (default)
    backoff.max = 1m (default)
    jitter = 0.1 (default)
    max_retry_after = 5m (default)
    half_open_max_calls = 1 (default)
    success_threshold = 3 (default)
    probe_calls = 3 (default)
    timeout = off (default)
    pace = true (default)
    ramp = 10s (default)
    throttle.k = off (default)
    throttle.window = off (default)
    throttle.max = off (default)
    ignore = [] (default)
    ");
}

#[test]
fn the_sequential_rule_is_one_setting_with_defaults_of_its_own() {
    assert_eq!(settings("sequential = \"off\"").sequential(), None);
    let rule = settings("sequential = {}").sequential().unwrap();
    assert_eq!(rule.base_rate(), BaseRate::Known(Ratio::percent(1).unwrap()));
    assert_eq!(
        (rule.fault_rate(), rule.false_trips_per()),
        (Ratio::percent(20).unwrap(), 1_000_000)
    );
    let learned = "sequential = { base_rate = \"learned\", false_trips_per = 50_000_000_000 }";
    let circuit = circuit(learned);
    let rule = circuit.settings.sequential().unwrap();
    assert_eq!((rule.base_rate(), rule.false_trips_per()), (BaseRate::Learned, 50_000_000_000));
    let shown = circuit.effective().find(|(key, ..)| *key == "sequential").unwrap().1;
    assert_eq!(
        shown,
        "{ base_rate = \"learned\", fault_rate = 0.2, false_trips_per = 50000000000 }"
    );
    // A circuit's replaces all of that of its defaults.
    let layered = config(
        "[circuit_breaker.defaults]\nsequential = { fault_rate = 0.9 }\n\
         [circuit_breaker.circuits.c]\nsequential = { base_rate = 0.02 }\n\
         [circuit_breaker.circuits.d]\nsequential = false",
    );
    let rule = layered.settings("c").sequential().unwrap();
    assert_eq!(rule.fault_rate(), Ratio::percent(20).unwrap());
    assert_eq!(layered.settings("d").sequential(), None);
    assert_eq!(
        layered.settings("other").sequential().map(Sequential::fault_rate),
        Ratio::percent(90)
    );
}

#[test]
fn dependencies_are_inherited_and_reach_the_catalog() {
    let config = config(
        "[circuit_breaker.circuits.users]\ndepends_on = [\"database\"]\n\
         [circuit_breaker.circuits.orders]\nextends = \"users\"\n\
         [circuit_breaker.circuits.free]\nextends = \"users\"\ndepends_on = []\n\
         [circuit_breaker.circuits.database]\n",
    );
    let direct = |name| config.as_ref().depends_on.direct(name);
    assert_eq!((direct("users"), direct("orders")), (direct("orders"), direct("users")));
    assert_eq!(direct("orders"), ["database"]);
    assert!(direct("free").is_empty() && direct("database").is_empty());
    assert_eq!(config.circuit("orders").unwrap().depends_on, ["database"]);
}

// ===== layers =====

const LAYERS: &str = r#"
[circuit_breaker.defaults]
timeout = 11
min_calls = 11
failure_count = 11
failure_threshold = 11

[circuit_breaker.circuits.base]
preset = "database"
failure_threshold = 22
max_retry_after = 22

[circuit_breaker.circuits.c]
extends = "base"
max_retry_after = 33
"#;

#[test]
fn layers_are_laid_over_each_other() {
    let config = config(LAYERS);
    let circuit = config.circuit("c").unwrap();
    let settings = circuit.settings;
    assert_eq!(settings.max_retry_after(), secs(33), "its own key");
    assert_eq!(settings.failure_threshold(), Some(22), "the circuit it extends");
    assert_eq!(settings.timeout(), Some(secs(10)), "that circuit's preset");
    assert_eq!(settings.failure_count(), Some(11), "the defaults, which the preset leaves alone");
    assert!(settings.pace(), "built in");
    assert_eq!(config.settings("other").timeout(), Some(secs(11)));
    assert_eq!(config.default_origins().get("timeout").to_string(), "panelboard.toml:3 (defaults)");
}

#[test]
fn origins_say_where_each_setting_comes_from() {
    let config = config(LAYERS);
    let circuit = config.circuit("c").unwrap();
    assert_eq!(origin(circuit, "max_retry_after"), "panelboard.toml:15");
    assert_eq!(origin(circuit, "failure_threshold"), "panelboard.toml:10 (extends base)");
    assert_eq!(origin(circuit, "timeout"), "preset database");
    assert_eq!(origin(circuit, "success_threshold"), "preset database");
    assert_eq!(origin(circuit, "failure_count"), "panelboard.toml:5 (defaults)");
    assert_eq!(origin(circuit, "pace"), "default");
}

#[test]
fn environment_and_command_line_win_in_this_order() {
    let text = LAYERS;
    let input = || Input::new().file(Source::new("panelboard.toml", text));
    let variable = |name: &str, value: &str| (String::from(name), String::from(value));
    let environment = [
        variable("PANELBOARD__CIRCUITS__C__MAX_RETRY_AFTER", "44s"),
        variable("PANELBOARD__CIRCUITS__C__TIMEOUT", "44"),
        variable("PANELBOARD__DEFAULTS__FAILURE_COUNT", "44"),
    ];
    let config =
        check(input().environment(environment.clone()).option("circuits.c.timeout", "55s"))
            .config
            .unwrap();
    let circuit = config.circuit("c").unwrap();
    assert_eq!(circuit.settings.max_retry_after(), secs(44));
    assert_eq!(circuit.settings.timeout(), Some(secs(55)));
    assert_eq!(circuit.settings.failure_count(), Some(44));
    assert_eq!(origin(circuit, "max_retry_after"), "PANELBOARD__CIRCUITS__C__MAX_RETRY_AFTER");
    assert_eq!(origin(circuit, "timeout"), "command line circuits.c.timeout");
    assert_eq!(origin(circuit, "failure_count"), "PANELBOARD__DEFAULTS__FAILURE_COUNT (defaults)");
}

#[test]
fn presets_are_those_of_the_core() {
    for (name, preset) in presets::ALL {
        let settings = settings(&format!("preset = \"{name}\""));
        assert_eq!(settings, preset().build().unwrap(), "{name}");
    }
    let config = config(
        "[circuit_breaker.defaults]\npreset = \"redis\"\ntimeout = 1\n\
         [circuit_breaker.circuits.c]\n",
    );
    let c = config.circuit("c").unwrap();
    assert_eq!(c.settings.recovery_timeout(), secs(20), "of the defaults' preset");
    assert_eq!(c.settings.timeout(), Some(secs(1)), "the defaults' own keys win over it");
    assert_eq!(origin(c, "recovery_timeout"), "preset redis");
}

#[test]
fn disabled_is_inherited_and_can_be_taken_back() {
    let config = config(
        "[circuit_breaker.defaults]\nenabled = false\n\
         [circuit_breaker.circuits.on]\nenabled = true\n[circuit_breaker.circuits.off]\n",
    );
    assert_eq!(config.settings("on").mode(), Mode::Auto);
    assert_eq!(config.settings("off").mode(), Mode::ForcedClosed);
    let off = config.circuit("off").unwrap();
    assert_eq!(origin(off, "mode"), "panelboard.toml:2 (defaults)");
}

#[test]
fn extending_takes_over_everything_but_what_is_said_anew() {
    let config = config(
        r#"
[circuit_breaker.circuits.base]
timeout = 5
key = ["upstream", "model"]
max_keys = 7
fallback = "data_analysis"
keys."*/slow".timeout = 50
keys."*/fast".timeout = 1

[circuit_breaker.circuits.c]
extends = "base"
pace = false
keys."*/slow".timeout = 99
"#,
    );
    let circuit = config.circuit("c").unwrap();
    assert_eq!(circuit.key, [KeyPart::Upstream, KeyPart::Model]);
    assert_eq!(circuit.max_keys, 7);
    assert_eq!(circuit.fallback.as_deref(), Some("data_analysis"));
    let rules: Vec<(&str, Option<Duration>, bool)> = circuit
        .keys
        .iter()
        .map(|rule| (rule.pattern.as_str(), rule.settings.timeout(), rule.settings.pace()))
        .collect();
    assert_eq!(
        rules,
        [("*/slow", Some(secs(99)), false), ("*/fast", Some(secs(1)), false)],
        "its own rules first, all over its own settings"
    );
    let catalog: &panelboard_config::Catalog = config.as_ref();
    assert_eq!(catalog.key_settings("c", "openai/slow").timeout(), Some(secs(99)));
    assert_eq!(catalog.key_settings("c", "openai/other").timeout(), Some(secs(5)));
}

// ===== the files of today's users =====

#[test]
fn the_legacy_file_loads_verbatim() {
    let text = include_str!("good/legacy.json");
    let checked = check(Input::new().file(Source::new("config.json", text)));
    let told: Vec<String> = checked.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["config.json:1:3: note[PB1004]: not ours, left alone: `model_selection`"]);
    let config = checked.config.unwrap();
    for (name, failures, recovery, successes, timeout) in [
        ("data_analyst", 3, 60, 2, 30),
        ("code_generator", 2, 45, 2, 45),
        ("cot_engine", 3, 60, 2, 40),
        ("visualization", 2, 30, 1, 20),
    ] {
        let expected = Settings::builder()
            .failure_threshold(failures)
            .recovery_timeout(secs(recovery))
            .success_threshold(successes)
            .timeout(secs(timeout))
            .build()
            .unwrap();
        assert_eq!(config.circuit(name).unwrap().settings, expected, "{name}");
    }
    assert_eq!(config.circuits().len(), 4);
    assert!(config.switches().enabled);
}

#[test]
fn old_names_mean_what_they_meant() {
    let config = config(include_str!("good/old_names.toml"));
    let unified = Settings::builder()
        .failure_rate(0.6)
        .window(8_u32)
        .min_calls(4)
        .slow_call_duration(secs(5))
        .timeout(secs(30))
        .recovery_timeout(secs(45))
        .backoff_max(secs(300))
        .backoff_multiplier(2.0)
        .jitter_share(0.1)
        .build()
        .unwrap();
    assert_eq!(config.circuit("unified").unwrap().settings, unified);
    let agent = Settings::builder()
        .timeout(secs(120))
        .slow_call_duration(secs(100))
        .backoff_multiplier(1.0)
        .jitter(Jitter::None)
        .build()
        .unwrap();
    assert_eq!(config.circuit("agent").unwrap().settings, agent);
}

#[test]
fn toml_and_json_say_the_same() {
    let toml = config(include_str!("good/library.toml"));
    let value: serde_json::Value = toml::from_str(include_str!("good/library.toml")).unwrap();
    let source = Source::new("panelboard.json", value.to_string());
    assert_eq!(check(Input::new().file(source)).config.unwrap(), toml);
}
