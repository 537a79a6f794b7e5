//! Headers on their way through: what goes on, what stays here, and what nobody else may know.

use std::fmt::Write as _;

use serde_json::Value;

use crate::raw::{Client, Reply, get, request};
use crate::support::{Gateway, Upstream};

fn gateway_with(gateway_keys: &str, a: &Upstream, b: &Upstream) -> Gateway {
    Gateway::start_with(
        "panelboard.toml",
        &format!(
            r#"
            [gateway]
            {gateway_keys}
            [upstreams.a]
            url = "{a}"
            [upstreams.b]
            url = "{b}"
            [upstreams.keyed]
            url = "{a}"
            api_key = {{ env = "E2E_KEY" }}
            [upstreams.named]
            url = "{b}/base"
            auth = {{ header = "x-token", value = {{ env = "E2E_TOKEN" }} }}
            [[routes]]
            path = "/keyed"
            upstreams = ["keyed", "named"]
            [[routes]]
            upstreams = ["a", "b"]
            "#,
            a = a.url(),
            b = b.url()
        ),
        &[],
        &[("E2E_KEY", "sk-of-the-first"), ("E2E_TOKEN", "token-of-the-second")],
    )
}

fn gateway(a: &Upstream, b: &Upstream) -> Gateway {
    gateway_with("", a, b)
}

/// What the upstream reports to have got.
fn sent(gateway: &Gateway, path: &str, headers: &str) -> Report {
    let reply = Client::of(gateway).ask(request("GET", path, headers, ""));
    assert_eq!(reply.status, 200, "{}", reply.text());
    Report(reply.json())
}

/// What the upstream got last, whatever it answered.
fn last(upstream: &Upstream) -> Report {
    Report(upstream.stats()["last_requests"].as_array().unwrap().last().unwrap().clone())
}

struct Report(Value);

impl Report {
    fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().unwrap().iter();
        headers.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
    }

    fn assert_without(&self, names: &[&str]) {
        for name in names {
            assert!(self.all(name).is_empty(), "{name}: {}", self.0);
        }
    }
}

#[test]
fn what_is_meant_for_this_hop_stays_here() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a, &b);
    let report = sent(
        &gateway,
        "/",
        "connection: keep-alive, X-Private, authorization, host\r\nconnection: x-other\r\n\
         x-private: 1\r\nx-other: 2\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n\
         proxy-authorization: Basic eA==\r\nte: trailers\r\nupgrade: h3\r\nexpect: nothing\r\n\
         authorization: Bearer client\r\naccept: */*\r\n",
    );
    report.assert_without(&[
        "x-private",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "expect",
    ]);
    // This is ours, to the next hop: trailers are taken here, too.
    assert_eq!((report.all("connection"), report.all("te")), (vec!["te"], vec!["trailers"]));
    assert_eq!(report.all("authorization"), ["Bearer client"], "naming it does not take it away");
    assert_eq!(report.all("accept"), ["*/*"]);
    assert_eq!(report.all("host"), [a.address().to_string()]);
}

#[test]
fn who_asks_is_said_by_us_and_not_by_the_client() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a, &b);
    let report = sent(
        &gateway,
        "/",
        "x-forwarded-for: 10.1.1.1, 10.2.2.2\r\nx-forwarded-host: evil\r\nx-forwarded-proto: https\r\n\
         forwarded: for=10.1.1.1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
    );
    assert_eq!(report.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(report.all("x-forwarded-host"), ["test"]);
    assert_eq!(report.all("x-forwarded-proto"), ["http"]);
    report.assert_without(&["forwarded"]);
    assert_eq!(report.all("traceparent").len(), 1, "passed on");
}

#[test]
fn a_failure_is_remembered_with_its_trace() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a, &b);
    a.set("status:500");
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    Client::of(&gateway).ask(request("GET", "/", trace, ""));
    let errors = &gateway.circuit("a")["last_errors"];
    assert_eq!(errors[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(errors[0]["status"], 500);
}

#[test]
fn the_target_is_passed_on_as_it_was_written() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a, &b);
    for target in
        ["/a%2Fb/%C3%A4?x=%20&y=[1]&z", "/?", "//double//", "/a/../b", "/;p=1?q=http://x/"]
    {
        assert_eq!(sent(&gateway, target, "").0["target"], target);
    }
    let absolute = format!("GET http://other.test{} HTTP/1.1\r\nhost: other.test\r\n\r\n", "/x?y");
    let reply = Client::of(&gateway).ask(absolute);
    assert_eq!(reply.json()["target"], "/x?y");
}

#[test]
fn credentials_of_the_client_go_to_the_first_upstream_only() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a, &b);
    let credentials = ["authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"];
    let mut headers = String::from("x-harmless: 1\r\n");
    for name in credentials {
        write!(headers, "{name}: mine\r\n").unwrap();
    }
    let report = sent(&gateway, "/", &headers);
    for name in credentials {
        assert_eq!(report.all(name), ["mine"], "{name}");
    }
    for behaviour in ["status:500", "close"] {
        a.set(behaviour);
        sent(&gateway, "/", &headers).assert_without(&credentials);
        assert_eq!(last(&b).all("x-harmless"), ["1"]);
    }
    // Nor is it otherwise when the first is not even asked.
    gateway.order("a", "trip", "{}");
    let asked = a.requests();
    sent(&gateway, "/", &headers).assert_without(&credentials);
    assert_eq!(a.requests(), asked);
}

#[test]
fn each_upstream_gets_its_own_credential_and_no_other() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a, &b);
    let mine =
        "authorization: Bearer mine\r\nx-api-key: mine\r\nx-token: mine\r\ncookie: c=mine\r\n";
    a.set("status:500");
    let report = sent(&gateway, "/keyed", mine);
    assert_eq!(report.all("x-token"), ["token-of-the-second"]);
    report.assert_without(&["authorization", "x-api-key", "cookie"]);
    assert_eq!(report.0["target"], "/base/keyed");
    let first = last(&a);
    assert_eq!(first.all("authorization"), ["Bearer sk-of-the-first"]);
    first.assert_without(&["x-api-key", "cookie"]);
    // And nobody can read them here.
    let mut told = gateway.process.log();
    for path in ["/metrics", "/api/v1/circuits", "/api/v1/config", "/api/v1/circuits/keyed"] {
        told.push_str(&gateway.admin(path).body);
    }
    for secret in ["sk-of-the-first", "token-of-the-second", "mine"] {
        assert!(!told.contains(secret), "{secret}");
    }
}

#[test]
fn headers_of_the_answer_pass_but_for_those_of_the_hop_and_ours() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a, &b);
    a.set(
        r#"ok,header="set-cookie: a=1",header="set-cookie: b=2",header="x-hop: 1",header="connection: x-hop",header="keep-alive: timeout=9",header="x-panelboard-fallback: fake",header="x-panelboard-circuit: fake",header="server: scripted""#,
    );
    let reply = Client::of(&gateway).ask(get("/"));
    assert_eq!(reply.head.matches("set-cookie: ").count(), 2);
    assert_eq!(reply.header("server"), Some("scripted"));
    for name in ["x-hop", "keep-alive", "connection", "x-panelboard-fallback"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.head.matches("x-panelboard-circuit: ").count(), 1);
    assert_eq!(reply.header("x-panelboard-circuit"), Some("a"));
}

#[test]
fn our_own_headers_can_be_switched_off() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway_with("response_headers = false", &a, &b);
    let ours = |reply: &Reply| reply.head.matches("x-panelboard-").count();
    assert_eq!(ours(&Client::of(&gateway).ask(get("/"))), 0);
    a.set("close");
    b.set("close");
    let reply = Client::of(&gateway).ask(get("/"));
    assert_eq!(reply.status, 503);
    // What is not the upstream's stays marked, in header and body.
    assert_eq!((ours(&reply), reply.header("x-panelboard-fallback")), (1, Some("default")));
    assert_eq!(reply.json()["fallback_used"], true);
}
