//! Health probes: when they are sent, and what circuits make of them.

use std::time::Duration;

use crate::support::{Gateway, Upstream, eventually, pass};

/// An upstream that is probed; its circuit opens after two failures and recovers by one success.
fn gateway(url: &str, probe: &str) -> Gateway {
    Gateway::start_with("panelboard.toml", &config(url, probe), &[], &[("A_KEY", "probe-key")])
}

fn config(url: &str, probe: &str) -> String {
    format!(
        r#"
        [circuit_breaker.circuits.a]
        failure_threshold = 2
        success_threshold = 1
        recovery_timeout = "200ms"
        jitter = "none"
        ramp = "off"
        [circuit_breaker.circuits.llm]
        extends = "a"
        key = ["upstream", "model"]
        [upstreams.a]
        url = "{url}"
        api_key = {{ env = "A_KEY" }}
        probe = {probe}
        [[routes]]
        path = "/llm"
        upstream = "a"
        circuit = "llm"
        [[routes]]
        upstream = "a"
        "#
    )
}

fn probes(gateway: &Gateway, result: &str) -> f64 {
    let labels = format!("{{upstream=\"a\",result=\"{result}\"}}");
    gateway.metric(&format!("panelboard_health_probes_total{labels}")).unwrap_or(0.0)
}

const HEALTH: &str =
    r#"{ path = "/health?full=1", interval = "100ms", headers = { x-why = "probe" } }"#;

#[test]
fn an_open_circuit_recovers_by_a_probe_and_stays_open_without_one() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), HEALTH);
    pass(Duration::from_millis(400));
    assert_eq!(a.requests(), 0, "nothing would be learned");
    a.set("status:500");
    assert_eq!([gateway.get("/").status, gateway.get("/").status], [500, 500]);
    eventually("probes that fail", || probes(&gateway, "unhealthy") >= 3.0);
    // No client has had to find that out.
    let asked = gateway.get("/");
    assert_eq!((asked.status, &asked.json()["reason"]), (503, &"open".into()));
    assert_eq!(gateway.state("a"), "open");
    a.set("ok");
    eventually("half-open", || gateway.state("a") == "half_open");
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(gateway.state("a"), "closed");
    let sent = a.stats();
    let probe = sent["last_requests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|request| request["target"] == "/health?full=1");
    let probe = probe.expect("a probe")["headers"].to_string();
    assert!(probe.contains("x-why") && probe.contains("Bearer probe-key"), "{probe}");
    // Back to work, nothing is to be learned.
    let done = probes(&gateway, "healthy");
    pass(Duration::from_millis(400));
    assert_eq!(probes(&gateway, "healthy"), done);
}

#[test]
fn probes_that_fail_open_a_closed_circuit_where_that_is_wanted() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), r#"{ path = "/h", interval = "100ms", open_after = 2 }"#);
    eventually("probes", || probes(&gateway, "healthy") >= 2.0);
    assert_eq!(gateway.count("a", "admitted"), 0, "a probe is no call");
    a.set("hang");
    eventually("open", || gateway.state("a") == "open");
    let explained = gateway.circuit("a")["explain"].to_string();
    assert!(explained.contains("probes failed in a row"), "{explained}");
    a.set("ok");
    eventually("half-open", || gateway.state("a") == "half_open");
}

#[test]
fn a_probe_that_is_asked_to_slow_down_keeps_the_circuit_open_until_then() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), HEALTH);
    a.set("status:500");
    gateway.get("/");
    gateway.get("/");
    a.set("path:/health=status:429,retry-after-ms=1500");
    eventually("a pushback", || probes(&gateway, "pushback") >= 1.0);
    let left = gateway.circuit("a")["retry_after_seconds"].as_f64().unwrap();
    assert!((0.5..=2.0).contains(&left), "{left}");
    assert_eq!(probes(&gateway, "pushback"), 1.0, "nor is it probed before");
    a.set("ok");
    eventually("half-open", || gateway.state("a") == "half_open");
}

#[test]
fn a_family_recovers_by_the_probe_of_its_upstream() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), HEALTH);
    gateway.get("/llm");
    gateway.order("llm%2Fa%2F-", "trip", "{}");
    eventually("half-open", || gateway.state("llm/a/-") == "half_open");
    assert!(probes(&gateway, "healthy") >= 1.0);
}

#[test]
fn a_reload_starts_and_stops_probes() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "\"off\"");
    let all = r#"{ path = "/h", interval = "100ms", open_after = 9, expect = [404] }"#;
    gateway.rewrite(&config(&a.url(), all));
    eventually("probes", || probes(&gateway, "unhealthy") >= 2.0);
    gateway.rewrite(&config(&a.url(), "\"off\""));
    eventually("no more probes", || {
        let before = a.requests();
        pass(Duration::from_millis(350));
        a.requests() == before
    });
}
