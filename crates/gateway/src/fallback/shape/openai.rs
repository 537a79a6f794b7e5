//! `OpenAI`'s chat completions.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

const ID: &str = "chatcmpl-panelboard-fallback";

pub(super) fn completion(text: &str, model: &str) -> String {
    json!({
        "id": ID,
        "object": "chat.completion",
        "created": unix_now(),
        "model": model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": { "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 },
        "fallback_used": true,
    })
    .to_string()
}

pub(super) fn stream(text: &str, model: &str) -> String {
    let created = unix_now();
    let chunk = |delta: Value, finish: Option<&str>| {
        let chunk = json!({
            "id": ID,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }],
            "fallback_used": true,
        });
        format!("data: {chunk}\n\n")
    };
    [
        chunk(json!({ "role": "assistant", "content": "" }), None),
        chunk(json!({ "content": text }), None),
        chunk(json!({}), Some("stop")),
        String::from("data: [DONE]\n\n"),
    ]
    .concat()
}

fn unix_now() -> u64 {
    super::wall_now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
