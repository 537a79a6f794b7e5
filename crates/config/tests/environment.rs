//! Overrides from the environment and the command line.

use std::time::Duration;

use panelboard_config::{Checked, Format, Input, Source, TextStyle, check};
use panelboard_core::Kind;

const FILE: &str = r#"
[circuit_breaker.circuits.llm]
timeout = 30
ignore = ["auth"]
key = ["upstream", "model"]
keys."*/o1".timeout = 99

[circuit_breaker.circuits.data-analyst]
preset = "data_analyst"

[circuit_breaker.circuits."team__a"]
timeout = 5

[upstreams.ollama]
url = "http://127.0.0.1:11434"
api_key = { env = "OLLAMA_KEY" }

[upstreams.ollama.models]
"gpt-4o" = "llama3"

[[routes]]
upstream = "ollama"

[fallbacks.busy]
message = "Busy."

[env.staging]
"#;

fn with(variables: &[(&str, &str)]) -> Checked {
    let environment = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let source = Source::new("panelboard.toml", FILE);
    check(Input::new().file(source).environment(environment))
}

fn told(checked: &Checked) -> String {
    checked.diagnostics.render(Format::Text(TextStyle { unicode: true, ..TextStyle::default() }))
}

#[test]
fn every_sort_of_key_can_be_set() {
    let checked = with(&[
        ("PANELBOARD__ENABLED", "false"),
        ("PANELBOARD__CIRCUIT_BREAKER__METRICS_ENABLED", "0"),
        ("PANELBOARD__DEFAULTS__RECOVERY_TIMEOUT", "7s"),
        ("PANELBOARD__CIRCUITS__LLM__TIMEOUT", "45"),
        ("PANELBOARD__CIRCUITS__LLM__FAILURE_RATE", "30%"),
        ("PANELBOARD__CIRCUITS__LLM__FAILURE_THRESHOLD", "off"),
        ("PANELBOARD__CIRCUITS__LLM__WINDOW", "50"),
        ("PANELBOARD__CIRCUITS__LLM__BACKOFF__MAX", "9m"),
        ("PANELBOARD__CIRCUITS__DATA_ANALYST__BACKOFF", "1.5"),
        ("PANELBOARD__CIRCUITS__DATA_ANALYST__IGNORE", "timeout, auth"),
        ("PANELBOARD__CIRCUITS__TEAM__A__TIMEOUT", "6s"),
        ("PANELBOARD__CIRCUITS__OLLAMA__TIMEOUT", "8s"),
        ("PANELBOARD__GATEWAY__LISTEN", "[\"127.0.0.1:1\", \"127.0.0.1:2\"]"),
        ("PANELBOARD__GATEWAY__ADMIN", "127.0.0.1:3"),
        ("PANELBOARD__UPSTREAMS__OLLAMA__URL", "http://10.0.0.1:11434"),
        ("PANELBOARD__UPSTREAMS__OLLAMA__API_KEY__ENV", "OTHER_KEY"),
        ("PANELBOARD__UPSTREAMS__OLLAMA__MODELS__GPT_4O", "llama4"),
        ("PANELBOARD__FALLBACKS__BUSY__STATUS", "429"),
        ("PANELBOARD_LOG", "debug"),
        ("PANELBOARD_ENV", "staging"),
        ("PATH", "/bin"),
    ]);
    let config = checked.config.as_ref().unwrap_or_else(|| panic!("{}", told(&checked)));
    assert!(!checked.diagnostics.has_errors(), "{}", told(&checked));
    assert!(!config.switches().enabled && !config.switches().metrics_enabled);
    let llm = config.circuit("llm").unwrap().settings;
    assert_eq!(llm.timeout(), Some(Duration::from_secs(45)));
    assert_eq!(llm.failure_rate().unwrap().as_basis_points(), 3_000);
    assert_eq!(llm.failure_threshold(), None);
    assert_eq!(llm.window(), 50_u32.into());
    assert_eq!(llm.backoff().max(), Duration::from_secs(540));
    assert_eq!(llm.recovery_timeout(), Duration::from_secs(7));
    let analyst = config.circuit("data-analyst").unwrap().settings;
    assert_eq!(analyst.backoff().multiplier_millis(), 1_500);
    assert!(analyst.ignore().contains(Kind::Auth) && analyst.ignore().contains(Kind::Timeout));
    assert_eq!(config.settings("team__a").timeout(), Some(Duration::from_secs(6)));
    assert_eq!(config.settings("ollama").timeout(), Some(Duration::from_secs(8)));
    assert_eq!(config.gateway().listen.len(), 2);
    assert_eq!(config.gateway().admin.listen.port(), 3);
    let ollama = &config.upstreams()["ollama"];
    assert_eq!(ollama.url.host(), "10.0.0.1");
    assert_eq!(ollama.models["gpt-4o"], "llama4");
    assert_eq!(ollama.auth.as_ref().unwrap().value.to_string(), "the variable OTHER_KEY");
    assert_eq!(config.fallbacks()["busy"].status, 429);
}

#[test]
fn an_override_takes_the_place_of_what_it_excludes() {
    let checked = with(&[
        ("PANELBOARD__CIRCUITS__LLM__RECORD", "timeout"),
        ("PANELBOARD__CIRCUITS__DATA_ANALYST__EXTENDS", "llm"),
        ("PANELBOARD__UPSTREAMS__OLLAMA__AUTH", "{\"value\": {\"file\": \"k\"}}"),
    ]);
    let config = checked.config.as_ref().unwrap_or_else(|| panic!("{}", told(&checked)));
    assert!(config.circuit("llm").unwrap().settings.ignore().contains(Kind::Connect));
    let analyst = config.circuit("data-analyst").unwrap();
    assert_eq!(analyst.settings.timeout(), Some(Duration::from_secs(30)), "no longer the preset's");
    let auth = config.upstreams()["ollama"].auth.as_ref().unwrap();
    assert_eq!(
        (auth.header.as_str(), auth.value.to_string()),
        ("authorization", "the file k".into())
    );
}

#[test]
fn old_names_are_understood_here_as_well() {
    let checked = with(&[("PANELBOARD__CIRCUITS__LLM__TIMEOUT_SECONDS", "12")]);
    let llm = checked.config.as_ref().unwrap().circuit("llm").unwrap();
    assert_eq!(llm.settings.timeout(), Some(Duration::from_secs(12)));
    assert!(told(&checked).contains("is the old name of `timeout`"));
}

#[test]
fn without_a_file_the_defaults_can_be_set() {
    let environment = [(String::from("PANELBOARD__DEFAULTS__TIMEOUT"), String::from("3s"))];
    let config = check(Input::new().environment(environment)).config.unwrap();
    assert_eq!(config.settings("any").timeout(), Some(Duration::from_secs(3)));
}

#[test]
fn what_is_wrong_with_a_variable_is_told() {
    let checked = with(&[
        ("PANELBOARD__CIRCUITS__LLM__TIMEOUT", "45x"),
        ("PANELBOARD__CIRCUITS__LLM__FAILURE_TRESHOLD", "3"),
        ("PANELBOARD__CIRCUITS__LMM__TIMEOUT", "45s"),
        ("PANELBOARD__CIRCUITS__LLM", "45s"),
        ("PANELBOARD__CIRCUITS__LLM__TIMEOUT__MAX", "1"),
        ("PANELBOARD__CIRCUITS", "x"),
        ("PANELBOARD__ROUTES__0__PATH", "/"),
        ("PANELBOARD__GATEWAY__LISTEN", "127.0.0.1:1, localhost:2"),
        ("PANELBOARD__UPSTREAMS__OLLAMA__API_KEY", "sk-live-1"),
        ("PANELBOARD__UPSTREAMS__OLLAMA__APIKEY", "sk-live-2"),
        ("PANELBOARD__UPSTREAMS__OLLAMA__AUTH", "{\"value\": \"sk-live-3"),
        ("PANELBOARD__METRICS_ENABLED", "yes"),
        ("PANELBOARD__", "x"),
        ("PANELBOARD__TIMEOUT", "5"),
        ("PANELBOARD_CIRCUITS__LLM__TIMEOUT", "45s"),
        ("PANELBOARD__CIRCUITS__DATA_ANALYST__IGNORE", "[\"timeout\", "),
    ]);
    assert!(checked.config.is_none());
    let told = told(&checked);
    assert!(!told.contains("sk-live"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn a_broken_file_does_not_make_overrides_wrong() {
    let text = "[circuit_breaker.circuits.llm\ntimeout = 5\n";
    let environment = ["LLM__TIMEOUT", "LLM__TIMEUOT"]
        .map(|path| (format!("PANELBOARD__CIRCUITS__{path}"), String::from("3s")));
    let checked =
        check(Input::new().file(Source::new("panelboard.toml", text)).environment(environment));
    let lines: Vec<String> = checked.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("unclosed table"), "{lines:#?}");
}

#[test]
fn names_that_fit_twice_are_ambiguous() {
    let text = "[circuit_breaker.circuits]\nllm-fast.timeout = 1\nllm_fast.timeout = 2\n";
    let environment =
        [(String::from("PANELBOARD__CIRCUITS__LLM_FAST__TIMEOUT"), String::from("3s"))];
    let source = Source::new("panelboard.toml", text);
    let checked = check(Input::new().file(source).environment(environment));
    insta::assert_snapshot!(told(&checked));
}

#[test]
fn the_command_line_names_keys_with_dots() {
    let source = || Source::new("panelboard.toml", FILE);
    let config = check(
        Input::new()
            .file(source())
            .option("circuits.data-analyst.timeout", "1m")
            .option("circuits.\"team__a\".timeout", "2m")
            .option("gateway.admin.listen", "127.0.0.1:0"),
    )
    .config
    .unwrap();
    assert_eq!(config.settings("data-analyst").timeout(), Some(Duration::from_secs(60)));
    assert_eq!(config.settings("team__a").timeout(), Some(Duration::from_secs(120)));
    assert_eq!(config.gateway().admin.listen.port(), 0);

    let checked = check(
        Input::new()
            .file(source())
            .option("circuits.llm.timeout", "soon")
            .option("gateway.listne", "127.0.0.1:1")
            .option("", "x"),
    );
    insta::assert_snapshot!(told(&checked));
}

const LAYERED: &str = r#"
[circuit_breaker.circuits.llm]
timeout = "5s"
failure_threshold = 3

[upstreams.a]
url = "https://a.example.com"
api_key = { env = "A_KEY" }

[[routes]]
upstream = "a"

[env.staging.circuit_breaker.circuits.llm]
timeout = "6s"

[env.staging.circuit_breaker.circuits.extra]
failure_threshold = 9

[env.staging.upstreams.a]
url = "https://staging.example.com"
auth = { value = { env = "STAGING_KEY" } }

[[env.staging.routes]]
path = "/only"
upstream = "a"

[env.test.gateway]
listen = "127.0.0.1:1"
"#;

fn in_environment(option: Option<&str>, variables: &[(&str, &str)]) -> Checked {
    let environment = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let input = Input::new().file(Source::new("panelboard.toml", LAYERED)).environment(environment);
    check(match option {
        Some(name) => input.env(name),
        None => input,
    })
}

#[test]
fn a_part_for_one_environment_is_laid_over_the_file() {
    let base = in_environment(None, &[]).config.unwrap();
    assert_eq!(base.settings("llm").timeout(), Some(Duration::from_secs(5)));
    assert!(base.circuit("extra").is_none());

    let staging = in_environment(Some("staging"), &[]).config.unwrap();
    assert_eq!(staging.settings("llm").timeout(), Some(Duration::from_secs(6)));
    assert_eq!(staging.settings("llm").failure_threshold(), Some(3), "tables are joined");
    assert_eq!(staging.settings("extra").failure_threshold(), Some(9));
    assert_eq!(staging.upstreams()["a"].url.host(), "staging.example.com");
    assert!(staging.upstreams()["a"].auth.is_some(), "`auth` takes the place of `api_key`");
    assert_eq!(staging.routes().len(), 1, "lists are replaced");
    assert_eq!(staging.routes()[0].name, "/only");
    let origin = staging.circuit("llm").unwrap().origins.get("timeout");
    assert_eq!(origin.to_string(), "panelboard.toml:14");
}

#[test]
fn the_command_line_chooses_before_the_variable_and_variables_set_over_the_part() {
    let by_variable = in_environment(None, &[("PANELBOARD_ENV", "test")]).config.unwrap();
    assert_eq!(by_variable.gateway().listen[0].address.port(), 1);
    let both = in_environment(Some("staging"), &[("PANELBOARD_ENV", "test")]).config.unwrap();
    assert_eq!(both.routes()[0].name, "/only");
    let none = in_environment(None, &[("PANELBOARD_ENV", "")]).config.unwrap();
    assert_eq!(none, in_environment(None, &[]).config.unwrap());
    let set = [("PANELBOARD__CIRCUITS__EXTRA__TIMEOUT", "2s"), ("PANELBOARD_ENV", "staging")];
    let set = in_environment(None, &set).config.unwrap();
    assert_eq!(set.settings("extra").timeout(), Some(Duration::from_secs(2)));
}

#[test]
fn an_unknown_environment_is_an_error_that_names_those_there_are() {
    let by_option = in_environment(Some("stagin"), &[]);
    assert!(by_option.config.is_none());
    assert!(told(&by_option).contains("did you mean `staging`?"), "{}", told(&by_option));
    let by_variable = in_environment(None, &[("PANELBOARD_ENV", "live")]);
    assert!(told(&by_variable).contains("the file has staging, test"), "{}", told(&by_variable));
    let without = check(Input::new().env("staging"));
    assert!(told(&without).contains("no [env.NAME]"), "{}", told(&without));
    let inside = with(&[("PANELBOARD__ENV__STAGING__GATEWAY__LISTEN", "127.0.0.1:1")]);
    assert!(told(&inside).contains("PANELBOARD_ENV chooses one"), "{}", told(&inside));
}

/// What other programs call `env` and `check` is theirs.
#[test]
fn sections_of_other_programs_with_our_names_are_left_alone() {
    for text in [
        r#"{ "env": "production", "check": true, "circuit_breaker": {} }"#,
        r#"{ "env": { "production": { "debug": false } }, "check": { "url": "/" } }"#,
    ] {
        let checked = check(Input::new().file(Source::new("app.json", text)));
        assert!(checked.config.is_some(), "{}", told(&checked));
    }
    let ours = check(Input::new().file(Source::new("panelboard.json", r#"{ "env": "live" }"#)));
    assert!(told(&ours).contains("use --env or PANELBOARD_ENV"), "{}", told(&ours));
}
