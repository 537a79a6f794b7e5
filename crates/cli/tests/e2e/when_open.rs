//! What a request meets when every circuit of its route refuses.

use std::time::{Duration, Instant};

use crate::support::{Answer, Gateway, NOBODY, Upstream, eventually};

fn gateway(url: &str, recovery: &str, route: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.a]
        failure_threshold = 1
        success_threshold = 1
        recovery_timeout = "{recovery}"
        jitter = "none"
        ramp = "off"
        [circuit_breaker.circuits.b]
        recovery_timeout = "1h"
        [upstreams.a]
        url = "{url}"
        [upstreams.b]
        url = "{NOBODY}"
        [[routes]]
        path = "/b"
        upstreams = ["b", "a"]
        when_open = "fail_open"
        [[routes]]
        upstream = "a"
        {route}
        "#
    ))
}

fn by(answer: &Answer) -> (u16, Option<&str>, Option<&str>) {
    let header = |name| answer.header(name);
    (answer.status, header("x-panelboard-upstream"), header("x-panelboard-state"))
}

const REASON: &str = r#"{"reason": "a test", "for": "1h"}"#;

#[test]
fn a_route_that_fails_open_lets_requests_through_and_says_so() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "1h", "when_open = \"fail_open\"");
    a.set("status:500");
    assert_eq!(gateway.get("/").status, 500);
    let before = gateway.circuit("a");
    for (behaviour, status) in [("status:500", 500), ("ok", 200)] {
        a.set(behaviour);
        gateway.order("a", "trip", "{}");
        assert_eq!(by(&gateway.get("/")), (status, Some("a"), Some("open")));
    }
    let after = gateway.circuit("a");
    assert_eq!(before["calls"]["admitted"], after["calls"]["admitted"], "nobody asked the circuit");
    assert_eq!(after["state"], "open");
}

#[test]
fn nobody_fails_open_while_an_upstream_still_answers() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "1h", "");
    gateway.order("b", "trip", "{}");
    assert_eq!(by(&gateway.get("/b")), (200, Some("a"), Some("closed")));
    // The first that may be passed is tried, and no other; here nobody listens.
    gateway.order("a", "trip", "{}");
    let asked = a.requests();
    let answer = gateway.get("/b");
    assert_eq!((answer.status, &answer.json()["reason"]), (503, &"unreachable".into()));
    assert_eq!(a.requests(), asked);
}

#[test]
fn an_operators_no_is_not_passed_over() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "1h", "when_open = \"fail_open\"");
    gateway.order("a", "force-open", REASON);
    assert_eq!(gateway.get("/").json()["reason"], "forced");
    gateway.order("a", "auto", "{}");
    a.set("status:429,retry-after=9");
    assert_eq!(gateway.get("/").status, 429);
    assert_eq!(gateway.get("/").json()["reason"], "paced", "nor is the upstream's");
    assert_eq!(a.requests(), 1);
}

#[test]
fn a_route_that_waits_has_requests_answered_when_the_circuit_lets_them_through() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "300ms", "when_open = \"wait\"\ndeadline = \"10s\"");
    a.set("status:500");
    assert_eq!(gateway.get("/").status, 500);
    a.set("ok");
    let started = Instant::now();
    std::thread::scope(|scope| {
        let ask = || (gateway.get("/").status, started.elapsed());
        let asked = [(); 8].map(|()| scope.spawn(ask));
        for (status, took) in asked.map(|asked| asked.join().unwrap()) {
            assert_eq!(status, 200);
            assert!(took >= Duration::from_millis(150), "{took:?}: the circuit was still open");
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    });
    assert_eq!(gateway.state("a"), "closed");
}

#[test]
fn who_waits_hears_of_an_operators_order() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "300ms", "when_open = \"wait\"\ndeadline = \"10s\"");
    gateway.order("a", "force-open", REASON);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| gateway.get("/").status);
        eventually("a refusal", || gateway.count("a", "rejected") == 1);
        let started = Instant::now();
        gateway.order("a", "auto", "{}");
        assert_eq!(asked.join().unwrap(), 200);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    });
}

#[test]
fn nobody_waits_past_the_deadline_or_where_there_is_no_room() {
    let route = "when_open = \"wait\"\ndeadline = \"600ms\"\nmax_waiting = 1";
    let gateway = gateway(NOBODY, "1h", route);
    gateway.order("a", "force-open", REASON);
    std::thread::scope(|scope| {
        let started = Instant::now();
        let waits = scope.spawn(|| gateway.get("/"));
        eventually("a refusal", || gateway.count("a", "rejected") == 1);
        let turned_away = gateway.get("/");
        assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
        let waited = waits.join().unwrap();
        assert!(started.elapsed() >= Duration::from_millis(600), "{:?}", started.elapsed());
        for answer in [turned_away, waited] {
            assert_eq!((answer.status, &answer.json()["reason"]), (503, &"forced".into()));
            assert!(answer.header("retry-after").is_some());
        }
    });
}
