//! The switches of `[circuit_breaker]`, and what the log says of circuits.

use serde_json::Value;

use crate::support::{Gateway, Upstream, eventually};

fn start(upstream: &Upstream, switch: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker]
        {switch}
        [circuit_breaker.circuits.api]
        failure_threshold = 2
        recovery_timeout = "1s"
        jitter = "none"
        success_threshold = 1
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        upstream.url()
    ))
}

/// Through every phase, by traffic alone.
fn trip_and_recover(gateway: &Gateway, upstream: &Upstream) {
    upstream.set("status:500");
    for _ in 0..2 {
        assert_eq!(gateway.get("/").status, 500);
    }
    assert_eq!(gateway.state("api"), "open");
    upstream.set("ok");
    eventually("half-open", || gateway.state("api") == "half_open");
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(gateway.state("api"), "closed");
}

fn lines(log: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    log.lines().map(line).collect()
}

#[test]
fn each_transition_is_one_line_of_json_with_the_sentence_that_explains_it() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    trip_and_recover(&gateway, &upstream);
    eventually("the last line", || gateway.process.log().contains("CLOSED"));
    gateway.order("api", "observe", r#"{"reason":"watching"}"#);
    eventually("the order's line", || gateway.process.log().contains("watching"));

    let log = gateway.process.log();
    assert!(!log.contains('\u{1b}'), "colours in a pipe: {log:?}");
    let all = lines(&log);
    for line in &all {
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        assert!(line["message"].is_string(), "{line}");
    }
    let transitions: Vec<&Value> = all.iter().filter(|line| line.get("state").is_some()).collect();
    let seen: Vec<[&str; 4]> = transitions
        .iter()
        .map(|line| ["level", "circuit", "state", "cause"].map(|key| line[key].as_str().unwrap()))
        .collect();
    let expected = [
        ["WARN", "api", "open", "consecutive_failures"],
        ["INFO", "api", "half_open", "recovery_due"],
        ["INFO", "api", "closed", "probes_succeeded"],
    ];
    assert_eq!(seen, expected);
    let generations: Vec<_> =
        transitions.iter().map(|line| line["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, [2, 3, 4]);
    let sentences: Vec<_> =
        transitions.iter().map(|line| line["message"].as_str().unwrap()).collect();
    let opened = "`api` OPEN: consecutive_failures fired: 2 failures in a row (limit 2).";
    assert!(sentences[0].starts_with(opened), "{}", sentences[0]);
    assert!(sentences[0].contains("HTTP 500 (2). Next probe in 1 s"), "{}", sentences[0]);
    assert!(sentences[1].starts_with("`api` HALF-OPEN: the wait is over"), "{}", sentences[1]);
    assert_eq!(sentences[2], "`api` CLOSED: enough probes succeeded.");
    let order = all.iter().find(|line| line["mode"] == "observe").expect("the order's line");
    let message = order["message"].as_str().unwrap();
    assert!(message.starts_with("`api` auto → observe") && message.contains("admin API"));
}

#[test]
fn transitions_can_be_kept_out_of_the_log() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "log_circuit_changes = false");
    trip_and_recover(&gateway, &upstream);
    gateway.order("api", "force-open", r#"{"reason":"quiet"}"#);
    assert_eq!(gateway.get("/").json()["reason"], "forced");
    // Whatever was to be said of the circuit would have been said by then.
    gateway.process.signal("HUP");
    eventually("the reload's line", || gateway.process.log().contains("reloaded"));
    let log = gateway.process.log();
    assert!(!log.contains("`api`") && !log.contains("\"circuit\""), "{log}");
}

#[test]
fn metrics_can_be_switched_off() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "metrics_enabled = false");
    let answer = gateway.admin("/metrics");
    assert_eq!(answer.status, 404);
    assert!(answer.json()["detail"].as_str().unwrap().contains("`metrics_enabled = false`"));
    assert!(!answer.body.contains("panelboard_"), "{}", answer.body);
    trip_and_recover(&gateway, &upstream);
}

#[test]
fn hiding_the_health_document_changes_no_behaviour() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "expose_health_endpoint = false");
    trip_and_recover(&gateway, &upstream);
}

#[test]
fn a_panel_that_is_switched_off_guards_nothing_and_still_proxies() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "enabled = false");
    upstream.set("status:500");
    for _ in 0..20 {
        let answer = gateway.get("/");
        assert_eq!(answer.status, 500);
        assert_eq!(answer.header("x-panelboard-fallback"), None);
    }
    assert_eq!(upstream.requests(), 20);
    let api = gateway.circuit("api");
    assert_eq!((&api["mode"], &api["state"]), (&"forced_closed".into(), &"closed".into()));
    assert_eq!((&api["calls"]["failure"], &api["calls"]["rejected"]), (&20.into(), &0.into()));
    assert_eq!(
        api["explain"].as_str().unwrap().split('.').next(),
        Some("`api` SWITCHED OFF: every call is let through")
    );
    // That is how it was configured, so nothing is wrong.
    assert_eq!(gateway.get("/api/health/status?strict=1").status, 200);
    let series = r#"panelboard_circuit_mode{circuit="api",mode="forced_closed"}"#;
    assert_eq!(gateway.metric(series), Some(1.0));
    // It may be switched on while it runs, and then guards.
    let text = std::fs::read_to_string(&gateway.config).unwrap();
    gateway.rewrite(&text.replace("enabled = false", "enabled = true"));
    gateway.process.signal("HUP");
    eventually("a circuit that decides", || gateway.circuit("api")["mode"] == "auto");
    trip_and_recover(&gateway, &upstream);
}
