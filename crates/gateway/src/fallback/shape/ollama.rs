//! Ollama's answers, of one line of JSON or of several.

use serde_json::{Value, json};

/// Where the text stands.
#[derive(Copy, Clone)]
pub(super) enum Field {
    /// Of a chat: a message.
    Message,
    /// Of what was generated: by itself.
    Response,
}

pub(super) fn answer(text: &str, model: &str, field: Field) -> String {
    line(text, model, field, true).to_string()
}

pub(super) fn stream(text: &str, model: &str, field: Field) -> String {
    let (word, end) = (line(text, model, field, false), line("", model, field, true));
    format!("{word}\n{end}\n")
}

fn line(text: &str, model: &str, field: Field, done: bool) -> Value {
    let mut line = json!({
        "model": model,
        "created_at": humantime::format_rfc3339_seconds(super::wall_now()).to_string(),
        "done": done,
        "fallback_used": true,
    });
    match field {
        Field::Message => line["message"] = json!({ "role": "assistant", "content": text }),
        Field::Response => line["response"] = text.into(),
    }
    if done {
        line["done_reason"] = "stop".into();
    }
    line
}
