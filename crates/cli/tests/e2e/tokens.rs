//! Tokens of the admin API: where they come from, and who they let do what.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;

use crate::support::{BINARY, Gateway, Process, eventually, run};

const OPERATOR: &str = "operator-token-0123456789";
const VIEWER: &str = "viewer-token-0123456789";

fn gateway(more: &str) -> Gateway {
    let text = format!(
        r#"
        [gateway.admin]
        {more}
        [gateway.admin.tokens]
        ops = {{ role = "operator", secret = {{ env = "OPS" }} }}
        grafana = {{ secret = {{ env = "GRAFANA" }} }}
        [circuit_breaker.circuits.api]
        failure_threshold = 5
        "#
    );
    Gateway::start_with("panelboard.toml", &text, &[], &[("OPS", OPERATOR), ("GRAFANA", VIEWER)])
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Runs the command line with a token in the environment.
fn cli(gateway: &Gateway, token: &str, arguments: &[&str]) -> crate::support::Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env("PANELBOARD_ADMIN", gateway.admin_url());
    run(command.env("PANELBOARD_ADMIN_TOKEN", token))
}

#[test]
fn the_command_line_shows_its_token() {
    let gateway = gateway("");
    let nobody = gateway.cli(&["status"]);
    assert_eq!(nobody.code, Some(5), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("takes a token") && nobody.stderr.contains("--token-file"));
    let status = cli(&gateway, VIEWER, &["status", "--json"]);
    assert_eq!(status.code, Some(0), "{}", status.stderr);
    let refused = cli(&gateway, VIEWER, &["open", "api", "--reason", "x"]);
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("the role operator") && refused.stderr.contains("`grafana`"));
    let done = cli(&gateway, OPERATOR, &["open", "api", "--reason", "disk swap"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("by ops") || done.stdout.contains("ops"), "{}", done.stdout);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{OPERATOR}\n")).unwrap();
    let path = file.to_str().unwrap();
    let output = gateway.cli(&["auto", "api", "--token-file", path]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let none = gateway.cli(&["status", "--token-file", "/no/such/file"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    assert!(none.stderr.contains("/no/such/file"), "{}", none.stderr);
    for output in [nobody, status, refused, done] {
        assert!(
            !output.stderr.contains("token-0123456789") && !output.stdout.contains("0123456789")
        );
    }
}

#[test]
fn a_token_file_is_made_and_then_kept() {
    let text = "[gateway.admin]\ntoken_file = \"admin.token\"\n[circuit_breaker.circuits.api]\n";
    let gateway = Gateway::start(text);
    let file = gateway.config.with_file_name("admin.token");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    assert_eq!(gateway.admin("/metrics").status, 401);
    let path = file.to_str().unwrap();
    let output = gateway.cli(&["reset", "api", "--token-file", path]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(!gateway.process.log().contains(token.trim()));

    // The next process knows the same.
    let serve = |config: &std::path::Path| {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(config);
        command.args(["--set", "gateway.listen=127.0.0.1:0", "--set", "gateway.admin=127.0.0.1:0"]);
        command
    };
    drop(Process::start(&mut serve(&gateway.config), 2));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), token);
    // Others may have read it.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = run(&mut serve(&gateway.config));
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("mode 644") && refused.stderr.contains("chmod 600"));
    assert!(!refused.stderr.contains(token.trim()));
}

#[test]
fn beyond_loopback_there_is_a_token_or_no_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("panelboard.toml");
    let serve = |text: &str| {
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(&config);
        command.args(["--set", "gateway.listen=127.0.0.1:0"]);
        command
    };
    let refused = run(&mut serve("[gateway]\nadmin = \"0.0.0.0:0\"\n"));
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("PB0402") && refused.stderr.contains("`token_file`"));

    let public = "[gateway.admin]\nlisten = \"0.0.0.0:0\"\ntoken_file = \"token\"\n";
    let process = Process::start(&mut serve(public), 2);
    // A reload cannot open it to everybody: the listener is still where it was.
    std::fs::write(&config, "[gateway.admin]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    process.signal("HUP");
    eventually("a refusal", || process.log().contains("without `token_file` or `tokens`"));
    let address = process.addresses[1];
    let answer = crate::support::raw(
        std::net::SocketAddr::from(([127, 0, 0, 1], address.port())),
        b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[test]
fn metrics_and_health_may_be_for_everybody() {
    let private = gateway("");
    let public = gateway("public_metrics = true");
    for path in ["/metrics", "/api/health/status"] {
        assert_eq!(private.admin(path).status, 401, "{path}");
        let auth = bearer(VIEWER);
        assert_eq!(private.admin_with(path, &[("authorization", &auth)]).status, 200, "{path}");
        assert_eq!(public.admin(path).status, 200, "{path}");
    }
    assert_eq!(public.admin("/api/v1/circuits").status, 401);
}

#[test]
fn a_reload_gives_and_takes_tokens() {
    let gateway = gateway("");
    let auth = bearer(VIEWER);
    let status = || gateway.admin_with("/api/v1/audit", &[("authorization", &auth)]).status;
    assert_eq!(status(), 200);
    gateway.rewrite(
        "[gateway.admin.tokens]\nops = { role = \"operator\", secret = { env = \"OPS\" } }\n",
    );
    gateway.process.signal("HUP");
    eventually("a token that is gone", || status() == 401);
    let ops = bearer(OPERATOR);
    let audit = gateway.admin_with("/api/v1/audit", &[("authorization", &ops)]).json();
    let entry = audit["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&entry["result"], &entry["author"]), (&json!("refused"), &json!("unknown")));
}
