//! Bytes that two servers could read in two ways, and requests that are too much: refused, and
//! the gateway serves the next as if nothing had been.

use std::time::{Duration, Instant};

use crate::raw::{Client, End, get, post, request};
use crate::support::{Gateway, Upstream, eventually, pass};

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        r#"
        [gateway]
        header_read_timeout = "400ms"
        idle_timeout = "1s"
        max_header_bytes = "128KiB"
        max_headers = 50
        [upstreams.api]
        url = "{}"
        [[routes]]
        host = "test"
        path = "/small"
        upstreams = ["api"]
        max_body_bytes = 1000
        [[routes]]
        host = "test"
        upstreams = ["api"]
        "#,
        upstream.url()
    ))
}

const HEAD: &str = "POST /echo HTTP/1.1\r\nHost: test\r\n";

/// Refused with this status, without an upstream, and the connection is over; others are served.
fn assert_refused(gateway: &Gateway, upstream: &Upstream, bytes: impl AsRef<[u8]>, status: u16) {
    let bytes = bytes.as_ref();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
    let before = upstream.requests();
    let mut client = Client::of(gateway);
    client.try_send(bytes);
    let reply = client.reply();
    assert_eq!((reply.status, reply.end), (status, End::Whole), "{shown:?}");
    let rest = client.rest();
    assert!(rest.is_empty(), "{shown:?}: {}", String::from_utf8_lossy(&rest));
    assert_eq!(upstream.requests(), before, "{shown:?}");
    assert_serves(gateway);
}

fn assert_serves(gateway: &Gateway) {
    assert_eq!(Client::of(gateway).ask(post("/echo", "still here")).body, b"still here");
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let blanks = " ".repeat(400);
    for rest in [
        // Two framings, or one that nobody knows.
        format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{body}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n{body}"),
        format!("Transfer-Encoding: gzip\r\n\r\n{body}"),
        format!("Transfer-Encoding: xchunked\r\n\r\n{body}"),
        format!("Transfer-Encoding: \"chunked\"\r\n\r\n{body}"),
        format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n{body}"),
        // Lengths that are two, or none.
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello".into(),
        "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello".into(),
        "Content-Length: 5, 6\r\n\r\nhello".into(),
        "Content-Length: +5\r\n\r\nhello".into(),
        "Content-Length: -5\r\n\r\nhello".into(),
        "Content-Length: 0x5\r\n\r\nhello".into(),
        "Content-Length: 5.0\r\n\r\nhello".into(),
        "Content-Length: 5 5\r\n\r\nhello".into(),
        "Content-Length: \r\n\r\nhello".into(),
        "Content-Length: 18446744073709551616\r\n\r\nhello".into(),
        // Hidden behind blanks.
        format!("Content-Length:{blanks}5\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
        format!("Transfer-Encoding:{blanks}chunked\r\nContent-Length: 5\r\n\r\n{body}"),
        // Lines that end, go on or are split as they should not.
        "Content-Length: 5\n\r\nhello".into(),
        "X: y\nContent-Length: 5\r\n\r\nhello".into(),
        "Content-Length: 5\r\n\nhello".into(),
        "X: y\r\n Content-Length: 5\r\n\r\nhello".into(),
        "X: y\r\n\tz\r\n\r\n".into(),
        "Content-Length : 5\r\n\r\nhello".into(),
        " Content-Length: 5\r\n\r\nhello".into(),
        "Content-Length\r\n\r\nhello".into(),
        "X\0: y\r\n\r\n".into(),
        "X: y\0z\r\n\r\n".into(),
        "X: y\rContent-Length: 5\r\n\r\nhello".into(),
        ": y\r\n\r\n".into(),
        "Host: other\r\n\r\n".into(),
    ] {
        assert_refused(&gateway, &upstream, format!("{HEAD}{rest}"), 400);
    }
    for line in [
        "GET / HTTP/1.1\nHost: test\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
        "G\0T / HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: test\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n",
    ] {
        assert_refused(&gateway, &upstream, line, 400);
    }
}

#[test]
fn an_ambiguous_request_cannot_hide_behind_another() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let smuggled = "X: y\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    // The length of the first is so far to the right that a lazy look misses it.
    let blanks = " ".repeat(400);
    let inner = "POST / HTTP/1.1\r\nContent-Length: 9999\r\n\r\n";
    let length = inner.len();
    let zeros = "0".repeat(400);
    for first in [
        format!("{HEAD}Content-Length:{blanks}{length}\r\n\r\n{inner}"),
        format!("{HEAD}Content-Length: {zeros}{length}\r\n\r\n{inner}"),
        format!(
            "{HEAD}Transfer-Encoding:{blanks}chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"
        ),
        format!(
            "{HEAD}Transfer-Encoding: chunked\r\n\r\n{zeros}{length:x}\r\n{inner}\r\n0\r\n\r\n"
        ),
    ] {
        let mut client = Client::of(&gateway);
        // In pieces, of which only the beginning is kept.
        for piece in first.as_bytes().chunks(100) {
            client.try_send(piece);
            pass(Duration::from_millis(1));
        }
        // Refused at once, or at the latest when it matters.
        let reply = client.reply();
        if reply.status == 200 {
            assert_eq!(reply.body, inner.as_bytes());
            client.try_send(format!("{HEAD}{smuggled}"));
            assert_eq!(client.reply().status, 400);
        } else {
            assert_eq!(reply.status, 400);
        }
        assert!(client.is_over());
    }
    assert_eq!(upstream.stats()["by_path"]["/"], serde_json::Value::Null);
    assert_serves(&gateway);
}

#[test]
fn what_comes_before_an_ambiguous_request_is_answered() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for first in [get("/"), post("/echo", "hello")] {
        for bad in
            ["X: y\n\r\n", "X: y\r\n z\r\n\r\n", "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"]
        {
            upstream.reset_stats();
            // In one piece, so that both are there before the first is served.
            let mut client = Client::of(&gateway);
            client.send([&first[..], HEAD.as_bytes(), bad.as_bytes()].concat());
            assert_eq!(
                (client.try_status(), client.try_status()),
                (Some(200), Some(400)),
                "{bad:?}"
            );
            assert!(client.is_over());
            assert_eq!(upstream.requests(), 1, "{bad:?}");
        }
    }
}

#[test]
fn a_body_of_unknown_length_reaches_the_upstream_with_any_method() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for method in ["GET", "DELETE", "OPTIONS", "POST"] {
        let mut client = Client::of(&gateway);
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        let seen = client.ask("5\r\nhello\r\n0\r\n\r\n").json();
        assert_eq!(
            (&seen["body_length"], &seen["framing"]),
            (&5.into(), &"chunked".into()),
            "{method}"
        );
    }
    let seen = Client::of(&gateway).ask(get("/")).json();
    assert_eq!(seen["framing"], "none", "no body is made up");
}

#[test]
fn a_request_that_asks_for_a_tunnel_or_a_mirror_is_the_last_of_its_connection() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for method in ["CONNECT test:80", "TRACE /"] {
        let smuggled = String::from_utf8(get("/smuggled")).unwrap();
        let sent = format!("{method} HTTP/1.1\r\nHost: test\r\n\r\n{smuggled}");
        assert_refused(&gateway, &upstream, sent, 405);
    }
}

#[test]
fn chunks_that_are_none_never_reach_the_upstream_as_a_whole_body() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for body in [
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
    ] {
        let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
        let mut client = Client::of(&gateway);
        client.send(format!("{head}{body}"));
        assert_eq!(client.reply().status, 400, "{body:?}");
        assert!(client.is_over(), "{body:?}");
    }
    // Not one of them was answered, so not one was taken for whole.
    eventually("the upstream let go", || upstream.stats()["in_flight"] == 0);
    assert_eq!(upstream.stats()["by_status"]["200"], serde_json::Value::Null);
    let circuit = gateway.circuit("api");
    assert_eq!(
        (&circuit["calls"]["success"], &circuit["calls"]["failure"]),
        (&0.into(), &0.into())
    );
    assert_serves(&gateway);
}

#[test]
fn too_much_is_refused_with_its_own_status() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let large = format!("{HEAD}X: {}\r\n\r\n", "y".repeat(200_000));
    assert_refused(&gateway, &upstream, large, 431);
    let many = format!("{HEAD}{}\r\n", "X: y\r\n".repeat(60));
    assert_refused(&gateway, &upstream, many, 431);
    let long = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(70_000));
    assert_refused(&gateway, &upstream, long, 414);
    let fits = Client::of(&gateway).ask(get(&format!("/{}", "a".repeat(30_000))));
    assert_eq!(fits.status, 200);
}

#[test]
fn a_body_larger_than_the_route_takes_is_refused() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let before = upstream.requests();
    let reply = Client::of(&gateway).ask(request("POST", "/small", "", [b'x'; 1_001]));
    assert_eq!(reply.status, 413);
    assert!(reply.text().contains("larger than the 1000 bytes"), "{}", reply.text());
    assert_eq!(upstream.requests(), before, "it said so beforehand");
    // Without a length it shows only as it comes, and the upstream must not take it for whole.
    let ((), judged) = gateway.judged("api", || {
        let mut client = Client::of(&gateway);
        client.send("POST /small HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1_001)));
        assert_eq!(client.reply().status, 413);
    });
    assert_eq!(judged.outcome, "neutral");
    eventually("the upstream let go", || upstream.stats()["in_flight"] == 0);
    assert_eq!(upstream.stats()["by_status"]["200"], serde_json::Value::Null);
    let fits = Client::of(&gateway).ask(request("POST", "/small", "", [b'x'; 1_000]));
    assert_eq!(fits.json()["body_length"], 1_000);
}

#[test]
fn a_head_that_drips_is_not_waited_for() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let started = Instant::now();
    let mut client = Client::of(&gateway);
    for byte in "GET / HTTP/1.1\r\nHost: test\r\nX: and so on for ever".as_bytes() {
        client.try_send([*byte]);
        pass(Duration::from_millis(20));
    }
    let rest = client.rest();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(upstream.requests(), 0);
    assert_serves(&gateway);
}

#[test]
fn each_head_has_its_own_time() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    // Each piece ends one head and begins the next, for longer than one head may take.
    let mut client = Client::of(&gateway);
    client.send("GET /");
    for _ in 0..8 {
        pass(Duration::from_millis(100));
        client.send(" HTTP/1.1\r\nHost: test\r\n\r\nGET /");
        assert_eq!(client.reply().status, 200);
    }
}

#[test]
fn an_idle_connection_is_kept_for_a_while_and_then_closed() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut client = Client::of(&gateway);
    assert_eq!(client.ask(get("/")).status, 200);
    // Longer than a head may take, which has not begun yet.
    pass(Duration::from_millis(600));
    assert_eq!(client.ask(get("/")).status, 200);
    assert!(client.is_over(), "after the idle time, and without a word");
}

#[test]
fn a_body_that_stops_coming_is_not_waited_for() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let whole = post("/echo", "hello world");
    let ((), judged) = gateway.judged("api", || {
        let mut client = Client::of(&gateway);
        for byte in &whole[..whole.len() - 8] {
            client.send([*byte]);
        }
        // Slowly is fine, as long as it comes.
        for byte in &whole[whole.len() - 8..whole.len() - 5] {
            pass(Duration::from_millis(500));
            client.send([*byte]);
        }
        let rest = client.rest();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"));
    });
    assert_eq!(judged.outcome, "neutral", "the client's fault");
    eventually("the upstream let go", || upstream.stats()["in_flight"] == 0);
    assert_serves(&gateway);
}
