//! A quota that is used up: the upstream is left alone until there may be a new one, whatever it
//! takes, and the next of the chain is asked meanwhile.

use std::fmt::Write as _;
use std::time::Duration;

use crate::raw::{Client, End, Reply, post};
use crate::support::{Gateway, Upstream, eventually, pass};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

/// Anthropic's API must be told how long an answer may be, and the others have other names for that.
const MESSAGES: &str =
    r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;

const APIS: [(&str, &str); 3] = [
    ("openai", "/openai/v1/chat/completions"),
    ("anthropic", "/anthropic/v1/messages"),
    ("ollama", "/ollama/api/chat"),
];

fn gateway(upstream: &Upstream, other: &Upstream) -> Gateway {
    let mut toml = format!("[upstreams.other]\nurl = \"{}\"\nkind = \"openai\"\n", other.url());
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
            [[routes]]
            path = "/chain/{name}"
            strip_prefix = "/chain/{name}"
            upstreams = ["{name}", "other"]
            "#,
            upstream.url()
        )
        .unwrap();
    }
    Gateway::start(&toml)
}

fn ask(gateway: &Gateway, path: &str) -> Reply {
    let chat = if path.ends_with("/messages") { MESSAGES } else { CHAT };
    let reply = Client::of(gateway).ask(post(path, chat));
    assert_eq!(reply.end, End::Whole);
    reply
}

#[test]
fn a_used_up_quota_is_told_from_a_rate_in_each_api() {
    let (upstream, other) = (Upstream::start(), Upstream::start());
    for (name, path) in APIS {
        let gateway = gateway(&upstream, &other);
        upstream.set("status:429,body=api,retry-after=1");
        let (reply, judged) = gateway.judged(name, || ask(&gateway, path));
        assert_eq!((reply.status, judged.outcome), (429, "pushback"), "{name}");
        assert_eq!(gateway.circuit(name)["quota_used_up"], false, "{name}: a rate");
        let wait = gateway.circuit(name)["paced_for_seconds"].as_f64().unwrap_or_default();
        assert!(wait <= 1.0, "{name}: {wait}");
        eventually("the wait is over", || {
            upstream.set("ok");
            ask(&gateway, path).header("x-panelboard-fallback").is_none()
        });

        let status = if name == "anthropic" { 400 } else { 429 };
        upstream.set(&format!("status:{status},code=insufficient_quota"));
        let sent = Client::to(upstream.address()).ask(post(path.split_at(name.len() + 1).1, CHAT));
        let (reply, judged) = gateway.judged(name, || ask(&gateway, path));
        assert_eq!((reply.status, judged.outcome), (sent.status, "pushback"), "{name}");
        assert_eq!(reply.body, sent.body, "{name}: the provider's own words");
        assert_eq!(reply.header("x-panelboard-fallback"), None);
        let circuit = gateway.circuit(name);
        assert_eq!(circuit["quota_used_up"], true, "{name}");
        let wait = circuit["paced_for_seconds"].as_f64().unwrap();
        assert!(wait > 890.0 && wait <= 900.0, "{name}: {wait}");
        assert!(circuit["explain"].as_str().unwrap().contains("a quota is used up"), "{name}");
        let series = format!("panelboard_circuit_quota_used_up{{circuit=\"{name}\"}}");
        assert_eq!(gateway.metric(&series), Some(1.0), "{name}");

        let before = upstream.requests();
        let refused = ask(&gateway, path);
        assert_eq!(refused.header("x-panelboard-fallback"), Some("default"), "{name}");
        let told: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((890..=900).contains(&told), "{name}: {told}");
        // The next of the chain is asked meanwhile.
        let answered = ask(&gateway, &format!("/chain{path}"));
        assert_eq!(answered.header("x-panelboard-upstream"), Some("other"), "{name}");
        assert_eq!(upstream.requests(), before, "{name}: left alone");
        // An operator who has paid need not wait.
        upstream.set("ok");
        gateway.order(name, "reset", "{}");
        assert_eq!(ask(&gateway, path).header("x-panelboard-fallback"), None, "{name}");
    }
}

/// A reset that is sooner than a quarter of an hour is waited for, and then one goes first: while it
/// is under way, and if it is of no use, all others wait.
#[test]
fn after_a_reset_one_call_goes_first() {
    let (upstream, other) = (Upstream::start(), Upstream::start());
    let gateway = gateway(&upstream, &other);
    let (name, path) = APIS[0];
    upstream.set("status:429,code=insufficient_quota,retry-after=1");
    ask(&gateway, path);
    assert_eq!(gateway.circuit(name)["quota_used_up"], true);
    upstream.set("slow:300ms");
    let before = upstream.requests();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let address = gateway.address();
            std::thread::spawn(move || {
                let mut answered = 0;
                for _ in 0..15 {
                    let reply = Client::to(address).ask(post(path, CHAT));
                    answered += u32::from(reply.header("x-panelboard-fallback").is_none());
                    pass(Duration::from_millis(100));
                    if answered > 0 {
                        break;
                    }
                }
                answered
            })
        })
        .collect();
    eventually("somebody tries", || upstream.requests() > before);
    assert_eq!(upstream.requests(), before + 1, "and nobody else meanwhile");
    let answered: u32 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(answered > 1, "all go on when it has succeeded: {answered}");
    assert_eq!(gateway.circuit(name)["quota_used_up"], false);
}
