use super::client::{Ended, Upstream, get};
use crate::upstream::stats::Report;

/// What is answered to these bytes, which are all that is sent.
async fn answered(upstream: &Upstream, bytes: &[u8]) -> (String, Ended) {
    let mut client = upstream.connect().await;
    client.try_send(bytes).await;
    client.rest().await
}

fn post(framed: &str) -> Vec<u8> {
    format!("POST /echo HTTP/1.1\r\nhost: h\r\n{framed}").into_bytes()
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_closed() {
    let upstream = Upstream::start("ok");
    let endless = [b"GET / HTTP/1.1\r\nhost: h\r\nx: ".as_slice(), &b"a".repeat(1 << 20)].concat();
    let cases: [(&[u8], &str); 6] = [
        (b"\0\0\0\0\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "400"),
        (b"GET / HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\nhost: h\n\n", "400"),
        // Nearly what HTTP/2 begins with.
        (b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", "400"),
        (&endless, "431"),
    ];
    for (bytes, status) in cases {
        let (text, ended) = answered(&upstream, bytes).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
        assert_eq!(ended, Ended::InOrder, "{status}");
    }
    let report = upstream.handle.report();
    assert_eq!((report.malformed, report.requests, report.in_flight), (6, 0, 0));
    assert_eq!(upstream.ask(get("/", "")).await.status, 200, "it lives");
}

#[tokio::test]
async fn bodies_that_contradict_their_framing_are_refused() {
    let upstream = Upstream::start("ok");
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let long = format!("{chunked}5;{}", "x".repeat(20_000));
    for (framed, status) in [
        ("content-length: 5\r\ncontent-length: 6\r\n\r\n", "400"),
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", "400"),
        ("transfer-encoding: gzip\r\n\r\n", "501"),
        ("content-length: 67108865\r\n\r\n", "413"),
        ("content-length: 99999999999999999999999999\r\n\r\n", "413"),
        (&format!("{chunked}\r\n\r\n"), "400"),
        (&format!("{chunked}xyz\r\n"), "400"),
        (&format!("{chunked}-1\r\n"), "400"),
        (&format!("{chunked}2\r\nhello\r\n"), "400"),
        (&format!("{chunked}ffffffffffffffff\r\n"), "413"),
        (&format!("{chunked}fffffffffffffffff\r\n"), "400"),
        (&format!("{chunked}0\r\nno trailer\r\n\r\n"), "400"),
        (&long, "400"),
    ] {
        let (text, ended) = answered(&upstream, &post(framed)).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{framed:.80}: {text}");
        assert_eq!(ended, Ended::InOrder, "{framed:.80}");
    }
    let report = upstream.handle.report();
    assert_eq!((report.requests, report.in_flight), (13, 0));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_forgotten() {
    let upstream = Upstream::start("ok");
    for bytes in ["", "GET", "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhe"] {
        let mut client = upstream.connect().await;
        client.send(bytes).await;
        drop(client);
    }
    let settled = |report: &Report| report.requests == 1 && report.in_flight == 0;
    let report = upstream.report_when(settled).await;
    assert_eq!((report.by_status["none"], report.malformed), (1, 0));
}

/// Valid requests with a few bytes changed, left out or doubled, the same ones each time.
#[tokio::test]
async fn no_damage_on_the_way_stops_it() {
    let upstream = Upstream::start("ok");
    let whole = post("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n");
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        let mut client = upstream.connect().await;
        client.try_send(&bytes).await;
        client.say_no_more().await;
        let (text, _) = client.rest().await;
        let answered = ["HTTP/1.1 2", "HTTP/1.1 4", "HTTP/1.1 5"];
        let fine = text.is_empty() || answered.iter().any(|start| text.starts_with(start));
        assert!(fine, "{:?}: {text}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(upstream.report_when(|report| report.in_flight == 0).await.in_flight, 0);
    assert_eq!(upstream.ask(get("/", "")).await.status, 200);
}

/// Paused time runs on when everyone waits, so half a minute passes at once.
#[tokio::test(start_paused = true)]
async fn slow_clients_are_cut_off() {
    let upstream = Upstream::start("ok");
    for bytes in [b"GET / HTTP/1.1\r\nhost".to_vec(), post("content-length: 5\r\n\r\nhe")] {
        let (text, ended) = slowly(&upstream, &bytes).await;
        assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
        assert_eq!(ended, Ended::InOrder);
    }
    assert_eq!(slowly(&upstream, b"").await, (String::new(), Ended::InOrder), "idle for too long");
}

async fn slowly(upstream: &Upstream, bytes: &[u8]) -> (String, Ended) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // Without the patience of the usual client, which would run out first.
    let mut socket = tokio::net::TcpStream::connect(upstream.addr).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    (text, Ended::InOrder)
}
