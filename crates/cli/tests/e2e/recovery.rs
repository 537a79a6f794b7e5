//! The main job: a circuit in front of a real upstream trips, answers in its place without
//! touching it, probes, and recovers.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::support::{Gateway, Upstream, eventually};

/// The configuration that existing users have, to the letter.
const LEGACY: &str = r#"{ "model_selection": { "simple": "tinyllama" },
  "circuit_breaker": { "enabled": true, "circuits": {
      "data_analyst":   { "failure_threshold": 3, "recovery_timeout": 60, "success_threshold": 2, "timeout": 30, "comment": "Main analysis calls" },
      "code_generator": { "failure_threshold": 2, "recovery_timeout": 45, "success_threshold": 2, "timeout": 45 },
      "cot_engine":     { "failure_threshold": 3, "recovery_timeout": 60, "success_threshold": 2, "timeout": 40 },
      "visualization":  { "failure_threshold": 2, "recovery_timeout": 30, "success_threshold": 1, "timeout": 20 } },
    "expose_health_endpoint": true, "log_circuit_changes": true, "metrics_enabled": true, "comment": "…" }"#;

/// The same with a gateway: what follows the section, and nothing within it.
fn legacy_with_gateway(upstream: &str) -> String {
    format!(
        r#"{LEGACY},
  "gateway": {{ "shutdown_grace": "1s" }},
  "upstreams": {{ "model": {{ "url": "{upstream}", "kind": "openai", "first_byte_timeout": "2s" }} }},
  "routes": [
    {{ "path": "/analyst", "strip_prefix": "/analyst", "upstreams": ["model"], "circuit": "data_analyst", "fallback": "data_analysis" }},
    {{ "path": "/code", "strip_prefix": "/code", "upstreams": ["model"], "circuit": "code_generator", "fallback": "code_review" }},
    {{ "path": "/cot", "strip_prefix": "/cot", "upstreams": ["model"], "circuit": "cot_engine" }},
    {{ "path": "/charts", "strip_prefix": "/charts", "upstreams": ["model"], "circuit": "visualization", "fallback": "visualization" }}
  ] }}"#
    )
}

const CHAT: &str = r#"{"model":"tinyllama","messages":[{"role":"user","content":"hi"}]}"#;

/// Jitter is off and waits are short, over the file's values and without touching the file.
fn start_legacy(upstream: &Upstream) -> Gateway {
    let text = legacy_with_gateway(&upstream.url());
    let mut set = Vec::new();
    for circuit in ["data_analyst", "code_generator", "cot_engine", "visualization"] {
        set.push("--set".to_owned());
        set.push(format!("circuits.{circuit}.recovery_timeout=700ms"));
        set.push("--set".to_owned());
        set.push(format!("circuits.{circuit}.jitter=none"));
    }
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    Gateway::start_with("app_config.json", &text, &set, &[])
}

#[test]
fn the_legacy_configuration_guards_a_real_service() {
    let upstream = Upstream::start();
    let gateway = start_legacy(&upstream);
    let health = gateway.get("/api/health/status").json();
    assert_eq!(health["status"], "healthy");
    let names: Vec<&str> = health["circuit_breakers"]["circuit_breakers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|circuit| circuit["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["code_generator", "cot_engine", "data_analyst", "visualization"]);

    let thresholds = [
        ("analyst", "data_analyst", 3),
        ("code", "code_generator", 2),
        ("cot", "cot_engine", 3),
        ("charts", "visualization", 2),
    ];
    for (path, circuit, threshold) in thresholds {
        let path = format!("/{path}/v1/chat/completions");
        upstream.set("ok");
        let answer = gateway.post(&path, CHAT);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["model"], "tinyllama");
        assert_eq!(answer.header("x-panelboard-circuit"), Some(circuit));
        assert_eq!(answer.header("x-panelboard-upstream"), Some("model"));
        assert_eq!(answer.header("x-panelboard-fallback"), None);

        // It trips at its own threshold, and not before.
        upstream.set("status:500");
        for _ in 0..threshold {
            assert_eq!(gateway.state(circuit), "closed");
            assert_eq!(gateway.post(&path, CHAT).status, 500);
        }
        assert_eq!(gateway.state(circuit), "open");

        // While open, answers are quick and the upstream is left alone.
        let touched = upstream.requests();
        let started = Instant::now();
        for _ in 0..20 {
            let answer = gateway.post(&path, CHAT);
            assert_eq!(answer.status, 200);
            let completion = answer.json();
            assert_eq!(completion["fallback_used"], true);
            assert_eq!(completion["choices"][0]["finish_reason"], "stop");
            let text = completion["choices"][0]["message"]["content"].as_str().unwrap();
            assert!(text.contains("temporarily unavailable"), "{text}");
            assert!(text.contains("worth trying again in 1 second"), "{text}");
            assert!(answer.header("x-panelboard-fallback").is_some());
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert!(started.elapsed() < Duration::from_millis(600), "{:?}", started.elapsed());
        assert_eq!(upstream.requests(), touched, "{circuit}");

        // It probes, and recovers.
        upstream.set("ok");
        eventually("half-open", || gateway.state(circuit) == "half_open");
        let mut answered = 0;
        eventually("closed", || {
            answered +=
                u32::from(gateway.post(&path, CHAT).header("x-panelboard-fallback").is_none());
            gateway.state(circuit) == "closed"
        });
        assert!(answered >= 1);
    }
    // The log is written apart from answering.
    let last = "`visualization` CLOSED: enough probes succeeded.";
    eventually("the last line", || gateway.process.log().contains(last));
    let log = gateway.process.log();
    assert!(
        log.contains("`data_analyst` OPEN: consecutive_failures fired: 3 failures in a row"),
        "{log}"
    );
}

#[test]
fn exactly_the_cap_probes_among_twenty_callers() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = 2
        recovery_timeout = "300ms"
        jitter = "none"
        half_open_max_calls = 3
        success_threshold = 3
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        upstream.url()
    ));
    upstream.set("status:500");
    for _ in 0..2 {
        gateway.get("/");
    }
    assert_eq!(gateway.state("api"), "open");
    // Probes that take a while, so that all twenty callers come while they run.
    upstream.set("slow:800ms");
    eventually("half-open", || gateway.state("api") == "half_open");
    upstream.reset_stats();
    let barrier = Barrier::new(20);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    gateway.get("/")
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let through = answers.iter().filter(|answer| answer.status == 200).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!((through, refused.len()), (3, 17));
    for answer in refused {
        assert_eq!(answer.json()["reason"], "probing");
        assert!(answer.header("retry-after").is_some(), "every refusal says when to come back");
    }
    let stats = upstream.stats();
    assert_eq!(stats["requests"], 3, "exactly the cap reached the upstream");
    assert!(stats["peak_in_flight"].as_u64().unwrap() <= 3);
    assert_eq!(gateway.state("api"), "closed");
}

#[test]
fn an_upstream_that_is_gone_and_comes_back() {
    let mut upstream = Upstream::start();
    let address = upstream.address().to_string();
    let gateway = Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = 3
        recovery_timeout = "300ms"
        jitter = "none"
        success_threshold = 1
        [upstreams.api]
        url = "http://{address}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#
    ));
    assert_eq!(gateway.get("/").status, 200);
    upstream.process.kill();
    for _ in 0..3 {
        let answer = gateway.get("/");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!(problem["fallback_used"], true);
        assert_eq!(problem["circuit"], "api");
        assert!(problem["alternatives"].is_array() && problem["message"].is_string());
    }
    let refused = gateway.get("/").json();
    assert_eq!((&refused["reason"], &refused["state"]), (&"open".into(), &"open".into()));
    let back = Upstream::at(&address);
    eventually("recovery", || gateway.get("/").status == 200);
    assert_eq!(gateway.state("api"), "closed");
    assert!(back.requests() >= 1);
}
