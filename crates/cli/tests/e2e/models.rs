//! A circuit for each model: found in the body, which passes untouched.

use crate::raw::{Client, End, Reply, post, request};
use crate::support::{Gateway, Upstream, eventually};

const LIMIT: usize = 64 << 10;

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        r#"
        [gateway]
        model_body_limit = "64KiB"
        [circuit_breaker.circuits.llm]
        key = ["upstream", "model"]
        max_keys = 20
        failure_threshold = 2
        [circuit_breaker.circuits.llm.keys."openai/fragile*"]
        failure_threshold = 1
        [circuit_breaker.circuits.few]
        key = ["model"]
        max_keys = 2
        failure_threshold = 2
        [upstreams.openai]
        url = "{url}"
        kind = "openai"
        [[routes]]
        path = "/few"
        strip_prefix = "/few"
        upstreams = ["openai"]
        circuit = "few"
        [[routes]]
        upstreams = ["openai"]
        circuit = "llm"
        "#,
        url = upstream.url()
    ))
}

/// A path at which the upstream reports what it got.
const REPORT: &str = "/v1/report";
const CHAT: &str = "/v1/chat/completions";

fn ask(gateway: &Gateway, path: &str, body: impl AsRef<[u8]>) -> Reply {
    let reply = Client::of(gateway).ask(post(path, body));
    assert_eq!(reply.end, End::Whole);
    reply
}

fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[]}}"#)
}

/// The circuits that calls were made on.
fn circuits(gateway: &Gateway) -> Vec<String> {
    let all = gateway.admin("/api/v1/circuits").json();
    let all = all["circuits"].as_array().or(all.as_array()).unwrap();
    all.iter().map(|circuit| circuit["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn bodies_pass_byte_for_byte_whatever_their_json_looks_like() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let deep = format!(r#"{{"a":{}{},"model":"m"}}"#, "[".repeat(300), "]".repeat(300));
    for (body, model) in [
        (r#"{"model":"m"}"#, "m"),
        (" \r\n\t{ \"x\" : 1 ,\n\n \"model\"\t:  \"m\" } \n", "m"),
        (r#"{"messages":[{"model":"other"}],"model":"m","z":{"model":"other"}}"#, "m"),
        (r#"{"x":1,"x":2,"stream":false,"model":"m","x":3}"#, "m"),
        (r#"{"\u006dodel":"\u006d","text":"\ud83d\ude00 \ud800 \/ \u0000"}"#, "m"),
        ("{\"text\":\"日本語 🦀 \u{2028}\",\"model\":\"m\"}", "m"),
        (r#"{"big":1e400,"long":0.10000000000000000000000001,"model":"m"}"#, "m"),
        (&deep, "m"),
        (r#"{"model":"org/llama3.1:8b-q4_K_M"}"#, "org/llama3.1:8b-q4_K_M"),
        (r#"{"model":"two words"}"#, "two words"),
        (r#"{"model":null}"#, "-"),
        ("{}", "-"),
        ("", "-"),
    ] {
        let reply = ask(&gateway, REPORT, body);
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        let circuit = format!("llm/openai/{}", model.replace('/', "%2F"));
        assert_eq!(reply.header("x-panelboard-circuit"), Some(&*circuit), "{body}");
        let report = reply.json();
        assert_eq!(report["body_length"], body.len(), "{body}");
        assert_eq!(report["body_crc32"], format!("{:08x}", crc32fast::hash(body.as_bytes())));
    }
    assert_eq!(gateway.count("llm/openai/m", "success"), 8);
}

#[test]
fn a_model_in_chunks_is_found_all_the_same() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let mut client = Client::of(&gateway);
    client.send(format!("POST {REPORT} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n"));
    client.send("content-type: application/json; charset=utf-8\r\n\r\n");
    client.send("8\r\n{\"model\"\r\n");
    client.send("5\r\n:\"m\"}\r\n0\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.header("x-panelboard-circuit"), Some("llm/openai/m"));
    let crc = crc32fast::hash(br#"{"model":"m"}"#);
    assert_eq!(reply.json()["body_crc32"], format!("{crc:08x}"));
}

#[test]
fn one_models_failures_are_not_anothers() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.set("ok\nmodel:bad=status:500");
    for _ in 0..2 {
        assert_eq!(ask(&gateway, CHAT, chat("bad")).status, 500);
    }
    assert_eq!(gateway.state("llm/openai/bad"), "open");
    let touched = upstream.requests();
    let refused = ask(&gateway, CHAT, chat("bad"));
    assert_eq!(refused.header("x-panelboard-circuit"), Some("llm/openai/bad"));
    assert_eq!(refused.header("x-panelboard-state"), Some("open"));
    assert_eq!(refused.json()["model"], "bad", "a completion in the name that was asked");
    assert_eq!(upstream.requests(), touched);

    let good = ask(&gateway, CHAT, chat("good"));
    assert_eq!((good.status, good.header("x-panelboard-fallback")), (200, None));
    assert_eq!(gateway.state("llm/openai/good"), "closed");
}

#[test]
fn a_pattern_gives_some_models_thresholds_of_their_own() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    upstream.set("status:500");
    for model in ["fragile-1", "sturdy"] {
        ask(&gateway, CHAT, chat(model));
    }
    assert_eq!(gateway.state("llm/openai/fragile-1"), "open");
    assert_eq!(gateway.state("llm/openai/sturdy"), "closed");
}

#[test]
fn a_body_that_cannot_be_read_is_refused_with_its_reason() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let long = chat(&"x".repeat(201));
    let cases: [(&[u8], &str); 11] = [
        (b"not json", "not a JSON object"),
        (br#"[{"model":"m"}]"#, "not a JSON object"),
        (br#""m""#, "not a JSON object"),
        (br#"{"model":"m""#, "line 1 column 12"),
        (br#"{"model":"m"} trailing"#, "trailing characters"),
        (b"{\"model\":\"\xff\xfe\"}", "not a JSON object"),
        (br#"{"model":"a","model":"b"}"#, "duplicate field"),
        (br#"{"model":7}"#, "`model` must be a string"),
        (br#"{"model":["m"]}"#, "`model` must be a string"),
        (br#"{"model":"a\nb"}"#, "control characters"),
        (long.as_bytes(), "201 bytes long"),
    ];
    for (body, reason) in cases {
        let reply = ask(&gateway, CHAT, body);
        assert_eq!(reply.status, 400, "{reason}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("model cannot be read") && detail.contains(reason), "{detail}");
    }
    assert_eq!(upstream.requests(), 0);
    let made = circuits(&gateway);
    assert!(!made.iter().any(|name| name.starts_with("llm/")), "no circuit for them: {made:?}");
}

#[test]
fn a_body_too_large_to_look_for_a_model_is_refused_before_the_upstream_sees_it() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let sized = |size: usize| {
        let body = format!(r#"{{"model":"m","x":"{}"}}"#, "y".repeat(size - 20));
        assert_eq!(body.len(), size);
        body
    };
    assert_eq!(ask(&gateway, REPORT, sized(LIMIT)).json()["body_length"], LIMIT);
    let refused = ask(&gateway, REPORT, sized(LIMIT + 1));
    assert_eq!(refused.status, 413);
    assert!(refused.json()["detail"].as_str().unwrap().contains("65536 bytes"));

    // Without a length it shows only as it comes.
    let mut client = Client::of(&gateway);
    client.send(format!(
        "POST {REPORT} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
    ));
    for _ in 0..=LIMIT / 0x1000 {
        client.try_send(["1000\r\n", &"z".repeat(0x1000), "\r\n"].concat());
    }
    assert_eq!(client.reply().status, 413);
    assert_eq!(upstream.requests(), 1, "only the one that is small enough");
}

#[test]
fn what_is_not_json_passes_unread_and_unbounded() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let file = vec![0xfe; 4 * LIMIT];
    let upload =
        request("POST", REPORT, "content-type: multipart/form-data; boundary=x\r\n", &file);
    let reply = Client::of(&gateway).ask(upload);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-panelboard-circuit"), Some("llm/openai/-"));
    assert_eq!(reply.json()["body_crc32"], format!("{:08x}", crc32fast::hash(&file)));
}

#[test]
fn a_client_that_leaves_before_its_model_is_known_touches_nothing() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let whole = post(CHAT, chat("m"));
    let mut client = Client::of(&gateway);
    client.send(&whole[..whole.len() - 5]);
    client.leave();
    eventually("the next is served", || ask(&gateway, REPORT, chat("n")).status == 200);
    assert_eq!(upstream.stats()["by_path"][CHAT], serde_json::Value::Null);
    let made = circuits(&gateway);
    assert!(made.contains(&"llm/openai/n".to_owned()), "{made:?}");
    assert!(!made.contains(&"llm/openai/m".to_owned()), "{made:?}");
}

#[test]
fn models_beyond_the_cap_share_a_circuit_and_are_not_unprotected() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let path = format!("/few{CHAT}");
    let circuit_of = |model: &str| {
        let reply = ask(&gateway, &path, chat(model));
        reply.header("x-panelboard-circuit").unwrap().to_owned()
    };
    assert_eq!(circuit_of("a"), "few/a");
    assert_eq!(circuit_of("b"), "few/b");
    assert_eq!(circuit_of("c"), "few/(overflow)");
    upstream.set("ok\nmodel:c=status:500");
    for _ in 0..2 {
        circuit_of("c");
    }
    assert_eq!(gateway.state("few/(overflow)"), "open");
    let touched = upstream.requests();
    let refused = ask(&gateway, &path, chat("d"));
    assert!(refused.header("x-panelboard-fallback").is_some());
    assert_eq!(upstream.requests(), touched);
    assert_eq!(ask(&gateway, &path, chat("a")).header("x-panelboard-fallback"), None);
}

/// Each upstream of a chain is asked for the model by its own name.
#[test]
fn an_upstream_may_call_a_model_by_another_name() {
    let mut first = Upstream::start();
    let second = Upstream::start();
    let gateway = Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.llm]
        key = ["upstream", "model"]
        [upstreams.first]
        url = "{}"
        kind = "openai"
        [upstreams.second]
        url = "{}"
        kind = "openai"
        models = {{ "gpt-4o" = "llama3.1:8b" }}
        [[routes]]
        upstreams = ["first", "second"]
        circuit = "llm"
        "#,
        first.url(),
        second.url()
    ));
    let body = "{ \"messages\": [\"gpt-4o\"],\t\"model\" : \"gpt-4o\", \"n\": 1.0 }";
    assert_eq!(ask(&gateway, "/echo", body).text(), body, "the first has no other name for it");
    first.process.kill();
    let reply = ask(&gateway, "/echo", body);
    assert_eq!(reply.header("x-panelboard-upstream"), Some("second"));
    // The circuit goes by the name that the client, and the configuration, knows.
    assert_eq!(reply.header("x-panelboard-circuit"), Some("llm/second/gpt-4o"));
    let expected = body.replace(": \"gpt-4o\"", ": \"llama3.1:8b\"");
    assert_eq!(reply.text(), expected);
    let other = body.replace(": \"gpt-4o\"", ": \"gpt-4o-mini\"");
    assert_eq!(ask(&gateway, "/echo", &other).text(), other, "a model without another name");
}

/// Whoever forces the circuit of the configuration means all of its models.
#[test]
fn an_order_to_a_keyed_circuit_reaches_every_model() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    assert_eq!(ask(&gateway, CHAT, chat("known")).header("x-panelboard-fallback"), None);
    let body = r#"{ "reason": "upgrade", "for": "1h" }"#;
    let answer = gateway.order("llm", "force-open", body).json();
    assert_eq!(answer["keys"]["count"], 1);
    let explain = answer["explain"].as_str().unwrap();
    assert!(explain.ends_with("It has a circuit for each key: 1 so far."), "{explain}");
    for model in ["known", "new"] {
        let reply = ask(&gateway, CHAT, chat(model));
        assert_eq!(reply.header("x-panelboard-fallback"), Some("default"), "{model}");
    }
    assert_eq!(upstream.requests(), 1);
    gateway.order("llm", "auto", "{}");
    for model in ["known", "new"] {
        assert_eq!(ask(&gateway, CHAT, chat(model)).header("x-panelboard-fallback"), None);
    }
}

/// Azure and Gemini have the model in the path, and Ollama some of its own under another name.
#[test]
fn a_model_is_found_wherever_an_api_has_it() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        r#"
        [circuit_breaker.circuits.llm]
        key = ["model"]
        [upstreams.any]
        url = "{0}"
        kind = "openai"
        models = {{ "gpt-4o" = "my deployment" }}
        [[routes]]
        path = "/mounted"
        strip_prefix = "/mounted"
        upstreams = ["any"]
        circuit = "llm"
        [[routes]]
        upstreams = ["any"]
        circuit = "llm"
        "#,
        upstream.url()
    ));
    let body = r#"{"messages":[]}"#;
    for (path, body, circuit, target) in [
        ("/openai/deployments/small/report", body, "llm/small", "/openai/deployments/small/report"),
        (
            "/mounted/openai/deployments/gpt-4o/report?api-version=1",
            body,
            "llm/gpt-4o",
            "/openai/deployments/my%20deployment/report?api-version=1",
        ),
        (
            "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
            body,
            "llm/gemini-2.5-pro",
            "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        ),
        ("/api/pull", r#"{"name":"llama3.1:8b"}"#, "llm/llama3.1:8b", "/api/pull"),
        ("/report", r#"{"name":"no model"}"#, "llm/-", "/report"),
    ] {
        let reply = ask(&gateway, path, body);
        assert_eq!(reply.header("x-panelboard-circuit"), Some(circuit), "{path}");
        assert_eq!(reply.json()["target"], target);
        assert_eq!(reply.json()["body_crc32"], format!("{:08x}", crc32fast::hash(body.as_bytes())));
    }
}
