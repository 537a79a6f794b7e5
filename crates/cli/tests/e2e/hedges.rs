//! Requests that are sent a second time because the first has no answer yet.

use std::time::{Duration, Instant};

use crate::raw::{Client, End, post, request};
use crate::support::{Answer, Gateway, Upstream, eventually};

/// A route to three upstreams, and one to the first two as LLM APIs; the circuits stay closed.
fn gateway(upstreams: &[Upstream; 3], route: &str) -> Gateway {
    let [a, b, c] = upstreams.each_ref().map(Upstream::url);
    Gateway::start(&format!(
        r#"
        [circuit_breaker.defaults]
        failure_threshold = "off"
        failure_rate = "off"
        [upstreams]
        a = {{ url = "{a}", first_byte_timeout = "1s" }}
        b.url = "{b}"
        c.url = "{c}"
        first = {{ url = "{a}", kind = "openai" }}
        second = {{ url = "{b}", kind = "openai" }}
        [[routes]]
        path = "/v1"
        upstreams = ["first", "second"]
        {route}
        [[routes]]
        name = "one"
        path = "/one"
        upstream = "a"
        {route}
        [[routes]]
        name = "r"
        upstreams = ["a", "b", "c"]
        {route}
        "#
    ))
}

fn three() -> [Upstream; 3] {
    [(); 3].map(|()| Upstream::start())
}

fn requests(upstreams: &[Upstream; 3]) -> [u64; 3] {
    upstreams.each_ref().map(Upstream::requests)
}

fn hedges(gateway: &Gateway, route: &str, result: &str) -> f64 {
    let labels = format!("{{route=\"{route}\",result=\"{result}\"}}");
    gateway.metric(&format!("panelboard_gateway_hedges_total{labels}")).unwrap_or(0.0)
}

fn given_up(gateway: &Gateway, reason: &str) -> f64 {
    let labels = format!("{{route=\"r\",reason=\"{reason}\"}}");
    gateway.metric(&format!("panelboard_gateway_hedges_given_up_total{labels}")).unwrap_or(0.0)
}

/// The status, and who answered.
fn by(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("x-panelboard-upstream").unwrap())
}

/// What the circuit made of its one call: that was dropped, and is nobody's fault.
fn is_neutral(gateway: &Gateway, circuit: &str) {
    eventually("the loser's end", || gateway.circuit(circuit)["in_flight"] == 0);
    let outcomes = ["neutral", "failure", "success"];
    assert_eq!(outcomes.map(|outcome| gateway.count(circuit, outcome)), [1, 0, 0], "{circuit}");
}

#[test]
fn the_next_answers_for_one_that_is_slow() {
    let upstreams = three();
    for balance in ["first-available", "round-robin", "least-pending"] {
        let route = format!("hedge = \"100ms\"\nbalance = \"{balance}\"");
        let gateway = gateway(&upstreams, &route);
        upstreams[0].set("hang");
        upstreams.iter().for_each(Upstream::reset_stats);
        let started = Instant::now();
        assert_eq!(by(&gateway.get("/")), (200, "b"), "{balance}");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(100), "{balance}: {took:?}");
        assert!(took < Duration::from_secs(1), "{balance}: {took:?}");
        assert_eq!(requests(&upstreams), [1, 1, 0], "{balance}");
        assert_eq!((hedges(&gateway, "r", "won"), gateway.count("b", "success")), (1.0, 1));
        is_neutral(&gateway, "a");
        let gone = || upstreams[0].stats()["in_flight"] == 0;
        eventually("the loser's connection closed", gone);
    }
}

#[test]
fn what_is_quick_is_sent_once_and_a_failure_goes_to_the_next_at_once() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "hedge = \"15s\"");
    assert_eq!(by(&gateway.get("/")), (200, "a"));
    upstreams[0].set("status:500");
    let started = Instant::now();
    assert_eq!(by(&gateway.get("/")), (200, "b"));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(requests(&upstreams), [2, 1, 0]);
    assert!(!gateway.admin("/metrics").body.contains("panelboard_gateway_hedges_total{"));
}

#[test]
fn the_first_good_answer_counts() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "hedge = \"50ms\"");
    upstreams[0].set("slow:400ms");
    upstreams[1].set("hang");
    assert_eq!(by(&gateway.get("/")), (200, "a"));
    assert_eq!((requests(&upstreams), hedges(&gateway, "r", "lost")), ([1, 1, 0], 1.0));
    is_neutral(&gateway, "b");
    // A failure is not good, but what is the caller's own fault is.
    upstreams[1].set("status:500");
    assert_eq!(by(&gateway.get("/")), (200, "a"));
    assert_eq!((hedges(&gateway, "r", "failed"), gateway.count("b", "failure")), (1.0, 1));
    upstreams[1].set("status:404");
    assert_eq!(by(&gateway.get("/")), (404, "b"));
    assert_eq!((requests(&upstreams), hedges(&gateway, "r", "won")), ([3, 3, 0], 1.0));
}

#[test]
fn when_both_fail_the_others_are_asked_and_none_of_them_twice() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "hedge = \"50ms\"");
    upstreams[0].set("hang");
    upstreams[1].set("status:500");
    assert_eq!(by(&gateway.get("/")), (200, "c"));
    assert_eq!(requests(&upstreams), [1, 1, 1], "one hedge, however slow");
    assert_eq!(["a", "b"].map(|name| gateway.count(name, "failure")), [1, 1]);
    assert_eq!(hedges(&gateway, "r", "failed"), 1.0);
}

#[test]
fn only_what_does_no_harm_is_sent_twice() {
    let upstreams = three();
    for (hedge, sent) in [("\"50ms\"", 0), ("{ delay = \"50ms\", non_idempotent = true }", 1)] {
        let gateway = gateway(&upstreams, &format!("hedge = {hedge}"));
        upstreams[0].set("slow:300ms");
        upstreams.iter().for_each(Upstream::reset_stats);
        assert_eq!(gateway.post("/", "order").status, 200);
        assert_eq!(requests(&upstreams), [1, sent, 0], "{hedge}");
        for (length, asked) in [(64 << 10, 1), ((64 << 10) + 1, 0)] {
            upstreams.iter().for_each(Upstream::reset_stats);
            let reply = Client::of(&gateway).ask(request("PUT", "/", "", vec![b'x'; length]));
            assert_eq!((reply.status, requests(&upstreams)), (200, [1, asked, 0]), "{length}");
            if asked == 1 {
                assert_eq!(upstreams[1].stats()["last_requests"][0]["body_length"], length);
            }
        }
    }
}

#[test]
fn the_budget_of_retries_pays() {
    let upstreams = three();
    let budget = "retry_budget = { ratio = 0.01, min_per_second = 0, reserve = 1 }";
    let gateway = gateway(&upstreams, &format!("hedge = \"50ms\"\n{budget}"));
    upstreams[0].set("slow:300ms");
    assert_eq!(by(&gateway.get("/")), (200, "b"));
    assert_eq!(by(&gateway.get("/")), (200, "a"));
    assert_eq!((requests(&upstreams), given_up(&gateway, "budget")), ([2, 1, 0], 1.0));
    assert_eq!(gateway.count("b", "admitted"), 1, "no circuit is asked for nothing");
}

#[test]
fn the_first_whose_circuit_lets_it_through_is_asked() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "hedge = \"50ms\"");
    upstreams[0].set("slow:300ms");
    gateway.order("b", "trip", "{}");
    assert_eq!(by(&gateway.get("/")), (200, "c"));
    gateway.order("c", "trip", "{}");
    assert_eq!(by(&gateway.get("/")), (200, "a"));
    assert_eq!((requests(&upstreams), given_up(&gateway, "refused")), ([2, 0, 1], 1.0));
}

#[test]
fn the_bulkhead_has_room_for_both_or_there_is_one() {
    let upstreams = three();
    for (places, sent) in [(1, 0), (2, 1)] {
        let gateway = gateway(&upstreams, &format!("hedge = \"50ms\"\nbulkhead = {places}"));
        upstreams[0].set("slow:300ms");
        upstreams[1].reset_stats();
        assert_eq!(gateway.get("/").status, 200);
        assert_eq!(upstreams[1].requests(), sent);
        assert_eq!(given_up(&gateway, "bulkhead"), 1.0 - sent as f64);
        upstreams[0].set("ok");
        // Places are given back when whoever had them ends.
        eventually("room", || gateway.get("/").status == 200);
    }
}

#[test]
fn the_deadline_holds_for_both() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "hedge = \"50ms\"\ndeadline = \"300ms\"");
    for upstream in &upstreams {
        upstream.set("hang");
    }
    let started = Instant::now();
    assert!(gateway.get("/").status >= 503);
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
    assert_eq!(requests(&upstreams), [1, 1, 0]);
    // The one has had all of it, the other has not.
    assert_eq!(gateway.count("a", "failure"), 1);
    is_neutral(&gateway, "b");
}

#[test]
fn a_single_upstream_is_asked_twice() {
    let upstreams = three();
    let gateway = gateway(&upstreams, "hedge = \"600ms\"");
    upstreams[0].set("500ms=hang ok");
    assert_eq!(by(&gateway.get("/one")), (200, "a"));
    assert_eq!((requests(&upstreams), hedges(&gateway, "one", "won")), ([2, 0, 0], 1.0));
    eventually("both ends", || gateway.circuit("a")["in_flight"] == 0);
    assert_eq!(["success", "neutral"].map(|outcome| gateway.count("a", outcome)), [1, 1]);
}

#[test]
fn a_stream_is_an_answer_as_soon_as_its_first_token_is_there() {
    let upstreams = three();
    let hedge = "hedge = { delay = \"200ms\", non_idempotent = true }";
    let gateway = gateway(&upstreams, hedge);
    let chat = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let ask = || Client::of(&gateway).ask(post("/v1/chat/completions", chat));
    upstreams[0].set("ok,events=5,gap=100ms");
    let reply = ask();
    assert_eq!((reply.status, reply.end, requests(&upstreams)), (200, End::Whole, [1, 0, 0]));
    upstreams[0].set("no-first-token");
    upstreams[1].set("ok,events=5");
    let reply = ask();
    assert_eq!((reply.status, reply.end, requests(&upstreams)), (200, End::Whole, [2, 1, 0]));
    assert_eq!(reply.header("x-panelboard-upstream"), Some("second"));
    assert!(reply.text().contains("[DONE]"), "{}", reply.text());
    eventually("the loser's end", || gateway.circuit("first")["in_flight"] == 0);
    assert_eq!(["success", "neutral"].map(|outcome| gateway.count("first", outcome)), [1, 1]);
    assert_eq!(gateway.count("second", "success"), 1);
}

#[test]
fn how_long_answers_take_is_learned() {
    let upstreams = three();
    let hedge = "hedge = { percentile = \"50%\", min_delay = \"100ms\" }";
    let gateway = gateway(&upstreams, hedge);
    upstreams[0].set("slow:20ms");
    for _ in 0..9 {
        assert_eq!(by(&gateway.get("/")), (200, "a"));
    }
    // Ten must be known before half of them can be told.
    upstreams[0].set("slow:300ms");
    assert_eq!((by(&gateway.get("/")), upstreams[1].requests()), ((200, "a"), 0));
    let started = Instant::now();
    assert_eq!((by(&gateway.get("/")), upstreams[1].requests()), ((200, "b"), 1));
    let took = started.elapsed();
    assert!((100..290).contains(&took.as_millis()), "{took:?}");
}
