//! Last good answers: who gets them, when, and what is not kept.

use crate::raw::{Client, End, get};
use crate::support::{Answer, Gateway, Upstream, eventually};

fn gateway(url: &str, cache: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.a]
        failure_threshold = 5
        recovery_timeout = "1h"
        [upstreams.a]
        url = "{url}"
        [[routes]]
        name = "r"
        upstream = "a"
        cache = {cache}
        "#
    ))
}

fn told(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("x-panelboard-fallback"))
}

fn counted(gateway: &Gateway, result: &str) -> f64 {
    let labels = format!("{{route=\"r\",result=\"{result}\"}}");
    gateway.metric(&format!("panelboard_gateway_cache_total{labels}")).unwrap_or(0.0)
}

#[test]
fn the_last_good_answer_stands_in_when_nothing_is_left() {
    let mut a = Upstream::start();
    let gateway = gateway(&a.url(), "{ methods = [\"GET\", \"POST\"] }");
    let first = gateway.get("/a?q=1");
    assert_eq!((told(&first), first.header("age")), ((200, None), None));
    eventually("an answer kept", || counted(&gateway, "stored") == 1.0);
    let asked = a.requests();
    let first = gateway.get("/a?q=1");
    assert_eq!(first.status, 200);
    assert_eq!(a.requests(), asked + 1, "while there is an upstream, it is asked");
    let post = gateway.post("/echo", "{\"a\":1}");
    assert_eq!(post.status, 200);
    eventually("an answer kept", || counted(&gateway, "stored") == 3.0);
    // An upstream's own error gives way to a good answer, and to no other.
    a.set("status:500");
    let stale = gateway.get("/a?q=1");
    assert_eq!((told(&stale), &stale.body), ((200, Some("cache")), &first.body));
    assert!(stale.header("age").unwrap().parse::<u64>().unwrap() < 20);
    assert_eq!(told(&gateway.get("/a?q=2")), (500, None));
    a.set("status:404");
    assert_eq!(told(&gateway.get("/a?q=1")), (404, None), "that is an answer");
    a.process.kill();
    eventually("an open circuit", || {
        assert_eq!(told(&gateway.get("/a?q=1")), (200, Some("cache")));
        gateway.state("a") == "open"
    });
    let stale = gateway.get("/a?q=1");
    assert_eq!((told(&stale), &stale.body), ((200, Some("cache")), &first.body));
    assert_eq!(stale.header("x-panelboard-state"), Some("open"));
    assert_eq!(stale.header("content-type"), first.header("content-type"));
    // HEAD has the same head, POST an answer for each body, the rest the fallback.
    let head =
        format!("HEAD /a?q=1 HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", gateway.address());
    let head = gateway.raw(head.as_bytes());
    let length = head.contains(&format!("content-length: {}\r\n", first.body.len()))
        && head.ends_with("\r\n\r\n");
    assert!(length && head.contains("x-panelboard-fallback: cache\r\n"), "{head}");
    let stale = gateway.post("/echo", "{\"a\":1}");
    assert_eq!((told(&stale), &stale.body), ((200, Some("cache")), &post.body));
    assert_eq!(told(&gateway.post("/echo", "{\"a\":2}")), (503, Some("default")));
    assert_eq!(told(&gateway.get("/other")), (503, Some("default")));
    assert!(counted(&gateway, "stale") >= 4.0 && counted(&gateway, "miss") >= 3.0);
    assert!(gateway.metric("panelboard_fallbacks_total{name=\"cache\"}").unwrap() >= 4.0);
    // It outlives a reload that changes nothing of the route, and no other.
    let text = std::fs::read_to_string(&gateway.config).unwrap();
    rewritten(&gateway, &text.replace("recovery_timeout = \"1h\"", "recovery_timeout = \"2h\""), 1);
    assert_eq!(told(&gateway.get("/a?q=1")), (200, Some("cache")));
    rewritten(&gateway, &text.replace("url = \"", "stall_timeout = \"9s\"\nurl = \""), 2);
    assert_eq!(told(&gateway.get("/a?q=1")), (503, Some("default")));
}

fn rewritten(gateway: &Gateway, text: &str, times: usize) {
    gateway.rewrite(text);
    eventually("a reload", || {
        gateway.process.log().matches("configuration reloaded").count() == times
    });
}

#[test]
fn within_its_ttl_an_answer_is_given_out_again() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "{ ttl = \"1h\" }");
    a.set("ok,header=\"x-panelboard-cache: hit\",header=\"x-request-id: one\"");
    let first = gateway.get("/");
    assert_eq!((first.status, first.header("x-panelboard-cache")), (200, None), "only we say so");
    eventually("an answer kept", || counted(&gateway, "stored") == 1.0);
    let hit = gateway.get("/");
    assert_eq!((told(&hit), hit.header("x-panelboard-cache")), ((200, None), Some("hit")));
    assert_eq!((&hit.body, a.requests()), (&first.body, 1));
    assert_ne!(hit.header("x-request-id"), Some("one"));
    // The client can ask for a new one, or for none that is kept.
    let asked = a.requests();
    for wish in ["no-cache", "no-store"] {
        let new = gateway.get_with("/", &[("cache-control", wish)]);
        assert_eq!((new.status, new.header("age")), (200, None), "{wish}");
    }
    assert_eq!(a.requests(), asked + 2);
    assert_eq!(counted(&gateway, "hit"), 1.0);
}

#[test]
fn nobody_gets_another_clients_answer() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "{ ttl = \"1h\" }");
    let clients = [
        ("authorization", "Bearer one"),
        ("authorization", "Bearer two"),
        ("cookie", "session=1"),
        ("x-api-key", "one"),
        ("x-auth-token", "one"),
    ];
    for (n, client) in clients.iter().enumerate() {
        let answer = gateway.get_with("/", &[*client]);
        assert_eq!((answer.status, answer.header("age")), (200, None), "{client:?}");
        eventually("an answer kept", || counted(&gateway, "stored") == (n + 1) as f64);
        assert!(gateway.get_with("/", &[*client]).header("age").is_some(), "{client:?}");
    }
    a.set("status:500");
    assert_eq!(told(&gateway.get("/")), (500, None), "without any");
    assert_eq!(told(&gateway.get_with("/", &[("authorization", "Bearer three")])), (500, None));
    assert_eq!(a.requests(), 7);
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let a = Upstream::start();
    let gateway =
        gateway(&a.url(), "{ ttl = \"1h\", max_body = \"10KiB\", methods = [\"GET\", \"POST\"] }");
    let twice = |path: &str, behaviour: &str| {
        a.set(behaviour);
        let before = a.requests();
        for _ in 0..2 {
            assert_eq!(gateway.get(path).status, 200, "{behaviour}");
        }
        assert_eq!(a.requests(), before + 2, "{path} {behaviour}");
    };
    for header in
        ["cache-control: no-store", "cache-control: private", "set-cookie: a=1", "vary: *"]
    {
        twice("/", &format!("ok,header=\"{header}\""));
    }
    let chat = r#"{"model":"m","stream":true,"messages":[]}"#;
    let before = a.requests();
    for _ in 0..2 {
        assert!(gateway.post("/v1/chat/completions", chat).body.contains("[DONE]"));
    }
    assert_eq!(a.requests(), before + 2, "a stream");
    twice("/bytes/10241", "ok");
    twice("/slow-body/10241", "ok");
    twice("/trailers", "ok");
    let part = gateway.get_with("/bytes/100", &[("range", "bytes=0-9")]);
    assert_eq!((part.status, counted(&gateway, "stored")), (200, 0.0));
    // Half an answer is none.
    a.set("truncate");
    let cut = Client::of(&gateway).ask(get("/bytes/1000"));
    assert_eq!((cut.end, counted(&gateway, "stored")), (End::Cut, 0.0));
    // What is just not too large passes as it comes, and is kept when it is through.
    a.set("ok");
    assert_eq!(gateway.get("/slow-body/10240").status, 200);
    eventually("an answer kept", || counted(&gateway, "stored") == 1.0);
    let hit = gateway.get("/slow-body/10240");
    let told = (hit.header("x-panelboard-cache"), hit.header("content-length"));
    assert_eq!(told, (Some("hit"), Some("10240")));
}

#[test]
fn there_is_an_end_to_what_is_kept() {
    let a = Upstream::start();
    let gateway = gateway(&a.url(), "{ max_entries = 3 }");
    for n in 1..=5 {
        assert_eq!(gateway.get(&format!("/{n}")).status, 200);
        eventually("an answer kept", || counted(&gateway, "stored") == f64::from(n));
    }
    a.set("status:500");
    let stale = (1..=5).map(|n| told(&gateway.get(&format!("/{n}"))).0);
    assert_eq!(stale.collect::<Vec<_>>(), [500, 500, 200, 200, 200]);
}
