//! Secrets reach the upstream they are for, and nothing else.

use serde_json::Value;

use crate::support::{Gateway, Upstream, eventually};

/// Of the configuration.
const KEY: &str = "sk-configured-7d1f";
/// Of clients.
const BEARER: &str = "sk-bearer-91c2";
const COOKIE: &str = "session-55aa";
const QUERY: &str = "sk-query-e0b3";

const SECRETS: [&str; 4] = [KEY, BEARER, COOKIE, QUERY];

fn start(upstream: &Upstream) -> Gateway {
    let text = format!(
        r#"
        [circuit_breaker.circuits.keyed]
        failure_threshold = 2
        recovery_timeout = "1m"
        [circuit_breaker.circuits.plain]
        failure_threshold = 2
        recovery_timeout = "1m"
        [upstreams.keyed]
        url = "{url}"
        kind = "openai"
        api_key = {{ env = "E2E_KEY" }}
        first_byte_timeout = "100ms"
        [upstreams.plain]
        url = "{url}"
        first_byte_timeout = "100ms"
        [[routes]]
        path = "/v1"
        upstreams = ["keyed"]
        circuit = "keyed"
        [[routes]]
        path = "/plain"
        upstreams = ["plain"]
        circuit = "plain"
        "#,
        url = upstream.url()
    );
    // Everything that is ever logged, also what nobody usually sees.
    let environment = [("E2E_KEY", KEY), ("PANELBOARD_LOG", "trace")];
    Gateway::start_with("panelboard.toml", &text, &[], &environment)
}

/// Asks with every credential a client may have; returns the answer if it is the gateway's own,
/// for the upstream's repeats what it received.
fn ask(gateway: &Gateway, path: &str) -> String {
    let headers = [
        ("authorization", &*format!("Bearer {BEARER}")),
        ("x-api-key", BEARER),
        ("cookie", COOKIE),
    ];
    let answer = gateway.get_with(&format!("{path}?api_key={QUERY}"), &headers);
    if answer.header("x-panelboard-upstream").is_some() {
        return String::new();
    }
    format!("{} {:?} {}", answer.status, answer.headers, answer.body)
}

fn received(upstream: &Upstream) -> String {
    let stats = upstream.stats();
    let last: &Value = stats["last_requests"].as_array().unwrap().last().unwrap();
    last.to_string()
}

#[test]
fn secrets_show_nowhere() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let mut seen = vec![ask(&gateway, "/nobody")];

    // They do arrive: or there would be nothing to leak.
    seen.push(ask(&gateway, "/plain"));
    let plain = received(&upstream);
    for secret in [BEARER, COOKIE, QUERY] {
        assert!(plain.contains(secret), "{plain}");
    }
    assert!(!plain.contains(KEY), "credentials of one upstream do not travel to another: {plain}");
    seen.push(ask(&gateway, "/v1/models"));
    let keyed = received(&upstream);
    assert!(keyed.contains(&format!("Bearer {KEY}")), "{keyed}");
    assert!(!keyed.contains(BEARER), "the upstream's own instead of the client's: {keyed}");

    // Every way to fail that says something about it.
    for behaviour in ["status:500", "hang", "garbage", "close", "ok"] {
        upstream.set(behaviour);
        for (path, circuit) in [("/plain", "plain"), ("/v1/models", "keyed")] {
            assert_eq!(gateway.order(circuit, "reset", "{}").status, 200);
            for _ in 0..3 {
                seen.push(ask(&gateway, path));
            }
            seen.push(gateway.circuit(circuit).to_string());
            seen.push(gateway.admin(&format!("/api/v1/circuits/{circuit}/explain")).body);
        }
    }
    seen.push(gateway.admin("/metrics").body);
    seen.push(gateway.admin("/api/v1/circuits").body);
    seen.push(gateway.get("/api/health/status").body);
    for command in [&["status"][..], &["status", "--json"], &["explain", "keyed"]] {
        let output = gateway.cli(command);
        seen.push(output.stdout + &output.stderr);
    }
    assert!(seen.iter().filter(|text| text.starts_with("503")).count() >= 8, "{seen:?}");
    let log = gateway.process.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is not what was asked for");
    seen.push(log);
    for text in &seen {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    for wrong in [
        format!("[upstreams.a]\nurl = \"http://127.0.0.1:1\"\napi_key = \"{KEY}\"\n"),
        format!("[upstreams.a]\nurl = \"http://user:{KEY}@127.0.0.1:1\"\n"),
        format!("[upstreams.a]\nurl = \"http://127.0.0.1:1\"\napi_key = {{ env = \"{KEY}\" }}\n"),
        format!("[upstreams.a]\nurl = \"http://127.0.0.1:1\"\napi_kye = \"{KEY}\"\n"),
    ] {
        gateway.rewrite(&wrong);
        let config = gateway.config.to_str().unwrap();
        for format in ["text", "json", "github", "sarif"] {
            let output = gateway.cli(&["check", "--format", format, config]);
            assert_eq!(output.code, Some(3), "{wrong}: {}", output.stderr);
            let said = output.stdout + &output.stderr;
            assert!(said.contains("panelboard.toml") && !said.contains(KEY), "{format}: {said}");
        }
    }
    // The same when it is reloaded.
    gateway.process.signal("HUP");
    eventually("the complaint", || gateway.process.log().contains("not reloaded"));
    assert!(!gateway.process.log().contains(KEY), "{}", gateway.process.log());
}
