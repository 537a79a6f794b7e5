//! Settings from the environment and the command line reach the running gateway.

use std::process::Command;

use crate::support::{BINARY, Gateway, Upstream, eventually, run};

const THRESHOLD: &str = "PANELBOARD__CIRCUITS__API__FAILURE_THRESHOLD";

fn text(upstream: &Upstream) -> String {
    format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = 4
        min_calls = 30
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        upstream.url()
    )
}

/// The value of a setting, and where it comes from.
fn setting(gateway: &Gateway, key: &str) -> (String, String) {
    let circuit = gateway.circuit("api");
    let text = |what: &str| circuit["settings"][key][what].as_str().unwrap().to_owned();
    (text("value"), text("origin"))
}

#[test]
fn the_command_line_wins_over_the_environment_and_both_over_the_file() {
    let upstream = Upstream::start();
    upstream.set("status:500");
    let environment = [(THRESHOLD, "3"), ("PANELBOARD__CIRCUITS__API__RECOVERY_TIMEOUT", "90s")];
    let set = ["--set", "circuits.api.failure_threshold=2", "--set", "defaults.window=20s"];
    let gateway = Gateway::start_with("panelboard.toml", &text(&upstream), &set, &environment);
    let (value, origin) = setting(&gateway, "failure_threshold");
    assert_eq!((&*value, origin.contains("command line")), ("2", true), "{origin}");
    let (value, origin) = setting(&gateway, "recovery_timeout");
    assert_eq!(value, "1m30s");
    assert!(origin.contains("PANELBOARD__CIRCUITS__API__RECOVERY_TIMEOUT"), "{origin}");
    assert_eq!(setting(&gateway, "window").0, "20s");
    let (value, origin) = setting(&gateway, "min_calls");
    assert!(value == "30" && origin.ends_with("panelboard.toml:4"), "{value} {origin}");
    // And it is not only said so.
    assert_eq!((gateway.get("/").status, gateway.get("/").status), (500, 500));
    assert_eq!(gateway.state("api"), "open");
    let wait: u64 = gateway.get("/").header("retry-after").unwrap().parse().unwrap();
    assert!((75..=99).contains(&wait), "ninety seconds, give or take the jitter: {wait}");
}

#[test]
fn overrides_outlive_a_reload() {
    let upstream = Upstream::start();
    let environment = [(THRESHOLD, "3"), ("PANELBOARD__EXPOSE_HEALTH_ENDPOINT", "false")];
    let set = ["--set", "circuits.api.min_calls=7"];
    let gateway = Gateway::start_with("panelboard.toml", &text(&upstream), &set, &environment);
    assert_eq!(gateway.admin("/api/health/status").status, 404);
    gateway.rewrite(&text(&upstream).replace("min_calls = 30", "min_calls = 40\nwindow = \"30s\""));
    gateway.process.signal("HUP");
    eventually("the file's news", || setting(&gateway, "window").0 == "30s");
    assert_eq!(setting(&gateway, "failure_threshold").0, "3");
    assert_eq!(setting(&gateway, "min_calls").0, "7");
    assert_eq!(gateway.admin("/api/health/status").status, 404);
}

#[test]
fn one_variable_switches_the_panel_off() {
    let upstream = Upstream::start();
    upstream.set("status:500");
    let environment = [("PANELBOARD__ENABLED", "false")];
    let gateway = Gateway::start_with("panelboard.toml", &text(&upstream), &[], &environment);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").status, 500);
    }
    assert_eq!(gateway.circuit("api")["mode"], "forced_closed");
}

#[test]
fn a_slip_in_an_override_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("panelboard.toml");
    std::fs::write(&config, "[circuit_breaker.circuits.api]\ntimeout = 3\n").unwrap();
    let serve = |set: &[&str], (name, value): (&str, &str)| {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(&config).args(set).env(name, value);
        run(&mut command)
    };
    let none = ("UNRELATED", "");
    for (set, variable, named) in [
        (&["--set", "circuits.apy.timeout=1"][..], none, "did you mean `api`?"),
        (&["--set", "circuits.api.tiemout=1"], none, "did you mean `timeout`?"),
        (&["--set", "circuits.api.timeout=soon"], none, "`circuits.api.timeout` is \"soon\""),
        (&["--set", "circuits.api=1"], none, "only in the file"),
        (&[], ("PANELBOARD__CIRCUITS__APY__TIMEOUT", "1"), "did you mean `API`?"),
        (&[], ("PANELBOARD__CIRCUITS__API__TIEMOUT", "1"), "did you mean `TIMEOUT`?"),
        (&[], (THRESHOLD, "0"), THRESHOLD),
    ] {
        let output = serve(set, variable);
        assert_eq!(output.code, Some(3), "{set:?} {variable:?}: {}", output.stderr);
        assert!(output.stderr.contains(named), "{named}: {}", output.stderr);
        assert!(output.stderr.contains("environment") || output.stderr.contains("command line"));
    }
}
