//! Bodies on their way through, in both directions: as they come, however large, and unchanged.

use std::time::Duration;

use crate::raw::{Client, End, get, post, request};
use crate::support::{Gateway, Upstream, eventually, pass};

const LARGE: usize = 20 << 20;

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = "off"
        failure_rate = "off"
        [upstreams.api]
        url = "{url}"
        first_byte_timeout = "300ms"
        stall_timeout = "300ms"
        # It takes its time to make up many bytes.
        [upstreams.large]
        url = "{url}"
        stall_timeout = "300ms"
        [[routes]]
        path = "/large"
        strip_prefix = "/large"
        upstreams = ["large"]
        circuit = "api"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        url = upstream.url()
    ))
}

/// Bytes in which nothing can be lost, doubled or swapped unnoticed.
fn pattern(size: usize) -> Vec<u8> {
    (0..251).cycle().take(size).collect()
}

fn chunked(pieces: &[&[u8]], trailers: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in pieces {
        body.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        body.extend_from_slice(piece);
        body.extend(b"\r\n");
    }
    body.extend(format!("0\r\n{trailers}\r\n").into_bytes());
    body
}

#[test]
fn a_large_body_comes_through_in_both_directions() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let body = pattern(LARGE);
    let mut client = Client::of(&gateway);
    let down = client.ask(get(&format!("/large/bytes/{LARGE}")));
    assert_eq!((down.status, down.end), (200, End::Whole));
    assert!(down.body == body, "other bytes came than were sent");

    let up = client.ask(request("PUT", "/large/", "", &body)).json();
    assert_eq!(up["framing"], "content-length");
    assert_eq!(up["body_length"], LARGE);
    assert_eq!(up["body_crc32"], format!("{:08x}", crc32fast::hash(&body)));

    let head = "POST /large/ HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(head);
    let pieces: Vec<&[u8]> = body.chunks(100_000).collect();
    let up = client.ask(chunked(&pieces, "")).json();
    assert_eq!(up["framing"], "chunked");
    assert_eq!(up["body_crc32"], format!("{:08x}", crc32fast::hash(&body)));
    assert_eq!(gateway.count("api", "success"), 3);
}

#[test]
fn an_upload_reaches_the_upstream_while_it_is_still_coming() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let whole = request("POST", "/", "", b"one two three four");
    let (reply, judged) = gateway.judged("api", || {
        let mut client = Client::of(&gateway);
        client.send(&whole[..whole.len() - 15]);
        eventually("the upstream has the head", || upstream.requests() == 1);
        // Slower in all than an upstream may be, but it is not the upstream that is slow.
        for piece in whole[whole.len() - 15..].chunks(5) {
            pass(Duration::from_millis(200));
            client.send(piece);
        }
        client.reply()
    });
    assert_eq!((reply.status, judged.outcome), (200, "success"));
    assert_eq!(reply.json()["body_length"], 18);
}

#[test]
fn a_client_that_reads_slowly_is_not_the_upstreams_fault() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let (reply, judged) = gateway.judged("api", || {
        let mut client = Client::of(&gateway);
        client.send(get(&format!("/large/bytes/{LARGE}")));
        let head = client.head();
        // Longer than the upstream may be silent.
        pass(Duration::from_millis(700));
        client.body_of(head)
    });
    assert_eq!((reply.end, reply.body.len(), judged.outcome), (End::Whole, LARGE, "success"));
}

#[test]
fn a_body_in_pieces_passes_piece_by_piece() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    // Each gap is bearable, though all of them together are not.
    upstream.set("ok,events=4,gap=120ms");
    let (reply, judged) =
        gateway.judged("api", || Client::of(&gateway).ask(get("/slow-body/1000")));
    assert_eq!((reply.end, judged.outcome), (End::Whole, "success"));
    assert_eq!(reply.body, pattern(1_000));
}

#[test]
fn announced_trailers_pass_in_both_directions() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.set(r#"ok,header="trailer: x-crc32""#);
    let down = Client::of(&gateway).ask(request("GET", "/trailers", "te: trailers\r\n", ""));
    assert_eq!((down.end, down.body.len()), (End::Whole, 1_000));
    let crc = crc32fast::hash(&pattern(1_000));
    assert_eq!(down.trailers, format!("x-crc32: {crc:08x}\r\n"));

    let mut client = Client::of(&gateway);
    client.send("POST / HTTP/1.1\r\nhost: test\r\ntrailer: x-sum\r\n");
    client.send("transfer-encoding: chunked\r\n\r\n");
    let up = client.ask(chunked(&[b"hello", b" world"], "x-sum: 7\r\n")).json();
    assert_eq!(up["body_length"], 11);
    assert_eq!(up["trailers"], serde_json::json!([["x-sum", "7"]]));
}

#[test]
fn an_answer_before_the_end_of_the_upload_reaches_the_client() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    // The upstream takes no more than 64 MiB, and says so at once.
    let head = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 99999999999\r\n\r\n";
    let (reply, judged) = gateway.judged("api", || {
        let mut client = Client::of(&gateway);
        client.send(head);
        client.reply()
    });
    assert_eq!((reply.status, judged.outcome), (413, "success"));
    assert!(reply.text().contains("64 MiB"), "the upstream's own words: {}", reply.text());
    assert_eq!(Client::of(&gateway).ask(post("/echo", "x")).body, b"x");
}
