//! The SDKs that people use, pointed at the gateway.

use std::fmt::Write as _;

use crate::programs::{free_address, run_python};
use crate::support::{BINARY, Gateway};

/// Friendly answers at `/API`, and the API's own errors at `/strict/API`.
fn config(upstream: &str) -> String {
    let mut toml = String::from(
        r#"
        [circuit_breaker.circuits.llm]
        key = ["upstream", "model"]
        failure_threshold = 2
        success_threshold = 1
        recovery_timeout = "1s"
        jitter = "none"
        ramp = "off"
        backoff = { multiplier = 1 }
        "#,
    );
    for name in ["openai", "anthropic", "ollama"] {
        write!(
            toml,
            r#"
            [upstreams.{name}]
            url = "http://{upstream}"
            kind = "{name}"
            api_key = {{ env = "PANELBOARD_TEST_KEY" }}
            [[routes]]
            path = "/{name}"
            strip_prefix = "/{name}"
            upstream = "{name}"
            circuit = "llm"
            [[routes]]
            path = "/strict/{name}"
            strip_prefix = "/strict/{name}"
            upstream = "{name}"
            circuit = "llm"
            fallback = "error"
            "#
        )
        .unwrap();
    }
    toml
}

#[test]
fn sdks_work_through_the_gateway_fail_in_their_own_words_and_recover() {
    let upstream = free_address().to_string();
    let environment = [("PANELBOARD_TEST_KEY", "sk-upstream")];
    let gateway = Gateway::start_with("panelboard.toml", &config(&upstream), &[], &environment);
    let url = format!("http://{}", gateway.address());
    let held = run_python("sdks.py", &[&url, &upstream, BINARY]);
    let expected = [
        "answers",
        "streams",
        "async streams",
        "lists",
        "errors",
        "broken streams",
        "models apart",
        "quotas",
        "retries",
        "outage",
        "recovery",
    ];
    assert_eq!(held.lines().collect::<Vec<_>>(), expected);
    for upstream in ["openai", "anthropic", "ollama"] {
        for direction in ["input", "output"] {
            let labels = format!("{{upstream=\"{upstream}\",direction=\"{direction}\"}}");
            let count = gateway.metric(&format!("panelboard_gateway_tokens_total{labels}"));
            assert!(count > Some(20.0), "{upstream} {direction}: {count:?}");
        }
    }
}
