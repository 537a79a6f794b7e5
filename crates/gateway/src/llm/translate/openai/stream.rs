//! Streams: events that end with `[DONE]`.

use serde_json::{Value, json};

use super::super::Voice;
use super::super::chat::{FaultKind, Part, Spoken, Start, Stop, Untranslatable};
use super::answer::{self, finish_reason, id, usage};

pub(in super::super) fn read(chunk: &Value) -> Result<Vec<Part>, Untranslatable> {
    if !chunk["error"].is_null() {
        return Ok(vec![Part::Fault(answer::read_fault(FaultKind::Server, chunk))]);
    }
    let mut parts = Vec::new();
    match chunk["choices"].as_array().map(Vec::as_slice) {
        // Usage comes by itself, and so does what some servers find out about the request.
        None | Some([]) => {}
        Some([choice]) if choice["index"] == 0 || choice["index"].is_null() => {
            let delta = &choice["delta"];
            answer::text_only(delta)?;
            parts.push(Part::Start(answer::start(chunk)));
            parts.extend(text(delta, "content")?);
            if let Some(refusal) = text(delta, "refusal")? {
                parts.extend([refusal, Part::Stop(Stop::Refused)]);
            }
            if let Some(stop) = answer::stop(choice)? {
                parts.push(Part::Stop(stop));
            }
        }
        Some(_) => return Err(Untranslatable::new("`choices` has more than one")),
    }
    if chunk["usage"].is_object() {
        parts.push(Part::Spoken(answer::spoken(&chunk["usage"])));
    }
    Ok(parts)
}

fn text(delta: &Value, name: &str) -> Result<Option<Part>, Untranslatable> {
    match &delta[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Part::Text(text.clone())).filter(|_| !text.is_empty())),
        _ => Err(Untranslatable::new(format!("`delta.{name}` is no string"))),
    }
}

pub(in super::super) fn opening(start: &Start, voice: Voice) -> String {
    delta(&json!({ "role": "assistant", "content": "" }), None, start, voice)
}

pub(in super::super) fn words(text: &str, start: &Start, voice: Voice) -> String {
    delta(&json!({ "content": text }), None, start, voice)
}

pub(in super::super) fn closing(
    stop: &Stop,
    spoken: Spoken,
    start: &Start,
    voice: Voice,
) -> String {
    let last = delta(&json!({}), Some(finish_reason(stop)), start, voice);
    let usage = usage(spoken).filter(|_| voice.tells_usage);
    let usage = usage.map(|usage| event(&chunk(&json!([]), usage, start, voice)));
    [last, usage.unwrap_or_default(), String::from("data: [DONE]\n\n")].concat()
}

fn delta(delta: &Value, finish_reason: Option<&str>, start: &Start, voice: Voice) -> String {
    let choice = json!({
        "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason
    });
    event(&chunk(&json!([choice]), Value::Null, start, voice))
}

fn chunk(choices: &Value, usage: Value, start: &Start, voice: Voice) -> Value {
    let mut chunk = json!({
        "id": id(start, voice.stamp),
        "object": "chat.completion.chunk",
        "created": voice.stamp.unix.as_secs(),
        "model": start.model,
        "choices": choices,
    });
    if voice.tells_usage {
        chunk["usage"] = usage;
    }
    chunk
}

pub(in super::super) fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}
