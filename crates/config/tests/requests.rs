//! Settings that circuits are given while the program runs.

use std::io;
use std::path::Path;

use panelboard_config::{
    Config, Diagnostics, Format, Input, LoadOptions, SecretReader, Source, TextStyle, check, load,
};

const FILE: &str = r#"
[circuit_breaker.defaults]
window = "20s"
[circuit_breaker.circuits.api]
failure_threshold = 5
[circuit_breaker.circuits.llm]
key = ["model"]
failure_threshold = 5
[circuit_breaker.circuits.llm.keys."gpt*"]
failure_threshold = 9
[upstreams.web]
url = "http://127.0.0.1:1"
[[routes]]
upstream = "web"
"#;

fn told(circuit: &str, json: &str) -> Result<Config, String> {
    let input = Input::new()
        .file(Source::new("panelboard.toml", FILE))
        .option("circuits.api.min_calls", "7")
        .request(circuit, json);
    let result: Result<_, Diagnostics> = check(input).into_result();
    result
        .map(|(config, _, _)| config)
        .map_err(|wrong| wrong.render(Format::Text(TextStyle::default())))
}

/// The value of a setting, and where it was said.
fn setting(config: &Config, circuit: &str, key: &str) -> (String, String) {
    let circuit = config.circuit(circuit).unwrap();
    let (_, value, origin) = circuit.effective().find(|(known, ..)| *known == key).unwrap();
    (value, origin.to_string())
}

#[test]
fn requests_win_over_everything_and_say_so() {
    let config = told("api", r#"{ "min_calls": 3, "window": "5s", "backoff": { "max": 30 } }"#);
    let config = config.unwrap();
    let admin = |value: &str| (value.to_owned(), String::from("admin"));
    assert_eq!(setting(&config, "api", "min_calls"), admin("3"));
    assert_eq!(setting(&config, "api", "window"), admin("5s"));
    assert_eq!(setting(&config, "api", "backoff.max"), admin("30s"));
    let kept = ("5".into(), "panelboard.toml:5".into());
    assert_eq!(setting(&config, "api", "failure_threshold"), kept);
    // What follows from a setting follows from the new one.
    let config = told("api", r#"{ "success_threshold": 6 }"#).unwrap();
    assert_eq!(config.settings("api").probe_calls(), 6);
    assert_eq!(setting(&config, "llm", "window").0, "20s", "nobody else is concerned");
}

#[test]
fn rules_for_keys_still_win_over_their_family() {
    let config = told("llm", r#"{ "failure_threshold": 2, "ramp": "off" }"#).unwrap();
    assert_eq!(config.settings("llm").failure_threshold(), Some(2));
    let rule = &config.circuit("llm").unwrap().keys[0];
    assert_eq!((rule.settings.failure_threshold(), rule.settings.ramp()), (Some(9), None));
}

#[test]
fn circuits_that_the_file_leaves_unsaid_can_be_told() {
    let config = told("web", r#"{ "failure_threshold": 2 }"#).unwrap();
    assert_eq!(setting(&config, "web", "failure_threshold"), ("2".into(), "admin".into()));
}

#[test]
fn what_is_wrong_with_a_request_is_said_as_of_a_file() {
    for (json, named) in [
        (r#"{ "failure_treshold": 3 }"#, "did you mean `failure_threshold`?"),
        (r#"{ "failure_threshold": 0 }"#, "`circuits.api.failure_threshold` is 0"),
        (r#"{ "window": "soon" }"#, "`circuits.api.window` is \"soon\""),
        (r#"{ "probe_calls": 2, "success_threshold": 3 }"#, "probe_calls"),
        (r#"{ "mode": "forced_open" }"#, "`mode` cannot be set at run time"),
        (r#"{ "enabled": false }"#, "order it: force-open"),
        (r#"{ "key": ["model"] }"#, "`key` cannot be set at run time"),
        (r#"{ "extends": "llm" }"#, "change the file"),
        (r#"{ "depends_on": ["llm"] }"#, "`depends_on` cannot be set at run time"),
        (r#"{ "url": "http://evil.example" }"#, "unknown key `url`"),
        (r#"{ "min_calls": 1, "min_calls": 2 }"#, "stands here twice"),
        ("[]", "request.json:1:1"),
        ("{", "PB0004"),
        ("", "PB0004"),
    ] {
        let wrong = told("api", json).map(|_| ()).unwrap_err();
        assert!(wrong.contains(named), "{json}: {wrong}");
    }
}

#[test]
fn a_loaded_file_is_told_again_without_being_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("panelboard.toml");
    std::fs::write(&path, FILE).unwrap();
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let options = LoadOptions {
        file: Some(path.clone()),
        environment: vec![
            variable("PANELBOARD__CIRCUITS__API__MIN_CALLS", "4"),
            variable("OTHER_TOKEN", "sesame"),
        ],
        ..LoadOptions::default()
    };
    let loaded = load(&options).unwrap();
    std::fs::remove_file(&path).unwrap();
    let requests = [(String::from("api"), String::from(r#"{ "failure_threshold": 2 }"#))];
    let config = loaded.with_requests(&requests).unwrap();
    let api = config.settings("api");
    assert_eq!((api.failure_threshold(), api.min_calls()), (Some(2), 4));
    assert_eq!(loaded.with_requests(&[]).unwrap(), loaded.config);
    assert_eq!(loaded.resolve(Path::new("token")), directory.path().join("token"));
    assert!(!format!("{loaded:?}").contains("sesame"));
}

struct Tokens;

impl SecretReader for Tokens {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "GOOD" | "SAME" => Some("0123456789abcdef".into()),
            "SHORT" => Some("0123456789abcde".into()),
            _ => None,
        }
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}

#[test]
fn tokens_are_long_and_each_its_own() {
    let with = |more: &str| {
        let text =
            format!("[gateway.admin.tokens]\ngood = {{ secret = {{ env = \"GOOD\" }} }}\n{more}");
        let checked =
            check(Input::new().file(Source::new("panelboard.toml", text)).secrets(&Tokens));
        let told = checked.diagnostics.render(Format::Text(TextStyle::default()));
        assert!(!told.contains("0123456789"), "{told}");
        checked.config.ok_or(told)
    };
    assert_eq!(with("").unwrap().gateway().admin.tokens[0].name, "good");
    for (more, named) in [
        ("a = { secret = { env = \"SHORT\" } }", "has fewer than 16 characters"),
        ("a = { secret = { env = \"SAME\" } }", "is the token of `good`, too"),
        ("a = { secret = { env = \"NONE\" } }", "the variable NONE is not set"),
        ("a = { secret = { file = \"none\" } }", "cannot be read"),
        ("a = { role = \"operator\" }", "has no `secret`"),
    ] {
        let wrong = with(more).map(|_| ()).unwrap_err();
        assert!(wrong.contains(named), "{more}: {wrong}");
    }
}
