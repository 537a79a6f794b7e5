//! Chains across providers: whoever answers, a client gets it in its own API's words.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::raw::{Client, End, Reply, post, request};
use crate::support::{Gateway, NOBODY, Upstream, eventually};

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Api {
    name: &'static str,
    path: &'static str,
    media: &'static str,
    /// What a whole stream has at its end, and no other.
    marker: &'static str,
}

const OPENAI: Api = Api {
    name: "openai",
    path: "/v1/chat/completions",
    media: "text/event-stream",
    marker: "data: [DONE]\n\n",
};
const ANTHROPIC: Api = Api {
    name: "anthropic",
    path: "/v1/messages",
    media: "text/event-stream",
    marker: "event: message_stop\n",
};
const OLLAMA: Api = Api {
    name: "ollama",
    path: "/api/chat",
    media: "application/x-ndjson",
    marker: "\"done\":true",
};

/// Client and upstream.
const DIRECTIONS: [(Api, Api); 6] = [
    (OPENAI, ANTHROPIC),
    (OPENAI, OLLAMA),
    (ANTHROPIC, OPENAI),
    (ANTHROPIC, OLLAMA),
    (OLLAMA, OPENAI),
    (OLLAMA, ANTHROPIC),
];

const WORDS: &str = "All circuits are closed here.";

/// For each direction a route whose own provider is gone, and one that has only the other.
fn gateway(url: &str) -> Gateway {
    let mut toml = String::from("[circuit_breaker.defaults]\nfailure_threshold = \"off\"\n");
    for Api { name, .. } in [OPENAI, ANTHROPIC, OLLAMA] {
        let native = if name == "ollama" { "api = \"native\"" } else { "" };
        write!(
            toml,
            r#"
            [upstreams.gone-{name}]
            url = "{NOBODY}"
            kind = "{name}"
            [upstreams.{name}]
            url = "{url}"
            kind = "{name}"
            models = {{ "m" = "theirs" }}
            stall_timeout = "300ms"
            first_token_timeout = "300ms"
            {native}
            "#
        )
        .unwrap();
    }
    for (client, upstream) in DIRECTIONS {
        let (client, upstream) = (client.name, upstream.name);
        write!(
            toml,
            r#"
            [[routes]]
            path = "/{client}-{upstream}"
            strip_prefix = "/{client}-{upstream}"
            upstreams = ["gone-{client}", "{upstream}"]
            [[routes]]
            path = "/only/{client}-{upstream}"
            strip_prefix = "/only/{client}-{upstream}"
            upstreams = ["{upstream}"]
            [[routes]]
            path = "/error/{client}-{upstream}"
            strip_prefix = "/error/{client}-{upstream}"
            upstreams = ["gone-{client}", "{upstream}"]
            fallback = "error"
            "#
        )
        .unwrap();
    }
    Gateway::start(&toml)
}

impl Api {
    fn chat(self, stream: bool) -> Value {
        let messages = json!([{ "role": "user", "content": "Are they closed?" }]);
        let mut chat = json!({ "model": "m", "messages": messages, "stream": stream });
        match self.name {
            "anthropic" => chat["max_tokens"] = 100.into(),
            "openai" if stream => chat["stream_options"] = json!({ "include_usage": true }),
            _ => {}
        }
        chat
    }

    /// The text of an answer, why it ended, its model and its tokens.
    fn read(self, answer: &Value) -> (String, String, String, (u64, u64)) {
        let (text, stop, input, output) = match self.name {
            "openai" => (
                "/choices/0/message/content",
                "/choices/0/finish_reason",
                "/usage/prompt_tokens",
                "/usage/completion_tokens",
            ),
            "anthropic" => {
                ("/content/0/text", "/stop_reason", "/usage/input_tokens", "/usage/output_tokens")
            }
            _ => ("/message/content", "/done_reason", "/prompt_eval_count", "/eval_count"),
        };
        let at = |pointer: &str| answer.pointer(pointer).unwrap_or(&Value::Null);
        let text_at = |pointer: &str| at(pointer).as_str().unwrap_or_default().to_owned();
        let count = |pointer: &str| at(pointer).as_u64().unwrap_or_default();
        (text_at(text), text_at(stop), text_at("/model"), (count(input), count(output)))
    }

    /// The events of a stream, without those that end it.
    fn events(self, reply: &Reply) -> Vec<Value> {
        assert_eq!(reply.header("content-type"), Some(self.media));
        let text = reply.text();
        let lines = text.lines().filter_map(|line| match self.name {
            "ollama" => Some(line),
            _ => line.strip_prefix("data: "),
        });
        let lines = lines.filter(|line| *line != "[DONE]");
        lines.map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// What a stream says in all.
    fn spoken(self, events: &[Value]) -> String {
        let pointer = match self.name {
            "openai" => "/choices/0/delta/content",
            "anthropic" => "/delta/text",
            _ => "/message/content",
        };
        let words = events.iter().filter_map(|event| event.pointer(pointer)?.as_str());
        words.collect()
    }

    fn assert_error(self, error: &Value, message: &str) {
        let found = match self.name {
            "ollama" => &error["error"],
            _ => &error["error"]["message"],
        };
        assert!(found.as_str().is_some_and(|text| text.contains(message)), "{error}");
        assert_eq!(
            error["type"],
            if self.name == "anthropic" { json!("error") } else { json!(null) }
        );
    }
}

fn path(client: Api, upstream: Api) -> String {
    format!("/{}-{}{}", client.name, upstream.name, client.path)
}

fn ask(gateway: &Gateway, path: &str, body: &Value) -> Reply {
    Client::of(gateway).ask(post(path, body.to_string()))
}

#[test]
fn the_next_provider_answers_in_the_clients_words() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    for (client, other) in DIRECTIONS {
        let (reply, judged) =
            gateway.judged(other.name, || ask(&gateway, &path(client, other), &client.chat(false)));
        let what = format!("{} by {}: {}", client.name, other.name, reply.text());
        assert_eq!(
            (reply.status, reply.end, judged.outcome),
            (200, End::Whole, "success"),
            "{what}"
        );
        assert_eq!(reply.header("x-panelboard-upstream"), Some(other.name), "{what}");
        assert_eq!(reply.header("x-panelboard-fallback"), None, "{what}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{what}");
        assert_eq!(reply.header("content-length"), Some(&*reply.body.len().to_string()), "{what}");
        let stop = if client == ANTHROPIC { "end_turn" } else { "stop" };
        let (text, reason, model, (input, output)) = client.read(&reply.json());
        assert_eq!((&*text, &*reason, &*model), (WORDS, stop, "theirs"), "{what}");
        assert!(input > 10 && output == 6, "{what}");
    }
    let paths = upstream.stats()["by_path"].clone();
    for Api { path, .. } in [OPENAI, ANTHROPIC, OLLAMA] {
        assert_eq!(paths[path], 2, "{paths}");
    }
}

#[test]
fn a_stream_comes_in_the_clients_words_event_by_event() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    for (client, other) in DIRECTIONS {
        upstream.set("ok,events=11,gap=30ms");
        let (reply, judged) = gateway.judged(other.name, || {
            let mut connection = Client::of(&gateway);
            connection.send(post(&path(client, other), client.chat(true).to_string()));
            let head = connection.head();
            connection.peek(" circuits");
            let judged = gateway.circuit(other.name)["in_flight"] == 0;
            assert!(!judged, "the first words come before the last");
            connection.body_of(head)
        });
        let what = format!("{} by {}: {}", client.name, other.name, reply.text());
        assert_eq!(
            (reply.status, reply.end, judged.outcome),
            (200, End::Whole, "success"),
            "{what}"
        );
        assert_eq!(reply.header("x-panelboard-upstream"), Some(other.name), "{what}");
        let events = client.events(&reply);
        assert!(client.spoken(&events).starts_with(WORDS), "{what}");
        assert_eq!(reply.text().matches(client.marker).count(), 1, "{what}");
        let usage = match client.name {
            "openai" => events.last().unwrap()["usage"]["completion_tokens"].as_u64(),
            "anthropic" => events[events.len() - 2]["usage"]["output_tokens"].as_u64(),
            _ => events.last().unwrap()["eval_count"].as_u64(),
        };
        assert!(usage.is_some_and(|tokens| tokens >= 6), "{what}");
    }
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_in_the_clients_words_and_abnormally() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    for (behaviour, kind, message) in [
        ("stream-cut:4", "invalid_response", "the body ended early"),
        ("stream-reset:4", "invalid_response", "the body ended early"),
        ("stream-no-end:4", "invalid_response", "the stream has no end marker"),
        ("stream-stall:4", "stalled", "the body stalled"),
    ] {
        upstream.set(behaviour);
        for (client, other) in DIRECTIONS {
            let (reply, judged) = gateway
                .judged(other.name, || ask(&gateway, &path(client, other), &client.chat(true)));
            let what = format!("{behaviour}: {} by {}: {}", client.name, other.name, reply.text());
            assert_eq!((reply.status, reply.end), (200, End::Cut), "{what}");
            assert_eq!((judged.outcome, &*judged.kind), ("failure", kind), "{what}");
            assert!(judged.message.starts_with(message), "{what}: {}", judged.message);
            assert!(!reply.text().contains(client.marker), "{what}");
            let events = client.events(&reply);
            assert!(client.spoken(&events).starts_with("All circuits"), "{what}");
            client.assert_error(events.last().unwrap(), "the upstream ended this stream early");
        }
    }
}

#[test]
fn an_error_among_the_events_is_told_in_the_clients_words() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    upstream.set("stream-error:4");
    for (client, other) in DIRECTIONS {
        let (reply, judged) =
            gateway.judged(other.name, || ask(&gateway, &path(client, other), &client.chat(true)));
        assert_eq!((reply.status, reply.end), (200, End::Whole));
        assert_eq!(judged.message, "the stream reported an error");
        let events = client.events(&reply);
        client.assert_error(events.last().unwrap(), "");
        assert!(!reply.text().contains(client.marker), "{}", reply.text());
    }
}

#[test]
fn an_answer_that_never_becomes_one_leaves_the_fallback_in_the_clients_words() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    for (behaviour, stream) in [
        ("truncate", false),
        ("head-then-hang", false),
        ("garbage", false),
        ("no-first-token", true),
        ("stream-no-end:0", true),
        ("close", true),
    ] {
        upstream.set(behaviour);
        for (client, other) in DIRECTIONS {
            let reply = ask(&gateway, &path(client, other), &client.chat(stream));
            let what = format!("{behaviour}: {} by {}: {}", client.name, other.name, reply.text());
            assert_eq!((reply.status, reply.end), (200, End::Whole), "{what}");
            assert_eq!(reply.header("x-panelboard-fallback"), Some("default"), "{what}");
            let text = match stream {
                true => client.spoken(&client.events(&reply)),
                false => client.read(&reply.json()).0,
            };
            assert!(text.contains("temporarily unavailable"), "{what}");
        }
    }
}

#[test]
fn a_providers_error_keeps_its_status_its_hint_and_its_id() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    for (client, other) in DIRECTIONS {
        for (status, stream, outcome) in [
            (429, false, "pushback"),
            (429, true, "pushback"),
            (404, true, "success"),
            (500, false, "failure"),
        ] {
            upstream.set(&format!(
                "status:{status},retry-after=0,body=api,header=\"request-id: req_1\",\
                 header=\"x-request-id: req_2\""
            ));
            let (reply, judged) = gateway
                .judged(other.name, || ask(&gateway, &path(client, other), &client.chat(stream)));
            let what = format!("{status}: {} by {}: {}", client.name, other.name, reply.text());
            assert_eq!((reply.status, reply.end), (status, End::Whole), "{what}");
            assert_eq!(judged.outcome, outcome, "{what}");
            assert_eq!(reply.header("retry-after"), Some("0"), "{what}");
            assert_eq!(reply.header("content-type"), Some("application/json"), "{what}");
            let ids = (reply.header("request-id"), reply.header("x-request-id"));
            match (client.name, other.name) {
                ("openai", "anthropic") => assert_eq!(ids.1, Some("req_1"), "{what}"),
                ("anthropic", "openai") => assert_eq!(ids.0, Some("req_2"), "{what}"),
                _ => assert_eq!(ids, (Some("req_1"), Some("req_2")), "{what}"),
            }
            client.assert_error(&reply.json(), "");
        }
    }
}

#[test]
fn what_cannot_be_translated_is_refused_by_whom_it_was_for_and_else_left_out() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url());
    for (client, other) in DIRECTIONS {
        let mut chat = client.chat(false);
        chat["tools"] = json!([{ "type": "function" }]);
        let only = format!("/only{}", path(client, other));
        let reply = ask(&gateway, &only, &chat);
        assert_eq!((reply.status, reply.header("content-type")), (400, Some("application/json")));
        client.assert_error(&reply.json(), "`tools` cannot be translated");
        client.assert_error(&reply.json(), &format!("Upstream `{}` cannot be asked", other.name));

        let error = format!("/error{}", path(client, other));
        let reply = ask(&gateway, &error, &chat);
        assert_eq!(reply.status, 503, "{}", reply.text());
        let left_out = format!("Upstream `{}` was left out: it speaks ", other.name);
        client.assert_error(&reply.json(), "could not connect. Upstream");
        client.assert_error(&reply.json(), &left_out);
        client.assert_error(&reply.json(), "`tools` cannot be translated");
        eventually("the log", || gateway.process.log().contains("upstream left out"));
        assert_eq!(gateway.circuit(other.name)["calls"]["admitted"], 0);
    }
    assert_eq!(upstream.requests(), 0);
    // In one piece, and without tools, it can be asked.
    let only = format!("/only{}", path(ANTHROPIC, OPENAI));
    assert_eq!(ask(&gateway, &only, &ANTHROPIC.chat(false)).status, 200);
    let form = request("POST", &only, "content-type: multipart/form-data; boundary=x\r\n", "x");
    let refused = Client::of(&gateway).ask(form);
    assert_eq!(refused.status, 400);
    ANTHROPIC.assert_error(&refused.json(), "the body must be application/json");
    let query = ask(&gateway, &format!("{only}?trace=1"), &ANTHROPIC.chat(false));
    ANTHROPIC.assert_error(&query.json(), "`?trace` in the path");
    let beta = ask(&gateway, &format!("{only}?beta=true"), &ANTHROPIC.chat(false));
    assert_eq!(beta.status, 200);
}

#[test]
fn an_openai_request_goes_to_ollama_as_it_is_unless_that_is_not_wanted() {
    let upstream = Upstream::start();
    let toml = format!(
        "[upstreams.ollama]\nurl = \"{}\"\nkind = \"ollama\"\n[[routes]]\nupstreams = [\"ollama\"]",
        upstream.url()
    );
    let gateway = Gateway::start(&toml);
    let mut chat = OPENAI.chat(true);
    chat["tools"] = json!([{ "type": "function" }]);
    let reply = ask(&gateway, OPENAI.path, &chat);
    let original = Client::to(upstream.address()).ask(post(OPENAI.path, chat.to_string()));
    assert_eq!((reply.status, reply.body), (200, original.body));
    assert_eq!(upstream.stats()["by_path"], json!({ OPENAI.path: 2 }));
}

/// A server that answers each request with this, and tells what it was asked.
fn listener(answer: &Value) -> (SocketAddr, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    let body = answer.to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut bytes = Vec::new();
            let (head, body_at, length) = loop {
                let mut piece = [0; 4_096];
                let read = connection.read(&mut piece).unwrap();
                assert!(read > 0, "all of a request");
                bytes.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
                let Some(end) = text.find("\r\n\r\n") else { continue };
                let length = text.split("content-length: ").nth(1).unwrap();
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                if bytes.len() == end + 4 + length {
                    break (text[..end].to_owned(), end + 4, length);
                }
            };
            let asked = serde_json::from_slice(&bytes[body_at..body_at + length]).unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            connection.write_all(answer.as_bytes()).unwrap();
            if tell.send((head, asked)).is_err() {
                return;
            }
        }
    });
    (address, told)
}

#[test]
fn a_request_has_what_the_provider_needs_and_no_credential_of_another() {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [{ "type": "text", "text": "Yes." }], "stop_reason": "end_turn",
        "usage": { "input_tokens": 1, "output_tokens": 1 },
    });
    let (address, told) = listener(&answer);
    let toml = format!(
        r#"
        [upstreams.gone]
        url = "{NOBODY}"
        kind = "openai"
        [upstreams.bare]
        url = "http://{address}"
        kind = "anthropic"
        default_max_tokens = 77
        [upstreams.keyed]
        url = "http://{address}/base/v1"
        kind = "anthropic"
        api_key = {{ env = "THEIR_KEY" }}
        [[routes]]
        path = "/chain"
        upstreams = ["gone", "keyed"]
        [[routes]]
        path = "/bare-chain"
        upstreams = ["gone", "bare"]
        [[routes]]
        upstreams = ["bare"]
        "#
    );
    let key = [("THEIR_KEY", "their-key")];
    let gateway = Gateway::start_with("panelboard.toml", &toml, &[], &key);
    let ask = |prefix: &str| {
        let headers = "content-type: application/json\r\nauthorization: Bearer my-key\r\n\
                       openai-organization: org\r\naccept: application/json\r\n";
        let path = format!("{prefix}{}", OPENAI.path);
        let body = OPENAI.chat(false).to_string();
        let reply = Client::of(&gateway).ask(request("POST", &path, headers, body));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["choices"][0]["message"]["content"], "Yes.");
        told.recv().unwrap()
    };
    let (head, body) = ask("/chain");
    assert!(head.starts_with("post /base/v1/messages http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nanthropic-version: 2023-06-01\r\n"), "{head}");
    assert!(head.contains("\r\nx-api-key: their-key\r\n"), "{head}");
    assert!(!head.contains("my-key") && !head.contains("openai"), "{head}");
    assert_eq!(body["max_tokens"], 4_096);
    assert_eq!(body["messages"], OPENAI.chat(false)["messages"]);

    let (head, body) = ask("/bare-chain");
    assert!(!head.contains("my-key") && !head.contains("x-api-key"), "{head}");
    assert_eq!(body["max_tokens"], 77);
    // Whom the client has given its key to, has it where that API looks for it.
    let (head, _) = ask("");
    assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-api-key: my-key\r\n"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
}

#[test]
fn an_answer_that_cannot_be_said_is_a_failure_of_who_gave_it() {
    let calls = json!({ "id": "call_1", "type": "function" });
    let message = json!({ "role": "assistant", "content": null, "tool_calls": [calls] });
    let answer = json!({ "choices": [{ "message": message, "finish_reason": "tool_calls" }] });
    let (address, told) = listener(&answer);
    let gateway = gateway(&format!("http://{address}"));
    let (reply, judged) = gateway
        .judged("openai", || ask(&gateway, &path(ANTHROPIC, OPENAI), &ANTHROPIC.chat(false)));
    assert_eq!(reply.header("x-panelboard-fallback"), Some("default"));
    assert!(ANTHROPIC.read(&reply.json()).0.contains("temporarily unavailable"));
    assert_eq!((judged.outcome, &*judged.kind), ("failure", "invalid_response"));
    assert_eq!(
        judged.message,
        "the answer cannot be translated: it has `tool_calls`, which is no text"
    );
    assert_eq!(told.recv().unwrap().1["max_completion_tokens"], 100);
    // A stream was asked for, and this is none.
    let (_, judged) =
        gateway.judged("openai", || ask(&gateway, &path(ANTHROPIC, OPENAI), &ANTHROPIC.chat(true)));
    assert_eq!(judged.message, "the answer cannot be translated: it is no `text/event-stream`");
}
