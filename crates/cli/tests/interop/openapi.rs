//! The admin API held against the document that it serves, by schemathesis.

use std::process::Command;

use crate::programs::python;
use crate::support::Gateway;

const OPERATOR: &str = "operator-token-0123456789";

const CIRCUITS: &str = "
[circuit_breaker.circuits.api]
[circuit_breaker.circuits.llm]
key = [\"model\"]
";

/// What looks like a fault, and is an answer.
const EXPECTED: &str = r#"
[[operations]]
include-path = "/api/health/status"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"#;

/// Runs schemathesis with all of its checks on every operation that can end.
fn hold(gateway: &Gateway, token: Option<&str>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("schemathesis.toml"), EXPECTED).unwrap();
    let mut command = Command::new(python());
    command
        .current_dir(&directory)
        .env_clear()
        .env("NO_PROXY", "*")
        .args(["-m", "schemathesis.cli", "run"])
        .arg(format!("{}/api/v1/openapi.json", gateway.admin_url()))
        // A stream has no end.
        .args(["--exclude-path", "/api/v1/stream"])
        // What goes together no schema can say: a reason for some orders, a time for others.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", "4"])
        .args(["--no-color", "--request-timeout", "5"]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{problems}");
}

#[test]
fn the_admin_api_is_what_its_document_says() {
    hold(&Gateway::start(CIRCUITS), None);
}

#[test]
fn the_admin_api_is_what_its_document_says_with_tokens_too() {
    let text = format!(
        "[gateway.admin.tokens]\nops = {{ role = \"operator\", secret = {{ env = \"OPS\" }} }}\n\
         {CIRCUITS}"
    );
    let gateway = Gateway::start_with("panelboard.toml", &text, &[], &[("OPS", OPERATOR)]);
    hold(&gateway, Some(OPERATOR));
}
