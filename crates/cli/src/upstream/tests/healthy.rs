use serde_json::json;

use super::client::{Ended, Upstream, get, post};

/// All byte values, in an order that no framing would make up.
fn binary(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index * 7 + index / 256) as u8).collect()
}

#[tokio::test]
async fn an_echo_is_identical_whatever_the_framing() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    for body in [binary(0), binary(1), binary(300_000)] {
        let head = "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-type: application/x-odd\r\n";
        let length = format!("content-length: {}\r\n\r\n", body.len());
        client.send([head.as_bytes(), length.as_bytes(), &body].concat()).await;
        let reply = client.reply().await;
        assert!(reply.head.contains("content-type: application/x-odd\r\n"), "{}", reply.head);
        assert!(reply.body == body);

        let mut chunked = [head.as_bytes(), b"transfer-encoding: chunked\r\n\r\n"].concat();
        for piece in body.chunks(70_001) {
            chunked.extend(format!("{:X};x=\"y\"\r\n", piece.len()).into_bytes());
            chunked.extend([piece, b"\r\n"].concat());
        }
        chunked.extend(b"0\r\nx-trailer: t\r\n\r\n");
        client.send(chunked).await;
        assert!(client.reply().await.body == body);
    }
    assert_eq!(upstream.handle.report().connections, 1, "one connection for all of it");
}

#[tokio::test]
async fn a_body_may_come_byte_by_byte() {
    let upstream = Upstream::start("ok");
    for framed in [
        "content-length: 5\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n",
    ] {
        let mut client = upstream.connect().await;
        for byte in format!("POST /echo HTTP/1.1\r\nhost: h\r\n{framed}").bytes() {
            client.send([byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.reply().await.text(), "hello");
    }
}

#[tokio::test]
async fn a_report_tells_what_arrived() {
    let upstream = Upstream::start("ok");
    let request = "PATCH /some/where?x=1 HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: end\r\n\r\n";
    let report = upstream.ask(request).await.json();
    let expected = json!({
        "method": "PATCH",
        "target": "/some/where?x=1",
        "version": "HTTP/1.1",
        "headers": [
            ["host", "h"], ["x-b", "1"], ["x-a", "2"], ["x-b", "3"],
            ["transfer-encoding", "chunked"],
        ],
        "framing": "chunked",
        "body_length": 3,
        "body_crc32": "352441c2",
        "trailers": [["x-t", "end"]],
    });
    assert_eq!(report, expected);
}

#[tokio::test]
async fn llm_answers_come_whole_and_streamed() {
    let upstream = Upstream::start("ok,gap=0s");
    let whole = upstream.ask(post("/v1/chat/completions", "{\"model\":\"m\"}", "")).await;
    assert_eq!((whole.status, &whole.json()["model"]), (200, &json!("m")));
    assert_eq!(upstream.ask(get("/v1/models", "")).await.json()["object"], "list");
    for (path, body, media_type, end) in [
        ("/v1/chat/completions", "{\"stream\":true}", "text/event-stream", "data: [DONE]\n\n"),
        (
            "/v1/messages",
            "{\"stream\":true}",
            "text/event-stream",
            "{\"type\":\"message_stop\"}\n\n",
        ),
        ("/api/chat", "{}", "application/x-ndjson", "\"eval_count\":7}\n"),
    ] {
        let reply = upstream.ask(post(path, body, "")).await;
        assert!(reply.head.contains(&format!("content-type: {media_type}\r\n")), "{}", reply.head);
        assert!(reply.text().ends_with(end), "{}", reply.text());
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    client
        .send(
            post("/echo", "first", "slow:20ms")
                + &get("/bytes/3", "")
                + &post("/echo", "third", ""),
        )
        .await;
    assert_eq!(client.reply().await.text(), "first");
    assert_eq!(client.reply().await.body, [0, 1, 2]);
    assert_eq!(client.reply().await.text(), "third");
}

#[tokio::test]
async fn bytes_are_the_same_in_any_pace() {
    let upstream = Upstream::start("ok");
    let fast = upstream.ask(get("/bytes/1000", "")).await.body;
    assert_eq!(fast[..3], [0, 1, 2]);
    assert_eq!((fast.len(), fast[250], fast[251]), (1_000, 250, 0));
    assert_eq!(upstream.ask(get("/slow-body/1000", "ok,gap=1ms")).await.body, fast);
}

#[tokio::test]
async fn a_client_that_waits_for_a_word_gets_it() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    let head =
        "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    assert_eq!(client.reply().await.text(), "hello");
    client.send(format!("{head}hello")).await;
    assert_eq!(client.reply().await.status, 200, "nobody waited this time");
}

#[tokio::test]
async fn a_client_that_wants_to_close_is_obeyed() {
    let upstream = Upstream::start("ok");
    for head in ["GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"]
    {
        let (text, ended) = upstream.all(head).await;
        assert!(text.contains("connection: close\r\n"), "{text}");
        assert_eq!(ended, Ended::InOrder);
    }
}

#[tokio::test]
async fn another_protocol_is_a_mirror() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    client.send("GET /upgrade HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo/1\r\n\r\nahead").await;
    let head = client.until("\r\n\r\n").await;
    assert_eq!(
        head,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo/1\r\n\r\n"
    );
    client.until("ahead").await;
    client.send("\0 anything").await;
    client.until("\0 anything").await;
    let report = upstream.ask(get("/upgrade", "")).await;
    assert_eq!(report.json()["target"], "/upgrade", "nobody asked for another protocol");
}
