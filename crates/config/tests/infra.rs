//! What `[check]` names besides the configuration: files of the infrastructure, and variables.

use std::path::{Path, PathBuf};

use panelboard_config::{Diagnostics, Format, LoadOptions, Severity, TextStyle, inspect};

const STYLE: Format = Format::Text(TextStyle { color: false, unicode: true, width: 100 });

const CONFIG: &str = r#"[check]
deprecated_hosts = ["*.old.example.com", "db.example.com"]
required_env = ["API_KEY", "VPC_CONNECTOR", "IN_FILE", "EMPTY_IN_FILE"]
min_timeouts = { payments = "20s" }
files = ["infra/**/*.tf", "*.yml", ".env", "none/*.json", "logo.png"]

[circuit_breaker.circuits.payments]
timeout = "5s"
window = "10s"

[upstreams.payments]
url = "https://pay.old.example.com"
"#;

const TERRAFORM: &str = r#"# db.example.com in a comment is nobody's business
resource "google_sql_database_instance" "main" {
  name     = "main"
  password = "hunter2"
  timeouts {
    create = "5m"
    delete = "20m"
  }
  settings {
    ssl_verify = false # hunter2
    host       = "db.example.com"
  }
}
"#;

const YAML: &str = r#"services:
  api:
    environment:
      TOKEN: sk-live-1
      DATABASE_URL: "postgres://me:hunter2@reports.old.example.com/x"
      DATABASE_TIMEOUT_MS: 30000
      SEARCH: http://me:hunter2@search.example.com/?q=sk-live-2
      LOCAL: http://localhost:9200
    healthcheck:
      test: curl http://localhost/
      timeout: 5s
"#;

const ENV: &str =
    "export IN_FILE='sk-live-3'\nEMPTY_IN_FILE=\nNODE_TLS_REJECT_UNAUTHORIZED=0\nPORT=80\n";

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn project() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    write(at, "panelboard.toml", CONFIG);
    write(at, "infra/main.tf", TERRAFORM);
    write(at, "infra/deep/er/empty.tf", "");
    write(at, "infra/.terraform/others.tf", TERRAFORM);
    write(at, "compose.yml", YAML);
    write(at, "nested/other.yml", YAML);
    write(at, ".env", ENV);
    write(at, "logo.png", b"\x89PNG\0");
    directory
}

fn found(file: PathBuf, variables: &[(&str, &str)]) -> Diagnostics {
    let environment = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let options = LoadOptions { file: Some(file), environment, ..LoadOptions::default() };
    inspect(&options).1
}

#[test]
fn files_are_held_against_the_rules_line_by_line() {
    let directory = project();
    let found = found(directory.path().join("panelboard.toml"), &[("API_KEY", "sk-live-4")]);
    let text = found.render(STYLE);
    let text = text.replace(&format!("{}/", directory.path().display()), "");
    insta::assert_snapshot!(text);
    // The summary counts what is listed, and errors decide.
    assert!(found.has_errors());
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|s| found.count(s));
    assert_eq!(counts.iter().sum::<usize>(), found.iter().len());
    assert!(text.contains(&found.summary()), "{text}");
}

#[test]
fn nothing_secret_of_a_file_is_shown_in_any_format() {
    let directory = project();
    let found = found(directory.path().join("panelboard.toml"), &[("API_KEY", "sk-live-4")]);
    for format in [STYLE, Format::Json, Format::Github, Format::Sarif] {
        let text = found.render(format);
        for secret in ["hunter2", "sk-live"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn what_is_in_order_is_not_told() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let config = CONFIG.replace("pay.old", "pay").replace("\"5s\"", "\"25s\"");
    let config = config.replace("window = \"10s\"", "window = \"50s\"\nrecovery_timeout = \"25s\"");
    let config = config.replace(", \"none/*.json\", \"logo.png\"", "");
    write(at, "panelboard.toml", config);
    write(at, "infra/main.tf", "timeout = 600\n");
    write(at, "compose.yml", "database:\n  timeout: 10m\nhealth:\n  timeout: 60\n");
    write(at, ".env", "IN_FILE=1\nEMPTY_IN_FILE=1\nDATABASE_TIMEOUT_MS=600000\n");
    let set = [("API_KEY", "1"), ("VPC_CONNECTOR", "1")];
    let found = found(at.join("panelboard.toml"), &set);
    assert!(found.is_empty(), "{}", found.render(STYLE));
}

#[test]
fn files_that_are_no_text_or_too_large_are_noted_and_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    write(at, "panelboard.toml", "[check]\nfiles = ['*.env', '../missing.tf']\n");
    write(at, "large.env", "verify_ssl=false\n".repeat(100_000));
    write(at, "latin.env", b"verify_ssl=false # \xe9\n");
    write(at, "good.env", "verify_ssl=false\n");
    let text = found(at.join("panelboard.toml"), &[]).to_string();
    for told in ["it is larger than 1MiB", "it is not UTF-8 text", "`../missing.tf` does not exist"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(text.matches("PB0503").count(), 1, "{text}");
    assert!(text.contains("good.env:1:1: error[PB0503]"), "{text}");
}

#[test]
fn hostile_files_end_in_bounded_time_and_number() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    write(at, "panelboard.toml", "[check]\nfiles = ['**/*.yml']\ndeprecated_hosts = ['a.b']\n");
    write(at, "deep.yml", "a:\n".repeat(20_000) + &" ".repeat(50_000) + "a: a.b\n");
    write(at, "nested.yml", (0..800).map(|i| " ".repeat(i) + "a:\n").collect::<String>());
    write(at, "many.yml", "x: a.b\n".repeat(20_000));
    let found = found(at.join("panelboard.toml"), &[]);
    assert!((50..=201).contains(&found.iter().len()), "{}", found.iter().len());
}
