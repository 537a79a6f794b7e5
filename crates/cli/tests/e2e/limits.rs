//! Who may have how much, who is believed, and requests that go round in circles.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::raw::{Client, End, Reply, get, post, request};
use crate::support::{Gateway, NOBODY, Upstream, eventually, pass};

fn gateway(upstream: &Upstream, keys: &str) -> Gateway {
    Gateway::start(&format!(
        "[gateway]\n{keys}\n[upstreams.api]\nurl = \"{}\"\n[[routes]]\nupstreams = [\"api\"]\n",
        upstream.url()
    ))
}

/// What the upstream reports to have got under this name.
fn got(reply: &Reply, name: &str) -> Vec<String> {
    let report: Value = reply.json();
    let headers = report["headers"].as_array().unwrap().iter();
    headers
        .filter(|pair| pair[0] == name)
        .map(|pair| pair[1].as_str().unwrap().to_owned())
        .collect()
}

// ===== who is believed =====

const CLAIMS: &str = "x-forwarded-for: 198.51.100.9\r\nx-forwarded-proto: https\r\n\
                      x-forwarded-host: outside.example\r\nx-request-id: theirs-1\r\n\
                      forwarded: for=198.51.100.9;proto=https\r\n";

#[test]
fn a_trusted_proxy_is_believed_and_nobody_else() {
    let upstream = Upstream::start();
    for (keys, trusted) in [
        ("trusted_proxies = [\"127.0.0.0/8\"]", true),
        ("trusted_proxies = [\"10.0.0.0/8\"]", false),
    ] {
        let gateway = gateway(&upstream, keys);
        let reply = Client::of(&gateway).ask(request("GET", "/", CLAIMS, ""));
        let (list, proto, host): (&str, &str, &str) = match trusted {
            true => ("198.51.100.9, 127.0.0.1", "https", "outside.example"),
            false => ("127.0.0.1", "http", "test"),
        };
        assert_eq!(got(&reply, "x-forwarded-for"), [list]);
        assert_eq!(got(&reply, "x-forwarded-proto"), [proto]);
        assert_eq!(got(&reply, "x-forwarded-host"), [host]);
        assert_eq!(got(&reply, "x-forwarded-port"), [gateway.address().port().to_string()]);
        assert_eq!(got(&reply, "forwarded").len(), if trusted { 2 } else { 0 });
        let id = reply.header("x-request-id").unwrap();
        assert_eq!(got(&reply, "x-request-id"), [id], "the same on both sides");
        assert_eq!(id == "theirs-1", trusted, "{id}");
    }
}

#[test]
fn a_request_has_an_id_wherever_it_is_spoken_of() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "access_log = true");
    let refused = Client::of(&gateway).ask("GET / HTTP/1.1\r\n\r\n");
    assert_eq!((refused.status, refused.header("x-request-id").unwrap().len()), (400, 32));
    // An upstream's own is what its makers ask for.
    upstream.set("ok,header=\"x-request-id: req_upstream\"");
    assert_eq!(gateway.get("/").header("x-request-id"), Some("req_upstream"));
    upstream.set("status:500");
    let failed = gateway.get("/private?token=hidden");
    let id = failed.header("x-request-id").unwrap();
    let errors = gateway.circuit("api")["last_errors"].clone();
    assert_eq!(errors.as_array().unwrap().last().unwrap()["trace_id"], id);
    let line = || {
        let log = gateway.process.log();
        log.lines().find(|line| line.contains(id) && line.contains("/private")).map(str::to_owned)
    };
    eventually("a line of the access log", || line().is_some());
    let line: Value = serde_json::from_str(&line().unwrap()).unwrap();
    for (key, value) in [
        ("client", Value::from("127.0.0.1")),
        ("method", "GET".into()),
        ("path", "/private".into()),
        ("status", 500.into()),
        ("upstream", "api".into()),
        ("request", id.into()),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert!(!gateway.process.log().contains("hidden"), "no query");
}

#[test]
fn context_of_traces_passes_unchanged() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "");
    let context = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
                   tracestate: a=1,b=2\r\nbaggage: user=7;p=1\r\n";
    let reply = Client::of(&gateway).ask(request("GET", "/", context, ""));
    for line in context.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(got(&reply, name), [value]);
    }
}

// ===== circles =====

#[test]
fn a_request_that_comes_back_is_refused() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&format!(
        "[gateway]\nlisten = \"{port}\"\nadmin = \"127.0.0.1:0\"\n\
         [upstreams.self]\nurl = \"http://{port}\"\n[[routes]]\nupstreams = [\"self\"]\n"
    ));
    let reply = Client::of(&gateway).ask(get("/"));
    assert_eq!(reply.status, 508);
    assert!(reply.text().contains("passed here before"), "{}", reply.text());
    assert_eq!(gateway.circuit("self")["calls"]["admitted"], 1, "once, and no more");
    let far = format!("via: {}1.1 x\r\n", "1.1 x, ".repeat(30));
    let reply = Client::of(&gateway).ask(request("GET", "/", &far, ""));
    assert_eq!((reply.status, gateway.count("self", "failure")), (508, 1));
}

#[test]
fn proxies_on_the_way_are_told_of_each_other() {
    let upstream = Upstream::start();
    let inner = gateway(&upstream, "");
    let outer = Gateway::start(&format!(
        "[upstreams.inner]\nurl = \"http://{}\"\n[[routes]]\nupstreams = [\"inner\"]\n",
        inner.address()
    ));
    let reply = Client::of(&outer).ask(request("GET", "/", "via: 1.0 edge\r\n", ""));
    let passed = got(&reply, "via");
    assert_eq!(passed[0], "1.0 edge");
    assert!(passed.len() == 3 && passed[1] != passed[2], "{passed:?}");
    assert!(passed[1..].iter().all(|line| line.starts_with("1.1 panelboard-")), "{passed:?}");
}

// ===== how much =====

#[test]
fn one_client_has_its_share_of_connections() {
    let upstream = Upstream::start();
    let limited = gateway(&upstream, "max_connections_per_ip = 2");
    let mut clients = [Client::of(&limited), Client::of(&limited)];
    for client in &mut clients {
        assert_eq!(client.ask(get("/")).status, 200);
    }
    assert!(Client::of(&limited).is_over(), "closed at once");
    let [first, second] = clients;
    first.leave();
    eventually("a place", || {
        let mut client = Client::of(&limited);
        client.try_send(get("/"));
        !client.is_over()
    });
    drop(second);
    // A proxy stands for many.
    let keys = "max_connections_per_ip = 2\ntrusted_proxies = [\"127.0.0.1\"]";
    let trusting = gateway(&upstream, keys);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::of(&trusting)).collect();
    for client in &mut clients {
        assert_eq!(client.ask(get("/")).status, 200);
    }
}

#[test]
fn a_target_that_is_too_long_is_refused() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "max_uri_bytes = 300");
    let mut client = Client::of(&gateway);
    let reply = client.ask(get(&format!("/?{}", "x".repeat(299))));
    assert_eq!(reply.status, 414);
    assert!(reply.text().contains("longer than the 300 bytes"), "{}", reply.text());
    assert_eq!(client.ask(get(&format!("/?{}", "x".repeat(298)))).status, 200);
    assert_eq!(upstream.requests(), 1);
}

#[test]
fn a_client_that_takes_nothing_is_not_waited_for() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "idle_timeout = \"500ms\"");
    let (mut client, judged) = gateway.judged("api", || {
        let mut client = Client::of(&gateway);
        client.send(get("/bytes/50000000"));
        client.peek("\r\n\r\n");
        // It is over while the client still holds the connection.
        eventually("the upstream is let go", || upstream.stats()["in_flight"] == 0);
        client
    });
    assert_eq!(judged.outcome, "neutral", "the client's fault");
    let head = client.head();
    assert_eq!(client.body_of(head).end, End::Cut);
    assert_eq!(gateway.get("/").status, 200);
}

// ===== leave to send, and answers before the answer =====

const EXPECT: &str = "content-type: text/plain\r\nexpect: 100-continue\r\n";

#[test]
fn nobody_is_told_to_send_what_is_refused() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "");
    gateway.order("api", "trip", "{}");
    let mut client = Client::of(&gateway);
    client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{EXPECT}content-length: 5\r\n\r\n"));
    let reply = client.reply();
    assert_eq!(reply.status, 503, "not 100: {}", reply.head);
    // What comes all the same is no request.
    client.try_send("hello");
    client.try_send(get("/"));
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 "), "{rest}");
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn a_refusal_in_the_middle_of_an_upload_leaves_no_doubt_of_what_comes_next() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "");
    gateway.order("api", "trip", "{}");
    for head in ["content-length: 5000000", "transfer-encoding: chunked"] {
        let mut client = Client::of(&gateway);
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\n{head}\r\n\r\n"));
        assert_eq!(client.reply().status, 503);
        // A body that looks like a request is not taken for one.
        let body = get("/smuggled");
        let size = format!("{:x}\r\n", body.len());
        client.try_send(
            [if head.contains("chunked") { &size } else { "" }.as_bytes(), &body].concat(),
        );
        client.leave();
    }
    gateway.order("api", "reset", "{}");
    assert_eq!(Client::of(&gateway).ask(post("/echo", "x")).body, b"x");
    assert!(upstream.stats()["by_path"].as_object().unwrap().keys().eq(["/echo"]));
}

/// Answers each connection's first request with these bytes.
fn answering(bytes: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut head = [0; 4096];
            let _: usize = stream.read(&mut head).unwrap_or_default();
            let _ = stream.write_all(bytes.as_bytes());
            // Until the gateway closes it.
            let _ = TcpStream::read(&mut stream, &mut head);
        }
    });
    url
}

fn before(url: &str) -> Gateway {
    Gateway::start(&format!(
        "[upstreams.api]\nurl = \"{url}\"\n[[routes]]\nupstreams = [\"api\"]\n"
    ))
}

#[test]
fn answers_before_the_answer_are_not_taken_for_it() {
    let url = answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let gateway = before(&url);
    let (reply, judged) = gateway.judged("api", || Client::of(&gateway).ask(get("/")));
    assert_eq!((reply.status, &*reply.body, judged.outcome), (200, &b"ok"[..], "success"));
}

#[test]
fn what_has_no_body_gets_none() {
    for (answer, status) in [
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", 204),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello", 304),
    ] {
        let gateway = before(&answering(answer));
        let mut client = Client::of(&gateway);
        client.send(get("/"));
        let head = client.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        // The next answer begins where the head has ended.
        client.send("GET /api/health/status HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.reply().json()["status"], "healthy", "{status}");
    }
    let upstream = Upstream::start();
    let gateway = before(&upstream.url());
    let mut client = Client::of(&gateway);
    client.send(request("HEAD", "/bytes/100", "", ""));
    let head = client.head();
    assert!(head.contains("\r\ncontent-length: 100\r\n"), "{head}");
    assert_eq!(client.ask(get("/bytes/3")).body, [0, 1, 2]);
}

// ===== trailers =====

#[test]
fn trailers_that_belong_into_a_head_are_dropped_both_ways() {
    let url = answering(
        "HTTP/1.1 200 OK\r\ntrailer: x-sum, x-panelboard-fallback, x-api-key, via\r\n\
         transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\
         x-panelboard-fallback: fake\r\nx-api-key: sk\r\nvia: 1.1 x\r\n\r\n",
    );
    let gateway = before(&url);
    let reply = Client::of(&gateway).ask(request("GET", "/", "te: trailers\r\n", ""));
    assert_eq!((reply.end, &*reply.trailers), (End::Whole, "x-sum: 1\r\n"));
    // Who does not take trailers gets none.
    let reply = Client::of(&gateway).ask(get("/"));
    assert_eq!((reply.end, &*reply.trailers), (End::Whole, ""));

    let upstream = Upstream::start();
    let gateway = before(&upstream.url());
    let mut client = Client::of(&gateway);
    client.send(
        "POST / HTTP/1.1\r\nhost: test\r\ntrailer: x-sum, x-forwarded-for, cookie\r\n\
         transfer-encoding: chunked\r\n\r\n",
    );
    let report = client
        .ask("2\r\nok\r\n0\r\nx-sum: 1\r\nx-forwarded-for: 10.0.0.1\r\ncookie: a=1\r\n\r\n")
        .json();
    assert_eq!(report["trailers"], serde_json::json!([["x-sum", "1"]]));
}

#[test]
fn a_gateway_whose_upstream_is_gone_still_names_the_request() {
    let gateway = before(NOBODY);
    let reply = Client::of(&gateway).ask(get("/"));
    assert_eq!((reply.status, reply.header("x-request-id").unwrap().len()), (503, 32));
    pass(Duration::ZERO);
}
