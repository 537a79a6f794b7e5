//! What the command line looks like: help, slips, colours, and pipes that nobody reads.

use std::io::{BufRead as _, BufReader, pipe};
use std::process::{Child, Command, Stdio};

use crate::support::{BINARY, Output, Upstream, agent, eventually, run};

fn panelboard(arguments: &[&str]) -> Output {
    run(Command::new(BINARY).args(arguments))
}

#[test]
fn help_begins_with_what_it_is_and_examples() {
    for (arguments, about, example) in [
        (&["--help"][..], "Circuit breakers for everything a service calls", "panelboard demo"),
        (&["serve", "--help"], "Run the gateway", "panelboard serve --config panelboard.toml"),
        (&["check", "--help"], "Check configuration files", "panelboard check"),
        (&["status", "--help"], "Show what the circuits", "panelboard status --exit-code"),
        (&["explain", "-h"], "Explain what a circuit is doing", "panelboard explain payments"),
        (&["open", "--help"], "Force a circuit open", "panelboard open payments --reason"),
        (&["reset", "--help"], "Put a circuit back to closed", "panelboard reset payments"),
        (&["demo", "--help"], "Run a gateway before a flaky upstream", "panelboard demo --for 1m"),
        (&["upstream", "-h"], "Run a scripted upstream", "panelboard upstream --behaviour"),
    ] {
        let output = panelboard(arguments);
        assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{arguments:?}");
        let text = output.stdout;
        assert!(text.starts_with(about), "{arguments:?}: {text}");
        let (examples, usage) =
            (text.find("\nExamples:\n").unwrap(), text.find("\nUsage: ").unwrap());
        let shown = text.find(example).unwrap();
        assert!(examples < shown && shown < usage, "{arguments:?}: {text}");
    }
    let text = panelboard(&["--help"]).stdout;
    for code in
        ["0 ok", "3 configuration invalid", "4 admin API unreachable", "10 something is open"]
    {
        assert!(text.contains(code), "{code}: {text}");
    }
}

#[test]
fn slips_are_usage_errors_and_get_a_hint() {
    for (arguments, hint) in [
        (&["statsu"][..], "'status'"),
        (&["status", "--jsno"], "'--json'"),
        (&["status", "--state", "opne"], "'open'"),
        (&["check", "--format", "yaml"], "sarif"),
        (&["explain"], "<NAME>"),
        (&["serve", "--set", "nothing"], "use KEY=VALUE"),
        (&["demo", "--for", "soon"], "--for"),
        (&[], "Usage: panelboard"),
    ] {
        let output = panelboard(arguments);
        assert_eq!((output.code, &*output.stdout), (Some(2), ""), "{arguments:?}");
        assert!(output.stderr.contains(hint), "{arguments:?}: {}", output.stderr);
    }
}

/// What is said on a terminal, with this variable set.
#[cfg(target_os = "linux")]
fn on_a_terminal(arguments: &str, variable: (&str, &str)) -> String {
    let mut command = Command::new("script");
    command.args(["--quiet", "--command", &format!("{BINARY} {arguments}"), "/dev/null"]);
    command.env_remove("NO_COLOR").env("TERM", "xterm").env(variable.0, variable.1);
    run(&mut command).stdout
}

#[test]
#[cfg(target_os = "linux")]
fn colours_are_for_terminals_whose_owner_does_not_mind() {
    let directory = tempfile::tempdir().unwrap();
    let bad = directory.path().join("bad.toml");
    std::fs::write(&bad, "[circuit_breaker]\nenabeld = true\n").unwrap();
    let bad = bad.to_str().unwrap();
    // Their own output, the argument parser's, and the log's.
    for (arguments, said) in [
        (format!("check {bad}"), "did you mean `enabled`?"),
        ("statsu".to_owned(), "unrecognized subcommand"),
        (
            "serve --set gateway.listen=192.0.2.1:1 --set gateway.admin=127.0.0.1:0".to_owned(),
            "no route",
        ),
    ] {
        let coloured = on_a_terminal(&arguments, ("UNRELATED", "1"));
        assert!(coloured.contains('\u{1b}') && coloured.contains(said), "{coloured:?}");
        let plain = on_a_terminal(&arguments, ("NO_COLOR", "1"));
        assert!(!plain.contains('\u{1b}') && plain.contains(said), "{plain:?}");
    }
    for arguments in [&["check", bad][..], &["statsu"], &["--help"]] {
        let Output { stdout, stderr, .. } = panelboard(arguments);
        assert!(!format!("{stdout}{stderr}").contains('\u{1b}'), "{stdout:?} {stderr:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let bad = directory.path().join("bad.toml");
    std::fs::write(&bad, "[circuit_breaker]\nenabeld = true\n").unwrap();
    let bad = bad.to_str().unwrap();
    for (arguments, code) in [
        (&["config", "schema"][..], 0),
        (&["check", "--format", "json", bad], 3),
        (&["check", bad], 3),
        (&["status", "--admin", "http://127.0.0.1:1"], 4),
    ] {
        for closed in ["stdout", "stderr", "both"] {
            // Nobody has this end any more, as after `| head -1`.
            let nobody = || Stdio::from(pipe().unwrap().1);
            let mut command = Command::new(BINARY);
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
            if closed != "stderr" {
                command.stdout(nobody());
            }
            if closed != "stdout" {
                command.stderr(nobody());
            }
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{arguments:?} without {closed}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!said.contains("panicked"), "{arguments:?} without {closed}: {said}");
        }
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_gateway_serves_on_when_nobody_reads_its_log() {
    let upstream = Upstream::start();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("panelboard.toml");
    let text = |threshold: u32| {
        format!(
            "[circuit_breaker.circuits.api]\nfailure_threshold = {threshold}\n\
             [upstreams.api]\nurl = \"{}\"\n[[routes]]\nupstreams = [\"api\"]\n\
             [gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n",
            upstream.url()
        )
    };
    std::fs::write(&config, text(1)).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config"]).arg(&config).stdout(Stdio::piped());
    let mut gateway = Running(command.stderr(pipe().unwrap().1).spawn().unwrap());
    let mut lines = BufReader::new(gateway.0.stdout.take().unwrap()).lines();
    let mut address = || lines.next().unwrap().unwrap().split_once("http://").unwrap().1.to_owned();
    let (main, admin) = (address(), address());
    drop(lines);
    let agent = agent();
    let status = |url: String| agent.get(url).call().expect("an answer").status().as_u16();

    // Each of these is logged: a circuit that opens, a reload.
    upstream.set("status:500");
    assert_eq!((status(format!("http://{main}/")), status(format!("http://{main}/"))), (500, 503));
    std::fs::write(&config, text(7)).unwrap();
    eventually("the new threshold", || {
        let url = format!("http://{admin}/api/v1/circuits/api");
        let body = agent.get(url).call().unwrap().body_mut().read_to_string().unwrap();
        body.contains(r#""failure_threshold":{"value":"7""#)
    });
    assert_eq!(status(format!("http://{admin}/readyz")), 200);
    assert!(gateway.0.try_wait().unwrap().is_none(), "it still runs");
}
