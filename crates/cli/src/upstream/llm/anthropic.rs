//! The shapes of Anthropic's API.

use serde_json::{Value, json};

use super::{Chat, WORDS, text};

pub(super) fn message(chat: &Chat) -> Value {
    let mut message = envelope(chat);
    message["content"] = json!([{ "type": "text", "text": text() }]);
    message["stop_reason"] = json!("end_turn");
    message["usage"]["output_tokens"] = json!(WORDS.len());
    message
}

/// A message before its first word.
fn envelope(chat: &Chat) -> Value {
    json!({
        "id": format!("msg_{}", chat.id),
        "type": "message",
        "role": "assistant",
        "model": chat.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": { "input_tokens": chat.prompt_tokens, "output_tokens": 1 },
    })
}

pub(super) fn opening(chat: &Chat) -> Vec<Vec<u8>> {
    let block = json!({ "type": "text", "text": "" });
    vec![
        event(&json!({ "type": "message_start", "message": envelope(chat) })),
        event(&json!({ "type": "content_block_start", "index": 0, "content_block": block })),
    ]
}

pub(super) fn delta(word: &str) -> Vec<u8> {
    let delta = json!({ "type": "text_delta", "text": word });
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

pub(super) fn closing(words: usize) -> Vec<Vec<u8>> {
    let delta = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    let usage = json!({ "output_tokens": words });
    vec![
        event(&json!({ "type": "content_block_stop", "index": 0 })),
        event(&json!({ "type": "message_delta", "delta": delta, "usage": usage })),
        event(&json!({ "type": "message_stop" })),
    ]
}

/// An event is named by the type of its data.
pub(super) fn event(data: &Value) -> Vec<u8> {
    let name = data["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// The answer to `GET /v1/models`.
pub(super) fn models() -> Value {
    let model = |id: &str, name: &str| {
        json!({
            "type": "model",
            "id": id,
            "display_name": name,
            "created_at": "2026-01-01T00:00:00Z",
        })
    };
    json!({
        "data": [model("scripted", "Scripted"), model("scripted-mini", "Scripted Mini")],
        "has_more": false,
        "first_id": "scripted",
        "last_id": "scripted-mini",
    })
}

/// Here the type of an error is what the other API calls its code. That an account is empty has a
/// type of its own, or only words.
pub(super) fn error(status: u16, code: Option<&str>) -> Value {
    let empty = code == Some("insufficient_quota");
    let code = code.filter(|_| !empty);
    let (kind, message) = match status {
        400 if empty => (
            "invalid_request_error",
            "Your credit balance is too low to access the API. Please purchase credits.",
        ),
        401 => ("authentication_error", "invalid x-api-key"),
        402 => ("billing_error", "There is an issue with your billing details."),
        403 => ("permission_error", "You are not allowed to do this."),
        404 => ("not_found_error", "The model does not exist."),
        413 => ("request_too_large", "The request is too large."),
        429 => ("rate_limit_error", "This request would exceed your rate limit."),
        504 => ("timeout_error", "The request timed out."),
        529 => ("overloaded_error", "Overloaded"),
        500.. => ("api_error", "Internal server error"),
        _ => ("invalid_request_error", "The request is invalid."),
    };
    let error = json!({ "type": code.unwrap_or(kind), "message": message });
    json!({ "type": "error", "error": error, "request_id": "req_scripted" })
}
