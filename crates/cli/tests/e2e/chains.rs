//! Chains of upstreams: who is asked next, when nobody may be, and for how long in all.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::raw::{Client, End, Reply, get, post, request};
use crate::support::{Gateway, NOBODY, Upstream};

/// Two upstreams in a row, of either sort; `a` is quick to be given up, `b` is not.
fn gateway(a: &str, b: &str) -> Gateway {
    let mut toml = String::new();
    for (name, url, silence, recovery) in [("a", a, "150ms", "30s"), ("b", b, "5s", "20s")] {
        write!(
            toml,
            r#"
            [circuit_breaker.circuits.{name}]
            failure_threshold = 3
            recovery_timeout = "{recovery}"
            jitter = "none"
            [upstreams.{name}]
            url = "{url}"
            first_byte_timeout = "{silence}"
            [upstreams.llm-{name}]
            url = "{url}"
            kind = "openai"
            first_token_timeout = "{silence}"
            "#
        )
        .unwrap();
    }
    toml.push_str(
        r#"
        [[routes]]
        path = "/llm"
        strip_prefix = "/llm"
        upstreams = ["llm-a", "llm-b"]
        [[routes]]
        path = "/twice"
        upstreams = ["a", "b"]
        failover_non_idempotent = true
        [[routes]]
        path = "/soon"
        strip_prefix = "/soon"
        upstreams = ["a", "b"]
        deadline = "400ms"
        [[routes]]
        path = "/late"
        upstreams = ["b", "a"]
        deadline = "400ms"
        [[routes]]
        upstreams = ["a", "b"]
        "#,
    );
    Gateway::start(&toml)
}

fn ask(gateway: &Gateway, request: impl AsRef<[u8]>) -> Reply {
    Client::of(gateway).ask(request)
}

/// Who answered, and on which circuit.
fn by(reply: &Reply) -> (u16, &str, &str) {
    let header = |name| reply.header(name).unwrap_or("nobody");
    (reply.status, header("x-panelboard-upstream"), header("x-panelboard-circuit"))
}

#[test]
fn the_next_answers_when_the_first_is_not_there_and_then_the_first_is_left_alone() {
    let b = Upstream::start();
    let gateway = gateway(NOBODY, &b.url());
    for call in 1..=5 {
        let reply = ask(&gateway, get("/"));
        assert_eq!(by(&reply), (200, "b", "b"));
        assert_eq!(reply.header("x-panelboard-fallback"), None);
        assert_eq!(gateway.count("a", "failure"), call.min(3), "no more once it is open");
    }
    assert_eq!(gateway.state("a"), "open");
    assert_eq!(gateway.count("a", "rejected"), 2);
    assert_eq!(gateway.count("b", "success"), 5);
}

#[test]
fn any_failure_before_the_answer_moves_what_may_be_repeated_on() {
    let (a, b) = (Upstream::start(), Upstream::start());
    for behaviour in ["status:500", "status:429,retry-after=0", "close", "hang", "garbage"] {
        let gateway = gateway(&a.url(), &b.url());
        a.set(behaviour);
        for method in ["GET", "PUT", "DELETE"] {
            let (reply, judged) =
                gateway.judged("b", || ask(&gateway, request(method, "/", "", "")));
            assert_eq!(by(&reply), (200, "b", "b"), "{method} after {behaviour}");
            assert_eq!(judged.outcome, "success");
        }
    }
}

#[test]
fn the_callers_mistakes_are_not_taken_to_another() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a.url(), &b.url());
    for status in [400, 401, 404, 422] {
        a.set(&format!("status:{status}"));
        assert_eq!(by(&ask(&gateway, get("/"))), (status, "a", "a"));
    }
    assert_eq!(b.requests(), 0);
}

#[test]
fn a_post_that_may_have_been_processed_is_not_repeated() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a.url(), &b.url());
    a.set("status:500");
    assert_eq!(by(&ask(&gateway, post("/", "order"))), (500, "a", "a"));
    a.set("close");
    let reply = ask(&gateway, post("/", "order"));
    assert_eq!((reply.status, reply.header("x-panelboard-fallback")), (503, Some("default")));
    assert_eq!(reply.json()["reason"], "bad_answer");
    // It was refused and not processed, but its body has gone by.
    a.set("status:429,retry-after=0");
    assert_eq!(by(&ask(&gateway, post("/", "order"))), (429, "a", "a"));
    assert_eq!(b.requests(), 0);
}

#[test]
fn a_post_that_reached_nobody_goes_on() {
    let b = Upstream::start();
    let gateway = gateway(NOBODY, &b.url());
    let reply = ask(&gateway, post("/", "order"));
    assert_eq!(by(&reply), (200, "b", "b"));
    assert_eq!(reply.json()["body_crc32"], format!("{:08x}", crc32fast::hash(b"order")));
}

#[test]
fn a_route_can_allow_what_is_not_idempotent_to_be_repeated() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a.url(), &b.url());
    a.set("status:500");
    assert_eq!(by(&ask(&gateway, post("/twice", ""))), (200, "b", "b"));
    // What has been streamed to one cannot be streamed to another.
    assert_eq!(by(&ask(&gateway, post("/twice", "order"))), (500, "a", "a"));
}

#[test]
fn a_question_to_a_model_is_asked_again_with_the_same_body() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a.url(), &b.url());
    let body = "{ \"model\": \"m\",\n\t\"stream\": true, \"messages\": [\"日本\"] }";
    for behaviour in ["status:500", "close"] {
        a.set(behaviour);
        let reply = ask(&gateway, post("/llm/report", body));
        assert_eq!(by(&reply), (200, "llm-b", "llm-b"), "{behaviour}");
        assert_eq!(reply.json()["body_crc32"], format!("{:08x}", crc32fast::hash(body.as_bytes())));
    }
    // The client has had nothing of a stream whose first token does not come, or is an error.
    for behaviour in ["no-first-token", "stream-error:0"] {
        gateway.order("llm-a", "reset", "{}");
        a.set(behaviour);
        let reply = ask(&gateway, post("/llm/v1/chat/completions", body));
        assert_eq!(by(&reply), (200, "llm-b", "llm-b"), "{behaviour}");
        assert!(reply.end == End::Whole && reply.text().ends_with("data: [DONE]\n\n"));
    }
    let asked = b.requests();
    a.set("stream-cut:2");
    let reply = ask(&gateway, post("/llm/v1/chat/completions", body));
    assert_eq!((by(&reply).1, reply.end), ("llm-a", End::Cut), "too late once a token has passed");
    assert_eq!(b.requests(), asked);
}

#[test]
fn an_upstreams_own_error_says_more_than_a_fallback() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), NOBODY);
    a.set("status:502");
    let reply = ask(&gateway, get("/"));
    assert_eq!(by(&reply), (502, "a", "a"));
    assert_eq!(reply.text(), "status 502 as scripted\n");
    assert_eq!(gateway.count("b", "failure"), 1, "but the next was asked");
}

#[test]
fn when_all_are_open_the_client_is_told_of_the_one_that_is_back_first() {
    let gateway = gateway(NOBODY, NOBODY);
    gateway.order("b", "trip", "{}");
    for _ in 0..3 {
        ask(&gateway, get("/"));
    }
    let reply = ask(&gateway, get("/"));
    assert_eq!((reply.status, reply.header("x-panelboard-upstream")), (503, None));
    let wait = |name: &str| gateway.circuit(name)["retry_after_seconds"].as_f64().unwrap();
    assert!(wait("b") < wait("a"));
    assert_eq!(reply.header("x-panelboard-circuit"), Some("b"));
    let problem = reply.json();
    assert_eq!((&problem["reason"], &problem["circuit"]), (&"open".into(), &"b".into()));
    let told: f64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((wait("b")..=wait("b") + 2.0).contains(&told), "{told}");
}

#[test]
fn the_deadline_is_for_all_upstreams_together() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a.url(), &b.url());
    let in_time = |path: &str| {
        let started = Instant::now();
        let reply = ask(&gateway, get(path));
        let took = started.elapsed();
        assert!((350..900).contains(&took.as_millis()), "{took:?}");
        reply
    };
    a.set("hang");
    b.set("hang");
    // The first has been given up, and the second has only what is left.
    let reply = in_time("/soon/");
    assert_eq!((reply.status, &reply.json()["reason"]), (503, &Value::from("timeout")));
    assert_eq!((gateway.count("a", "failure"), gateway.count("b", "neutral")), (1, 1));
    // That holds within a body, too.
    b.set("head-then-hang");
    let reply = in_time("/soon/bytes/1000");
    assert_eq!((by(&reply).1, reply.end, reply.body.len()), ("b", End::Cut, 500));
    assert_eq!((gateway.count("a", "failure"), gateway.count("b", "neutral")), (2, 2));
    assert_eq!(gateway.count("b", "failure"), 0);
    // The first has had all of it, so it has failed, and nobody else is asked.
    b.set("hang");
    let before = a.requests();
    let (reply, judged) = gateway.judged("b", || in_time("/late"));
    assert_eq!(reply.status, 503);
    assert_eq!((&*judged.kind, &*judged.message), ("timeout", "took too long in all"));
    assert_eq!(a.requests(), before);
}

#[test]
fn the_deadline_is_all_the_seconds_if_the_first_was_not_asked() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a.url(), &b.url());
    gateway.order("a", "trip", "{}");
    b.set("hang");
    for _ in 0..3 {
        let (reply, judged) = gateway.judged("b", || ask(&gateway, get("/soon/")));
        assert_eq!(reply.status, 503);
        assert_eq!((&*judged.kind, &*judged.message), ("timeout", "took too long in all"));
    }
    assert_eq!(gateway.state("b"), "open", "or every call would wait for it");
}

#[test]
fn a_slow_first_upstream_costs_no_more_than_its_own_timeout() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&a.url(), &b.url());
    a.set("hang");
    let started = Instant::now();
    assert_eq!(by(&ask(&gateway, get("/"))), (200, "b", "b"));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}
