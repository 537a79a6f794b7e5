//! The audit log, the configuration, and reloads through the admin API.

use serde_json::{Value, json};

use crate::access::ask;
use crate::support::{Gateway, Upstream, eventually};

const HOST: (&str, &str) = ("host", "localhost");
const JSON: (&str, &str) = ("content-type", "application/json");

fn text(upstream: &Upstream, more: &str) -> String {
    format!(
        r#"
[gateway.admin]
audit_file = "audit.jsonl"
[circuit_breaker.circuits.api]
failure_threshold = 5
[upstreams.api]
url = "{}"
api_key = {{ env = "API_KEY" }}
[[routes]]
upstreams = ["api"]
circuit = "api"
{more}
"#,
        upstream.url()
    )
}

fn start(upstream: &Upstream) -> Gateway {
    let environment = [("API_KEY", "sk-live-0123456789"), ("CANARY", "sk-live-canary")];
    Gateway::start_with("panelboard.toml", &text(upstream, ""), &[], &environment)
}

fn entries(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.admin("/api/v1/audit").json();
    log["entries"].as_array().unwrap().clone()
}

fn post(gateway: &Gateway, path: &str, body: &str) -> (u16, Value) {
    let reply = ask(gateway, "POST", path, &[HOST, JSON], body);
    (reply.status, serde_json::from_str(&reply.body).unwrap_or_default())
}

#[test]
fn what_was_done_and_what_was_refused_is_on_record() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let body = r#"{"reason":"disk swap","for":"10m"}"#;
    gateway.order("api", "force-open", body);
    gateway.order("api", "force-closed", "{}");
    gateway.order("apy", "trip", r#"{"reason":"a slip"}"#);
    gateway.order("x%0A%1B[31m", "trip", "{}");
    let headers = [HOST, JSON, ("origin", "https://evil.example")];
    ask(&gateway, "POST", "/api/v1/circuits/api/reset", &headers, "{}");
    let put = r#"{"settings":{"min_calls":9},"reason":"quieter"}"#;
    ask(&gateway, "PUT", "/api/v1/circuits/api/settings", &[HOST, JSON], put);
    gateway.rewrite(&text(&upstream, "[circuit_breaker.circuits.more]"));
    assert_eq!(post(&gateway, "/api/v1/config/reload", r#"{"reason":"more"}"#).0, 200);
    // Looking leaves no trace.
    gateway.admin("/api/v1/circuits");

    let log = entries(&gateway);
    let show = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
        (text("author"), text("action"), text("circuit"), text("result"))
    };
    let shown: Vec<_> = log.iter().map(show).collect();
    let row = |author: &str, action: &str, circuit: &str, result: &str| {
        (author.to_owned(), action.to_owned(), circuit.to_owned(), result.to_owned())
    };
    let loopback = |action, circuit, result| row("loopback", action, circuit, result);
    assert_eq!(
        shown,
        [
            loopback("force-open", "api", "done"),
            loopback("force-closed", "api", "refused"),
            loopback("trip", "apy", "refused"),
            loopback("trip", "x\\n\\u{1b}[31m", "refused"),
            row("unknown", "POST /api/v1/circuits/api/reset", "-", "refused"),
            loopback("settings", "api", "done"),
            loopback("reload", "-", "done"),
        ]
    );
    let first = &log[0];
    assert_eq!((&first["peer"], &first["reason"]), (&json!("127.0.0.1"), &json!("disk swap")));
    assert_eq!(first["before"], json!({ "state": "closed", "mode": "auto" }));
    assert_eq!(first["after"], json!({ "state": "closed", "mode": "forced_open" }));
    assert!(log[1]["detail"].as_str().unwrap().contains("needs a `reason`"), "{}", log[1]);
    assert!(log[4]["detail"].as_str().unwrap().contains("another site"), "{}", log[4]);
    assert_eq!(
        (&log[5]["after"], &log[5]["reason"]),
        (&json!({ "min_calls": 9 }), &json!("quieter"))
    );
    assert_eq!(log[6]["after"], json!(["circuit more added"]));
    let page = gateway.admin("/api/v1/audit?after=5&limit=1").json();
    assert_eq!((page["entries"].as_array().unwrap().len(), &page["last"]), (1, &json!(7)));
    assert_eq!(page["entries"][0]["sequence"], 6);

    let file = gateway.config.with_file_name("audit.jsonl");
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("seven lines", || read().lines().count() == 7);
    let lines: Vec<Value> = read().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines, log);
}

#[test]
fn reloads_that_nobody_asked_for_are_on_record_too() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    gateway.process.signal("HUP");
    eventually("a reload", || entries(&gateway).len() == 1);
    gateway.rewrite(&text(&upstream, "nonsense = 1"));
    eventually("another", || entries(&gateway).len() == 2);
    let log = entries(&gateway);
    assert_eq!((&log[0]["author"], &log[0]["result"]), (&json!("SIGHUP"), &json!("done")));
    assert_eq!((&log[1]["author"], &log[1]["result"]), (&json!("file"), &json!("failed")));
}

#[test]
fn a_reload_answers_with_what_it_changes_or_why_not() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let reload = || post(&gateway, "/api/v1/config/reload", "{}");
    assert_eq!(reload(), (200, json!({ "changes": [] })));
    gateway.rewrite(&text(&upstream, "[circuit_breaker.circuits.b]\ntimout = 3"));
    let (status, problem) = reload();
    assert_eq!(status, 422, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("running configuration is kept"));
    assert_eq!(problem["diagnostics"][0]["help"], "did you mean `timeout`?");
    let output = gateway.cli(&["config", "reload"]);
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    gateway.rewrite("[circuit_breaker.circuits.api]\n");
    let (status, problem) = reload();
    assert!(problem["detail"].as_str().unwrap().contains("no route in it"), "{status} {problem}");
    gateway.rewrite(&text(&upstream, "[circuit_breaker.circuits.b]"));
    let output = gateway.cli(&["config", "reload", "--reason", "b", "--json"]);
    let answer: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(answer, json!({ "changes": ["circuit b added"], "version": 1 }));
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let answer = gateway.admin("/api/v1/config");
    let config = answer.json();
    assert!(config["path"].as_str().unwrap().ends_with("panelboard.toml"));
    let value = |path: &str| {
        let values = config["values"].as_array().unwrap();
        values.iter().find(|value| value["path"] == path).unwrap_or(&Value::Null).clone()
    };
    assert!(value("upstreams.api.api_key").to_string().contains("API_KEY"), "{config}");
    let threshold = value("circuits.api.failure_threshold");
    assert_eq!(threshold["value"], 5, "{threshold}");
    assert!(threshold["origin"].as_str().unwrap().contains("panelboard.toml:5"), "{threshold}");
    assert_eq!(value("circuits.api.min_calls")["origin"], "default");
    let headers = [HOST, JSON];
    let put = r#"{"settings":{"min_calls":9}}"#;
    ask(&gateway, "PUT", "/api/v1/circuits/api/settings", &headers, put);
    let config = gateway.admin("/api/v1/config").json();
    let told = config["values"].as_array().unwrap();
    let told = told.iter().find(|value| value["path"] == "circuits.api.min_calls").unwrap();
    assert_eq!((&told["value"], &told["origin"]), (&json!(9), &json!("admin")));
    assert!(!answer.body.contains("sk-live"), "{}", answer.body);
}

/// Nothing of the gateway's is looked at: its files, variables and secrets are not the asker's.
#[test]
fn checking_a_text_reads_nothing_but_the_text() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "sk-live-file").unwrap();
    let check = |text: &str, format: &str| {
        let body = json!({ "text": text, "format": format }).to_string();
        let (status, found) = post(&gateway, "/api/v1/config/check", &body);
        assert_eq!(status, 200, "{found}");
        found
    };
    let found = check(&text(&upstream, "[circuit_breaker.circuits.b]"), "toml");
    assert_eq!((&found["valid"], &found["changes"][0]), (&json!(true), &json!("circuit b added")));
    // Neither whether they are there, nor what is in them.
    let secrets = |file: &str, variable: &str| {
        let upstream = upstream.url();
        check(
            &format!(
                "[upstreams.a]\nurl = \"{upstream}\"\napi_key = {{ file = {file:?} }}\n\
                 [upstreams.b]\nurl = \"{upstream}\"\napi_key = {{ env = \"{variable}\" }}\n\
                 [gateway.admin]\ntoken_file = {file:?}\naudit_file = {file:?}\n"
            ),
            "toml",
        )
    };
    let mut there = secrets(secret.to_str().unwrap(), "CANARY");
    let none = directory.path().join("there-is-none");
    let mut not_there = secrets(none.to_str().unwrap(), "NOT_SET");
    for found in [&mut there, &mut not_there] {
        assert_eq!(found["valid"], true, "{found}");
        assert!(!found.to_string().contains("sk-live"), "{found}");
        found["changes"].take();
    }
    assert_eq!(there, not_there);
    assert!(!none.exists(), "no file was made");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "sk-live-file");
    // Nobody was asked: the upstream of the text heard nothing.
    let before = upstream.requests();
    let url = format!("{}/latest/meta-data", upstream.url());
    check(&format!("[upstreams.a]\nurl = \"{url}\"\n[[routes]]\nupstream = \"a\"\n"), "toml");
    assert_eq!(upstream.requests(), before);

    let found = check(r#"{ "circuit_breaker": { "circuits": { "a": { "timout": 3 } } } }"#, "json");
    assert_eq!(found["valid"], false);
    let first = &found["diagnostics"][0];
    assert_eq!((&first["code"], &first["location"]["line"]), (&json!("PB0101"), &json!(1)));
    assert!(found.get("changes").is_none(), "{found}");
    let literal = check("[upstreams.a]\nurl = \"http://a\"\napi_key = \"sk-live-mine\"\n", "toml");
    assert!(!literal.to_string().contains("sk-live"), "{literal}");
    let (status, problem) =
        post(&gateway, "/api/v1/config/check", r#"{"text":"","format":"yaml"}"#);
    assert_eq!(status, 422, "{problem}");
    let large = json!({ "text": "#".repeat(2 << 20) }).to_string();
    assert_eq!(post(&gateway, "/api/v1/config/check", &large).0, 413);
    let some = json!({ "text": "#".repeat(500_000) }).to_string();
    assert_eq!(post(&gateway, "/api/v1/config/check", &some).0, 200);
    assert!(entries(&gateway).is_empty(), "nothing was changed");
}
