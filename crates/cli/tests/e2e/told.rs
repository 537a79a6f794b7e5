//! Settings at run time.

use serde_json::{Value, json};

use crate::access::{Reply, ask};
use crate::support::{Gateway, Upstream, eventually};

const HOST: (&str, &str) = ("host", "localhost");
const JSON: (&str, &str) = ("content-type", "application/json");

fn text(upstream: &Upstream, threshold: u32) -> String {
    format!(
        r#"
[circuit_breaker.circuits.api]
failure_threshold = {threshold}
failure_rate = "off"
recovery_timeout = "1m"
jitter = "none"
[circuit_breaker.circuits.llm]
key = ["model"]
[upstreams.api]
url = "{url}"
[upstreams.llm]
url = "{url}"
kind = "openai"
[[routes]]
path = "/v1"
upstream = "llm"
circuit = "llm"
[[routes]]
upstreams = ["api"]
circuit = "api"
"#,
        url = upstream.url()
    )
}

fn path(circuit: &str) -> String {
    format!("/api/v1/circuits/{circuit}/settings")
}

fn put(gateway: &Gateway, circuit: &str, settings: &Value, more: &[(&str, &str)]) -> Reply {
    let body = json!({ "settings": settings, "reason": "rehearsal" }).to_string();
    ask(gateway, "PUT", &path(circuit), &[&[HOST, JSON], more].concat(), &body)
}

fn json(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.body))
}

fn tag(reply: &Reply) -> String {
    let line = reply.head.lines().find_map(|line| line.strip_prefix("etag: "));
    line.unwrap_or_else(|| panic!("no ETag: {}", reply.head)).to_owned()
}

fn get(gateway: &Gateway, circuit: &str) -> Reply {
    ask(gateway, "GET", &path(circuit), &[HOST], "")
}

fn reload(gateway: &Gateway, text: &str) {
    gateway.rewrite(text);
    let output = gateway.cli(&["config", "reload"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
}

#[test]
fn what_a_circuit_is_told_takes_effect_and_shows_where_it_comes_from() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&text(&upstream, 50));
    upstream.set("status:500");
    for _ in 0..3 {
        assert_eq!(gateway.get("/").status, 500);
    }
    assert_eq!(gateway.state("api"), "closed");
    let before = gateway.circuit("api");

    let told = put(&gateway, "api", &json!({ "failure_threshold": 4, "window": "30s" }), &[]);
    assert_eq!(told.status, 200, "{}", told.body);
    let view = json(&told);
    let admin = |value: &str| json!({ "value": value, "origin": "admin" });
    assert_eq!(view["settings"]["failure_threshold"], admin("4"));
    assert_eq!(view["settings"]["window"], admin("30s"));
    assert_eq!(view["told"], json!({ "failure_threshold": 4, "window": "30s" }));
    assert!(view["settings"]["jitter"]["origin"].as_str().unwrap().contains("panelboard.toml"));
    let api = gateway.circuit("api");
    assert_eq!(api["settings"]["failure_threshold"], admin("4"));
    // Nothing was forgotten: the fourth in a row is the one.
    assert_eq!(before["generation"], api["generation"]);
    assert_eq!(gateway.get("/").status, 500);
    assert_eq!(gateway.state("api"), "open");

    // What is told takes the place of what was told; nothing takes it back.
    let view = json(&put(&gateway, "api", &json!({ "min_calls": 20 }), &[]));
    assert_eq!(view["settings"]["failure_threshold"]["value"], "50");
    assert_eq!(view["settings"]["min_calls"], admin("20"));
    let view = json(&put(&gateway, "api", &json!({}), &[]));
    assert_eq!(
        (&view["told"], &view["settings"]["min_calls"]["origin"]),
        (&json!({}), &json!("default"))
    );

    // A family is told for all its members.
    let chat = r#"{"model":"tiny","messages":[]}"#;
    gateway.post("/v1/chat/completions", chat);
    assert_eq!(put(&gateway, "llm", &json!({ "failure_threshold": 2 }), &[]).status, 200);
    assert_eq!(gateway.circuit("llm/tiny")["thresholds"]["failure_threshold"], 2);
    let member = put(&gateway, "llm%2Ftiny", &json!({ "failure_threshold": 3 }), &[]);
    assert_eq!(member.status, 409, "{}", member.body);
    assert!(member.body.contains("change those of `llm`"), "{}", member.body);
}

#[test]
fn settings_are_checked_as_those_of_a_file() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&text(&upstream, 5));
    for (settings, code, named) in [
        (json!({ "failure_treshold": 3 }), "PB0101", "did you mean `failure_threshold`?"),
        (json!({ "failure_threshold": 0 }), "PB0202", "`circuits.api.failure_threshold` is 0"),
        (json!({ "window": "soon" }), "", "`circuits.api.window` is \"soon\""),
        (json!({ "timeout": true }), "PB0201", "`circuits.api.timeout` is true"),
        (json!({ "mode": "forced_open" }), "PB0430", "order it"),
        (json!({ "extends": "llm" }), "PB0430", "change the file"),
        (json!({ "url": "http://169.254.169.254/" }), "PB0101", "unknown key `url`"),
        (json!({ "success_threshold": 3, "probe_calls": 2 }), "", "probe_calls"),
    ] {
        let reply = put(&gateway, "api", &settings, &[]);
        assert_eq!(reply.status, 422, "{settings}: {}", reply.body);
        let problem = json(&reply);
        let first = &problem["diagnostics"][0];
        assert!(code.is_empty() || first["code"] == code, "{settings}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(named), "{settings}: {problem}");
        assert_eq!(first["location"]["medium"], "request", "{problem}");
    }
    for (body, status, named) in [
        ("{}", 422, "missing field `settings`"),
        (r#"{"settings":[]}"#, 422, "settings"),
        (r#"{"settings":{},"reason":"a\nb"}"#, 400, "control characters"),
        (r#"{"settings":{},"for":"1h"}"#, 422, "unknown field `for`"),
    ] {
        let reply = ask(&gateway, "PUT", &path("api"), &[HOST, JSON], body);
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
        assert!(reply.body.contains(named), "{body}: {}", reply.body);
    }
    assert_eq!(put(&gateway, "apy", &json!({}), &[]).status, 404);
    assert_eq!(json(&get(&gateway, "api"))["told"], json!({}), "nothing has changed");
}

#[test]
fn of_two_who_change_the_same_one_is_told() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&text(&upstream, 5));
    let seen = tag(&get(&gateway, "api"));
    let mine = put(&gateway, "api", &json!({ "min_calls": 7 }), &[("if-match", &seen)]);
    assert_eq!(mine.status, 200, "{}", mine.body);
    let yours = put(&gateway, "api", &json!({ "min_calls": 8 }), &[("if-match", &seen)]);
    assert_eq!(yours.status, 412, "{}", yours.body);
    assert!(yours.body.contains("others by now"), "{}", yours.body);
    assert_eq!(gateway.circuit("api")["settings"]["min_calls"]["value"], "7");
    assert_eq!(tag(&mine), tag(&get(&gateway, "api")), "the answer has the next one");
    let again = put(&gateway, "api", &json!({ "min_calls": 8 }), &[("if-match", &tag(&mine))]);
    assert_eq!(again.status, 200, "{}", again.body);
    for any in ["*", "\"other\", *"] {
        assert_eq!(put(&gateway, "api", &json!({}), &[("if-match", any)]).status, 200, "{any}");
    }
    // A reload is somebody, too.
    let seen = tag(&get(&gateway, "api"));
    reload(&gateway, &text(&upstream, 6));
    assert_eq!(put(&gateway, "api", &json!({}), &[("if-match", &seen)]).status, 412);
}

#[test]
fn a_reload_keeps_what_was_told_unless_the_file_says_otherwise() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&text(&upstream, 5));
    assert_eq!(put(&gateway, "api", &json!({ "failure_threshold": 9 }), &[]).status, 200);
    let threshold = || gateway.circuit("api")["settings"]["failure_threshold"].clone();
    let other = format!("{}\n[circuit_breaker.circuits.other]\n", text(&upstream, 5));
    reload(&gateway, &other);
    assert_eq!(threshold(), json!({ "value": "9", "origin": "admin" }));
    assert_eq!(gateway.circuit("other")["state"], "closed", "the rest of it is in force");
    let config = gateway.admin("/api/v1/config").json();
    assert_eq!(config["told"], json!({ "api": { "failure_threshold": 9 } }));

    reload(&gateway, &text(&upstream, 6));
    assert_eq!(threshold()["value"], "6", "the file has the last word");
    assert_eq!(gateway.admin("/api/v1/config").json()["told"], json!({}));
    eventually("a word about it", || {
        gateway.process.log().contains("`api` is what the file says again")
    });
}
