//! Secrets reach the upstream they are for, and nothing else.

use std::os::unix::fs::PermissionsExt;

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

/// Of every field that holds a secret, told apart.
mod canary {
    pub(super) const API_KEY_FILE: &str = "canary-api-key-file-1f3a9c";
    pub(super) const AUTH_ENV: &str = "canary-auth-env-77b2d0";
    pub(super) const ADMIN_FILE: &str = "canary-admin-file-c41e88";
    pub(super) const ADMIN_ENV: &str = "canary-admin-env-05d6af";
    pub(super) const WRONG_TOKEN: &str = "canary-wrong-token-9e2b11";
    pub(super) const BEARER: &str = "canary-bearer-e3c7f2";
    pub(super) const BASIC: &str = "canary-basic-8ac0d4";
    pub(super) const API_KEY: &str = "canary-x-api-key-62f9b7";
    pub(super) const COOKIE: &str = "canary-cookie-d01c55";
    pub(super) const QUERY: &str = "canary-query-4b7ea6";
    pub(super) const USERINFO: &str = "canary-userinfo-f38d29";
    pub(super) const BODY: &str = "canary-body-a95c03";

    pub(super) const ALL: [&str; 12] = [
        API_KEY_FILE,
        AUTH_ENV,
        ADMIN_FILE,
        ADMIN_ENV,
        WRONG_TOKEN,
        BEARER,
        BASIC,
        API_KEY,
        COOKIE,
        QUERY,
        USERINFO,
        BODY,
    ];
}

/// Two upstreams with keys of their own, one after the other, and an admin API with tokens.
fn chained(directory: &std::path::Path, first: &Upstream, second: &Upstream) -> String {
    std::fs::write(directory.join("key"), canary::API_KEY_FILE).unwrap();
    let token = directory.join("token");
    std::fs::write(&token, canary::ADMIN_FILE).unwrap();
    std::fs::set_permissions(token, PermissionsExt::from_mode(0o600)).unwrap();
    format!(
        r#"
        [gateway.admin]
        token_file = "{directory}/token"
        [gateway.admin.tokens]
        watcher = {{ role = "viewer", secret = {{ env = "E2E_ADMIN" }} }}
        [circuit_breaker.circuits.first]
        failure_threshold = 3
        recovery_timeout = "1m"
        [upstreams.first]
        url = "{}"
        kind = "openai"
        api_key = {{ file = "{directory}/key" }}
        first_byte_timeout = "100ms"
        [upstreams.second]
        url = "{}"
        kind = "openai"
        auth = {{ header = "x-second", scheme = "Token", value = {{ env = "E2E_AUTH" }} }}
        first_byte_timeout = "100ms"
        [[routes]]
        upstreams = ["first", "second"]
        "#,
        first.url(),
        second.url(),
        directory = directory.display(),
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "one gateway from its start to its end")]
fn canaries_of_every_field_show_nowhere() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let directory = tempfile::tempdir().unwrap();
    let text = chained(directory.path(), &first, &second);
    let environment = [
        ("E2E_AUTH", canary::AUTH_ENV),
        ("E2E_ADMIN", canary::ADMIN_ENV),
        ("PANELBOARD_LOG", "trace"),
        ("RUST_LOG", "trace"),
    ];
    let gateway = Gateway::start_with("panelboard.toml", &text, &[], &environment);
    let mut seen = Vec::new();
    let head = format!(
        "host: test\r\nauthorization: Bearer {}\r\nproxy-authorization: Basic {}\r\n\
         x-api-key: {}\r\ncookie: session={}\r\ncontent-type: application/json\r\n",
        canary::BEARER,
        canary::BASIC,
        canary::API_KEY,
        canary::COOKIE
    );
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#, canary::BODY);
    let chat = |target: &str, body: &str| {
        let length = body.len();
        let target = format!("{target}?key={}", canary::QUERY);
        let sent =
            format!("POST {target} HTTP/1.1\r\n{head}content-length: {length}\r\n\r\n{body}");
        let mut client = crate::raw::Client::of(&gateway);
        client.send(sent);
        let reply = client.reply();
        // An upstream may say what it was told.
        match reply.header("x-panelboard-upstream") {
            Some(_) => reply.head,
            None => reply.head.clone() + &reply.text(),
        }
    };
    let admin = |path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let answer = gateway.admin_with(path, &[("authorization", &bearer)]);
        format!("{} {:?} {}", answer.status, answer.headers, answer.body)
    };
    let path = "/v1/chat/completions";
    seen.push(chat(path, &body));
    let received = received(&first);
    assert!(received.contains(canary::API_KEY_FILE), "{received}");
    for other in [canary::BEARER, canary::BASIC, canary::AUTH_ENV, canary::API_KEY, canary::COOKIE]
    {
        assert!(!received.contains(other), "{other} is not for the first: {received}");
    }

    // Failing over, with what is good and what is not.
    let user = format!("http://user:{}@test{path}", canary::USERINFO);
    for behaviour in
        ["status:500", "hang", "garbage", "close", "truncate", "status:429,retry-after=1"]
    {
        first.set(behaviour);
        seen.push(chat(path, &body));
        second.set(behaviour);
        for body in [&body, canary::BODY, &format!(r#"{{"model":{},"x":"{}"}}"#, 7, canary::BODY)] {
            seen.push(chat(path, body));
        }
        second.set("ok");
        seen.push(chat(&user, &body));
    }
    let stats = second.stats().to_string();
    assert!(stats.contains(canary::AUTH_ENV), "{stats}");
    let of_the_first =
        [canary::API_KEY_FILE, canary::BEARER, canary::BASIC, canary::API_KEY, canary::COOKIE];
    for other in of_the_first {
        assert!(!stats.contains(other), "{other} is not for the second: {stats}");
    }

    // Looked at by those who may and those who may not, and reloaded with and without success.
    let look = |seen: &mut Vec<String>| {
        for token in [canary::ADMIN_FILE, canary::ADMIN_ENV, canary::WRONG_TOKEN] {
            for path in [
                "/metrics",
                "/healthz",
                "/readyz",
                "/api/health/status",
                "/api/v1/circuits",
                "/api/v1/circuits/first",
                "/api/v1/circuits/second/explain",
                "/api/v1/events",
                "/api/v1/audit",
                "/api/v1/config",
                "/api/v1/openapi.json",
            ] {
                seen.push(admin(path, token));
            }
        }
    };
    look(&mut seen);
    assert!(seen.iter().any(|text| text.starts_with("200 ") && text.contains("generation")));
    for (next, said) in [
        (text.replace("100ms", "150ms"), "reloaded"),
        (text.replace("first_byte", "frist_byte"), "not reloaded"),
        (text.replace("/key\"", "/missing\""), "not reloaded"),
        (text.clone(), "reloaded"),
    ] {
        let before = gateway.process.log().matches(said).count();
        gateway.rewrite(&next);
        gateway.process.signal("HUP");
        eventually(said, || gateway.process.log().matches(said).count() > before);
        seen.push(chat(path, &body));
        let file = gateway.config.to_str().unwrap();
        for command in [
            &["check", file][..],
            &["check", "--format", "json", file],
            &["config", "show", "--effective", "--json", file],
            &["config", "show", "--origin", file],
            &["config", "diff", file, file],
        ] {
            let output = gateway.cli(command);
            seen.push(output.stdout + &output.stderr);
        }
    }
    look(&mut seen);
    seen.push(gateway.process.log());
    for text in &seen {
        for canary in canary::ALL {
            if let Some(at) = text.find(canary) {
                let from = text[..at].char_indices().rev().nth(300).map_or(0, |(at, _)| at);
                panic!("{canary} in …{}", &text[from..at + canary.len()]);
            }
        }
    }
}
