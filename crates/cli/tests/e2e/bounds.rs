//! What a circuit's own times mean for requests: `timeout` and `slow_call_duration`.

use std::io::Write as _;

use crate::support::{Gateway, Upstream, eventually};

const STREAM: &str = r#"{"model":"tinyllama","stream":true,"messages":[]}"#;
const CHAT: &str = r#"{"model":"tinyllama","messages":[]}"#;

fn start(upstream: &Upstream, circuit: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.llm]
        failure_threshold = 100
        {circuit}
        [upstreams.llm]
        url = "{}"
        kind = "openai"
        [[routes]]
        upstreams = ["llm"]
        circuit = "llm"
        fallback = "error"
        "#,
        upstream.url()
    ))
}

#[test]
fn the_timeout_of_a_circuit_bounds_an_answer_but_not_a_stream() {
    let upstream = Upstream::start();
    let gateway = start(&upstream, r#"timeout = "400ms""#);
    // Longer in all than the timeout, but never silent.
    upstream.set("ok,events=8,gap=100ms");
    let (answer, judged) = gateway.judged("llm", || gateway.post("/v1/chat/completions", STREAM));
    assert!(answer.body.trim_end().ends_with("data: [DONE]"), "{}", answer.body);
    assert_eq!(judged.outcome, "success");
    for behaviour in ["hang", "head-then-hang"] {
        upstream.set(behaviour);
        let ((), judged) = gateway.judged("llm", || {
            // The answer may be cut in the middle, which clients find an error.
            let mut client = gateway.connect();
            let length = CHAT.len();
            write!(
                client,
                "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n{CHAT}"
            )
            .unwrap();
            let _ = std::io::copy(&mut client, &mut std::io::sink());
        });
        assert_eq!((judged.outcome, judged.kind.as_str()), ("failure", "timeout"), "{behaviour}");
    }
}

#[test]
fn calls_that_hang_count_as_slow_before_they_end() {
    let upstream = Upstream::start();
    let gateway = start(
        &upstream,
        r#"
        slow_call_duration = "200ms"
        slow_call_rate = 0.5
        min_calls = 4
        window = "60s"
        recovery_timeout = "60s"
        "#,
    );
    for behaviour in ["hang", "head-then-hang"] {
        upstream.set(behaviour);
        let held: Vec<_> = (0..4)
            .map(|_| {
                let mut client = gateway.connect();
                client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
                client
            })
            .collect();
        // They are bounded by half a minute; the circuit does not wait for that.
        eventually("the trip", || gateway.state("llm") == "open");
        let circuit = gateway.circuit("llm");
        assert_eq!(circuit["in_flight"], 4, "{behaviour}: {circuit:#}");
        assert_eq!(gateway.post("/v1/chat/completions", CHAT).status, 503);
        drop(held);
        gateway.order("llm", "reset", r#"{"reason":"next"}"#);
    }
}
