//! The shapes of OpenAI's API.

use serde_json::{Value, json};

use super::{CREATED, Chat, WORDS, text};

/// What ends a stream.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

/// The answer to `GET /v1/models`.
pub(super) fn models() -> Value {
    let model =
        |id| json!({ "id": id, "object": "model", "created": CREATED, "owned_by": "panelboard" });
    json!({ "object": "list", "data": [model("scripted"), model("scripted-mini")] })
}

pub(super) fn completion(chat: &Chat) -> Value {
    let message = json!({ "role": "assistant", "content": text(), "refusal": null });
    json!({
        "id": format!("chatcmpl-{}", chat.id),
        "object": "chat.completion",
        "created": CREATED,
        "model": chat.model,
        "choices": [
            { "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" }
        ],
        "usage": usage(chat, WORDS.len()),
    })
}

pub(super) fn opening(chat: &Chat) -> Vec<u8> {
    delta(chat, &json!({ "role": "assistant", "content": "" }), None)
}

pub(super) fn delta(chat: &Chat, delta: &Value, finish_reason: Option<&str>) -> Vec<u8> {
    let choice = json!({
        "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason
    });
    event(&chunk(chat, &json!([choice]), &Value::Null))
}

/// The reason to stop, the usage if it was asked for, and the end marker.
pub(super) fn closing(chat: &Chat, words: usize) -> Vec<Vec<u8>> {
    let mut events = vec![delta(chat, &json!({}), Some("stop"))];
    if chat.with_usage {
        events.push(event(&chunk(chat, &json!([]), &usage(chat, words))));
    }
    events.push(DONE.to_vec());
    events
}

fn chunk(chat: &Chat, choices: &Value, usage: &Value) -> Value {
    let mut chunk = json!({
        "id": format!("chatcmpl-{}", chat.id),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": chat.model,
        "choices": choices,
    });
    if chat.with_usage {
        chunk["usage"] = usage.clone();
    }
    chunk
}

fn usage(chat: &Chat, completion_tokens: usize) -> Value {
    json!({
        "prompt_tokens": chat.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": chat.prompt_tokens + completion_tokens,
    })
}

pub(super) fn event(data: &Value) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

pub(super) fn error(status: u16, code: Option<&str>) -> Value {
    let usual = match status {
        401 => Some("invalid_api_key"),
        404 => Some("model_not_found"),
        429 => Some("rate_limit_exceeded"),
        _ => None,
    };
    // Requests and tokens have limits each, of one code.
    let tokens = (status, code) == (429, Some("tokens"));
    let code = code.filter(|_| !tokens).or(usual);
    let (kind, message) = match (status, code) {
        (_, Some("insufficient_quota")) => (
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        (_, Some("context_length_exceeded")) => (
            "invalid_request_error",
            "This model's maximum context length is 8192 tokens, your messages have more.",
        ),
        (_, Some("content_filter" | "content_policy_violation")) => {
            ("invalid_request_error", "Your request was rejected as a result of our safety system.")
        }
        (401, _) => ("invalid_request_error", "Incorrect API key provided."),
        (403, _) => ("invalid_request_error", "You are not allowed to do this."),
        (404, _) => ("invalid_request_error", "The model does not exist."),
        (429, _) if tokens => ("tokens", "Rate limit reached for tokens per min."),
        (429, _) => ("requests", "Rate limit reached for requests."),
        (413, _) => ("invalid_request_error", "The request is too large."),
        (500.., _) => ("server_error", "The server had an error while processing your request."),
        _ => ("invalid_request_error", "The request is invalid."),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}
