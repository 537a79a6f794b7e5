//! Every route of the admin API against everything that should not get in. The routes are those of
//! the document that the gateway serves, so none can be forgotten.

use serde_json::Value;

use crate::access::{Reply, ask};
use crate::support::Gateway;

const OPERATOR: &str = "operator-token-0123456789";
const VIEWER: &str = "viewer-token-0123456789";
const JSON: (&str, &str) = ("content-type", "application/json");
const HOST: (&str, &str) = ("host", "localhost");

/// One operation of the document, on a circuit that is there.
struct Operation {
    method: String,
    path: String,
    /// The role that it takes; empty for everybody.
    role: String,
}

impl Operation {
    fn changes(&self) -> bool {
        self.role == "operator"
    }

    fn has_body(&self) -> bool {
        self.method != "GET"
    }

    /// What a client would send that may.
    fn body(&self) -> &'static str {
        match self.path.as_str() {
            path if path.ends_with("/settings") => r#"{"settings":{"failure_threshold":9}}"#,
            path if path.ends_with("/check") => r#"{"text":""}"#,
            _ => "{}",
        }
    }

    fn send(&self, gateway: &Gateway, headers: &[(&str, &str)]) -> Reply {
        let body = if self.has_body() { self.body() } else { "" };
        ask(gateway, &self.method, &self.path, headers, body)
    }
}

fn with_tokens() -> Gateway {
    let text = r#"
        [gateway.admin]
        allowed_hosts = ["panel.internal"]
        [gateway.admin.tokens]
        ops = { role = "operator", secret = { env = "OPS" } }
        grafana = { secret = { env = "GRAFANA" } }
        [circuit_breaker.circuits.api]
        "#;
    Gateway::start_with("panelboard.toml", text, &[], &[("OPS", OPERATOR), ("GRAFANA", VIEWER)])
}

fn without_tokens() -> Gateway {
    Gateway::start("[circuit_breaker.circuits.api]")
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Everything that the document describes.
fn operations(gateway: &Gateway) -> Vec<Operation> {
    let token = bearer(OPERATOR);
    let reply = ask(gateway, "GET", "/api/v1/openapi.json", &[HOST, ("authorization", &token)], "");
    let document: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let role = operation["security"][0]["token"][0].as_str().unwrap_or_default();
            for order in ["reset", "force-open", "probe"] {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.replace("{name}", "api").replace("{order}", order),
                    role: role.to_owned(),
                });
                if !path.contains("{order}") {
                    break;
                }
            }
        }
    }
    assert!(operations.len() >= 19, "{}", operations.len());
    assert_eq!(operations.iter().filter(|operation| operation.changes()).count(), 5);
    let open: Vec<&str> = operations
        .iter()
        .filter(|operation| operation.role.is_empty())
        .map(|operation| operation.path.as_str())
        .collect();
    assert_eq!(open, ["/healthz", "/readyz"], "for everybody");
    operations
}

/// Nothing has been changed, and nothing of it was shown.
fn refused(operation: &Operation, reply: &Reply, status: u16, named: &str) {
    let what = format!("{} {}: {}", operation.method, operation.path, reply.body);
    assert_eq!(reply.status, status, "{what}");
    sealed(operation, reply);
    assert!(reply.head.contains("content-type: application/problem+json"), "{what}");
    let problem: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(problem["status"], status, "{what}");
    assert!(problem["type"].as_str().unwrap().starts_with("urn:panelboard:problem:"), "{what}");
    assert!(problem["detail"].as_str().unwrap().contains(named), "{named}: {what}");
    for secret in [OPERATOR, VIEWER, "guess"] {
        assert!(!reply.body.contains(secret), "{what}");
    }
}

fn sealed(operation: &Operation, reply: &Reply) {
    for seal in [
        "cache-control: no-store",
        "content-security-policy: default-src 'none'",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
    ] {
        assert!(reply.head.contains(seal), "{seal}: {}: {}", operation.path, reply.head);
    }
    assert!(!reply.head.contains("access-control-"), "{}: {}", operation.path, reply.head);
}

/// Nobody has got in: the circuit is as it was.
fn untouched(gateway: &Gateway) {
    let token = bearer(OPERATOR);
    let headers = [HOST, ("authorization", token.as_str())];
    let get = |path: &str| -> Value {
        serde_json::from_str(&ask(gateway, "GET", path, &headers, "").body).unwrap()
    };
    let api = get("/api/v1/circuits/api");
    assert_eq!((&api["generation"], &api["mode"]), (&1.into(), &"auto".into()), "{api}");
    assert_eq!(get("/api/v1/circuits/api/settings")["told"], serde_json::json!({}));
    let audit = get("/api/v1/audit");
    for entry in audit["entries"].as_array().unwrap() {
        assert_eq!(entry["result"], "refused", "{entry}");
    }
}

#[test]
fn without_a_token_browsers_of_other_sites_get_nowhere() {
    let gateway = without_tokens();
    for operation in operations(&gateway) {
        let send = |headers: &[(&str, &str)]| operation.send(&gateway, headers);
        let body = if operation.has_body() { JSON } else { ("accept", "*/*") };
        for host in ["evil.example", "localhost.evil.example:9090", "0.0.0.0", ""] {
            refused(&operation, &send(&[("host", host), body]), 421, "is not served here");
        }
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "nonsense"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            refused(&operation, &send(&[HOST, body, (name, value)]), 403, "another site");
        }
        if operation.has_body() {
            let navigation = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
            let headers = [&[HOST, JSON][..], &navigation].concat();
            refused(&operation, &send(&headers), 403, "another site");
            for media in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]
            {
                let form = ("content-type", media);
                refused(&operation, &send(&[HOST, form]), 415, "application/json");
            }
            refused(&operation, &send(&[HOST]), 415, "application/json");
        }
    }
    untouched(&gateway);
}

#[test]
fn with_tokens_nobody_gets_in_without_one() {
    let gateway = with_tokens();
    let (operator, viewer) = (bearer(OPERATOR), bearer(VIEWER));
    let operator = ("authorization", operator.as_str());
    let viewer = ("authorization", viewer.as_str());
    for operation in operations(&gateway) {
        let send = |headers: &[(&str, &str)]| operation.send(&gateway, headers);
        let body = if operation.has_body() { JSON } else { ("accept", "*/*") };
        // A good token does not make another host or site good.
        let reply = send(&[("host", "evil.example"), body, operator]);
        refused(&operation, &reply, 421, "is not served here");
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")]
        {
            let reply = send(&[HOST, body, operator, (name, value)]);
            refused(&operation, &reply, 403, "another site");
        }
        if operation.has_body() {
            let form = ("content-type", "application/x-www-form-urlencoded");
            refused(&operation, &send(&[HOST, form, operator]), 415, "application/json");
        }
        if operation.role.is_empty() {
            let reply = send(&[HOST]);
            assert_eq!(reply.status, 200, "{}", reply.body);
            sealed(&operation, &reply);
            continue;
        }
        for none in [
            &[][..],
            &[("authorization", "Basic b3BzOm9wcw==")],
            &[("authorization", OPERATOR)],
            &[("authorization", ""), operator],
            &[("cookie", OPERATOR)],
        ] {
            let reply = send(&[&[HOST, body], none].concat());
            refused(&operation, &reply, 401, "takes a token");
            assert!(reply.head.contains("www-authenticate: bearer"), "{}", reply.head);
        }
        if operation.changes() {
            refused(&operation, &send(&[HOST, body, viewer]), 403, "the role operator");
        } else if !operation.path.ends_with("/stream") {
            for token in [viewer, operator] {
                let reply = send(&[HOST, body, token]);
                assert_eq!(reply.status, 200, "{}: {}", operation.path, reply.body);
                sealed(&operation, &reply);
            }
        }
    }
    untouched(&gateway);
}

/// Whoever guesses has to wait before the next guess is looked at, wherever it is tried.
#[test]
fn guesses_are_slowed_down() {
    let gateway = with_tokens();
    let operations = operations(&gateway);
    let mut statuses = Vec::new();
    for (n, operation) in operations.iter().filter(|o| !o.role.is_empty()).enumerate() {
        let guess = bearer(&format!("guess-{n}-0123456789"));
        let headers = [HOST, JSON, ("authorization", guess.as_str())];
        let reply = operation.send(&gateway, &headers);
        match reply.status {
            401 => refused(operation, &reply, 401, "Nobody has this token"),
            _ => {
                refused(operation, &reply, 429, "Too many wrong tokens");
                assert!(reply.head.contains("retry-after: "), "{}", reply.head);
            }
        }
        statuses.push(reply.status);
    }
    assert!(statuses[..10].iter().all(|status| *status == 401), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    // Those who guess nothing are not kept waiting.
    assert_eq!(ask(&gateway, "GET", "/metrics", &[HOST], "").status, 401);
    assert_eq!(ask(&gateway, "GET", "/healthz", &[HOST], "").status, 200);
    let log = gateway.process.log();
    assert!(!log.contains("guess-") && !log.contains(OPERATOR), "{log}");
    // Waiting helps.
    crate::support::eventually("a place for a good token", || {
        let token = bearer(OPERATOR);
        ask(&gateway, "GET", "/metrics", &[HOST, ("authorization", &token)], "").status == 200
    });
    let token = bearer(VIEWER);
    let audit = ask(&gateway, "GET", "/api/v1/audit", &[HOST, ("authorization", &token)], "").body;
    assert!(audit.contains("Nobody has this token") && !audit.contains("guess-"), "{audit}");
    assert!(audit.contains(r#""author":"unknown""#), "{audit}");
}

/// Names in a query that mean nothing are slips, and say what would mean something.
#[test]
fn what_a_query_cannot_say_is_named() {
    let gateway = without_tokens();
    for operation in operations(&gateway) {
        let path = format!("{}?nonsense=1", operation.path);
        let odd = Operation { path, ..operation };
        let reply = odd.send(&gateway, &[HOST, JSON]);
        if odd.path.starts_with("/api/") {
            refused(&odd, &reply, 400, "`nonsense`");
        } else {
            assert_eq!(reply.status, 200, "{}", reply.body);
        }
    }
    untouched(&gateway);
}
