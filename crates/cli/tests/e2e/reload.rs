//! Another configuration while it runs.

use std::net::{TcpListener, TcpStream};

use crate::raw::{Client, get, request};
use crate::support::{Gateway, Upstream, eventually};

/// The usual configuration, with `more` laid over it.
fn text(upstream: &Upstream, threshold: u32, more: &str) -> String {
    format!(
        r#"
[circuit_breaker.circuits.api]
failure_threshold = {threshold}
recovery_timeout = "1m"
[upstreams.api]
url = "{}"
[[routes]]
path = "/api"
upstreams = ["api"]
circuit = "api"
{more}
"#,
        upstream.url()
    )
}

const SUCCESSFUL: &str = "panelboard_config_last_reload_successful";

/// Reloads on a signal, and waits until the log says so.
fn reload(gateway: &Gateway, text: &str) {
    let reloads = || gateway.process.log().matches("configuration reloaded: ").count();
    let before = reloads();
    gateway.rewrite(text);
    gateway.process.signal("HUP");
    eventually("a reload", || reloads() > before);
}

fn threshold(gateway: &Gateway) -> String {
    let circuit = gateway.circuit("api");
    circuit["settings"]["failure_threshold"]["value"].as_str().unwrap().to_owned()
}

#[test]
fn circuits_keep_their_state_and_new_thresholds_take_effect() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&text(&upstream, 5, ""));
    assert_eq!(gateway.get("/api").status, 200);
    upstream.set("status:500");
    for _ in 0..2 {
        gateway.get("/api");
    }
    reload(&gateway, &text(&upstream, 3, ""));
    let api = gateway.circuit("api");
    assert_eq!((&api["state"], &api["generation"]), (&"closed".into(), &1.into()));
    assert_eq!((&api["consecutive_failures"], &api["calls"]["failure"]), (&2.into(), &2.into()));
    assert_eq!(gateway.get("/api").status, 500);
    assert_eq!(gateway.state("api"), "open", "the third in a row, under the new threshold");

    // What is open stays open, for the same reason and as long; and so does an order.
    let before = gateway.circuit("api");
    gateway.order("api", "observe", r#"{"reason":"watching"}"#);
    reload(&gateway, &text(&upstream, 7, ""));
    let after = gateway.circuit("api");
    for key in ["state", "generation", "trip", "last_errors", "calls"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(after["override"]["reason"], "watching");
    assert!(after["retry_after_seconds"].is_null() && after["mode"] == "observe", "{after}");
    gateway.order("api", "auto", "{}");
    let wait = gateway.circuit("api")["retry_after_seconds"].as_f64().unwrap();
    assert!(wait <= before["retry_after_seconds"].as_f64().unwrap(), "not begun anew: {wait}");
    let log = gateway.process.log();
    assert!(log.contains("configuration reloaded: circuit api changed"), "{log}");
}

#[test]
fn a_changed_file_is_noticed_however_it_is_replaced() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&text(&upstream, 11, ""));
    let noticed = |value: &str| eventually(value, || threshold(&gateway) == value);
    std::fs::write(&gateway.config, text(&upstream, 12, "")).unwrap();
    noticed("12");
    gateway.rewrite(&text(&upstream, 13, ""));
    noticed("13");
    // As Kubernetes does: the file is behind a link, and the link is switched.
    let directory = gateway.config.parent().unwrap();
    for value in [14, 15] {
        let version = directory.join(format!("version-{value}"));
        std::fs::write(&version, text(&upstream, value, "")).unwrap();
        let link = directory.join("link");
        std::os::unix::fs::symlink(&version, &link).unwrap();
        std::fs::rename(&link, &gateway.config).unwrap();
        noticed(&value.to_string());
    }
    // A signal with nothing new says so, and the file is not read as news after it.
    gateway.process.signal("HUP");
    let log = || gateway.process.log();
    eventually("an answer", || log().contains("configuration reloaded: nothing changes"));
    assert_eq!(log().matches("configuration reloaded: circuit api changed").count(), 4);
}

#[test]
fn what_is_new_appears_and_what_is_gone_goes() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let more = format!(
        r#"
[circuit_breaker.circuits.extra]
failure_threshold = 1
recovery_timeout = "1m"
[circuit_breaker.circuits.llm]
key = ["model"]
[upstreams.extra]
url = "{url}"
[upstreams.llm]
url = "{url}"
kind = "openai"
[[routes]]
path = "/extra"
upstreams = ["extra"]
circuit = "extra"
[[routes]]
path = "/v1"
upstreams = ["llm"]
circuit = "llm"
"#,
        url = second.url()
    );
    let (small, large) = (text(&first, 5, ""), text(&first, 5, &more));
    let gateway = Gateway::start(&small);
    let names = || gateway.admin("/api/v1/circuits").body;
    assert_eq!(gateway.get("/extra").status, 404);

    reload(&gateway, &large);
    assert_eq!(gateway.get("/extra").header("x-panelboard-upstream"), Some("extra"));
    let chat = r#"{"model":"tinyllama","messages":[]}"#;
    assert_eq!(gateway.post("/v1/chat/completions", chat).status, 200);
    assert_eq!(second.requests(), 2);
    assert!(names().contains("\"extra\"") && names().contains("\"llm/tinyllama\""));
    second.set("status:500");
    gateway.get("/extra");
    assert_eq!(gateway.get("/extra").json()["reason"], "open");
    assert_eq!(gateway.get("/api/health/status?strict=1").status, 503);

    reload(&gateway, &small);
    assert_eq!((gateway.get("/extra").status, gateway.get("/api").status), (404, 200));
    assert!(!names().contains("extra") && !names().contains("llm"), "{}", names());
    assert_eq!(gateway.admin("/api/v1/circuits/extra").status, 404);
    assert_eq!(gateway.get("/api/health/status?strict=1").status, 200, "gone is not ill");
    let metrics = gateway.admin("/metrics").body;
    assert!(metrics.contains(r#"circuit="api""#));
    for gone in [r#"circuit="extra""#, r#"circuit="llm"#, r#"family="llm""#] {
        assert!(!metrics.contains(gone), "{gone}: {metrics}");
    }

    // What comes back begins anew.
    second.set("ok");
    reload(&gateway, &large);
    assert_eq!((gateway.get("/extra").status, gateway.count("extra", "success")), (200, 1));
    let log = gateway.process.log();
    for change in ["circuit extra added", "upstream extra removed", "routes changed"] {
        assert!(log.contains(change), "{change}: {log}");
    }
}

#[test]
fn an_upstream_that_moves_is_followed() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = Gateway::start(&text(&first, 5, ""));
    assert_eq!(gateway.get("/api").status, 200);
    reload(&gateway, &text(&second, 5, ""));
    assert_eq!(gateway.get("/api").status, 200);
    assert_eq!((first.requests(), second.requests()), (1, 1));
    assert_eq!(gateway.count("api", "success"), 2, "the circuit is the same");
}

#[test]
fn a_bad_configuration_changes_nothing_and_says_what_and_where() {
    let upstream = Upstream::start();
    let good = text(&upstream, 5, "");
    let gateway = Gateway::start(&good);
    let name = gateway.config.display().to_string();
    // What is appended begins in line 11.
    for (more, place, named) in [
        ("[circuit_breaker", ":11:17", "close the table's name"),
        ("[circuit_breaker.circuits.b]\ntimout = 3", ":12:1", "did you mean `timeout`?"),
        ("[[routes]]\npath = \"/b\"\nupstreams = [\"apy\"]", ":13:14", "did you mean `api`?"),
        ("[circuit_breaker.circuits.b]\nfailure_threshold = 0", ":12:21", "failure_threshold"),
        (
            "[upstreams.b]\nurl = \"http://127.0.0.1:1\"\napi_key = { env = \"NOT_SET\" }",
            ":13:11",
            "NOT_SET",
        ),
    ] {
        let before = gateway.process.log().len();
        let log = || gateway.process.log()[before..].to_owned();
        gateway.rewrite(&text(&upstream, 9, more));
        gateway.process.signal("HUP");
        let refusal = "configuration not reloaded, the running one is kept";
        eventually("a failed reload", || log().contains(refusal));
        assert_eq!(gateway.metric(SUCCESSFUL), Some(0.0));
        let log = log();
        assert!(log.contains(&format!("{name}{place}")), "{place}: {log}");
        assert!(log.contains(named), "{named}: {log}");
        assert!(log.contains("ERROR"), "{log}");
        assert_eq!((threshold(&gateway), gateway.get("/api").status), ("5".into(), 200));

        gateway.rewrite(&good);
        gateway.process.signal("HUP");
        eventually("a good one", || gateway.metric(SUCCESSFUL) == Some(1.0));
    }
    assert_eq!(gateway.get("/api").status, 200);
}

#[test]
fn a_file_that_cannot_be_read_is_a_failed_reload() {
    let upstream = Upstream::start();
    let good = text(&upstream, 5, "");
    let gateway = Gateway::start(&good);
    let stamp = || gateway.metric("panelboard_config_last_reload_success_timestamp_seconds");
    let started = stamp();
    // Gone, without a signal.
    std::fs::remove_file(&gateway.config).unwrap();
    eventually("a failed reload", || gateway.process.log().contains("cannot be read any more"));
    assert_eq!(gateway.metric(SUCCESSFUL), Some(0.0));
    assert_eq!((gateway.get("/api").status, stamp()), (200, started));
    // Nor with one; a directory is no better.
    for directory in [false, true] {
        if directory {
            std::fs::create_dir(&gateway.config).unwrap();
        }
        let complaints = || gateway.process.log().matches("PB0001").count();
        let before = complaints();
        gateway.process.signal("HUP");
        eventually("a complaint", || complaints() > before);
        assert_eq!((gateway.get("/api").status, gateway.metric(SUCCESSFUL)), (200, Some(0.0)));
    }
    std::fs::remove_dir(&gateway.config).unwrap();
    gateway.rewrite(&text(&upstream, 6, ""));
    eventually("it is read again", || gateway.metric(SUCCESSFUL) == Some(1.0));
    assert_eq!(threshold(&gateway), "6");
    assert!(stamp() > started);
}

#[test]
fn a_file_that_was_found_and_is_gone_does_not_leave_a_gateway_without_routes() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_in_its_directory(&text(&upstream, 5, ""));
    std::fs::remove_file(&gateway.config).unwrap();
    gateway.process.signal("HUP");
    eventually("a complaint", || gateway.process.log().contains("its file is gone"));
    assert_eq!((gateway.get("/api").status, gateway.metric(SUCCESSFUL)), (200, Some(0.0)));
    // It is still watched for.
    gateway.rewrite(&text(&upstream, 6, ""));
    eventually("it is read again", || gateway.metric(SUCCESSFUL) == Some(1.0));
    assert_eq!(threshold(&gateway), "6");
}

#[test]
fn a_pipe_is_read_once() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&text(&upstream, 5, ""));
    std::fs::remove_file(&gateway.config).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(&gateway.config).status().unwrap();
    assert!(pipe.success());
    eventually("a failed reload", || gateway.process.log().contains("cannot be read any more"));
    gateway.process.signal("HUP");
    eventually("a complaint", || gateway.process.log().contains("cannot be read again"));
    assert_eq!((gateway.get("/api").status, gateway.metric(SUCCESSFUL)), (200, Some(0.0)));
    // And it is heard when the gateway is told to stop.
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.exit_code(), Some(0));
}

#[test]
fn what_takes_a_restart_says_so() {
    let upstream = Upstream::start();
    let with = |gateway: &str| format!("[gateway]\n{gateway}\n{}", text(&upstream, 5, ""));
    let listen = "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"";
    let gateway = Gateway::start(&with(listen));
    reload(&gateway, &with("listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.2:0\""));
    let told = "address of the admin API changed (this takes a restart)";
    assert_eq!(gateway.process.log().matches(told).count(), 1);
    // What does not, does not say so, and takes effect at once.
    reload(&gateway, &with(&format!("{listen}\nmax_headers = 8\nresponse_headers = false")));
    assert_eq!(gateway.process.log().matches("takes a restart").count(), 2, "and back");
    assert_eq!(gateway.get("/api").header("x-panelboard-upstream"), None);
    let many = request("GET", "/api", &"x: 1\r\n".repeat(9), "");
    assert_eq!(Client::of(&gateway).ask(many).status, 431);
}

#[test]
fn listeners_come_and_go() {
    let upstream = Upstream::start();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (second, third) = (free(), free());
    let with = |listen: &str| {
        let keys = format!("[gateway]\nlisten = {listen}\nadmin = \"127.0.0.1:0\"\n");
        format!("{keys}{}", text(&upstream, 5, ""))
    };
    let gateway = Gateway::start(&with("\"127.0.0.1:0\""));
    let first = gateway.address();
    reload(&gateway, &with(&format!("[\"127.0.0.1:0\", \"{second}\"]")));
    assert!(gateway.process.log().contains("listeners changed"));
    for address in [first, second] {
        assert_eq!(Client::to(address).ask(get("/api")).status, 200, "{address}");
    }

    // One that goes finishes what it has.
    upstream.set("slow:500ms");
    let (mut slow, mut idle) = (Client::to(second), Client::to(second));
    slow.send(get("/api"));
    eventually("a request", || upstream.stats()["in_flight"] == 1);
    upstream.set("ok");
    assert_eq!(idle.ask(get("/api")).status, 200);
    reload(&gateway, &with(&format!("[\"127.0.0.1:0\", \"{third}\"]")));
    eventually("nobody listens there", || TcpStream::connect(second).is_err());
    // What comes on a connection that was there is the last on it.
    let last = idle.ask(get("/api"));
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(idle.is_over());
    assert_eq!(slow.reply().status, 200);
    assert!(slow.is_over());
    for address in [first, third] {
        assert_eq!(Client::to(address).ask(get("/api")).status, 200, "{address}");
    }

    // An address that cannot be had leaves everything as it was.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    gateway.rewrite(&with(&format!("\"{address}\"")).replace("= 5", "= 9"));
    gateway.process.signal("HUP");
    eventually("a complaint", || {
        gateway.process.log().contains(&format!("is kept: cannot listen on {address}"))
    });
    assert_eq!((threshold(&gateway).as_str(), gateway.metric(SUCCESSFUL)), ("5", Some(0.0)));
    for address in [first, third] {
        assert_eq!(Client::to(address).ask(get("/api")).status, 200, "{address}");
    }
}

/// As an editor leaves it for a moment, or a disk that is full for longer.
#[test]
fn an_emptied_file_does_not_leave_a_gateway_without_routes() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&text(&upstream, 5, ""));
    for content in ["", "# nothing yet\n", "[circuit_breaker.circuits.api]\n"] {
        let complaints = || gateway.process.log().matches("there is no route in it").count();
        let before = complaints();
        std::fs::write(&gateway.config, content).unwrap();
        eventually("a complaint", || complaints() > before);
        assert_eq!(gateway.get("/api").status, 200, "{content:?}");
        assert_eq!(gateway.metric(SUCCESSFUL), Some(0.0));
    }
    std::fs::write(&gateway.config, text(&upstream, 7, "")).unwrap();
    eventually("the whole file", || threshold(&gateway) == "7");
    assert_eq!(gateway.metric(SUCCESSFUL), Some(1.0));
}
