//! Answers in one piece, and errors.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::super::chat::{Answer, Fault, FaultKind, Spoken, Stamp, Start, Stop, Untranslatable};

pub(in super::super) fn read(body: &Value) -> Result<Answer, Untranslatable> {
    let text = text(body)?.to_owned();
    match body["done"].as_bool() {
        Some(true) => {
            Ok(Answer { start: start(body), text, stop: stop(body)?, spoken: spoken(body) })
        }
        _ => Err(Untranslatable::new("it is not `done`")),
    }
}

pub(super) fn start(line: &Value) -> Start {
    Start { id: None, model: line["model"].as_str().unwrap_or_default().to_owned() }
}

/// Thoughts, which stand beside it, are no part of the answer.
pub(super) fn text(line: &Value) -> Result<&str, Untranslatable> {
    let message = &line["message"];
    if message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
        return Err(Untranslatable::new("it has `tool_calls`, which are no text"));
    }
    match &message["content"] {
        Value::String(text) => Ok(text),
        Value::Null if message.is_object() => Ok(""),
        _ => Err(Untranslatable::new("`message.content` is no string")),
    }
}

/// Why it is done. Older servers do not say.
pub(super) fn stop(line: &Value) -> Result<Stop, Untranslatable> {
    match &line["done_reason"] {
        Value::Null => Ok(Stop::End),
        reason if reason == "stop" => Ok(Stop::End),
        reason if reason == "length" => Ok(Stop::Length),
        _ => Err(Untranslatable::new("its `done_reason` means nothing to another API")),
    }
}

pub(super) fn spoken(line: &Value) -> Spoken {
    Spoken { input: line["prompt_eval_count"].as_u64(), output: line["eval_count"].as_u64() }
}

pub(in super::super) fn write(answer: &Answer, stamp: Stamp) -> Value {
    done(line(&answer.text, &answer.start, stamp), &answer.stop, answer.spoken)
}

pub(super) fn line(text: &str, start: &Start, stamp: Stamp) -> Value {
    // No clock goes beyond the year 9999, where the format ends.
    let unix = stamp.unix.min(Duration::from_secs(253_402_300_799));
    let created = SystemTime::UNIX_EPOCH + unix;
    json!({
        "model": start.model,
        "created_at": humantime::format_rfc3339_micros(created).to_string(),
        "message": { "role": "assistant", "content": text },
        "done": false,
    })
}

/// The line that is the last. How long it took in nanoseconds, which this API also says, nobody
/// else knows.
pub(super) fn done(mut line: Value, stop: &Stop, spoken: Spoken) -> Value {
    line["done"] = true.into();
    line["done_reason"] = match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        // No word of this API's own, which knows of none; but it must not look complete.
        Stop::Refused => "content_filter",
    }
    .into();
    for (name, count) in [("prompt_eval_count", spoken.input), ("eval_count", spoken.output)] {
        if let Some(count) = count {
            line[name] = count.into();
        }
    }
    line
}

pub(in super::super) fn read_fault(kind: FaultKind, body: &Value) -> Fault {
    let message = body["error"].as_str().unwrap_or(kind.words());
    Fault { kind, message: message.to_owned() }
}

/// A sentence is all that this API says of an error.
pub(in super::super) fn write_fault(fault: &Fault) -> Value {
    json!({ "error": fault.message })
}
