//! Events: past ones, and the stream of those to come.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{BINARY, Gateway, Upstream, connect, eventually};

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        r#"
        [events]
        file = "events.jsonl"
        [circuit_breaker.circuits.api]
        failure_threshold = 1
        recovery_timeout = "1m"
        [circuit_breaker.circuits.spare]
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        upstream.url()
    ))
}

fn events(gateway: &Gateway, query: &str) -> Value {
    let answer = gateway.admin(&format!("/api/v1/events{query}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn sequences(list: &Value) -> Vec<u64> {
    let events = list["events"].as_array().unwrap();
    events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

/// A stream of events that is read as it comes.
struct Stream(BufReader<TcpStream>);

/// One event of a stream.
#[derive(Debug, Default)]
struct Frame {
    event: String,
    id: Option<u64>,
    data: Value,
}

impl Stream {
    fn open(gateway: &Gateway, query: &str, headers: &str) -> Stream {
        let mut connection = connect(gateway.admin_address());
        let head =
            format!("GET /api/v1/stream{query} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        let mut stream = Stream(BufReader::new(connection));
        let status = stream.line();
        assert!(status.contains(" 200 "), "{status}");
        while !stream.line().is_empty() {}
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).expect("a line in time") > 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// The next event of this name.
    fn next(&mut self, name: &str) -> Frame {
        let mut frame = Frame::default();
        loop {
            let line = self.line();
            if let Some(event) = line.strip_prefix("event: ") {
                frame = Frame { event: event.to_owned(), ..Frame::default() };
            } else if let Some(id) = line.strip_prefix("id: ") {
                frame.id = id.parse().ok();
            } else if let Some(data) = line.strip_prefix("data: ") {
                frame.data = serde_json::from_str(data).unwrap();
            }
            if frame.event == name && !frame.data.is_null() && line.is_empty() {
                return frame;
            }
        }
    }
}

#[test]
fn events_are_kept_in_order_and_asked_for_from_any_place() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    assert_eq!(events(&gateway, "")["last"], 0);
    upstream.set("status:500");
    gateway.get("/");
    gateway.order("spare", "force-open", r#"{"reason":"disk swap","for":"10m"}"#);
    gateway.order("spare", "auto", "{}");
    gateway.order("api", "probe", r#"{"reason":"it is back"}"#);

    let all = events(&gateway, "");
    assert_eq!((sequences(&all), &all["last"]), (vec![1, 2, 3, 4], &4.into()));
    assert_eq!(all["missed"], 0);
    let event = &all["events"][0];
    assert_eq!((&event["kind"], &event["circuit"]), (&"transition".into(), &"api".into()));
    assert_eq!((&event["from"], &event["to"]), (&"closed".into(), &"open".into()));
    assert_eq!(event["cause"], "consecutive_failures");
    assert!(event["explain"].as_str().unwrap().contains("1 failure in a row"), "{event}");
    let event = &all["events"][1];
    assert_eq!((&event["kind"], &event["to"]), (&"mode".into(), &"forced_open".into()));
    assert_eq!((&event["by"], &event["reason"]), (&"admin API".into(), &"disk swap".into()));
    assert!(event["until"].as_str().unwrap().ends_with('Z'), "{event}");
    let event = &all["events"][3];
    assert_eq!((&event["cause"], &event["to"]), (&"probe_ordered".into(), &"half_open".into()));
    assert!(event["explain"].as_str().unwrap().contains("it is back"), "{event}");

    assert_eq!(sequences(&events(&gateway, "?after=2")), [3, 4]);
    assert_eq!(sequences(&events(&gateway, "?after=1&limit=2")), [2, 3]);
    assert_eq!(sequences(&events(&gateway, "?limit=1")), [4], "the newest");
    assert_eq!(sequences(&events(&gateway, "?circuit=spare")), [2, 3]);
    assert_eq!(sequences(&events(&gateway, "?circuit=api&limit=1")), [4]);
    assert_eq!(sequences(&events(&gateway, "?after=99")), [0_u64; 0]);
    for query in
        ["?limit=0", "?limit=1001", "?limit=x", "?after=-1", "?after=1&after=2", "?befor=1"]
    {
        assert_eq!(gateway.admin(&format!("/api/v1/events{query}")).status, 400, "{query}");
    }

    // The same is written down.
    let file = gateway.config.with_file_name("events.jsonl");
    let read = || std::fs::read_to_string(&file).unwrap();
    eventually("four lines", || read().lines().count() == 4);
    let lines: Vec<Value> = read().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(&lines, all["events"].as_array().unwrap());
}

#[test]
fn an_order_to_probe_lets_the_next_call_through() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let refused = gateway.order("api", "probe", "{}");
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("not open"), "{}", refused.body);
    upstream.set("status:500");
    gateway.get("/");
    assert_eq!(gateway.get("/").status, 503);
    upstream.set("ok");
    let output = gateway.cli(&["probe", "api", "--reason", "repaired"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("HALF-OPEN"), "{}", output.stdout);
    for _ in 0..3 {
        assert_eq!(gateway.get("/").status, 200);
    }
    assert_eq!(gateway.state("api"), "closed");
    assert_eq!(gateway.cli(&["probe", "api"]).code, Some(7), "nothing to probe is a conflict");
}

#[test]
fn a_stream_begins_with_everything_and_goes_on_with_what_happens() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut stream = Stream::open(&gateway, "", "");
    let snapshot = stream.next("snapshot");
    let names: Vec<&str> = snapshot.data["circuits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|circuit| circuit["name"].as_str().unwrap())
        .collect();
    assert_eq!((names, snapshot.id), (vec!["api", "spare"], Some(0)));
    upstream.set("status:500");
    gateway.get("/");
    let event = stream.next("event");
    assert_eq!((event.id, &event.data["to"]), (Some(1), &"open".into()));
    // Then the circuit, with what it counts.
    let changed = stream.next("circuits");
    let api = &changed.data["circuits"][0];
    assert_eq!((&api["name"], &api["state"], changed.id), (&"api".into(), &"open".into(), None));
    // From the second time on only those of which there is something new.
    gateway.get("/");
    let changed = stream.next("circuits");
    let circuits = changed.data["circuits"].as_array().unwrap();
    assert_eq!((circuits.len(), &circuits[0]["calls"]["rejected"]), (1, &1.into()));

    // Whoever was away gets what was missed.
    drop(stream);
    gateway.order("spare", "observe", "{}");
    gateway.order("spare", "auto", "{}");
    let mut stream = Stream::open(&gateway, "", "last-event-id: 1\r\n");
    assert_eq!(stream.next("snapshot").id, None, "or it would be skipped the next time");
    assert_eq!((stream.next("event").id, stream.next("event").id), (Some(2), Some(3)));
    let mut stream = Stream::open(&gateway, "?after=2", "");
    assert_eq!(stream.next("event").id, Some(3));
    // A number from before a restart, or nonsense, begins anew.
    for id in ["last-event-id: 4711\r\n", "last-event-id: x\r\n"] {
        assert_eq!(Stream::open(&gateway, "", id).next("snapshot").id, Some(3), "{id}");
    }
}

#[test]
fn streams_are_bounded_and_give_their_places_back() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut streams: Vec<Stream> = (0..64).map(|_| Stream::open(&gateway, "", "")).collect();
    let refused = gateway.admin("/api/v1/stream");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    assert!(refused.body.contains("64 subscribers"), "{}", refused.body);
    streams.pop();
    // The gateway notices when it next has something to say.
    eventually("a place", || {
        gateway.order("spare", "observe", "{}");
        gateway.order("spare", "auto", "{}");
        let mut connection = connect(gateway.admin_address());
        let head = b"GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
        connection.write_all(head).unwrap();
        let mut status = String::new();
        BufReader::new(connection).read_line(&mut status).unwrap();
        status.contains(" 200 ")
    });
}

#[test]
fn the_command_line_lists_and_follows_events() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    gateway.order("spare", "observe", r#"{"reason":"one"}"#);
    gateway.order("spare", "auto", r#"{"reason":"two"}"#);
    let output = gateway.cli(&["events", "--last", "1"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("two") && !output.stdout.contains("one"), "{}", output.stdout);
    let output = gateway.cli(&["events", "--json", "--circuit", "spare"]);
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["version"]), (2, &1.into()));

    let mut command = Command::new(BINARY);
    command.args(["events", "-f", "--last", "0", "--admin", &gateway.admin_url()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (found, line) = std::sync::mpsc::channel();
    std::thread::spawn(move || found.send(lines.next()));
    // When it begins to follow cannot be seen from here.
    let mut followed = None;
    eventually("a line", || {
        gateway.order("spare", "observe", r#"{"reason":"three"}"#);
        gateway.order("spare", "auto", r#"{"reason":"four"}"#);
        followed = line.try_recv().ok();
        followed.is_some()
    });
    let line = followed.flatten().unwrap().unwrap();
    assert!(line.contains("three") || line.contains("four"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}
