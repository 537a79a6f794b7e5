//! Who may ask the admin API what, and how.

use std::fmt::Write as _;

use crate::support::{Gateway, raw};

const ROUTES: [&str; 9] = [
    "/healthz",
    "/readyz",
    "/api/health/status",
    "/metrics",
    "/api/v1/circuits",
    "/api/v1/circuits/api",
    "/api/v1/circuits/api/explain",
    "/api/v1/circuits/api/reset",
    "/nothing/there",
];

const JSON: (&str, &str) = ("content-type", "application/json");
const RESET: &str = "/api/v1/circuits/api/reset";

fn start() -> Gateway {
    Gateway::start(
        r#"
        [gateway.admin]
        allowed_hosts = ["panel.internal"]
        [circuit_breaker.circuits.api]
        "#,
    )
}

/// An answer as it came: its status, its head in small letters, and its body.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends a request to the admin API with these headers and no others.
pub(crate) fn ask(
    gateway: &Gateway,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    let _ = write!(request, "content-length: {}\r\n\r\n{body}", body.len());
    let answer = raw(gateway.admin_address(), request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_lowercase(), body: body.to_owned() }
}

#[test]
fn every_route_answers_only_to_hosts_it_knows() {
    let gateway = start();
    let port = gateway.admin_address().port();
    for path in ROUTES {
        // As a page whose name was made to point here would ask.
        for host in ["evil.example", "127.0.0.1.evil.example:9090", "localhost.", "0.0.0.0", ""] {
            let reply = ask(&gateway, "GET", path, &[("host", host)], "");
            assert_eq!(reply.status, 421, "{path} for {host}: {}", reply.body);
            assert!(reply.head.contains("cache-control: no-store"), "{}", reply.head);
            assert!(
                !reply.body.contains("circuit_breakers") && !reply.body.contains("panelboard_")
            );
        }
        for host in [&format!("127.0.0.1:{port}"), "localhost", "[::1]:9090", "panel.internal:80"] {
            let reply = ask(&gateway, "GET", path, &[("host", host)], "");
            assert_ne!(reply.status, 421, "{path} for {host}");
        }
    }
    let reply = ask(&gateway, "POST", RESET, &[("host", "evil.example"), JSON], "{}");
    assert_eq!(reply.status, 421);
    assert!(reply.body.contains("`evil.example`") && reply.body.contains("allowed_hosts"));
    // The host in the request line counts, as it does for every server.
    let absolute =
        ask(&gateway, "GET", "http://evil.example/metrics", &[("host", "localhost")], "");
    assert_eq!(absolute.status, 421, "{}", absolute.body);
}

#[test]
fn no_answer_may_be_kept() {
    let gateway = start();
    for path in ROUTES {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let reply = ask(&gateway, method, path, &[("host", "localhost"), JSON], "{}");
            assert!(reply.head.contains("cache-control: no-store"), "{method} {path}");
            assert!(reply.head.contains("x-content-type-options: nosniff"), "{method} {path}");
            assert!(!reply.head.contains("access-control-"), "{method} {path}: {}", reply.head);
            assert!(!reply.head.contains("server:"), "{method} {path}: {}", reply.head);
        }
    }
}

#[test]
fn a_wrong_method_is_told_the_right_one() {
    let gateway = start();
    for path in ROUTES {
        if path == "/nothing/there" {
            continue;
        }
        let (wrong, allow) = match path {
            RESET => (["GET", "PUT", "DELETE"], "allow: post"),
            _ => (["POST", "PUT", "DELETE"], "allow: get,head"),
        };
        for method in wrong {
            let reply = ask(&gateway, method, path, &[("host", "localhost"), JSON], "{}");
            assert_eq!(reply.status, 405, "{method} {path}: {}", reply.body);
            assert!(reply.head.contains(allow), "{method} {path}: {}", reply.head);
            assert!(reply.head.contains("content-type: application/problem+json"));
        }
    }
}

#[test]
fn changes_need_json() {
    let gateway = start();
    gateway.order("api", "trip", "{}");
    // What a form on any page could send without asking first.
    for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let headers = [("host", "localhost"), ("content-type", media)];
        let reply = ask(&gateway, "POST", RESET, &headers, "{}");
        assert_eq!(reply.status, 415, "{media}: {}", reply.body);
        assert!(reply.body.contains("Content-Type: application/json"), "{}", reply.body);
    }
    assert_eq!(ask(&gateway, "POST", RESET, &[("host", "localhost")], "{}").status, 415);
    assert_eq!(gateway.state("api"), "open", "and nothing was changed");
    let headers = [("host", "localhost"), ("Content-Type", "Application/JSON; charset=utf-8")];
    assert_eq!(ask(&gateway, "POST", RESET, &headers, "{}").status, 200);
    assert_eq!(gateway.state("api"), "closed");
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let gateway = start();
    gateway.order("api", "trip", "{}");
    let host = ("host", "localhost");
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let reply = ask(&gateway, "POST", RESET, &[host, JSON, header], "{}");
        assert_eq!(reply.status, 403, "{header:?}: {}", reply.body);
        assert!(reply.body.contains("another site"), "{}", reply.body);
        assert_eq!(gateway.state("api"), "open", "{header:?}");
    }
    let same = [host, JSON, ("sec-fetch-site", "same-origin"), ("origin", "http://localhost")];
    assert_eq!(ask(&gateway, "POST", RESET, &same, "{}").status, 200);
}

#[test]
fn bodies_are_bounded() {
    let gateway = start();
    gateway.order("api", "trip", "{}");
    let large = format!(r#"{{"reason":"{}"}}"#, "x".repeat(17 * 1024));
    let headers = [("host", "localhost"), JSON];
    let reply = ask(&gateway, "POST", RESET, &headers, &large);
    assert_eq!(reply.status, 413, "{}", reply.body);
    assert!(reply.body.contains("Payload Too Large"), "{}", reply.body);
    assert_eq!(gateway.state("api"), "open");
    assert_eq!(ask(&gateway, "POST", RESET, &headers, "{}").status, 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let gateway = start();
    let claim = format!(
        "POST {RESET} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: 2\r\n\r\n"
    );
    // Reading to the end shows that the connection is closed as well.
    let refused = raw(gateway.admin_address(), claim.as_bytes());
    assert!(refused.starts_with("HTTP/1.1 408"), "{refused}");
    assert!(refused.contains("cache-control: no-store"), "{refused}");
}
