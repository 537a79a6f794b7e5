//! `panelboard config`: what is in force, what would change, other formats, a file to begin with.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{BINARY, Output, run};

const FILE: &str = r#"[circuit_breaker.circuits.api]
preset = "external_api"
timeout = 10

[upstreams.api]
url = "http://127.0.0.1:1"
api_key = { env = "API_KEY" }

[[routes]]
upstream = "api"
circuit = "api"

[env.staging.circuit_breaker.circuits.api]
timeout = "20s"
"#;

fn panelboard(directory: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(directory).env("API_KEY", "sk-live-canary");
    run(command.envs(variables.iter().copied()))
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("panelboard.toml"), FILE).unwrap();
    directory
}

#[test]
fn show_tells_each_value_and_where_it_comes_from() {
    let directory = directory();
    let at = directory.path();
    let written = panelboard(at, &[], &["config", "show"]);
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    assert!(written.stdout.contains("circuits.api.timeout = \"10s\"\n"), "{}", written.stdout);
    assert!(!written.stdout.contains("max_header_bytes"), "{}", written.stdout);

    let set = [("PANELBOARD__CIRCUITS__API__MIN_CALLS", "7")];
    let arguments = ["config", "show", "--origin", "--env", "staging", "--set", "enabled=true"];
    let all = panelboard(at, &set, &arguments);
    let line = |path: &str| {
        let line = all.stdout.lines().find(|line| line.starts_with(&format!("{path} = ")));
        let line = line.unwrap_or_else(|| panic!("{path}: {}", all.stdout));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (path, wanted) in [
        ("enabled", "enabled = true # command line enabled"),
        ("circuits.api.timeout", "circuits.api.timeout = \"20s\" # panelboard.toml:14"),
        ("circuits.api.failure_rate", "circuits.api.failure_rate = 0.5 # preset external_api"),
        (
            "circuits.api.min_calls",
            "circuits.api.min_calls = 7 # PANELBOARD__CIRCUITS__API__MIN_CALLS",
        ),
        ("gateway.listen", "gateway.listen = \"127.0.0.1:8080\" # default"),
        (
            "upstreams.api.api_key",
            "upstreams.api.api_key = { env = \"API_KEY\" } # panelboard.toml:7",
        ),
    ] {
        assert_eq!(line(path), wanted);
    }
    let json = panelboard(
        at,
        &[("PANELBOARD_ENV", "staging")],
        &["config", "show", "--effective", "--json"],
    );
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let values = json["values"].as_array().unwrap();
    let timeout = values.iter().find(|v| v["path"] == "circuits.api.timeout").unwrap();
    assert_eq!((&timeout["value"], &timeout["origin"]["line"]), (&"20s".into(), &14.into()));
    for shown in [&written.stdout, &all.stdout, &json.to_string()] {
        assert!(!shown.contains("sk-live"), "{shown}");
    }
}

#[test]
fn an_unknown_environment_ends_every_command_with_3() {
    let directory = directory();
    for arguments in [
        &["check", "--env", "stagin"][..],
        &["config", "show", "--env", "stagin"],
        &["config", "diff", "panelboard.toml", "panelboard.toml", "--env", "stagin"],
        &["serve", "--env", "stagin"],
    ] {
        let output = panelboard(directory.path(), &[], arguments);
        assert_eq!(output.code, Some(3), "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains("did you mean `staging`?"), "{}", output.stderr);
    }
}

#[test]
fn diff_tells_old_and_new_and_its_exit_code_only_when_asked() {
    let directory = directory();
    let at = directory.path();
    std::fs::write(at.join("new.toml"), FILE.replace("timeout = 10", "timeout = 12")).unwrap();
    std::fs::write(at.join("same.toml"), FILE.replace("timeout = 10", "timeout = '10s'")).unwrap();
    let changed = panelboard(at, &[], &["config", "diff", "panelboard.toml", "new.toml"]);
    assert_eq!(changed.code, Some(0));
    assert_eq!(changed.stdout, "~ circuits.api.timeout = \"10s\" → \"12s\"\n");
    assert!(
        changed.stderr.contains("a reload would change: circuit api changed"),
        "{}",
        changed.stderr
    );
    for (file, code) in [("new.toml", 1), ("same.toml", 0)] {
        let output =
            panelboard(at, &[], &["config", "diff", "--exit-code", "panelboard.toml", file]);
        assert_eq!(output.code, Some(code), "{file}: {}", output.stdout);
    }
    let json = panelboard(at, &[], &["config", "diff", "--json", "panelboard.toml", "new.toml"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["values"][0]["old"], "10s");
    assert_eq!(json["values"][0]["new"], "12s");
    assert_eq!(json["changes"][0], "circuit api changed");
}

#[test]
fn convert_goes_either_way_and_never_overwrites_unasked() {
    let directory = directory();
    let at = directory.path();
    let json = panelboard(at, &[], &["config", "convert", "panelboard.toml", "--to", "json"]);
    assert_eq!(json.code, Some(0), "{}", json.stderr);
    std::fs::write(at.join("as.json"), &json.stdout).unwrap();
    let same =
        panelboard(at, &[], &["config", "diff", "--exit-code", "panelboard.toml", "as.json"]);
    assert_eq!((same.code, &*same.stdout), (Some(0), ""));
    let back = ["config", "convert", "as.json", "--output", "panelboard.toml"];
    let refused = panelboard(at, &[], &back);
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    assert!(refused.stderr.contains("--force overwrites it"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(at.join("panelboard.toml")).unwrap(), FILE);
    let forced: Vec<&str> = back.into_iter().chain(["--force"]).collect();
    assert_eq!(panelboard(at, &[], &forced).code, Some(0));
    let same =
        panelboard(at, &[], &["config", "diff", "--exit-code", "panelboard.toml", "as.json"]);
    assert_eq!((same.code, &*same.stdout), (Some(0), ""));
}

#[test]
fn init_writes_a_file_that_passes_every_check() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    for file in ["panelboard.toml", "panelboard.json"] {
        let written = panelboard(at, &[], &["config", "init", file]);
        assert_eq!(written.code, Some(0), "{}", written.stderr);
        let again = panelboard(at, &[], &["config", "init", file]);
        assert_eq!(again.code, Some(7), "{}", again.stderr);
        let checked = panelboard(at, &[], &["check", "--deny-warnings", file]);
        assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    }
    let forced = panelboard(at, &[], &["config", "init", "--force"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
}
