//! Upstreams that are spoken to in HTTP/2, and what there is to notice on connections to any.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::raw::{Client, End, get, request};
use crate::support::{Gateway, Upstream, eventually};

fn gateway(upstream: SocketAddr, more: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = 100
        failure_rate = "off"
        [upstreams.api]
        url = "http://{upstream}"
        {more}
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#
    ))
}

#[test]
fn requests_share_a_connection_and_arrive_whole() {
    let upstream = Upstream::start();
    let gateway = gateway(upstream.address(), r#"http2 = "on""#);
    let answer = gateway.get_with("/a/b?c=d", &[("x-mine", "1"), ("keep-alive", "timeout=5")]);
    let seen = answer.json();
    assert_eq!((answer.status, &seen["version"]), (200, &"HTTP/2".into()), "{}", answer.body);
    assert_eq!(seen["target"], "/a/b?c=d");
    let headers = seen["headers"].to_string();
    let authority = format!("[\":authority\",\"{}\"]", upstream.address());
    assert!(headers.contains(&authority) && headers.contains("[\"x-mine\",\"1\"]"), "{headers}");
    for hop in ["[\"host\"", "keep-alive", "connection", "transfer-encoding"] {
        assert!(!headers.contains(hop), "{hop}: {headers}");
    }
    let body = "x".repeat(300_000);
    let answer = gateway.post_with("/echo", &body, &[("content-type", "text/plain")]);
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));
    let chunked =
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                    5\r\nhello\r\n0\r\n\r\n";
    let answer = gateway.raw(chunked);
    assert!(answer.contains("\"body_length\":5") && answer.contains("HTTP/2"), "{answer}");
    let answer = gateway.get("/bytes/1000000");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("1000000")));
    assert_eq!(upstream.stats()["connections"], 1);
    assert_eq!(gateway.count("api", "success"), 4);
}

#[test]
fn faults_of_http2_are_judged() {
    let upstream = Upstream::start();
    let gateway = gateway(upstream.address(), r#"http2 = "on""#);
    for (behaviour, outcome, kind, message, requests) in [
        ("ok", "success", "", "", 1),
        ("h2-reset:refused-stream", "failure", "overloaded", "refused the request", 1),
        ("h2-reset:internal-error", "failure", "connect", "closed before an answer", 1),
        ("h2-reset:no-error", "failure", "connect", "closed before an answer", 1),
        // It was left out, so it is sent once more; the second time counts.
        ("h2-goaway", "failure", "overloaded", "refused the request", 2),
        ("h2-goaway-after", "success", "", "", 1),
        ("h2-bad-frame", "failure", "invalid_response", "is not HTTP", 1),
        ("h2-bad-headers", "failure", "invalid_response", "is not HTTP", 1),
        ("close", "failure", "connect", "closed before an answer", 1),
        ("ok", "success", "", "", 1),
        ("garbage", "failure", "invalid_response", "is not HTTP", 1),
        ("status:503", "failure", "server_error", "answered with an error", 1),
        ("ok", "success", "", "", 1),
    ] {
        upstream.reset_stats();
        let headers = [("x-upstream-behaviour", behaviour)];
        let (answer, judged) = gateway.judged("api", || gateway.get_with("/", &headers));
        let expected = if outcome == "success" { 200 } else { 503 };
        assert_eq!(answer.status, expected, "{behaviour}: {}", answer.body);
        assert_eq!((judged.outcome, &*judged.kind), (outcome, kind), "{behaviour}: {judged:?}");
        assert!(judged.message.contains(message), "{behaviour}: {judged:?}");
        assert_eq!(upstream.requests(), requests, "{behaviour}");
    }
}

#[test]
fn bodies_that_end_early_over_http2_are_cut() {
    let upstream = Upstream::start();
    let gateway = gateway(upstream.address(), r#"http2 = "on""#);
    for behaviour in [
        "h2-reset-body:cancel",
        "h2-reset-body:internal-error",
        "h2-goaway-body",
        "h2-short",
        "h2-long",
        "truncate",
        "missing-last-chunk",
    ] {
        let (reply, judged) = gateway.judged("api", || {
            let mut client = Client::of(&gateway);
            let header = format!("x-upstream-behaviour: {behaviour}\r\n");
            client.send(request("GET", "/bytes/1000", &header, ""));
            client.reply()
        });
        assert_eq!((reply.status, reply.end), (200, End::Cut), "{behaviour}");
        assert!(reply.body.len() <= 1_000, "{behaviour}");
        assert_eq!(judged.kind, "invalid_response", "{behaviour}: {judged:?}");
        assert!(judged.message.contains("the body ended early"), "{behaviour}: {judged:?}");
    }
}

#[test]
fn what_was_refused_goes_to_the_next_upstream_whatever_its_method() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = Gateway::start(&format!(
        r#"
        [upstreams.first]
        url = "{}"
        http2 = "on"
        [upstreams.second]
        url = "{}"
        [[routes]]
        upstreams = ["first", "second"]
        "#,
        first.url(),
        second.url()
    ));
    first.set("h2-reset:refused-stream");
    let answer = gateway.post("/", "");
    assert_eq!((answer.status, &answer.json()["version"]), (200, &"HTTP/1.1".into()));
    assert_eq!((first.requests(), second.requests()), (1, 1));
    first.set("h2-reset:cancel");
    let answer = gateway.post("/", "");
    assert_eq!((answer.status, second.requests()), (503, 1), "it may have been processed");
}

/// A server that answers the first request of a connection and closes it on the second; what it
/// was sent, by request line.
fn closes_on_reuse() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || serve_once(&socket.unwrap(), &kept));
        }
    });
    (address, seen)
}

fn serve_once(mut socket: &TcpStream, seen: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(socket).lines();
    for answers in [true, false] {
        let mut head = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.is_empty() => break,
                Some(Ok(line)) => head.push(line),
                Some(Err(_)) | None => return,
            }
        }
        seen.lock().unwrap().push(head.swap_remove(0));
        if answers {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        }
    }
}

#[test]
fn a_request_that_met_a_closing_connection_is_sent_once_more_if_that_does_no_harm() {
    let (address, seen) = closes_on_reuse();
    let gateway = gateway(address, "");
    let taken = || std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(gateway.get("/1").status, 200);
    // The connection is kept, and closed when it is used again.
    assert_eq!(gateway.get("/2").status, 200);
    assert_eq!(taken(), ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /2 HTTP/1.1"]);
    assert_eq!((gateway.count("api", "success"), gateway.count("api", "failure")), (2, 0));

    assert_eq!(gateway.get("/3").status, 200);
    let answer = gateway.post("/4", "once");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(taken(), ["GET /3 HTTP/1.1", "POST /4 HTTP/1.1"], "a POST may have done its work");
    assert_eq!(gateway.count("api", "failure"), 1);
}

#[test]
fn connections_are_no_more_than_allowed_and_a_want_of_them_is_no_evidence() {
    let upstream = Upstream::start();
    let more = "max_connections = 1\nconnect_timeout = \"200ms\"";
    let gateway = gateway(upstream.address(), more);
    let mut first = Client::of(&gateway);
    let slow = "x-upstream-behaviour: slow:1s\r\n";
    first.send(request("GET", "/first", slow, ""));
    eventually("it is under way", || upstream.stats()["in_flight"] == 1);
    let answer = gateway.get("/second");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(first.reply().status, 200);
    assert_eq!((gateway.count("api", "failure"), gateway.count("api", "neutral")), (0, 1));
    // One that waits gets the connection when it becomes free.
    first.send(request("GET", "/third", "x-upstream-behaviour: slow:100ms\r\n", ""));
    eventually("it is under way", || upstream.stats()["in_flight"] == 1);
    let mut fourth = Client::of(&gateway);
    fourth.send(get("/fourth"));
    assert_eq!((first.reply().status, fourth.reply().status), (200, 200));
    assert_eq!(upstream.stats()["connections"], 1);
}
