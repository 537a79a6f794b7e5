//! Stopping: what is under way is finished, nothing new is begun, and it ends in time.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{BINARY, Gateway, Process, Upstream, eventually};

const STREAM: &str = r#"{"model":"tinyllama","stream":true,"messages":[]}"#;

fn start(upstream: &Upstream, grace: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [gateway]
        shutdown_grace = "{grace}"
        [upstreams.api]
        url = "{url}"
        [upstreams.llm]
        url = "{url}"
        kind = "openai"
        [[routes]]
        path = "/v1"
        upstreams = ["llm"]
        [[routes]]
        upstreams = ["api"]
        "#,
        url = upstream.url()
    ))
}

/// Sends a request and leaves the answer to be read.
fn begin(gateway: &Gateway, request: &str) -> TcpStream {
    let mut client = gateway.connect();
    client.write_all(request.as_bytes()).unwrap();
    client
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// All that comes until the connection is closed, and whether that was done properly.
fn rest(mut client: TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let ended = client.read_to_end(&mut bytes).is_ok();
    (String::from_utf8_lossy(&bytes).into_owned(), ended)
}

fn refuses(gateway: &Gateway) -> bool {
    TcpStream::connect(gateway.address()).is_err()
}

#[test]
fn what_is_under_way_is_finished_and_nothing_new_is_begun() {
    for signal in ["TERM", "INT"] {
        let upstream = Upstream::start();
        let mut gateway = start(&upstream, "15s");
        upstream.set("slow:1500ms");
        let slow = begin(&gateway, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        eventually("a slow request", || upstream.stats()["in_flight"] == 1);
        upstream.set("ok,events=10,gap=150ms");
        let mut stream = begin(&gateway, &post("/v1/chat/completions", STREAM));
        // It has begun: the first piece is here.
        let mut first = [0; 512];
        let read = stream.read(&mut first).unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200"));
        // A connection that is kept alive, but idle, holds nothing up.
        let mut idle = begin(&gateway, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut answer = [0; 2048];
        assert!(idle.read(&mut answer).unwrap() > 0);
        assert_eq!(gateway.admin("/readyz").status, 200);

        gateway.process.signal(signal);
        eventually("the listener is closed", || refuses(&gateway));
        let ready = gateway.admin("/readyz");
        assert_eq!((ready.status, &ready.json()["status"]), (503, &"draining".into()), "{signal}");
        assert_eq!(gateway.admin("/healthz").status, 200, "alive to the end");
        assert_eq!(gateway.admin("/api/v1/circuits").status, 200, "and to be looked at");
        assert!(gateway.process.is_running());

        let (slow, ended) = rest(slow);
        assert!(slow.starts_with("HTTP/1.1 200") && ended, "{slow}");
        let (events, ended) = rest(stream);
        let events = String::from_utf8_lossy(&first[..read]).into_owned() + &events;
        assert!(ended && events.contains("data: [DONE]"), "{events}");
        assert!(events.ends_with("0\r\n\r\n"), "and the last chunk: {events}");
        assert_eq!(gateway.process.exit_code(), Some(0), "{}", gateway.process.log());
        let log = gateway.process.log();
        assert!(log.contains("requests in flight may finish") && log.contains("stopped"), "{log}");
        assert!(!log.contains("cut off"), "{log}");
        assert_eq!(upstream.stats()["by_status"]["200"], 3);
    }
}

#[test]
fn a_gateway_with_nothing_to_do_stops_at_once() {
    let upstream = Upstream::start();
    let mut gateway = start(&upstream, "15s");
    assert_eq!(gateway.get("/").status, 200);
    let started = Instant::now();
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.exit_code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn the_grace_is_bounded() {
    let upstream = Upstream::start();
    let mut gateway = start(&upstream, "500ms");
    upstream.set("hang");
    let hanging = begin(&gateway, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    // It has met its fate before that is changed for the next.
    eventually("a request", || upstream.stats()["in_flight"] == 1);
    upstream.set("stream-keepalive:2");
    let stream = begin(&gateway, &post("/v1/chat/completions", STREAM));
    eventually("two requests", || upstream.stats()["in_flight"] == 2);
    let started = Instant::now();
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.exit_code(), Some(0), "{}", gateway.process.log());
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(5), "{took:?}");
    assert!(gateway.process.log().contains("did not finish in time and are cut off"));
    // Cut off means cut off: neither gets an end that nobody sent.
    assert_eq!(rest(hanging).0, "");
    let (events, _) = rest(stream);
    assert!(!events.contains("[DONE]") && !events.ends_with("0\r\n\r\n"), "{events}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let upstream = Upstream::start();
        let mut gateway = start(&upstream, "5m");
        upstream.set("hang");
        let _hanging = begin(&gateway, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        eventually("a request", || upstream.stats()["in_flight"] == 1);
        gateway.process.signal(first);
        eventually("it is stopping", || gateway.process.log().contains("stopping"));
        assert!(gateway.process.is_running());
        let started = Instant::now();
        gateway.process.signal(second);
        assert_eq!(gateway.process.exit_code(), Some(1), "not everything was finished");
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        assert!(gateway.process.log().contains("told to stop a second time"));
    }
}

#[test]
fn the_address_is_free_for_the_next_one() {
    let upstream = Upstream::start();
    let mut gateway = start(&upstream, "5s");
    let address = gateway.address();
    // Connections that this side closes first linger in the system.
    let mut client = begin(&gateway, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(client.read(&mut [0; 1024]).unwrap() > 0);
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.exit_code(), Some(0));
    let text = format!("[gateway]\nlisten = \"{address}\"\nadmin = \"127.0.0.1:0\"\n");
    let next = Gateway::start(&text);
    assert_eq!((next.address(), next.get("/").status), (address, 404));
}

// ===== the demo =====

fn demo(arguments: &[&str]) -> Process {
    Process::start(Command::new(BINARY).arg("demo").args(arguments), 2)
}

#[test]
fn the_demo_shows_a_trip_a_probe_and_a_recovery() {
    let mut demo = demo(&[]);
    // In real time, as a newcomer sees it: within a minute.
    let printed = demo.printed_within(Duration::from_secs(60), "── llm is closed ──", 2);
    for state in ["── llm is open ──", "── llm is half-open ──"] {
        assert!(printed.contains(state), "{state}: {printed}");
    }
    for sentence in
        ["explain  `llm` OPEN for ", " fired: ", "Next probe in ", "explain  `llm` HALF-OPEN"]
    {
        assert!(printed.contains(sentence), "{sentence}: {printed}");
    }
    assert!(
        printed.contains(r#"metrics  panelboard_circuit_state{circuit="llm",state="open"} 1.0"#)
    );
    assert!(printed.contains("health   degraded {"), "{printed}");
    // From another terminal, as it says itself.
    let admin = format!("http://{}", demo.addresses[1]);
    assert!(printed.contains(&format!("explain llm --admin {admin}")), "{printed}");
    demo.signal("INT");
    assert_eq!(demo.exit_code(), Some(0), "{}", demo.log());
}

#[test]
fn the_demo_takes_free_ports_if_the_usual_ones_are_taken() {
    // If somebody else has them, all the better.
    let _taken = ["127.0.0.1:8080", "127.0.0.1:9090"].map(TcpListener::bind);
    let started = Instant::now();
    let mut demo = demo(&["--for", "1"]);
    for (address, usual) in demo.addresses.iter().zip([8080, 9090]) {
        assert_ne!(address.port(), usual);
    }
    assert_eq!(demo.exit_code(), Some(0), "{}", demo.log());
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
    assert!(demo.printed().contains("── llm is closed ──"), "{}", demo.printed());
}
