//! Reloads under load: nobody notices.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::support::{Gateway, Upstream, agent, eventually};

const CLIENTS: usize = 8;
const STREAMS: usize = 3;
const RELOADS: u32 = 25;

const STREAM: &str = r#"{"model":"tinyllama","stream":true,"messages":[]}"#;

/// Each is different from the one before in a circuit, an upstream and the routes, so that
/// connections to upstreams are given up and made anew.
fn text(upstream: &Upstream, number: u32) -> String {
    format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = {threshold}
        [upstreams.api]
        url = "{url}"
        first_byte_timeout = "{timeout}s"
        [upstreams.llm]
        url = "{url}"
        kind = "openai"
        max_idle_connections = {threshold}
        [[routes]]
        path = "/v1"
        upstreams = ["llm"]
        [[routes]]
        path = "/extra-{number}"
        upstreams = ["api"]
        circuit = "extra-{number}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        [circuit_breaker.circuits.extra-{number}]
        "#,
        url = upstream.url(),
        threshold = 10 + number,
        timeout = 10 + number,
    )
}

#[test]
fn reloads_under_load_lose_no_request() {
    let upstream = Upstream::start();
    upstream.set("ok,gap=20ms");
    let gateway = Gateway::start(&text(&upstream, 0));
    let stopped = AtomicBool::new(false);
    let (answered, streamed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // Also when an assertion fails, or the threads would never end.
        let stop = StopAtEnd(&stopped);
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let (agent, url) = (agent(), format!("http://{}/", gateway.address()));
                let _stop = StopAtEnd(&stopped);
                while !stopped.load(Ordering::Relaxed) {
                    let mut answer = agent.get(&url).call().expect("an answer");
                    assert_eq!(answer.status(), 200);
                    assert_eq!(answer.headers()["x-panelboard-upstream"], "api");
                    assert!(!answer.body_mut().read_to_string().unwrap().is_empty());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..STREAMS {
            scope.spawn(|| {
                let url = format!("http://{}/v1/chat/completions", gateway.address());
                let agent = agent();
                let _stop = StopAtEnd(&stopped);
                while !stopped.load(Ordering::Relaxed) {
                    let request = agent.post(&url).header("content-type", "application/json");
                    let mut answer = request.send(STREAM).expect("an answer");
                    assert_eq!(answer.status(), 200);
                    assert_eq!(answer.headers()["x-panelboard-upstream"], "llm");
                    let body = answer.body_mut().read_to_string().expect("all of it");
                    assert!(body.trim_end().ends_with("data: [DONE]"), "{body}");
                    streamed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..=RELOADS {
            let before = (answered.load(Ordering::Relaxed), streamed.load(Ordering::Relaxed));
            gateway.rewrite(&text(&upstream, number));
            gateway.process.signal("HUP");
            let threshold = (10 + number).to_string();
            eventually("the new settings", || {
                gateway.circuit("api")["settings"]["failure_threshold"]["value"] == *threshold
            });
            // Each of them under load.
            eventually("requests", || {
                stopped.load(Ordering::Relaxed)
                    || answered.load(Ordering::Relaxed) > before.0 + CLIENTS as u64
                        && streamed.load(Ordering::Relaxed) > before.1
            });
        }
        drop(stop);
    });
    let (answered, streamed) = (answered.into_inner(), streamed.into_inner());
    let stats = upstream.stats();
    assert_eq!(stats["requests"], answered + streamed, "none lost, and none sent twice");
    assert_eq!(stats["by_status"], serde_json::json!({ "200": answered + streamed }));
    assert_eq!(
        (gateway.count("api", "success"), gateway.count("llm", "success")),
        (answered, streamed)
    );
    assert_eq!((gateway.count("api", "failure"), gateway.count("api", "neutral")), (0, 0));
    let log = gateway.process.log();
    assert_eq!(log.matches("configuration reloaded: ").count(), RELOADS as usize, "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}

/// Tells the others to stop when it goes, be it by a panic.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
