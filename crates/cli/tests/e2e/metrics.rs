//! Metrics agree with what happened, and with what the admin API says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use serde_json::{Value, json};

use crate::exposition::Exposition;
use crate::support::{Gateway, Upstream, eventually};

fn start(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = 2
        recovery_timeout = "1s"
        backoff = 1
        jitter = "none"
        success_threshold = 1
        slow_call_duration = "500ms"
        [circuit_breaker.circuits.watched]
        failure_threshold = 2
        recovery_timeout = "1m"
        [circuit_breaker.circuits.idle]
        [circuit_breaker.circuits.llm]
        key = ["model"]
        [upstreams.api]
        url = "{url}"
        [upstreams.llm]
        url = "{url}"
        kind = "openai"
        [[routes]]
        name = "models"
        path = "/v1"
        upstreams = ["llm"]
        circuit = "llm"
        [[routes]]
        name = "watched"
        path = "/watched"
        upstreams = ["api"]
        circuit = "watched"
        [[routes]]
        name = "rest"
        upstreams = ["api"]
        circuit = "api"
        "#,
        url = upstream.url()
    ))
}

fn scrape(gateway: &Gateway) -> Exposition {
    // As Prometheus asks.
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let answer = gateway.admin_with("/metrics", &[("accept", accept)]);
    assert_eq!(answer.status, 200);
    let media = answer.header("content-type").unwrap();
    assert!(media.starts_with("application/openmetrics-text; version=1.0.0"), "{media}");
    Exposition::read(&answer.body)
}

fn series<const N: usize>(entries: [(&str, u64); N]) -> BTreeMap<Vec<String>, f64> {
    let labels = |text: &str| text.split(' ').map(str::to_owned).collect();
    entries.iter().map(|(text, count)| (labels(text), *count as f64)).collect()
}

/// Which of the values of a one-hot metric is hot.
fn hot(exposition: &Exposition, name: &str, label: &str, circuit: &str) -> String {
    let all = exposition.of(name, circuit);
    let hot: Vec<_> = all.iter().filter(|(_, value)| **value == 1.0).collect();
    let cold = all.values().filter(|value| **value == 0.0).count();
    assert_eq!((hot.len(), cold), (1, all.len() - 1), "{name} of {circuit}: {all:?}");
    hot[0].0[0].strip_prefix(&format!("{label}=")).unwrap().to_owned()
}

#[test]
fn who_does_not_ask_for_openmetrics_gets_the_older_format() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    gateway.get("/");
    let answer = gateway.admin("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    // It knows these types only, and a counter by all of its name.
    let mut typed = Vec::new();
    for line in answer.body.lines().filter_map(|line| line.strip_prefix("# ")) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["HELP", name, _] => assert!(name.starts_with("panelboard_"), "{line}"),
            ["TYPE", name, "counter"] => {
                assert!(name.ends_with("_total"), "{line}");
                typed.push(name);
            }
            ["TYPE", name, "gauge" | "histogram"] => typed.push(name),
            _ => panic!("{line}"),
        }
    }
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let name = &line[..line.find(['{', ' ']).unwrap()];
        let family = ["", "_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|name| typed.contains(name)));
        assert!(family.is_some(), "not announced: {line}");
    }
    assert_eq!(
        gateway.metric(r#"panelboard_gateway_requests_total{route="rest",status="200"}"#),
        Some(1.0)
    );
}

#[test]
fn metrics_agree_with_the_traffic_and_with_the_admin_api() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    for _ in 0..3 {
        assert_eq!(gateway.get("/").status, 200);
    }
    upstream.set("status:404");
    assert_eq!(gateway.get("/").status, 404);
    upstream.set("slow:600ms");
    assert_eq!(gateway.get("/").status, 200);
    // A client that goes away says nothing of the upstream.
    upstream.set("hang");
    let mut client = gateway.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    eventually("a call under way", || gateway.circuit("api")["in_flight"] == 1);
    let in_flight = scrape(&gateway).get("panelboard_circuit_in_flight", &[("circuit", "api")]);
    assert_eq!(in_flight, Some(1.0));
    drop(client);
    eventually("its end", || gateway.count("api", "neutral") == 1);
    upstream.set("status:429,retry-after=1");
    assert_eq!(gateway.get("/").status, 429);
    assert_eq!(gateway.get("/").json()["reason"], "paced");
    upstream.set("status:500");
    eventually("the end of the pause", || gateway.get("/").status == 500);
    let paced = gateway.circuit("api")["rejected_by_reason"]["paced"].as_u64().unwrap();
    assert_eq!(gateway.get("/").status, 500);
    assert_eq!(hot(&scrape(&gateway), "panelboard_circuit_state", "state", "api"), "open");
    for _ in 0..3 {
        assert_eq!(gateway.get("/").json()["reason"], "open");
    }
    eventually("half-open", || gateway.state("api") == "half_open");
    assert_eq!(hot(&scrape(&gateway), "panelboard_circuit_state", "state", "api"), "half_open");
    assert_eq!(gateway.get("/").status, 500);
    eventually("half-open again", || gateway.state("api") == "half_open");
    upstream.set("ok");
    assert_eq!(gateway.get("/").status, 200);
    gateway.order("api", "force-open", r#"{"reason":"test"}"#);
    assert_eq!(gateway.get("/").json()["reason"], "forced");

    let scraped = scrape(&gateway);
    let of = |name: &str| scraped.of(&format!("panelboard_circuit_{name}"), "api");
    let outcomes = [
        ("outcome=success", 6),
        ("outcome=failure", 3),
        ("outcome=neutral", 1),
        ("outcome=pushback", 1),
        ("outcome=late", 0),
    ];
    assert_eq!(of("calls_total"), series(outcomes));
    let rejected = [
        ("reason=open", 3),
        ("reason=probing", 0),
        ("reason=paced", paced),
        ("reason=forced", 1),
        ("reason=dependency", 0),
        ("reason=ramping", 0),
        ("reason=throttled", 0),
        ("reason=would_reject", 0),
    ];
    assert_eq!(of("rejected_total"), series(rejected));
    assert_eq!(of("failures_total"), series([("kind=server_error", 3)]));
    let transitions = [
        ("cause=consecutive_failures from=closed to=open", 1),
        ("cause=recovery_due from=open to=half_open", 2),
        ("cause=probes_failed from=half_open to=open", 1),
        ("cause=probes_succeeded from=half_open to=closed", 1),
    ];
    assert_eq!(of("transitions_total"), series(transitions));
    let probes = [
        ("result=success", 1),
        ("result=failure", 1),
        ("result=neutral", 0),
        ("result=expired", 0),
    ];
    assert_eq!(of("probes_total"), series(probes));
    assert_eq!(hot(&scraped, "panelboard_circuit_state", "state", "api"), "closed");
    assert_eq!(hot(&scraped, "panelboard_circuit_mode", "mode", "api"), "forced_open");
    let one = |name: &str| of(name)[&Vec::new()];
    assert!((1.9..20.0).contains(&one("open_seconds_total")), "{}", one("open_seconds_total"));
    assert_eq!(one("time_to_recover_seconds_count"), 1.0);
    assert!((2.0..20.0).contains(&one("time_to_recover_seconds_sum")));
    assert_eq!(one("slow_calls_total"), 1.0);
    // The client that went away took no time that says anything.
    assert_eq!(one("call_duration_seconds_count"), 10.0);
    agrees(&gateway, "api");

    let requests = |route: &str, status: &str| {
        let labels = [("route", route), ("status", status)];
        scraped.get("panelboard_gateway_requests_total", &labels)
    };
    assert_eq!((requests("rest", "200"), requests("rest", "404")), (Some(5.0), Some(1.0)));
    assert_eq!(requests("rest", "500"), Some(3.0));
    assert_eq!(requests("rest", "503"), Some((paced + 4) as f64));
    let fallbacks = scraped.get("panelboard_fallbacks_total", &[("name", "default")]);
    assert_eq!(fallbacks, Some((paced + 4) as f64));
}

/// What the circuit's JSON says is what the metrics say.
fn agrees(gateway: &Gateway, name: &str) {
    let scraped = scrape(gateway);
    let circuit = gateway.circuit(name);
    let of = |metric: &str| scraped.of(&format!("panelboard_circuit_{metric}"), name);
    let labelled = |label: &str, counts: &Value| -> BTreeMap<Vec<String>, f64> {
        let counts = counts.as_object().unwrap().iter();
        counts.map(|(k, v)| (vec![format!("{label}={k}")], v.as_f64().unwrap())).collect()
    };
    let mut calls = circuit["calls"].clone();
    let (calls, mut rest) = {
        let map = calls.as_object_mut().unwrap();
        let names = ["admitted", "slow", "excused", "rejected", "would_reject"];
        let rest: BTreeMap<_, _> = names.map(|name| (name, map.remove(name).unwrap())).into();
        (calls, rest)
    };
    assert_eq!(of("calls_total"), labelled("outcome", &calls));
    let mut rejected = circuit["rejected_by_reason"].clone();
    rejected["would_reject"] = rest.remove("would_reject").unwrap();
    assert_eq!(of("rejected_total"), labelled("reason", &rejected));
    let one = |metric: &str| json!(of(metric)[&Vec::new()]);
    assert_eq!(one("excused_total"), json!(rest["excused"].as_f64()));
    assert_eq!(one("in_flight"), json!(circuit["in_flight"].as_f64()));
    assert_eq!(one("slow_calls_total"), json!(rest["slow"].as_f64()));
    assert_eq!(hot(&scraped, "panelboard_circuit_state", "state", name), circuit["state"]);
    assert_eq!(hot(&scraped, "panelboard_circuit_mode", "mode", name), circuit["mode"]);
}

#[test]
fn every_circuit_has_series_from_the_start_and_labels_are_escaped() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let fresh = scrape(&gateway);
    assert!(fresh.values("circuit").is_superset(&BTreeSet::from(["api", "idle", "watched"])));
    assert_eq!(hot(&fresh, "panelboard_circuit_state", "state", "idle"), "closed");
    let none = [
        ("outcome=success", 0),
        ("outcome=failure", 0),
        ("outcome=neutral", 0),
        ("outcome=pushback", 0),
        ("outcome=late", 0),
    ];
    assert_eq!(fresh.of("panelboard_circuit_calls_total", "idle"), series(none));
    assert_eq!(fresh.get("panelboard_config_last_reload_successful", &[]), Some(1.0));
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(fresh.get("panelboard_build_info", &version), Some(1.0));

    // A model's name is whatever a client says it is.
    let model = "a\"b\\c {}, é";
    let body = json!({ "model": model, "messages": [] }).to_string();
    assert_eq!(gateway.post("/v1/chat/completions", &body).status, 200);
    let scraped = scrape(&gateway);
    let name = format!("llm/{model}");
    assert_eq!(
        scraped.of("panelboard_circuit_calls_total", &name)[&["outcome=success".to_owned()][..]],
        1.0
    );
    assert_eq!(scraped.get("panelboard_circuit_keys", &[("family", "llm")]), Some(1.0));

    // Observed, and so never refused.
    gateway.order("watched", "observe", "{}");
    upstream.set("status:500");
    for _ in 0..5 {
        assert_eq!(gateway.get("/watched").status, 500);
    }
    let would = &["reason=would_reject".to_owned()][..];
    let scraped = scrape(&gateway);
    assert_eq!(scraped.of("panelboard_circuit_rejected_total", "watched")[would], 3.0);
    assert_eq!(hot(&scraped, "panelboard_circuit_mode", "mode", "watched"), "observe");
    for circuit in ["api", "idle", "watched"] {
        agrees(&gateway, circuit);
    }
}

#[test]
fn models_beyond_the_busiest_share_their_series() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let ask = |model: &str| {
        let body = json!({ "model": model, "messages": [] }).to_string();
        assert_eq!(gateway.post("/v1/chat/completions", &body).status, 200);
    };
    for n in 0..210 {
        ask(&format!("m{n}"));
    }
    for _ in 0..3 {
        ask("m209");
    }
    let scraped = scrape(&gateway);
    let models = scraped.values("circuit");
    let own = models.iter().filter(|name| name.starts_with("llm/m")).count();
    assert_eq!((own, models.contains("llm/other")), (200, true), "{models:?}");
    assert!(models.contains("llm/m209"), "the busiest has its own");
    let calls = |name: &str| {
        scraped.of("panelboard_circuit_calls_total", name)[&["outcome=success".to_owned()][..]]
    };
    assert_eq!((calls("llm/m209"), calls("llm/other")), (4.0, 10.0), "and none is lost");
    assert_eq!(scraped.get("panelboard_circuit_keys", &[("family", "llm")]), Some(210.0));
}
