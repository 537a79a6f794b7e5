//! What a route itself refuses: so many a period, so many at once, some while many fail.

use crate::raw::{Client, End, get, post};
use crate::support::{Gateway, Upstream, eventually};

fn gateway(url: &str, route: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.defaults]
        failure_threshold = "off"
        failure_rate = "off"
        [upstreams.a]
        url = "{url}"
        [upstreams.llm]
        url = "{url}"
        kind = "openai"
        [[routes]]
        path = "/v1"
        upstream = "llm"
        {route}
        [[routes]]
        name = "r"
        upstream = "a"
        {route}
        "#
    ))
}

fn rejected(gateway: &Gateway, reason: &str) -> Option<f64> {
    let labels = format!("{{route=\"r\",reason=\"{reason}\"}}");
    gateway.metric(&format!("panelboard_gateway_rejected_total{labels}"))
}

#[test]
fn what_is_over_the_rate_is_answered_with_429() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "rate_limit = { rate = 2, per = \"1h\" }");
    for status in [200, 200, 429, 429] {
        assert_eq!(gateway.get("/").status, status);
    }
    let answer = gateway.get("/");
    let problem = answer.json();
    assert_eq!((&problem["reason"], &problem["status"]), (&"rate_limit".into(), &429.into()));
    let told: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1_790..=1_800).contains(&told), "{told}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!((a.requests(), gateway.count("a", "admitted")), (2, 2));
    assert_eq!(gateway.count("a", "rejected"), 0, "the circuit has not refused");
    assert_eq!(rejected(&gateway, "rate_limit"), Some(3.0));
    let requests = "panelboard_gateway_requests_total{route=\"r\",status=\"429\"}";
    assert_eq!(gateway.metric(requests), Some(3.0));
    // In the words of the API, and each route for itself.
    let chat = || gateway.post("/v1/chat/completions", r#"{"model":"m","messages":[]}"#);
    assert_eq!([chat().status, chat().status], [200, 200]);
    let refused = chat();
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (429, Some("rate_limit_exceeded"))
    );
    // A reload gives nobody a fresh allowance.
    let text = std::fs::read_to_string(&gateway.config).unwrap();
    gateway.rewrite(&text.replace("path = \"/v1\"", "path = \"/v1\"\nmax_body_bytes = 1000"));
    eventually("a reload", || gateway.process.log().contains("routes changed"));
    assert_eq!(gateway.get("/").status, 429);
}

#[test]
fn a_limit_for_each_value_of_a_header() {
    let a = Upstream::start();
    let route = "rate_limit = { rate = 1, per = \"1h\", header = \"x-api-key\" }";
    let gateway = gateway(&a.url(), route);
    let ask = |key: &str| gateway.get_with("/", &[("x-api-key", key)]).status;
    assert_eq!([ask("one"), ask("one"), ask("two"), ask("two")], [200, 429, 200, 429]);
    assert_eq!([gateway.get("/").status, gateway.get("/").status], [200, 429]);
}

#[test]
fn so_many_at_once_to_the_end_of_the_answer() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "bulkhead = 1");
    a.set("path:/stream=head-then-hang");
    let mut client = Client::of(&gateway);
    client.send(get("/stream"));
    client.peek("\r\n\r\n");
    let refused = gateway.get("/");
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &"bulkhead".into()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!((gateway.count("a", "rejected"), rejected(&gateway, "bulkhead")), (0, Some(1.0)));
    client.leave();
    eventually("room", || gateway.get("/").status == 200);
    // What failed has given its place back for the next attempt.
    a.set("status:500");
    assert_eq!([gateway.get("/").status, gateway.get("/").status], [500, 500]);
}

#[test]
fn a_few_more_may_wait() {
    let a = Upstream::start();
    let route = "bulkhead = { max_concurrent = 1, max_waiting = 1, max_wait = \"10s\" }\nretry = 2";
    let gateway = gateway(&a.url(), &format!("{route}\ndeadline = \"5s\""));
    a.set("slow:1s");
    std::thread::scope(|scope| {
        let asked = [(); 3].map(|()| scope.spawn(|| gateway.get("/").status));
        let mut statuses = asked.map(|asked| asked.join().unwrap());
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 503]);
    });
    assert_eq!(a.stats()["peak_in_flight"], 1);
    // A retry has room although the first attempt's error is kept for want of anything better.
    a.set("status:500");
    let reply = Client::of(&gateway).ask(get("/"));
    assert_eq!((reply.status, reply.end), (500, End::Whole));
}

#[test]
fn some_are_shed_while_many_fail() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "throttle = { k = 1.5, max = 0.9 }");
    for _ in 0..20 {
        assert_eq!(gateway.get("/").status, 200, "nothing is shed while nothing fails");
    }
    a.set("status:500");
    let shed = (0..200).filter(|_| gateway.get("/").status == 503).count();
    assert!((40..200).contains(&shed), "{shed}");
    assert_eq!(rejected(&gateway, "throttled"), Some(shed as f64));
    assert_eq!(a.requests(), 220 - shed as u64);
    assert_eq!(gateway.count("a", "rejected"), 0);
}

#[test]
fn a_refusal_of_a_stream_is_the_apis_own() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "bulkhead = 1");
    a.set("no-first-token");
    let body = r#"{"model":"m","stream":true,"messages":[]}"#;
    let mut client = Client::of(&gateway);
    client.send(post("/v1/chat/completions", body));
    eventually("a stream", || a.stats()["in_flight"] == 1);
    let refused = gateway.post("/v1/chat/completions", body);
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (503, Some("bulkhead")));
    client.leave();
}
