//! Requests that are sent again: after what, how often, and what is in the way.

use std::time::{Duration, Instant};

use crate::raw::{Client, End, get, post, request};
use crate::support::{Gateway, NOBODY, Upstream};

/// A route with this retry; its circuit opens after ten failures.
fn gateway(url: &str, route: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.a]
        failure_threshold = 10
        failure_rate = "off"
        success_threshold = 1
        recovery_timeout = "300ms"
        jitter = "none"
        ramp = "off"
        [upstreams.a]
        url = "{url}"
        [[routes]]
        name = "r"
        upstream = "a"
        {route}
        "#
    ))
}

fn retries(gateway: &Gateway) -> f64 {
    gateway.metric("panelboard_gateway_retries_total{route=\"r\"}").unwrap_or(0.0)
}

fn given_up(gateway: &Gateway, reason: &str) -> f64 {
    let labels = format!("{{route=\"r\",reason=\"{reason}\"}}");
    gateway.metric(&format!("panelboard_gateway_retries_given_up_total{labels}")).unwrap_or(0.0)
}

const QUICK: &str = "retry = { max_attempts = 3, base_delay = \"5ms\" }";

#[test]
fn a_request_is_sent_again_until_it_is_answered() {
    let a = Upstream::start();
    let retry = "retry = { max_attempts = 100, base_delay = \"30ms\", max_delay = \"30ms\" }";
    let gateway = gateway(&a.url(), retry);
    a.set("60ms=close ok");
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(retries(&gateway), (a.requests() - 1) as f64);
    assert_eq!(gateway.count("a", "admitted"), a.requests(), "the circuit is asked each time");
}

#[test]
fn no_more_often_than_the_route_says() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), QUICK);
    a.set("status:502");
    let answer = gateway.get("/");
    assert_eq!((answer.status, &*answer.body), (502, "status 502 as scripted\n"));
    assert_eq!((a.requests(), given_up(&gateway, "attempts")), (3, 1.0));
    for status in [404, 400] {
        a.set(&format!("status:{status}"));
        assert_eq!(gateway.get("/").status, status);
    }
    assert_eq!(a.requests(), 5, "the caller's mistakes are not sent again");
}

#[test]
fn what_may_have_been_processed_is_sent_again_only_if_it_does_no_harm() {
    let a = Upstream::start();
    for (route, body, requests) in [
        (QUICK, "order", 1),
        (QUICK, "", 1),
        ("retry = { base_delay = \"5ms\", non_idempotent = true }", "order", 3),
    ] {
        let gateway = gateway(&a.url(), route);
        a.set("status:500");
        a.reset_stats();
        assert_eq!(gateway.post("/", body).status, 500);
        assert_eq!(a.requests(), requests, "{route} {body}");
        let last = &a.stats()["last_requests"][requests as usize - 1];
        assert_eq!(last["body_length"], body.len());
        a.reset_stats();
        let reply = Client::of(&gateway).ask(request("PUT", "/", "", "order"));
        assert_eq!((reply.status, a.requests()), (500, 3), "what is idempotent always is");
    }
    // It reached nobody.
    let gateway = gateway(NOBODY, QUICK);
    assert_eq!(Client::of(&gateway).ask(post("/", "order")).status, 503);
    assert_eq!(gateway.count("a", "failure"), 3);
}

#[test]
fn what_is_too_large_to_be_kept_is_sent_once() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), QUICK);
    a.set("status:500");
    for (length, requests) in [(64 << 10, 3), ((64 << 10) + 1, 1)] {
        a.reset_stats();
        let reply = Client::of(&gateway).ask(request("PUT", "/", "", vec![b'x'; length]));
        assert_eq!((reply.status, a.requests()), (500, requests));
    }
}

#[test]
fn nothing_is_sent_again_once_the_client_has_had_a_byte() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), QUICK);
    a.set("truncate");
    let reply = Client::of(&gateway).ask(get("/"));
    assert_eq!((reply.status, reply.end, a.requests()), (200, End::Cut, 1));
}

#[test]
fn a_servers_hint_is_kept_to_or_the_request_is_given_up() {
    let a = Upstream::start();
    let with_deadline = |deadline: &str| {
        gateway(&a.url(), &format!("{QUICK}\nmax_body_bytes = 9\ndeadline = \"{deadline}\""))
    };
    for behaviour in ["status:503,retry-after-ms=400", "status:429,retry-after-ms=400"] {
        let gateway = with_deadline("5s");
        a.set(&format!("200ms={behaviour} ok"));
        let started = Instant::now();
        assert_eq!(gateway.get("/").status, 200, "{behaviour}");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(400), "{behaviour}: {took:?}");
        let gateway = with_deadline("300ms");
        a.set(behaviour);
        a.reset_stats();
        let started = Instant::now();
        assert!(gateway.get("/").status >= 429);
        assert!(started.elapsed() < Duration::from_millis(300), "{behaviour}");
        assert_eq!((a.requests(), given_up(&gateway, "deadline")), (1, 1.0), "{behaviour}");
    }
}

#[test]
fn an_open_circuit_is_waited_for_only_within_a_deadline() {
    let a = Upstream::start();
    for (deadline, status) in [("deadline = \"5s\"", 200), ("", 503)] {
        let gateway = gateway(&a.url(), &format!("{QUICK}\n{deadline}"));
        gateway.order("a", "trip", "{}");
        let started = Instant::now();
        assert_eq!(gateway.get("/").status, status);
        let waited = started.elapsed() >= Duration::from_millis(200);
        assert_eq!(waited, status == 200, "{:?}", started.elapsed());
    }
    assert_eq!(a.requests(), 1);
}

#[test]
fn the_budget_bounds_what_an_outage_adds() {
    let a = Upstream::start();
    let budget = "retry_budget = { ratio = 0.01, min_per_second = 0, reserve = 2 }";
    let gateway = gateway(&a.url(), &format!("{QUICK}\n{budget}"));
    a.set("status:500");
    for _ in 0..4 {
        assert_eq!(gateway.get("/").status, 500);
    }
    assert_eq!((a.requests(), retries(&gateway), given_up(&gateway, "budget")), (6, 2.0, 3.0));
    // A reload gives nobody a fresh allowance.
    let text = std::fs::read_to_string(&gateway.config).unwrap();
    gateway.rewrite(&text.replace("base_delay = \"5ms\"", "base_delay = \"6ms\""));
    crate::support::eventually("a reload", || gateway.process.log().contains("routes changed"));
    gateway.get("/");
    assert_eq!(a.requests(), 7);
}

#[test]
fn a_route_can_choose_after_what() {
    let a = Upstream::start();
    let route = "retry = { base_delay = \"5ms\", on = [\"timeout\", \"pushback\"] }";
    let gateway = gateway(&a.url(), route);
    for (behaviour, requests) in [("status:500", 1), ("status:429,retry-after=0", 3)] {
        a.set(behaviour);
        a.reset_stats();
        gateway.get("/");
        assert_eq!(a.requests(), requests, "{behaviour}");
    }
}
