//! Tokens: counted as each API tells them, and limited per route and per upstream.

use std::fmt::Write as _;

use crate::raw::{Client, End, Reply, post};
use crate::support::{Gateway, Upstream, eventually};

const APIS: [(&str, &str); 3] = [
    ("openai", "/openai/v1/chat/completions"),
    ("anthropic", "/anthropic/v1/messages"),
    ("ollama", "/ollama/api/chat"),
];

fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    let mut toml = String::from(more);
    for (name, _) in APIS {
        write!(
            toml,
            r#"
            [upstreams.{name}]
            url = "{}"
            kind = "{name}"
            [[routes]]
            path = "/{name}"
            strip_prefix = "/{name}"
            upstreams = ["{name}"]
            "#,
            upstream.url()
        )
        .unwrap();
    }
    Gateway::start(&toml)
}

fn ask(gateway: &Gateway, path: &str, body: &str) -> Reply {
    let reply = Client::of(gateway).ask(post(path, body));
    assert_eq!(reply.end, End::Whole);
    reply
}

fn tokens(gateway: &Gateway, upstream: &str, direction: &str) -> f64 {
    let series = format!(
        "panelboard_gateway_tokens_total{{upstream=\"{upstream}\",direction=\"{direction}\"}}"
    );
    gateway.metric(&series).unwrap_or_default()
}

#[test]
fn tokens_are_counted_as_each_api_tells_them() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "");
    for (name, path) in APIS {
        let mut input = 0.0;
        for (round, stream) in [(1, "false"), (2, "true")] {
            let body = format!(
                r#"{{"model":"m","stream":{stream},"stream_options":{{"include_usage":true}}}}"#
            );
            input += (body.len() / 4) as f64;
            let reply = ask(&gateway, path, &body);
            assert_eq!(reply.status, 200, "{name}");
            // Words of the scripted answer. Of a stream some events have none.
            eventually("counted", || {
                let output = tokens(&gateway, name, "output");
                let least = if round == 1 { 6.0 } else { 9.0 };
                tokens(&gateway, name, "input") >= input && output >= least
            });
        }
        let first = format!("panelboard_gateway_first_token_seconds_count{{circuit=\"{name}\"}}");
        assert_eq!(gateway.metric(&first), Some(1.0), "{name}: of the stream");
    }
}

/// What is asked for is reserved, and what it has cost in the end counts.
#[test]
fn a_route_has_so_many_tokens_and_refuses_more_in_the_apis_own_shape() {
    let upstream = Upstream::start();
    let mut more = String::new();
    for (name, path) in APIS {
        write!(
            more,
            r#"
            [[routes]]
            name = "few {name}"
            path = "/few{path}"
            strip_prefix = "/few/{name}"
            upstreams = ["{name}"]
            token_limit = {{ tokens = 1000, per = "1h" }}
            "#
        )
        .unwrap();
    }
    let gateway = gateway(&upstream, &more);
    for (name, path) in APIS {
        let path = format!("/few{path}");
        // Each reserves most of what there is and needs hardly any of it.
        let large = r#"{"model":"m","stream":false,"max_tokens":600}"#;
        for _ in 0..3 {
            eventually("room is given back", || ask(&gateway, &path, large).status == 200);
        }
        // A client that wants to leave with an error is not charged either.
        upstream.set("status:400,body=api");
        assert_eq!(ask(&gateway, &path, large).status, 400, "{name}");
        upstream.set("slow:500ms");
        let before = upstream.requests();
        let mut client = Client::of(&gateway);
        eventually("room is given back", || {
            ask(&gateway, &path, "{\"stream\":false}").status == 200
        });
        client.send(post(&path, large));
        eventually("it is under way", || upstream.requests() > before + 1);
        let touched = upstream.requests();
        let refused = ask(&gateway, &path, large);
        assert_eq!(refused.status, 429, "{name}: {}", refused.text());
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((300..=3_600).contains(&wait), "{name}: {wait}");
        let error = &refused.json()["error"];
        match name {
            "openai" => {
                assert_eq!(
                    (&error["type"], &error["code"]),
                    (&"tokens".into(), &"rate_limit_exceeded".into())
                );
            }
            "anthropic" => assert_eq!(error["type"], "rate_limit_error"),
            _ => assert!(error.as_str().unwrap().contains("tokens"), "{error}"),
        }
        assert_eq!(refused.header("x-panelboard-state"), Some("closed"));
        assert_eq!(refused.header("x-panelboard-fallback"), None);
        assert_eq!(upstream.requests(), touched, "{name}");
        assert_eq!(client.reply().status, 200);
        assert_eq!(gateway.count(name, "failure") + gateway.count(name, "pushback"), 0);
        upstream.set("ok");
    }
}

#[test]
fn an_upstream_without_tokens_left_gives_way_to_the_next() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = Gateway::start(&format!(
        r#"
        [upstreams.first]
        url = "{}"
        kind = "openai"
        token_limit = {{ tokens = 100, per = "1h" }}
        [upstreams.second]
        url = "{}"
        kind = "openai"
        [[routes]]
        path = "/v1"
        upstreams = ["first", "second"]
        [[routes]]
        path = "/alone"
        strip_prefix = "/alone"
        upstreams = ["first"]
        "#,
        first.url(),
        second.url()
    ));
    let path = "/v1/chat/completions";
    // A stream that does not tell is taken for what was reserved.
    let body = r#"{"model":"m","stream":true,"max_tokens":90}"#;
    assert_eq!(ask(&gateway, path, body).header("x-panelboard-upstream"), Some("first"));
    assert_eq!(ask(&gateway, path, body).header("x-panelboard-upstream"), Some("second"));
    let refused = ask(&gateway, &format!("/alone{path}"), body);
    assert_eq!((refused.status, refused.header("x-panelboard-circuit")), (429, Some("first")));
    // What asks for no tokens passes.
    let list = Client::of(&gateway).ask(crate::raw::get("/v1/models"));
    assert_eq!(list.header("x-panelboard-upstream"), Some("first"));
    assert_eq!(gateway.state("first"), "closed");
}
