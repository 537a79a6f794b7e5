//! When nothing is left: an answer in the shape that was asked for, that cannot pass for a real
//! one.

use std::fmt::Write as _;

use serde_json::Value;

use crate::raw::{Client, End, Reply, get, post};
use crate::support::{Gateway, NOBODY};

/// Every upstream is gone.
fn gateway() -> Gateway {
    let mut toml = String::from(
        r#"
        [fallbacks.closed]
        title = "Closed for today"
        message = "The desk is closed."
        alternatives = ["Call us", "Write a letter"]
        status = 502
        [circuit_breaker.defaults]
        failure_threshold = "off"
        [circuit_breaker.circuits.openai]
        fallback = "code_review"
        "#,
    );
    for kind in ["http", "openai", "anthropic", "ollama"] {
        write!(toml, "[upstreams.{kind}]\nurl = \"{NOBODY}\"\nkind = \"{kind}\"\n").unwrap();
        for (path, fallback) in [
            ("named", "closed"),
            ("error", "error"),
            ("analysis", "data_analysis"),
            ("search", "rag_retrieval"),
            ("review", "code_review"),
            ("charts", "visualization"),
        ] {
            write!(
                toml,
                "[[routes]]\npath = \"/{path}/{kind}\"\nupstreams = [\"{kind}\"]\n\
                 fallback = \"{fallback}\"\n"
            )
            .unwrap();
        }
        write!(toml, "[[routes]]\npath = \"/{kind}\"\nupstreams = [\"{kind}\"]\n").unwrap();
    }
    Gateway::start(&toml)
}

fn ask(gateway: &Gateway, request: impl AsRef<[u8]>) -> Reply {
    let reply = Client::of(gateway).ask(request);
    assert_eq!(reply.end, End::Whole);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-panelboard-state"), Some("closed"));
    reply
}

fn chat(stream: &str) -> String {
    format!(r#"{{"model":"m"{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#)
}

/// What the events of a stream carry, each marked as ours.
fn events(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    let text = reply.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert!(events.iter().all(|event| event["fallback_used"] == true), "{text}");
    events
}

fn assert_friendly(text: &Value) {
    let text = text.as_str().unwrap();
    assert!(text.contains("temporarily unavailable"), "{text}");
    assert!(text.contains("Meanwhile you can:\n- "), "{text}");
    assert!(text.ends_with("It is worth trying again in 1 second."), "{text}");
}

#[test]
fn http_gets_a_problem_that_says_all_there_is_to_say() {
    let gateway = gateway();
    let reply = ask(&gateway, get("/http/x"));
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.header("x-panelboard-fallback"), Some("default"));
    assert_eq!(reply.header("x-panelboard-circuit"), Some("http"));
    assert_eq!(reply.header("x-panelboard-upstream"), None);
    let problem = reply.json();
    for (key, value) in [
        ("type", "urn:panelboard:problem:unreachable"),
        ("title", "Service is unavailable"),
        ("detail", "The upstream behind circuit `http` failed: could not connect."),
        ("circuit", "http"),
        ("state", "closed"),
        ("reason", "unreachable"),
    ] {
        assert_eq!(problem[key], value);
    }
    assert_eq!((&problem["status"], &problem["retry_after"]), (&503.into(), &1.into()));
    assert_eq!(problem["fallback_used"], true);
    assert!(problem["message"].as_str().unwrap().contains("temporarily unavailable"));
    assert_eq!(problem["alternatives"], serde_json::json!(["Try again later"]));
}

#[test]
fn a_problem_has_no_body_for_head() {
    let gateway = gateway();
    let mut client = Client::of(&gateway);
    client.send("HEAD /http/x HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 503 "));
    assert!(client.is_over());
}

#[test]
fn openais_chat_gets_a_completion() {
    let gateway = gateway();
    let path = "/analysis/openai/v1/chat/completions";
    let reply = ask(&gateway, post(path, chat("")));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.header("x-panelboard-fallback"), Some("data_analysis"));
    let completion = reply.json();
    assert_eq!(
        (&completion["object"], &completion["model"]),
        (&"chat.completion".into(), &"m".into())
    );
    assert_eq!(completion["fallback_used"], true);
    assert_eq!(completion["choices"][0]["finish_reason"], "stop");
    assert_friendly(&completion["choices"][0]["message"]["content"]);

    let reply = ask(&gateway, post(path, chat(r#","stream":true"#)));
    assert!(reply.status == 200 && reply.text().ends_with("\n\ndata: [DONE]\n\n"));
    let events = events(&reply);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_friendly(&events[1]["choices"][0]["delta"]["content"]);
    assert_eq!(events[2]["choices"][0]["finish_reason"], "stop");
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk"));
}

#[test]
fn anthropics_messages_get_a_message() {
    let gateway = gateway();
    let path = "/analysis/anthropic/v1/messages";
    let reply = ask(&gateway, post(path, chat(r#","stream":false"#)));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.header("x-panelboard-fallback"), Some("data_analysis"));
    let message = reply.json();
    assert_eq!((&message["type"], &message["role"]), (&"message".into(), &"assistant".into()));
    assert_eq!((&message["model"], &message["stop_reason"]), (&"m".into(), &"end_turn".into()));
    assert_eq!(message["fallback_used"], true);
    assert_friendly(&message["content"][0]["text"]);

    let reply = ask(&gateway, post(path, chat(r#","stream":true"#)));
    assert_eq!(reply.status, 200);
    let events = events(&reply);
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(types, expected);
    for name in expected {
        assert_eq!(reply.text().matches(&format!("event: {name}\ndata: ")).count(), 1);
    }
    assert_friendly(&events[2]["delta"]["text"]);
    assert_eq!(events[4]["delta"]["stop_reason"], "end_turn");
}

#[test]
fn ollama_gets_lines_unless_it_is_asked_for_one() {
    let gateway = gateway();
    for (path, text) in [("chat", "/message/content"), ("generate", "/response")] {
        let path = format!("/analysis/ollama/api/{path}");
        let whole = ask(&gateway, post(&path, chat(r#","stream":false"#)));
        assert_eq!((whole.status, whole.header("content-type")), (200, Some("application/json")));
        let whole = whole.json();
        assert_friendly(whole.pointer(text).unwrap());
        assert_eq!((&whole["done"], &whole["model"]), (&true.into(), &"m".into()));

        let stream = ask(&gateway, post(&path, chat("")));
        assert_eq!(stream.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(stream.header("x-panelboard-fallback"), Some("data_analysis"));
        let text_of = stream.text();
        let lines: Vec<Value> =
            text_of.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_friendly(lines[0].pointer(text).unwrap());
        assert_eq!((&lines[0]["done"], &lines[1]["done"]), (&false.into(), &true.into()));
        assert!(lines.len() == 2 && lines.iter().all(|line| line["fallback_used"] == true));
    }
}

#[test]
fn an_error_is_in_the_apis_own_shape() {
    let gateway = gateway();
    let error = |path: &str, stream: &str| {
        let reply = ask(&gateway, post(path, chat(stream)));
        assert_eq!(reply.status, 503);
        assert_eq!(reply.header("x-panelboard-fallback"), None, "it passes for nothing");
        (reply.header("content-type").unwrap().to_owned(), reply.json())
    };
    let detail =
        |name: &str| format!("The upstream behind circuit `{name}` failed: could not connect.");
    for stream in ["", r#","stream":true"#] {
        let (media, openai) = error("/error/openai/v1/chat/completions", stream);
        assert_eq!(media, "application/json");
        assert_eq!(openai["error"]["message"], detail("openai"));
        assert_eq!(openai["error"]["code"], "circuit_unreachable");
        let (_, anthropic) = error("/error/anthropic/v1/messages", stream);
        assert_eq!(anthropic["type"], "error");
        assert_eq!(anthropic["error"]["type"], "overloaded_error");
        let (_, ollama) = error("/error/ollama/api/chat", stream);
        assert_eq!(ollama["error"], detail("ollama"));
    }
    let (media, http) = error("/error/http", "");
    assert_eq!((&*media, &http["reason"]), ("application/problem+json", &"unreachable".into()));
    assert_eq!(http["fallback_used"], Value::Null);
}

#[test]
fn a_named_message_has_its_own_words_and_status() {
    let gateway = gateway();
    let reply = ask(&gateway, get("/named/http"));
    assert_eq!((reply.status, reply.header("x-panelboard-fallback")), (502, Some("closed")));
    let problem = reply.json();
    assert_eq!((&problem["title"], &problem["status"]), (&"Closed for today".into(), &502.into()));
    assert_eq!(problem["message"], "The desk is closed.");
    assert_eq!(problem["alternatives"], serde_json::json!(["Call us", "Write a letter"]));
    let chat = ask(&gateway, post("/named/openai/v1/chat/completions", chat("")));
    let text = &chat.json()["choices"][0]["message"]["content"];
    let expected = "The desk is closed.\n\nMeanwhile you can:\n- Call us\n- Write a letter\n\n\
                    It is worth trying again in 1 second.";
    assert_eq!(text, expected);
    // What is no chat has no shape of its own.
    let models = ask(&gateway, get("/named/openai/v1/models"));
    assert_eq!((models.status, &models.json()["message"]), (502, &"The desk is closed.".into()));
}

#[test]
fn built_in_messages_need_no_configuration_and_a_circuit_can_name_one() {
    let gateway = gateway();
    for (path, name, word) in [
        ("/analysis/http", "data_analysis", "summary statistics"),
        ("/search/http", "rag_retrieval", "documents directly"),
        ("/review/http", "code_review", "basic safety checks"),
        ("/charts/http", "visualization", "by hand"),
        ("/http", "default", "again later"),
        ("/openai", "code_review", "basic safety checks"),
    ] {
        let reply = ask(&gateway, get(path));
        assert_eq!((reply.status, reply.header("x-panelboard-fallback")), (503, Some(name)));
        let text = reply.text();
        assert!(text.contains("temporarily unavailable") && text.contains(word), "{text}");
    }
}
