//! The command line against a running gateway: what it prints, and how it ends.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{BINARY, Gateway, Output, Upstream, eventually, run};

fn start(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = 2
        recovery_timeout = "1m"
        jitter = "none"
        [circuit_breaker.circuits.auth]
        [circuit_breaker.circuits.llm]
        key = ["model"]
        [upstreams.api]
        url = "{url}"
        [upstreams.llm]
        url = "{url}"
        kind = "openai"
        [[routes]]
        path = "/v1"
        upstreams = ["llm"]
        circuit = "llm"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        url = upstream.url()
    ))
}

fn trip(gateway: &Gateway, upstream: &Upstream) {
    upstream.set("status:500");
    for _ in 0..2 {
        gateway.get("/");
    }
    assert_eq!(gateway.state("api"), "open");
}

fn panelboard(arguments: &[&str]) -> Output {
    run(Command::new(BINARY).args(arguments))
}

/// The lines of a table, each as its words; the second is a rule.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn status_shows_trouble_first_and_says_what_is_next() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    assert_eq!(gateway.get("/").status, 200);
    trip(&gateway, &upstream);
    gateway.get("/");
    gateway.order("auth", "force-open", r#"{"reason":"key rotation","for":"10m"}"#);
    let output = gateway.cli(&["status"]);
    assert_eq!((output.code, &*output.stderr), (Some(0), ""));
    let rows = rows(&output.stdout);
    assert_eq!(rows[0], ["circuit", "state", "for", "failures", "calls", "rejected", "next"]);
    // Worst first: forced open is unhealthy, open is degraded.
    assert_eq!(rows[2][..3], ["auth", "FORCED", "OPEN"]);
    assert!(output.stdout.contains("override ends in 10 min"), "{}", output.stdout);
    assert_eq!(rows[3][..2], ["api", "OPEN"]);
    assert_eq!(rows[3][5..7], ["3", "1"], "calls and rejected: {}", output.stdout);
    assert_eq!(rows[3][7..9], ["probe", "in"], "{}", output.stdout);
    assert_eq!(rows[4][..2], ["llm", "closed"]);
    assert_eq!(rows.len(), 5, "{}", output.stdout);

    let output = gateway.cli(&["status", "--state", "half_open"]);
    assert_eq!((output.code, &*output.stdout), (Some(0), ""));
    assert_eq!(output.stderr, "no circuits in this state\n");
}

#[test]
fn status_as_json_is_the_admin_api_s_list() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    trip(&gateway, &upstream);
    let list = |arguments: &[&str]| -> Vec<Value> {
        let output = gateway.cli(arguments);
        assert_eq!((output.code, &*output.stderr), (Some(0), ""));
        let value: Value = serde_json::from_str(&output.stdout).unwrap();
        value["circuits"].as_array().unwrap().clone()
    };
    let all = list(&["status", "--json"]);
    let names: Vec<&str> = all.iter().map(|circuit| circuit["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["api", "auth", "llm"]);
    assert_eq!((&all[0]["state"], &all[0]["calls"]["failure"]), (&json!("open"), &json!(2)));
    let open = list(&["status", "--json", "--state", "open"]);
    assert_eq!((open.len(), &open[0]["name"]), (1, &json!("api")));
}

#[test]
fn the_exit_code_tells_scripts_that_something_is_open() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let code = |more: &[&str]| {
        let output = gateway.cli(&[&["status", "--exit-code"], more].concat());
        assert_eq!(output.stderr, "", "10 is no error to talk about");
        output.code
    };
    assert_eq!(code(&[]), Some(0));
    trip(&gateway, &upstream);
    assert_eq!((code(&[]), code(&["--json"])), (Some(10), Some(10)));
    assert_eq!(gateway.cli(&["status"]).code, Some(0), "only if asked for");
    // Nobody is refused any more.
    gateway.order("api", "force-closed", r#"{"reason":"test"}"#);
    assert_eq!(code(&[]), Some(0));
    gateway.order("api", "reset", "{}");
    gateway.order("auth", "force-open", r#"{"reason":"test"}"#);
    assert_eq!(code(&[]), Some(10), "forced open refuses, whatever the state");
}

#[test]
fn explain_says_why_and_what_happens_next() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    trip(&gateway, &upstream);
    let output = gateway.cli(&["explain", "api"]);
    assert_eq!((output.code, &*output.stderr), (Some(0), ""));
    assert!(output.stdout.starts_with("`api` OPEN for "), "{}", output.stdout);
    assert!(output.stdout.contains("2 failures in a row (limit 2). Mostly HTTP 500 (2)."));
    assert!(output.stdout.contains("Next probe in ") && output.stdout.ends_with(".\n"));
    let output = gateway.cli(&["explain", "api", "--json"]);
    let value: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&value["name"], &value["state"]), (&json!("api"), &json!("open")));

    // Names of models are anything, and still one part of the circuit's name and of a path.
    upstream.set("ok");
    let model = "meta/llama 3.1:8b?#%2F";
    let body = json!({ "model": model, "messages": [] }).to_string();
    assert_eq!(gateway.post("/v1/chat/completions", &body).status, 200);
    let name = "llm/meta%2Fllama 3.1:8b?#%252F";
    let output = gateway.cli(&["explain", name]);
    assert!(output.stdout.starts_with(&format!("`{name}` CLOSED")), "{}", output.stderr);
}

#[test]
fn orders_are_given_and_answered_with_what_they_brought_about() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    let mode = || gateway.circuit("api")["mode"].as_str().unwrap().to_owned();
    let order = |arguments: &[&str]| {
        let output = gateway.cli(arguments);
        assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{arguments:?}");
        output.stdout
    };
    let said = order(&["open", "api", "--reason", "database upgrade", "--for", "10m"]);
    assert!(said.starts_with("`api` FORCED OPEN."), "{said}");
    assert!(said.contains("database upgrade") && said.contains("10 min"), "{said}");
    assert_eq!((mode(), gateway.get("/").status), ("forced_open".into(), 503));
    let said = order(&["close", "api", "--reason", "false alarm"]);
    assert!(said.starts_with("`api` FORCED CLOSED") && mode() == "forced_closed", "{said}");
    assert!(order(&["observe", "api"]).contains("Observing"));
    assert_eq!(mode(), "observe");
    order(&["auto", "api"]);
    assert_eq!(mode(), "auto");
    trip(&gateway, &upstream);
    let answer: Value =
        serde_json::from_str(&order(&["reset", "api", "--reason", "fixed", "--json"])).unwrap();
    assert_eq!((&answer["state"], gateway.state("api").as_str()), (&json!("closed"), "closed"));

    for (arguments, code, named) in [
        (&["open", "api"][..], 2, "`force-open` needs a `reason`"),
        (&["open", "api", "--reason", "x", "--for", "soon"], 2, "`for` is \"soon\""),
        (&["open", "api", "--reason", "x", "--for", "8d"], 2, "longer than 7 days"),
        (&["open", "apy", "--reason", "x"], 6, "Did you mean `api`?"),
        (&["explain", "apy"], 6, "Did you mean `api`?"),
        (&["reset", "api", "--for", "1m"], 2, "--for"),
    ] {
        let output = gateway.cli(arguments);
        assert_eq!((output.code, &*output.stdout), (Some(code), ""), "{arguments:?}");
        assert!(output.stderr.contains(named), "{arguments:?}: {}", output.stderr);
    }
    assert_eq!(mode(), "auto");
}

#[test]
fn a_gateway_that_is_not_there_or_is_none_is_told_apart() {
    // A port that is free: it was just given up.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    let upstream = Upstream::start();
    upstream.set("status:500");
    for (admin, named) in [
        (&*nobody, &*format!("no admin API at {nobody}")),
        ("http://name.invalid:1", "no admin API at"),
        ("nonsense", "no admin API at nonsense"),
        (&upstream.url(), "but not as an admin API does"),
    ] {
        for command in [&["status"][..], &["explain", "api"], &["auto", "api"]] {
            let output = panelboard(&[command, &["--admin", admin]].concat());
            assert_eq!(output.code, Some(4), "{admin}: {}", output.stderr);
            assert_eq!(output.stdout, "");
            assert!(output.stderr.contains(named), "{admin}: {}", output.stderr);
        }
    }
    let output = panelboard(&["status", "--admin", &nobody]);
    assert!(output.stderr.contains("is the gateway running? --admin URL chooses another"));
}

#[test]
fn what_the_admin_api_refuses_is_not_allowed() {
    let gateway = start(&Upstream::start());
    // This machine by a name that the gateway does not know.
    let admin = format!("http://0.0.0.0:{}", gateway.admin_address().port());
    let output = panelboard(&["status", "--admin", &admin]);
    assert_eq!(output.code, Some(5), "{}", output.stderr);
    assert!(output.stderr.contains("Host `0.0.0.0` is not served here"), "{}", output.stderr);
}

#[test]
fn a_conflict_has_its_own_code() {
    // No order of this version can conflict with anything; another admin API's can.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let body = r#"{"detail":"The circuit was changed meanwhile."}"#;
        let length = body.len();
        let head = format!("HTTP/1.1 409 Conflict\r\ncontent-length: {length}\r\n\r\n");
        // The request is small, and has come before the client waits for this.
        client.write_all(format!("{head}{body}").as_bytes()).unwrap();
        std::io::copy(&mut client, &mut std::io::sink())
    });
    let output = panelboard(&["status", "--admin", &admin]);
    assert_eq!(output.code, Some(7), "{}", output.stderr);
    assert_eq!(output.stderr, "panelboard: The circuit was changed meanwhile.\n");
    let _ = server.join();
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("panelboard.toml");
    std::fs::write(&config, "[circuit_breaker]\n").unwrap();
    let serve = |listen: &str, admin: &str| {
        let (listen, admin) =
            (format!("gateway.listen={listen}"), format!("gateway.admin={admin}"));
        let config = config.to_str().unwrap();
        panelboard(&["serve", "-c", config, "--set", &listen, "--set", &admin])
    };
    for output in [serve(&address, "127.0.0.1:0"), serve("127.0.0.1:0", &address)] {
        assert_eq!(output.code, Some(1), "{}", output.stderr);
        assert_eq!(output.stdout, "", "it never said that it listens");
        let last = output.stderr.lines().last().unwrap();
        let named = format!("panelboard: cannot listen on {address}: ");
        assert!(last.starts_with(&named), "{last}");
        assert!(last.ends_with("(stop what listens there, or choose another address)"), "{last}");
    }
    let output = serve("192.0.2.1:80", "127.0.0.1:0");
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("no interface has this address"), "{}", output.stderr);
}

#[test]
fn another_server_is_not_a_gateway_where_all_is_well() {
    let upstream = Upstream::start();
    let url = upstream.url();
    for arguments in [
        &["status", "--exit-code"][..],
        &["status", "--json"],
        &["explain", "api"],
        &["reset", "api"],
    ] {
        let output = panelboard(&[arguments, &["--admin", &url]].concat());
        assert_eq!((output.code, &*output.stdout), (Some(4), ""), "{arguments:?}");
        assert!(output.stderr.contains("not as an admin API does"), "{}", output.stderr);
    }
}

#[test]
fn a_circuit_that_probes_is_not_closed_yet() {
    let upstream = Upstream::start();
    let gateway = start(&upstream);
    gateway.order("api", "trip", "{}");
    let text = std::fs::read_to_string(&gateway.config).unwrap();
    gateway.rewrite(&text.replace("\"1m\"", "\"20ms\""));
    gateway.process.signal("HUP");
    eventually("the reload", || gateway.process.log().contains("circuit api changed"));
    gateway.order("api", "reset", "{}");
    gateway.order("api", "trip", "{}");
    eventually("half-open", || gateway.state("api") == "half_open");
    let output = gateway.cli(&["status", "--exit-code", "--state", "half_open"]);
    assert_eq!(output.code, Some(10));
    assert!(output.stdout.contains("half-open"), "{}", output.stdout);
    assert!(output.stdout.contains("0 of 3 probes ok, 0 in flight"), "{}", output.stdout);
}
