//! Streams of tokens: passed on as they come and byte for byte, judged at their end, and never
//! finished in the upstream's name.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::raw::{Client, End, Reply, post};
use crate::support::{Gateway, Upstream};

/// An API that streams, mounted at a path of its own, with a circuit of its own.
struct Api {
    name: &'static str,
    path: &'static str,
    /// What ends an event.
    separator: &'static str,
    /// What a whole stream has near its end, and no other.
    marker: &'static str,
    comment: &'static str,
    /// How the last event of a stream begins that was cut.
    last_words: Option<&'static str>,
}

const APIS: [Api; 3] = [
    Api {
        name: "openai",
        path: "/openai/v1/chat/completions",
        separator: "\n\n",
        marker: "data: [DONE]\n\n",
        comment: ": keepalive\n\n",
        last_words: Some("data: {\"error\":{\"message\":"),
    },
    Api {
        name: "anthropic",
        path: "/anthropic/v1/messages",
        separator: "\n\n",
        marker: "event: message_stop\n",
        comment: "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        last_words: Some("event: error\ndata: {\"type\":\"error\",\"error\":{"),
    },
    // Lines of JSON are no event stream: there is no place for another line.
    Api {
        name: "ollama",
        path: "/ollama/api/chat",
        separator: "\n",
        marker: "\"done\":true",
        comment: "\n",
        last_words: None,
    },
];

const CHAT: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

fn gateway(upstream: &Upstream) -> Gateway {
    let mut toml = String::new();
    for name in ["openai", "anthropic", "ollama", "http"] {
        write!(
            toml,
            r#"
            [circuit_breaker.circuits.{name}]
            failure_threshold = "off"
            failure_rate = "off"
            [upstreams.{name}]
            url = "{}"
            kind = "{name}"
            first_token_timeout = "300ms"
            stall_timeout = "300ms"
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

/// What the upstream itself sends, without a gateway before it.
fn original(upstream: &Upstream, api: &Api) -> Reply {
    let path = api.path.strip_prefix(&format!("/{}", api.name)).unwrap();
    Client::to(upstream.address()).ask(post(path, CHAT))
}

fn ask(gateway: &Gateway, api: &Api) -> Reply {
    Client::of(gateway).ask(post(api.path, CHAT))
}

#[test]
fn events_pass_at_once_and_unchanged_and_the_stream_is_judged_at_its_end() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for api in &APIS {
        upstream.set("ok,events=5,gap=150ms");
        let (reply, judged) = gateway.judged(api.name, || {
            let mut client = Client::of(&gateway);
            client.send(post(api.path, CHAT));
            let head = client.head();
            client.peek(api.separator);
            let first = Instant::now();
            assert_eq!(gateway.circuit(api.name)["in_flight"], 1, "not judged by its head");
            let reply = client.body_of(head);
            assert!(first.elapsed() > Duration::from_millis(400), "{:?}", first.elapsed());
            reply
        });
        assert_eq!((reply.status, reply.end, judged.outcome), (200, End::Whole, "success"));
        upstream.set("ok,events=5");
        let original = original(&upstream, api);
        assert_eq!(reply.text(), original.text(), "{}", api.name);
        assert_eq!(reply.header("content-type"), original.header("content-type"));
        assert!(reply.text().contains(api.marker));
    }
}

#[test]
fn a_stream_that_breaks_ends_abnormally_and_without_an_invented_end() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for (behaviour, kind, message) in [
        ("stream-cut:3", "invalid_response", "the body ended early"),
        ("stream-reset:3", "invalid_response", "the body ended early"),
        ("stream-stall:3", "stalled", "the body stalled"),
        ("stream-keepalive:3", "stalled", "the body stalled"),
    ] {
        for api in &APIS {
            upstream.set("stream-cut:3");
            let sent = original(&upstream, api).text();
            upstream.set(behaviour);
            let (reply, judged) = gateway.judged(api.name, || ask(&gateway, api));
            let what = format!("{behaviour} of {}", api.name);
            assert_eq!((reply.status, reply.end), (200, End::Cut), "{what}");
            assert_eq!(judged.outcome, "failure", "{what}");
            assert_eq!((&*judged.kind, &*judged.message), (kind, message), "{what}");
            let text = reply.text();
            assert!(!text.contains(api.marker), "{what}: {text}");
            let mut added = text.strip_prefix(&sent).expect("all that came, and first of all");
            if behaviour.starts_with("stream-keepalive") {
                // Comments pass, but do not count as a sign of life.
                let comments = added.matches(api.comment).count();
                assert!((1..=4).contains(&comments), "{what}: {text}");
                added = added.trim_start_matches(api.comment);
            }
            match api.last_words {
                Some(words) => {
                    assert!(added.starts_with(words) && added.ends_with("}\n\n"), "{what}: {text}");
                    assert_eq!(added.matches("data: ").count(), 1, "{what}: {text}");
                }
                None => assert_eq!(added, "", "{what}"),
            }
        }
    }
}

#[test]
fn a_stream_without_its_end_marker_is_a_failure_and_gets_none() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.set("stream-no-end:3");
    for api in &APIS {
        let (reply, judged) = gateway.judged(api.name, || ask(&gateway, api));
        assert_eq!((reply.status, reply.end), (200, End::Whole));
        assert_eq!(reply.body, original(&upstream, api).body, "{}", api.name);
        assert!(!reply.text().contains(api.marker));
        assert_eq!((judged.outcome, &*judged.kind), ("failure", "invalid_response"));
        assert_eq!(judged.message, "the stream has no end marker");
    }
}

#[test]
fn a_chat_that_ends_without_a_reason_was_cut_by_somebody() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.set("stream-no-reason:3");
    let api = &APIS[0];
    let (reply, judged) = gateway.judged(api.name, || ask(&gateway, api));
    assert_eq!((reply.status, reply.end), (200, End::Whole));
    assert_eq!(reply.body, original(&upstream, api).body);
    assert!(reply.text().ends_with(api.marker), "it passes as it came");
    assert_eq!((judged.outcome, &*judged.kind), ("failure", "invalid_response"));
    assert_eq!(judged.message, "the stream has no finish reason");
}

#[test]
fn an_error_among_the_events_is_a_failure_and_passes() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for behaviour in ["stream-error:3", "stream-error:0"] {
        upstream.set(behaviour);
        for api in &APIS {
            let (reply, judged) = gateway.judged(api.name, || ask(&gateway, api));
            assert_eq!((reply.status, reply.end), (200, End::Whole), "{behaviour}");
            assert_eq!(reply.body, original(&upstream, api).body, "{behaviour}: {}", api.name);
            assert_eq!((judged.outcome, &*judged.kind), ("failure", "invalid_response"));
            assert_eq!(judged.message, "the stream reported an error");
            assert_eq!(reply.header("x-panelboard-fallback"), None);
        }
    }
}

#[test]
fn no_answer_is_begun_before_the_first_token() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    for (behaviour, kind, message) in [
        ("no-first-token", "stalled", "no first token in time"),
        ("stream-keepalive:0", "stalled", "no first token in time"),
        ("stream-cut:0", "invalid_response", "the body ended early"),
        ("stream-reset:0", "invalid_response", "the body ended early"),
        ("stream-no-end:0", "invalid_response", "the stream has no end marker"),
    ] {
        upstream.set(behaviour);
        for api in &APIS {
            let (reply, judged) = gateway.judged(api.name, || ask(&gateway, api));
            let what = format!("{behaviour} of {}", api.name);
            assert_eq!(judged.outcome, "failure", "{what}");
            assert_eq!((&*judged.kind, &*judged.message), (kind, message), "{what}");
            assert_eq!(reply.header("x-panelboard-fallback"), Some("default"), "{what}");
            assert_eq!(reply.end, End::Whole, "{what}");
            assert!(reply.text().contains("temporarily unavailable"), "{what}");
        }
    }
}

#[test]
fn an_event_stream_of_no_known_api_may_end_as_it_likes() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let plain = Api { name: "http", path: "/http/v1/chat/completions", ..APIS[0] };
    upstream.set("stream-no-end:3");
    let (reply, judged) = gateway.judged("http", || ask(&gateway, &plain));
    assert_eq!((reply.status, reply.end, judged.outcome), (200, End::Whole, "success"));
    assert_eq!(reply.body, original(&upstream, &plain).body);
    // Not even an event is needed.
    let nothing = r#"body=empty,header="content-type: text/event-stream""#;
    for status in [200, 204] {
        upstream.set(&format!("status:{status},{nothing}"));
        let (reply, judged) = gateway.judged("http", || ask(&gateway, &plain));
        assert_eq!((reply.status, reply.end, judged.outcome), (status, End::Whole, "success"));
    }
    upstream.set("stream-cut:3");
    let (reply, judged) = gateway.judged("http", || ask(&gateway, &plain));
    assert_eq!((reply.end, &*judged.kind), (End::Cut, "invalid_response"));
    assert!(
        reply.text().ends_with("\n\nevent: error\ndata: the upstream ended this stream early\n\n")
    );
}

#[test]
fn a_head_alone_is_no_stream_that_stalls() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.set(r#"status:200,body=empty,header="content-type: text/event-stream""#);
    for path in ["/openai/v1/models", "/http/events"] {
        let name = path.split('/').nth(1).unwrap();
        let ((), judged) = gateway.judged(name, || {
            let mut client = Client::of(&gateway);
            client.send(format!("HEAD {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
            assert!(client.head().starts_with("HTTP/1.1 200 "));
        });
        assert_eq!(judged.outcome, "success");
    }
}

/// Models that think are given the time, whether they say something meanwhile or not.
#[test]
fn models_that_think_may_take_longer_to_begin() {
    let upstream = Upstream::start();
    let mut gateway_toml = String::new();
    for (name, models) in [("usual", ""), ("own", "reasoning_models = [\"slow-*\"]")] {
        write!(
            gateway_toml,
            r#"
            [upstreams.{name}]
            url = "{}"
            kind = "openai"
            first_byte_timeout = "200ms"
            first_token_timeout = "200ms"
            reasoning_first_token_timeout = "10s"
            {models}
            [[routes]]
            path = "/{name}"
            strip_prefix = "/{name}"
            upstreams = ["{name}"]
            "#,
            upstream.url()
        )
        .unwrap();
    }
    let gateway = Gateway::start(&gateway_toml);
    upstream.set("slow:600ms");
    for (name, model, patient) in [
        ("usual", "gpt-4o", false),
        ("usual", "o3-mini", true),
        ("usual", "openai/o3-mini", true),
        ("usual", "DeepSeek-R1:70b", true),
        ("usual", "slow-one", false),
        ("own", "Slow-One", true),
        ("own", "o3-mini", false),
    ] {
        for stream in [true, false] {
            let body = format!(r#"{{"model":"{model}","stream":{stream}}}"#);
            let path = format!("/{name}/v1/chat/completions");
            let (reply, judged) =
                gateway.judged(name, || Client::of(&gateway).ask(post(&path, &*body)));
            let whole = reply.header("x-panelboard-fallback").is_none();
            assert_eq!(whole, patient, "{name} {model} {stream}");
            assert_eq!(judged.outcome == "success", patient, "{name} {model} {stream}");
            if !patient {
                assert_eq!((&*judged.kind, reply.status), ("timeout", 200), "{model} {stream}");
                gateway.order(name, "reset", "{}");
            }
        }
    }
}
