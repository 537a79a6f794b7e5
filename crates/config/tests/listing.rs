//! Every effective value, where it comes from, and what is different between two files.

use std::path::Path;

use panelboard_config::{Input, Listing, Source, View, compare, diff, list};
use serde_json::json;

const FILE: &str = r#"
[circuit_breaker]
metrics_enabled = false

[circuit_breaker.defaults]
recovery_timeout = 7

[circuit_breaker.circuits.base]
preset = "redis"
fallback = "default"

[circuit_breaker.circuits.llm]
extends = "base"
timeout_seconds = 90
key = ["upstream", "model"]
ignore = ["auth", "client_error"]

[circuit_breaker.circuits.llm.keys."*/gpt-4o*"]
timeout = "2m"

[gateway]
max_header_bytes = 65536

[upstreams.a]
url = "https://a.example.com"
api_key = { env = "A_KEY" }
total_timeout = "off"
connect_timeout = 2.5

[[routes]]
name = "chat"
upstream = "a"
circuit = "llm"
deadline = "5m"
headers = { x-api-key = "hunter2" }

[env.staging.circuit_breaker.circuits.llm]
timeout = "20s"
"#;

fn listing(view: View) -> Listing {
    let variables = [("PANELBOARD__GATEWAY__IDLE_TIMEOUT", "30"), ("PANELBOARD_ENV", "staging")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let input = Input::new().file(Source::new("panelboard.toml", FILE)).environment(variables);
    let input = input.option("upstreams.a.stall_timeout", "1m30s");
    list(input, view).unwrap_or_else(|errors| panic!("{errors}"))
}

fn lines(listing: &Listing) -> Vec<String> {
    let line = |listed: &panelboard_config::Listed| {
        format!("{} = {}  # {}", listed.path, listed.text(), listed.origin)
    };
    listing.values.iter().map(line).collect()
}

#[test]
fn every_value_is_listed_with_where_it_comes_from() {
    let lines = lines(&listing(View::Effective));
    for wanted in [
        "enabled = true  # default",
        "metrics_enabled = false  # panelboard.toml:3",
        "defaults.recovery_timeout = \"7s\"  # panelboard.toml:6 (defaults)",
        "circuits.base.failure_rate = 0.6  # preset redis",
        "circuits.llm.failure_rate = 0.6  # preset redis",
        "circuits.llm.timeout = \"20s\"  # panelboard.toml:38",
        "circuits.llm.ignore = [\"client_error\", \"auth\"]  # panelboard.toml:16",
        "circuits.llm.key = [\"upstream\", \"model\"]  # panelboard.toml:15",
        "circuits.llm.fallback = \"default\"  # panelboard.toml:10 (extends base)",
        "circuits.llm.max_keys = 10000  # default",
        "circuits.llm.keys.\"*/gpt-4o*\".timeout = \"2m\"  # panelboard.toml:19",
        "gateway.max_header_bytes = \"64KiB\"  # panelboard.toml:22",
        "gateway.idle_timeout = \"30s\"  # PANELBOARD__GATEWAY__IDLE_TIMEOUT",
        "gateway.admin.listen = \"127.0.0.1:9090\"  # default",
        "upstreams.a.connect_timeout = \"2s500ms\"  # panelboard.toml:28",
        "upstreams.a.total_timeout = \"off\"  # panelboard.toml:27",
        "upstreams.a.stall_timeout = \"1m30s\"  # command line upstreams.a.stall_timeout",
        "upstreams.a.api_key = { env = \"A_KEY\" }  # panelboard.toml:26",
        "routes[0].path = \"/\"  # default",
        "routes[0].deadline = \"5m\"  # panelboard.toml:34",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted}\n{}", lines.join("\n"));
    }
}

#[test]
fn what_is_written_is_listed_alone_when_asked_for() {
    let listing = listing(View::Written);
    let lines = lines(&listing);
    assert!(lines.contains(&String::from("circuits.base.preset = \"redis\"  # panelboard.toml:9")));
    assert!(lines.iter().all(|line| !line.ends_with("# default")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("env")), "it is laid over: {lines:?}");
}

#[test]
fn secrets_are_listed_by_where_they_are() {
    for view in [View::Effective, View::Written] {
        let text = lines(&listing(view)).join("\n");
        assert!(text.contains("A_KEY") && !text.contains("hunter2"), "{text}");
    }
}

fn file(text: &str) -> Listing {
    let input = Input::new().file(Source::new("panelboard.toml", text));
    list(input, View::Effective).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn differences_are_told_value_by_value() {
    let old = file(
        "[circuit_breaker.circuits.a]\ntimeout = 60\n[circuit_breaker.circuits.gone]\n\
         [upstreams.u]\nurl = 'https://u'\n\
         [[routes]]\nname = 'one'\nupstream = 'u'\n",
    );
    let new = file(
        "[circuit_breaker.circuits.a]\ntimeout = '1m'\nfailure_threshold = 9\n\
         [circuit_breaker.circuits.new]\nmin_calls = 20\n\
         [upstreams.u]\nurl = 'https://u'\n\
         [[routes]]\nname = 'zero'\npath = '/zero'\nupstream = 'u'\n\
         [[routes]]\nname = 'one'\nupstream = 'u'\ndeadline = '5s'\n",
    );
    let told: Vec<String> = compare(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "~ circuits.a.failure_threshold = 5 → 9",
            "+ circuits.new.min_calls = 20",
            "~ routes.one.deadline = \"off\" → \"5s\"",
            "+ routes.zero.name = \"zero\"",
            "+ routes.zero.path = \"/zero\"",
            "+ routes.zero.upstream = \"u\"",
            "~ routes = [\"one\"] → [\"zero\", \"one\"]",
        ]
    );
    assert!(compare(&old, &old).is_empty());
}

/// Two files that behave alike have no differences, and only those.
#[test]
fn differences_agree_with_what_a_reload_would_change() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    let mut listings: Vec<Listing> = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let source = Source::decode(&name, &std::fs::read(&path).unwrap()).unwrap();
        listings.push(list(Input::new().file(source), View::Effective).unwrap());
    }
    for a in &listings {
        for b in &listings {
            let told = !compare(a, b).is_empty();
            if !diff(&a.config, &b.config).is_empty() {
                assert!(told, "a reload would change something");
            } else if a.config == b.config {
                assert!(!told, "{:?}", compare(a, b).first().map(ToString::to_string));
            }
        }
    }
    let values = listings.iter().flat_map(|listing| &listing.values);
    assert!(values.filter(|listed| listed.value == json!(null)).count() == 0);
}
