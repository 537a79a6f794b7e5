//! The parts of HTTP/1.1 that a client can count on, and those that are not served.

use crate::raw::{Client, End, get, post};
use crate::support::{Gateway, Upstream};

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        r#"
        [upstreams.api]
        url = "{}"
        [[routes]]
        host = "test"
        path = "/api"
        methods = ["GET", "HEAD", "POST", "OPTIONS"]
        strip_prefix = "/api"
        upstreams = ["api"]
        "#,
        upstream.url()
    ))
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.set("ok\npath:/slow=slow:100ms");
    let mut client = Client::of(&gateway);
    let all = [get("/api/slow"), post("/api/echo", "two"), get("/api/bytes/3"), get("/none")];
    client.send(all.concat());
    assert_eq!(client.reply().json()["target"], "/slow");
    assert_eq!(client.reply().body, b"two");
    assert_eq!(client.reply().body, [0, 1, 2]);
    assert_eq!(client.reply().status, 404);
    assert_eq!(client.ask(post("/api/echo", "five")).body, b"five", "and it goes on");
    assert_eq!(gateway.count("api", "success"), 4);
}

#[test]
fn http_1_1_names_a_host() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut client = Client::of(&gateway);
    client.send("GET /api/bytes/3 HTTP/1.1\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.status, &reply.json()["detail"]), (400, &"There is no Host.".into()));
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn http_1_0_gets_answers_it_can_read() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut client = Client::of(&gateway);
    client.send("GET /api/bytes/10 HTTP/1.0\r\nHost: test\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.status, reply.body.len()), (200, 10));
    assert!(client.is_over());

    // No chunks: the end of the connection is the end of the body.
    upstream.set("ok,events=3,gap=1ms");
    let mut client = Client::of(&gateway);
    let body = r#"{"stream":true}"#;
    client.send("POST /api/v1/chat/completions HTTP/1.0\r\nHost: test\r\n");
    client.send(format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let reply = client.reply();
    assert_eq!(reply.header("transfer-encoding"), None);
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
}

#[test]
fn a_client_that_asks_whether_to_go_on_is_told_so() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut client = Client::of(&gateway);
    client.send("POST /api/echo HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n");
    client.send("Content-Length: 5\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 100 Continue\r\n"));
    assert_eq!(client.ask("hello").body, b"hello");

    // Nobody wants this body.
    let mut client = Client::of(&gateway);
    client.send("POST /none HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n");
    client.send("Content-Length: 5\r\n\r\n");
    assert_eq!(client.reply().status, 404);
}

/// As `curl --http2` does, which goes on in HTTP/1.1 if nobody takes the offer.
#[test]
fn an_offer_to_go_on_in_http_2_is_passed_over() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let offer = "GET /api/report HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                 Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let reply = Client::of(&gateway).ask(offer);
    assert_eq!((reply.status, reply.end), (200, End::Whole));
    let headers = reply.json()["headers"].to_string().to_lowercase();
    assert!(!headers.contains("upgrade") && !headers.contains("http2-settings"), "{headers}");
}

#[test]
fn what_is_not_served_says_so_and_never_reaches_the_upstream() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for (request, status) in [
        ("CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n", 405),
        ("GET /other HTTP/1.1\r\nHost: test\r\n\r\n", 404),
        ("GET /apix HTTP/1.1\r\nHost: test\r\n\r\n", 404),
        ("GET /api HTTP/1.1\r\nHost: elsewhere\r\n\r\n", 404),
        ("GET /api HTTP/1.1\r\nHost: test.elsewhere\r\n\r\n", 404),
        ("DELETE /api HTTP/1.1\r\nHost: test\r\n\r\n", 404),
        ("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n", 404),
    ] {
        let mut client = Client::of(&gateway);
        let reply = client.ask(request);
        assert_eq!((reply.status, reply.end), (status, End::Whole), "{request}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{request}");
        assert_eq!(reply.json()["status"], status, "{request}");
        if status != 405 {
            assert_eq!(client.ask(post("/api/echo", "next")).body, b"next", "{request}");
        }
    }
    assert!(upstream.stats()["by_path"].as_object().unwrap().keys().eq(["/echo"]));
    assert_eq!(gateway.count("api", "failure"), 0);
}

#[test]
fn hosts_are_compared_without_their_port_and_case() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for host in ["test", "TEST", "Test:8080"] {
        let reply = Client::of(&gateway).ask(format!("GET /api HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(reply.status, 200, "{host}");
    }
}

#[test]
fn a_request_for_nobody_may_have_any_body() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    // Unread, it is taken off the connection within a bound, or the connection ends.
    let mut client = Client::of(&gateway);
    assert_eq!(client.ask(post("/none", "small")).status, 404);
    assert_eq!(client.ask(post("/api/echo", "next")).body, b"next");
    let mut client = Client::of(&gateway);
    client.try_send(post("/none", vec![b'x'; 8 << 20]));
    assert_eq!(client.reply().status, 404);
    assert!(client.is_over());
}

#[test]
fn the_health_document_is_served_beside_the_routes() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    assert_eq!(gateway.get("/api/health/status").json()["status"], "healthy");
    assert_eq!(upstream.requests(), 0);
}
