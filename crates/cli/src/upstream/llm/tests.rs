use serde_json::{Value, json};

use super::*;
use crate::upstream::request::{Framing, Head, Request};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const OLLAMA: &str = "/api/chat";

fn chat(path: &str, body: &Value) -> Chat {
    Chat::of(&request("POST", path, &body.to_string())).unwrap()
}

fn request(method: &str, path: &str, body: &str) -> Request {
    let (method, target) = (method.to_owned(), path.to_owned());
    let head = Head { method, target, minor: 1, http2: false, headers: Vec::new() };
    let body = body.as_bytes().to_vec();
    Request { framing: Framing::ContentLength(body.len()), body, ..Request::bodiless(head) }
}

/// The data of an event, whatever API it is of.
fn data(event: &[u8]) -> Value {
    let text = std::str::from_utf8(event).unwrap();
    let data = text.split_once("data: ").map_or(text, |(_, data)| data);
    serde_json::from_str(data.trim()).unwrap_or_else(|_| json!(data.trim()))
}

#[test]
fn a_completion_echoes_the_model() {
    let whole = chat(CHAT, &json!({ "model": "gpt-4o" })).whole();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "gpt-4o");
    assert_eq!(whole["choices"][0]["message"]["content"], "All circuits are closed here.");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    let usage = &whole["usage"];
    let sum =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);
}

#[test]
fn a_message_and_an_ollama_answer_have_their_own_shapes() {
    let whole = chat(MESSAGES, &json!({ "model": "claude" })).whole();
    assert_eq!((&whole["type"], &whole["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!(whole["content"][0]["text"], "All circuits are closed here.");
    assert_eq!(whole["stop_reason"], "end_turn");
    let ollama = chat(OLLAMA, &json!({ "model": "llama3.1:8b", "stream": false }));
    assert!(!ollama.streamed);
    let whole = ollama.whole();
    assert_eq!(whole["message"]["content"], "All circuits are closed here.");
    assert_eq!((&whole["done"], &whole["done_reason"]), (&json!(true), &json!("stop")));
}

#[test]
fn an_openai_stream_begins_with_the_role_and_ends_with_its_marker() {
    let chat = chat(CHAT, &json!({ "model": "m", "stream": true }));
    let events = chat.events(8);
    assert_eq!(events.len(), 9, "eight chunks and the marker");
    assert_eq!(data(&events[0])["choices"][0]["delta"]["role"], "assistant");
    let text: String = events[1..7]
        .iter()
        .map(|event| data(event)["choices"][0]["delta"]["content"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, "All circuits are closed here.");
    assert_eq!(data(&events[7])["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[8], b"data: [DONE]\n\n");
    assert!(data(&events[7]).get("usage").is_none());
}

#[test]
fn openai_usage_comes_if_it_was_asked_for() {
    let options = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let events = chat(CHAT, &options).events(8);
    let usage = data(&events[8]);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 6);
    assert!(data(&events[0])["usage"].is_null());
    assert_eq!(events[9], b"data: [DONE]\n\n");
}

#[test]
fn an_anthropic_stream_has_the_documented_sequence() {
    let events = chat(MESSAGES, &json!({ "stream": true })).events(8);
    let types: Vec<_> = events.iter().map(|event| data(event)["type"].clone()).collect();
    let delta = "content_block_delta";
    let expected = [
        "message_start",
        "content_block_start",
        delta,
        delta,
        delta,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(types, expected);
    for event in &events {
        let named = format!("event: {}\n", data(event)["type"].as_str().unwrap());
        assert!(event.starts_with(named.as_bytes()));
    }
}

#[test]
fn an_ollama_stream_is_lines_of_which_the_last_is_done() {
    let chat = chat(OLLAMA, &json!({ "model": "m" }));
    assert!(chat.streamed, "without being asked");
    assert_eq!(chat.media_type(), "application/x-ndjson");
    let done: Vec<_> = chat.events(3).iter().map(|event| data(event)["done"].clone()).collect();
    assert_eq!(done, [false, false, true]);
}

#[test]
fn the_first_events_never_hold_an_end() {
    for (path, end) in
        [(CHAT, "finish_reason\":\"stop"), (MESSAGES, "stop\""), (OLLAMA, "done\":true")]
    {
        let chat = chat(path, &json!({ "stream": true }));
        let events = chat.first_events(100);
        assert_eq!(events.len(), 100);
        let text = String::from_utf8(events.concat()).unwrap();
        assert!(!text.contains(end) && !text.contains("[DONE]"), "{path}");
        assert!(chat.events(20).starts_with(&chat.first_events(10)));
        assert!(chat.first_events(0).is_empty());
    }
}

#[test]
fn a_stream_is_never_shorter_than_its_shape() {
    for (path, least) in [(CHAT, 4), (MESSAGES, 6), (OLLAMA, 2)] {
        assert_eq!(chat(path, &json!({ "stream": true })).events(1).len(), least, "{path}");
    }
}

#[test]
fn the_same_request_gets_the_same_answer() {
    let ask = |text: &str| chat(CHAT, &json!({ "messages": text })).whole();
    assert_eq!(ask("a"), ask("a"));
    assert_ne!(ask("a")["id"], ask("b")["id"]);
}

#[test]
fn a_body_that_asks_for_nothing_is_answered_all_the_same() {
    for body in ["", "{", "[]", "null", "{\"model\":7}", "{\"stream\":\"yes\"}"] {
        let chat = Chat::of(&request("POST", CHAT, body)).unwrap();
        assert_eq!((chat.model.as_str(), chat.streamed), ("scripted", false), "{body}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(model(deep.as_bytes()), None, "too deep to be read");
}

#[test]
fn only_a_post_to_its_path_is_a_chat() {
    for (method, path) in
        [("GET", CHAT), ("POST", "/v1/models"), ("POST", "/api/tags"), ("PUT", MESSAGES)]
    {
        assert_eq!(Chat::of(&request(method, path, "{}")), None, "{method} {path}");
    }
    let mounted = Chat::of(&request("POST", "/openai/deployments/x/chat/completions", "{}"));
    assert_eq!(mounted.unwrap().api, Api::OpenAi);
    let mounted = Chat::of(&request("POST", "/api/v1/chat/completions", "{}"));
    assert_eq!(mounted.unwrap().api, Api::OpenAi);
    let mounted = Chat::of(&request("POST", "/ollama/api/chat", "{}"));
    assert_eq!(mounted.unwrap().api, Api::Ollama);
}

#[test]
fn errors_are_the_documented_ones() {
    let openai = |status, code| Api::OpenAi.error(status, code)["error"].clone();
    assert_eq!(openai(429, None)["code"], "rate_limit_exceeded");
    let quota = openai(429, Some("insufficient_quota"));
    assert_eq!((&quota["type"], &quota["code"]), (&json!("insufficient_quota"), &quota["type"]));
    assert_eq!(openai(400, Some("context_length_exceeded"))["type"], "invalid_request_error");
    assert_eq!(openai(503, None)["type"], "server_error");
    let anthropic = |status| Api::Anthropic.error(status, None)["error"]["type"].clone();
    assert_eq!(anthropic(429), "rate_limit_error");
    assert_eq!(anthropic(529), "overloaded_error");
    assert_eq!(anthropic(503), "api_error");
    assert_eq!(Api::Anthropic.error(529, None)["type"], "error");
    assert!(Api::Ollama.error(503, None)["error"].is_string());
    assert_eq!(
        [Api::of(CHAT), Api::of(MESSAGES), Api::of(OLLAMA)],
        [Api::OpenAi, Api::Anthropic, Api::Ollama]
    );
}
