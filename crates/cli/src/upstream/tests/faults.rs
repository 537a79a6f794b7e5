use super::client::{Ended, Upstream, get, post};

const CHAT: &str = "/v1/chat/completions";
const STREAM: &str = "{\"stream\":true}";

/// Everything sent for an echo of `hello`.
async fn echo(behaviour: &str) -> (String, Ended) {
    Upstream::start("ok").all(post("/echo", "hello", behaviour)).await
}

/// Everything sent for a chat in a stream, without the head.
async fn chat(behaviour: &str) -> (String, Ended) {
    let (text, ended) = Upstream::start("ok").all(post(CHAT, STREAM, behaviour)).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{head}");
    assert!(!head.contains("connection: close"), "a fault is not announced: {head}");
    (body.to_owned(), ended)
}

#[tokio::test]
async fn connections_end_as_they_are_told_to() {
    let head = "HTTP/1.1 200 OK\r\n";
    for (behaviour, sent, ended) in [
        ("reset", String::new(), Ended::ByReset),
        ("close", String::new(), Ended::InOrder),
        ("http09", String::from("hello"), Ended::InOrder),
        ("truncate", format!("{head}content-length: 5\r\n\r\nhe"), Ended::InOrder),
        ("stream-reset:1", format!("{head}content-length: 5\r\n\r\nhe"), Ended::ByReset),
        (
            "bad-chunk",
            format!("{head}transfer-encoding: chunked\r\n\r\n2\r\nhe\r\nno size\r\nhello\r\n"),
            Ended::InOrder,
        ),
        (
            "missing-last-chunk",
            format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
            Ended::InOrder,
        ),
    ] {
        assert_eq!(echo(behaviour).await, (sent, ended), "{behaviour}");
    }
    let (garbage, ended) = echo("garbage").await;
    assert!(garbage.starts_with('\u{16}') && !garbage.contains("HTTP/1"), "{garbage}");
    assert_eq!(ended, Ended::InOrder);
}

#[tokio::test]
async fn silence_is_kept_until_the_client_goes() {
    let upstream = Upstream::start("ok");
    for (behaviour, body, sent) in [
        ("hang", "", ""),
        ("head-then-hang", "hello", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"),
    ] {
        let mut client = upstream.connect().await;
        client.send(post("/echo", body, behaviour)).await;
        if !sent.is_empty() {
            client.until(sent).await;
        }
        assert!(client.is_silent().await, "{behaviour}");
        assert_eq!(upstream.handle.report().in_flight, 1, "{behaviour}");
        drop(client);
        upstream.report_when(|report| report.in_flight == 0).await;
    }
    let report = upstream.handle.report();
    assert_eq!((report.by_status["none"], report.by_status["200"]), (1, 1));
}

#[tokio::test]
async fn a_slow_answer_is_right_and_late() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    client.send(post("/echo", "hello", "slow:100ms")).await;
    assert!(client.is_silent().await);
    assert_eq!(client.reply().await.text(), "hello");
    assert!(client.is_silent().await, "the connection goes on");
}

#[tokio::test]
async fn cut_streams_end_without_a_last_chunk() {
    for (behaviour, events, ended) in [
        ("stream-cut:0", 0, Ended::InOrder),
        ("stream-cut:3", 3, Ended::InOrder),
        ("stream-reset:3", 3, Ended::ByReset),
        ("stream-cut:20,gap=0s", 20, Ended::InOrder),
    ] {
        let (body, how) = chat(behaviour).await;
        assert_eq!((body.matches("data: {").count(), how), (events, ended), "{behaviour}");
        assert!(events == 0 || body.ends_with("}\n\n\r\n"), "whole chunks only: {body}");
        assert!(!body.contains("[DONE]") && !body.contains("\"stop\""), "{body}");
    }
}

#[tokio::test]
async fn streams_without_an_end_marker_end_cleanly() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    client.send(post(CHAT, STREAM, "stream-no-end:3")).await;
    let body = client.reply().await;
    assert_eq!(body.text().matches("data: {").count(), 3);
    assert!(!body.text().contains("[DONE]") && !body.text().contains("\"stop\""));
    for (path, error) in [
        (CHAT, "data: {\"error\":{"),
        ("/v1/messages", "event: error\ndata: {\"type\":\"error\",\"error\":{"),
    ] {
        client.send(post(path, STREAM, "stream-error:2")).await;
        let body = client.reply().await;
        assert_eq!(body.text().matches("data: {").count(), 3);
        assert!(body.text().contains(error), "{}", body.text());
    }
    assert_eq!(upstream.handle.report().connections, 1, "the connection went on");
}

#[tokio::test]
async fn stalled_streams_say_nothing_or_only_comments() {
    let upstream = Upstream::start("ok");
    for (behaviour, last) in [("stream-stall:2", " circuits"), ("no-first-token", "\r\n\r\n")] {
        let mut client = upstream.connect().await;
        client.send(post(CHAT, STREAM, behaviour)).await;
        let last = if last == " circuits" { "\"content\":\"All\"" } else { last };
        client.until(last).await;
        if behaviour == "stream-stall:2" {
            client.until("\n\n\r\n").await;
        }
        assert!(client.is_silent().await, "{behaviour}");
    }
    let mut client = upstream.connect().await;
    client.send(post(CHAT, STREAM, "stream-keepalive:1")).await;
    let comment = "d\r\n: keepalive\n\n\r\n";
    client.until(comment).await;
    assert_eq!(client.until(comment).await, comment, "and nothing else");
}

#[tokio::test]
async fn statuses_come_with_their_hints_and_shapes() {
    let upstream = Upstream::start("ok");
    let mut client = upstream.connect().await;
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    client.send(get("/", &format!("status:503,retry-after=\"{date}\""))).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 503);
    assert!(reply.head.contains(&format!("\r\nretry-after: {date}\r\n")), "{}", reply.head);
    client.send(post("/v1/messages", "{}", "status:529,body=api")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (529, &"overloaded_error".into()));
    client.send(post(CHAT, "{}", "status:429,code=insufficient_quota")).await;
    assert_eq!(client.reply().await.json()["error"]["code"], "insufficient_quota");
    client.send(post(CHAT, STREAM, "stream-error:2")).await;
    assert_eq!(client.reply().await.status, 200, "one connection for all of them");
}

#[tokio::test]
async fn flaky_answers_repeat_after_a_reset() {
    let upstream = Upstream::start("flaky:40,seed=3");
    let mut client = upstream.connect().await;
    let mut rounds = Vec::new();
    for _ in 0..2 {
        upstream.handle.reset_report();
        let mut statuses = Vec::new();
        for _ in 0..30 {
            client.send(get("/", "")).await;
            statuses.push(client.reply().await.status);
        }
        rounds.push(statuses);
    }
    assert_eq!(rounds[0], rounds[1]);
    assert!(rounds[0].contains(&200) && rounds[0].contains(&503), "{rounds:?}");
    assert_eq!(upstream.handle.report().by_behaviour["flaky"], 30);
}

#[tokio::test]
async fn a_slip_in_the_header_is_no_answer() {
    let upstream = Upstream::start("ok");
    for behaviour in ["statsu:500", "refuse:1s"] {
        let reply = upstream.ask(get("/", behaviour)).await;
        assert_eq!(reply.status, 400);
        assert!(reply.text().starts_with("x-upstream-behaviour: \""), "{}", reply.text());
    }
}
