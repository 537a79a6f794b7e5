use std::time::Duration;

use super::*;
use crate::upstream::request::{Framing, Head};

fn request(method: &str, target: &str, minor: u8, body: &str) -> Request {
    let (method, target) = (method.to_owned(), target.to_owned());
    let head = Head { method, target, minor, http2: false, headers: Vec::new() };
    let body = body.as_bytes().to_vec();
    Request { framing: Framing::ContentLength(body.len()), body, ..Request::bodiless(head) }
}

fn told(behaviour: &str, request: &Request) -> Answer {
    answer(&behaviour.parse().unwrap(), request, 0)
}

fn stream() -> Request {
    request("POST", "/api/chat", 1, "{}")
}

/// The sent bytes as text, the other acts in brackets.
fn script(answer: &Answer) -> String {
    let act = |act: &Act| match act {
        Act::Send(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Act::Wait(time) => format!("[{time:?}]"),
        Act::Silence => String::from("[silence]"),
        Act::Repeat(bytes, every) => {
            format!("[{:?} each {every:?}]", String::from_utf8_lossy(bytes))
        }
        Act::Mirror => String::from("[mirror]"),
    };
    answer.acts.iter().map(act).collect()
}

#[test]
fn an_echo_is_the_body_and_nothing_else() {
    let answer = told("ok", &request("POST", "/echo", 1, "hello"));
    assert_eq!(script(&answer), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!((answer.status, answer.end), (Some(200), End::KeepAlive));
}

#[test]
fn an_old_client_gets_no_chunks_and_no_further_answer() {
    let trailed = script(&told("ok", &request("GET", "/trailers", 0, "")));
    assert!(trailed.contains("content-length: 1000\r\n"), "{trailed}");
    let answer = told("ok,events=2,gap=0s", &request("POST", "/api/chat", 0, "{}"));
    let text = script(&answer);
    assert!(text.contains("connection: close\r\n\r\n{") && !text.contains("chunked"), "{text}");
    assert_eq!(answer.end, End::Close);
}

#[test]
fn answers_to_head_and_some_statuses_have_no_body() {
    for (behaviour, target, length) in [
        ("ok", "/bytes/100", "content-length: 100"),
        ("ok", "/slow-body/100", "content-length: 100"),
        ("status:503", "/", "content-length: 23"),
    ] {
        let text = script(&told(behaviour, &request("HEAD", target, 1, "")));
        assert!(text.contains(length) && text.ends_with("\r\n\r\n"), "{text}");
        assert_eq!(text.matches("\r\n\r\n").count(), 1);
    }
    let text = script(&told("status:204", &request("GET", "/", 1, "")));
    assert!(!text.contains("content-length") && text.ends_with("\r\n\r\n"), "{text}");
}

#[test]
fn a_status_brings_its_hints_as_they_were_written() {
    let behaviour = "status:429,retry-after=\"in a while\",retry-after-ms=250,body=empty,\
                     header=\"X-RateLimit-Reset-Requests: 1s\"";
    assert_eq!(
        script(&told(behaviour, &request("GET", "/", 1, ""))),
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nretry-after: in a while\r\n\
         retry-after-ms: 250\r\nx-ratelimit-reset-requests: 1s\r\n\r\n"
    );
    let overloaded = told("status:529,body=api", &request("POST", "/v1/messages", 1, "{}"));
    assert!(script(&overloaded).starts_with("HTTP/1.1 529 \r\n"));
    assert!(script(&overloaded).contains("overloaded_error"));
}

#[test]
fn a_slow_answer_is_the_same_but_late() {
    let request = request("GET", "/bytes/3", 1, "");
    let (mut slow, ok) = (told("slow:2s", &request), told("ok", &request));
    assert_eq!(slow.acts.remove(0), Act::Wait(Duration::from_secs(2)));
    assert_eq!(slow, ok);
}

#[test]
fn half_of_a_body_is_always_less_than_all_of_it() {
    for (body, promised, sent) in [("", 1, ""), ("x", 1, ""), ("hello", 5, "he")] {
        for (behaviour, silence) in [("truncate", ""), ("head-then-hang", "[silence]")] {
            let answer = told(behaviour, &request("POST", "/echo", 1, body));
            let expected =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {promised}\r\n\r\n{sent}{silence}");
            assert_eq!((script(&answer), answer.end), (expected, End::Close));
        }
    }
}

#[test]
fn broken_chunks_break_where_they_should() {
    let request = request("POST", "/echo", 1, "hello");
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let bad = format!("{head}2\r\nhe\r\nno size\r\nhello\r\n");
    assert_eq!(script(&told("bad-chunk", &request)), bad);
    let missing = format!("{head}5\r\nhello\r\n");
    assert_eq!(script(&told("missing-last-chunk", &request)), missing);
}

#[test]
fn contradictory_framing_contradicts_itself() {
    let request = request("POST", "/echo", 1, "hello");
    assert_eq!(
        script(&told("two-lengths", &request)),
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"
    );
    assert_eq!(
        script(&told("length-and-chunked", &request)),
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n"
    );
    let huge = script(&told("huge-head", &request));
    assert!(huge.len() > 1 << 20 && huge.ends_with("\r\n\r\nhello"));
    assert_eq!(huge.matches("\r\n\r\n").count(), 1);
}

#[test]
fn a_connection_can_close_without_notice() {
    let answer = told("close-after", &request("POST", "/echo", 1, "hello"));
    assert_eq!(script(&answer), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(answer.end, End::Close);
}

#[test]
fn faults_below_http_have_no_status() {
    let request = request("POST", "/echo", 1, "hello");
    for (behaviour, sent, end) in [
        ("hang", "[silence]", End::Close),
        ("reset", "", End::Reset),
        ("close", "", End::Close),
        ("http09", "hello", End::Close),
        ("refuse", "", End::Reset),
    ] {
        let answer = told(behaviour, &request);
        assert_eq!((script(&answer).as_str(), answer.end), (sent, end), "{behaviour}");
        assert_eq!(answer.status, None, "{behaviour}");
    }
    let garbage = told("garbage", &request);
    assert!(!script(&garbage).contains("HTTP/") && garbage.status.is_none());
}

#[test]
fn a_stream_has_gaps_between_its_events_and_then_its_end() {
    let text = script(&told("ok,events=3,gap=7ms", &stream()));
    assert_eq!(text.matches("[7ms]").count(), 2, "{text}");
    assert!(text.ends_with("}\n\r\n0\r\n\r\n") && text.contains("\"done\":true"), "{text}");
}

#[test]
fn a_faulty_stream_ends_as_it_should_not() {
    for (behaviour, ending, end) in [
        ("stream-cut:2", "\"done\":false", End::Close),
        ("stream-reset:2", "[20ms]", End::Reset),
        ("stream-no-end:2", "\r\n0\r\n\r\n", End::KeepAlive),
        ("stream-stall:2", "[silence]", End::Close),
        ("stream-keepalive:2", "[\"1\\r\\n\\n\\r\\n\" each 100ms]", End::Close),
    ] {
        let answer = told(behaviour, &stream());
        let text = script(&answer);
        assert_eq!(text.matches("\"done\":false").count(), 2, "{text}");
        assert!(!text.contains("\"done\":true"), "{text}");
        let tail = text.rfind("\"done\":false").unwrap();
        assert!(text[tail..].contains(ending), "{behaviour}: {}", &text[tail..]);
        assert_eq!(answer.end, end, "{behaviour}");
        assert_eq!(text.contains("0\r\n\r\n"), behaviour == "stream-no-end:2", "{text}");
    }
    let text = script(&told("stream-error:1", &stream()));
    let error = "{\"error\":\"an error was encountered while running the model\"}\n\r\n0\r\n\r\n";
    assert!(text.ends_with(error), "{text}");
}

#[test]
fn a_stream_can_fail_before_its_first_event() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n";
    assert_eq!(script(&told("no-first-token", &stream())), format!("{head}[silence]"));
    assert_eq!(script(&told("stream-cut:0", &stream())), head);
}

#[test]
fn a_stream_fault_of_what_is_no_stream_is_the_nearest_other_one() {
    let request = request("POST", "/echo", 1, "hello");
    for (behaviour, nearest) in [
        ("stream-cut:3", "truncate"),
        ("stream-no-end:3", "truncate"),
        ("stream-stall:3", "head-then-hang"),
        ("stream-keepalive:3", "head-then-hang"),
        ("no-first-token", "head-then-hang"),
        ("stream-error:3", "status:500,body=api"),
    ] {
        assert_eq!(told(behaviour, &request), told(nearest, &request), "{behaviour}");
    }
    let reset = told("stream-reset:3", &request);
    assert_eq!(script(&reset), script(&told("truncate", &request)) + "[20ms]");
    assert_eq!(reset.end, End::Reset);
}

#[test]
fn trailers_follow_the_last_chunk() {
    let text = script(&told("ok", &request("GET", "/trailers", 1, "")));
    let crc = crc32fast::hash(&(0..251).cycle().take(1_000).collect::<Vec<u8>>());
    assert!(text.ends_with(&format!("\r\n0\r\nx-crc32: {crc:08x}\r\n\r\n")), "{text}");
}

#[test]
fn a_slow_body_comes_in_pieces() {
    let answer = told("ok,events=4,gap=5ms", &request("GET", "/slow-body/10", 1, ""));
    let sizes: Vec<_> = answer
        .acts
        .iter()
        .filter_map(|act| match act {
            Act::Send(bytes) => Some(bytes.len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes[1..], [3, 3, 3, 1]);
    let gaps = answer.acts.iter().filter(|act| **act == Act::Wait(Duration::from_millis(5)));
    assert_eq!(gaps.count(), 4);
}

#[test]
fn a_size_that_is_none_is_no_size() {
    for target in ["/bytes/", "/bytes/x", "/bytes/-1", "/bytes/99999999999"] {
        let text = script(&told("ok", &request("GET", target, 1, "")));
        assert!(text.contains("application/json") && text.contains(target), "{text}");
    }
}
