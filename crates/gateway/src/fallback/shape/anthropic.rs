//! Anthropic's messages.

use serde_json::{Value, json};

pub(super) fn message(text: &str, model: &str) -> String {
    let mut message = envelope(model);
    message["content"] = json!([{ "type": "text", "text": text }]);
    message["stop_reason"] = "end_turn".into();
    message.to_string()
}

pub(super) fn stream(text: &str, model: &str) -> String {
    let block = json!({ "type": "text", "text": "" });
    let delta = json!({ "type": "text_delta", "text": text });
    let end = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    [
        json!({ "type": "message_start", "message": envelope(model) }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": end, "usage": { "output_tokens": 0 } }),
        json!({ "type": "message_stop" }),
    ]
    .map(|mut data| {
        data["fallback_used"] = true.into();
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
    })
    .concat()
}

/// A message before its first word.
fn envelope(model: &str) -> Value {
    json!({
        "id": "msg_panelboard_fallback",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": 0 },
        "fallback_used": true,
    })
}
