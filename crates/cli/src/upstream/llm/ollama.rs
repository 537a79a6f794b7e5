//! The shapes of Ollama's API.

use serde_json::{Value, json};

use super::Chat;

/// A line of a stream, or with all of the text the answer in one piece. The last line says `done`
/// after how many words.
pub(super) fn line(chat: &Chat, content: &str, done: Option<usize>) -> Value {
    let mut line = json!({
        "model": chat.model,
        "created_at": "2026-01-01T00:00:00Z",
        "message": { "role": "assistant", "content": content },
        "done": done.is_some(),
    });
    if let Some(words) = done {
        line["done_reason"] = json!("stop");
        line["total_duration"] = json!(80_000_000);
        line["prompt_eval_count"] = json!(chat.prompt_tokens);
        line["eval_count"] = json!(words);
    }
    line
}

pub(super) fn event(data: &Value) -> Vec<u8> {
    format!("{data}\n").into_bytes()
}

/// The answer to `GET /api/tags`.
pub(super) fn models() -> Value {
    let model = |name: &str| {
        json!({
            "name": name,
            "model": name,
            "modified_at": "2026-01-01T00:00:00Z",
            "size": 1_000_000,
            "digest": "0".repeat(64),
            "details": details(),
        })
    };
    json!({ "models": [model("scripted:latest"), model("scripted:mini")] })
}

/// The answer to `POST /api/show`.
pub(super) fn show() -> Value {
    json!({
        "modelfile": "FROM scripted",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": details(),
        "model_info": { "general.architecture": "scripted" },
        "capabilities": ["completion"],
    })
}

fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": "scripted",
        "families": ["scripted"],
        "parameter_size": "8B",
        "quantization_level": "Q4_0",
    })
}

/// A sentence is all that this API says of an error, so a code becomes the sentence.
pub(super) fn error(status: u16, code: Option<&str>) -> Value {
    if code == Some("insufficient_quota") {
        let sentence = "you (scripted) have reached your weekly usage limit, upgrade for more";
        return json!({ "error": sentence });
    }
    let usual = match status {
        404 => "model not found, try pulling it first",
        429 => "too many requests",
        503 => "server busy, please try again. maximum pending requests exceeded",
        500.. => "an error was encountered while running the model",
        _ => "invalid request",
    };
    json!({ "error": code.unwrap_or(usual) })
}
