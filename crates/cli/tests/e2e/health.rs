//! What monitors and orchestrators ask: the health document, liveness, readiness.

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Upstream, eventually};

const PATH: &str = "/api/health/status";

fn start(upstream: &Upstream, more: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker]
        {more}
        [circuit_breaker.circuits.data_analyst]
        failure_threshold = 3
        recovery_timeout = "1m"
        jitter = "none"
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "data_analyst"
        "#,
        upstream.url()
    ))
}

/// The document with nothing in it but what existing monitors read.
fn core(document: &Value) -> Value {
    let take = |from: &Value, keys: &[&str]| -> Value {
        keys.iter().map(|key| ((*key).to_owned(), from[*key].clone())).collect()
    };
    let circuits = document["circuit_breakers"]["circuit_breakers"].as_array().unwrap();
    let circuits: Vec<Value> = circuits
        .iter()
        .map(|circuit| take(circuit, &["name", "state", "health", "statistics"]))
        .collect();
    let mut core = take(document, &["status"]);
    core["circuit_breakers"] = take(&document["circuit_breakers"], &["overall_health"]);
    core["circuit_breakers"]["circuit_breakers"] = circuits.into();
    core
}

fn expected(state: &str, health: &str, (total, success): (u64, u64), rate: f64, row: u64) -> Value {
    json!({ "status": health,
      "circuit_breakers": { "overall_health": health, "circuit_breakers": [
        { "name": "data_analyst", "state": state, "health": health,
          "statistics": { "total_calls": total, "success_count": success,
            "failure_count": total - success, "success_rate": rate,
            "consecutive_failures": row } } ] } })
}

/// The same question on both listeners.
fn both(gateway: &Gateway, query: &str) -> [Answer; 2] {
    let path = format!("{PATH}{query}");
    [gateway.get(&path), gateway.admin(&path)]
}

#[test]
fn the_health_document_is_what_monitors_read_on_both_listeners() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    let holds = |document: &Value, strict: u16| {
        for (query, status) in [("", 200), ("?strict=0", 200), ("?strict=1", strict)] {
            for answer in both(&gateway, query) {
                assert_eq!(answer.status, status, "{query}: {}", answer.body);
                assert_eq!(answer.header("content-type"), Some("application/json"));
                assert_eq!(answer.header("cache-control"), Some("no-store"));
                assert_eq!(core(&answer.json()), *document);
            }
        }
    };
    holds(&expected("closed", "healthy", (0, 0), 100.0, 0), 200);

    for n in 0..42 {
        upstream.set(if n % 21 == 0 { "status:500" } else { "ok" });
        gateway.get("/");
    }
    holds(&expected("closed", "healthy", (42, 40), 95.2, 0), 200);

    upstream.set("status:500");
    gateway.get("/");
    holds(&expected("closed", "healthy", (43, 40), 93.0, 1), 200);
    for _ in 0..4 {
        gateway.get("/");
    }
    let head = gateway
        .raw(b"HEAD /api/health/status?strict=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 503") && head.ends_with("\r\n\r\n"), "{head}");
    // The refused calls are nobody's: neither successes nor failures.
    holds(&expected("open", "degraded", (45, 40), 88.9, 3), 503);

    gateway.order("data_analyst", "force-open", r#"{"reason":"maintenance"}"#);
    let [document, _] = both(&gateway, "?strict=1");
    assert_eq!((document.status, &document.json()["status"]), (503, &json!("unhealthy")));
    assert_eq!(document.json()["circuit_breakers"]["overall_health"], "unhealthy");
}

#[test]
fn a_circuit_that_keeps_failing_its_probes_is_unhealthy_and_one_that_recovers_is_healthy() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.data_analyst]
        failure_threshold = 1
        recovery_timeout = "20ms"
        backoff = 1
        jitter = "none"
        success_threshold = 1
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "data_analyst"
        "#,
        upstream.url()
    ));
    upstream.set("status:500");
    gateway.get("/");
    let health = || gateway.get(PATH).json()["status"].as_str().unwrap().to_owned();
    assert_eq!(health(), "degraded");
    // Trip, and more than three probes that fail.
    eventually("four failed recoveries", || {
        gateway.get("/");
        gateway.circuit("data_analyst")["failed_recoveries"].as_u64() > Some(3)
    });
    assert_eq!(health(), "unhealthy");
    assert_eq!(gateway.get("/api/health/status?strict=1").status, 503);
    upstream.set("ok");
    eventually("recovery", || gateway.get("/").status == 200);
    assert_eq!(health(), "healthy");
}

#[test]
fn the_worst_circuit_decides_for_all() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "[circuit_breaker.circuits.spare]");
    gateway.order("spare", "trip", "{}");
    let document = gateway.get(PATH).json();
    assert_eq!(document["status"], "degraded");
    let circuits = &document["circuit_breakers"]["circuit_breakers"];
    assert_eq!(
        (&circuits[0]["health"], &circuits[1]["health"]),
        (&json!("healthy"), &json!("degraded"))
    );
    gateway.order("data_analyst", "force-open", r#"{"reason":"maintenance"}"#);
    assert_eq!(gateway.get(PATH).json()["status"], "unhealthy");
}

#[test]
fn the_health_document_can_be_switched_off() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "expose_health_endpoint = false");
    let answer = gateway.admin(PATH);
    assert_eq!(answer.status, 404);
    assert!(answer.json()["detail"].as_str().unwrap().contains("expose_health_endpoint = false"));
    // On the main listener the path is then any other: the upstream's.
    let answer = gateway.get(PATH);
    assert_eq!(answer.header("x-panelboard-upstream"), Some("api"));
    assert_eq!(upstream.requests(), 1);
    assert_eq!(gateway.admin("/healthz").status, 200, "liveness is another matter");
}

#[test]
fn a_gateway_is_alive_and_ready_whatever_its_circuits_do() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, "");
    for order in ["auto", "trip"] {
        gateway.order("data_analyst", order, "{}");
        let (alive, ready) = (gateway.admin("/healthz"), gateway.admin("/readyz"));
        assert_eq!((alive.status, alive.json()), (200, json!({ "status": "alive" })));
        assert_eq!((ready.status, ready.json()), (200, json!({ "status": "ready" })));
    }
    // They are the admin listener's: on the other one they belong to routes.
    assert_eq!(gateway.get("/healthz").status, 503);
}
