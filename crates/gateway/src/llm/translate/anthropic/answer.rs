//! Answers in one piece, and errors.

use serde_json::{Value, json};

use super::super::chat::{Answer, Fault, FaultKind, Spoken, Stamp, Start, Stop, Untranslatable};

pub(in super::super) fn read(body: &Value) -> Result<Answer, Untranslatable> {
    let blocks = body["content"].as_array();
    let blocks = blocks.ok_or_else(|| Untranslatable::new("`content` is missing"))?;
    let mut text = String::new();
    for block in blocks {
        text.push_str(words_of(block)?);
    }
    Ok(Answer {
        start: start(body),
        text,
        stop: stop(body)?.ok_or_else(|| Untranslatable::new("`stop_reason` is missing"))?,
        spoken: spoken(&body["usage"]),
    })
}

pub(super) fn start(message: &Value) -> Start {
    let id = message["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    Start { id, model: message["model"].as_str().unwrap_or_default().to_owned() }
}

/// The text of a block. Thoughts are no part of the answer.
pub(super) fn words_of(block: &Value) -> Result<&str, Untranslatable> {
    match block["type"].as_str() {
        Some("text") => match &block["text"] {
            Value::String(text) => Ok(text),
            _ => Err(Untranslatable::new("the `text` of a block is no string")),
        },
        Some("thinking" | "redacted_thinking") => Ok(""),
        _ => Err(Untranslatable::new("it has a block that is no text")),
    }
}

pub(super) fn stop(delta: &Value) -> Result<Option<Stop>, Untranslatable> {
    match &delta["stop_reason"] {
        Value::Null => Ok(None),
        reason if reason == "end_turn" => Ok(Some(Stop::End)),
        reason if reason == "max_tokens" || reason == "model_context_window_exceeded" => {
            Ok(Some(Stop::Length))
        }
        reason if reason == "stop_sequence" => {
            Ok(Some(Stop::Sequence(delta["stop_sequence"].as_str().map(str::to_owned))))
        }
        reason if reason == "refusal" => Ok(Some(Stop::Refused)),
        _ => Err(Untranslatable::new("its `stop_reason` means nothing to another API")),
    }
}

/// Others count what was read from a cache among the rest.
pub(super) fn spoken(usage: &Value) -> Spoken {
    let count = |name: &str| usage[name].as_u64();
    let cached = ["cache_creation_input_tokens", "cache_read_input_tokens"]
        .map(|name| count(name).unwrap_or(0));
    let input = count("input_tokens")
        .map(|input| cached.iter().fold(input, |sum, cached| sum.saturating_add(*cached)));
    Spoken { input, output: count("output_tokens") }
}

pub(in super::super) fn write(answer: &Answer, stamp: Stamp) -> Value {
    let mut message = envelope(&answer.start, stamp);
    if !answer.text.is_empty() {
        message["content"] = json!([{ "type": "text", "text": answer.text }]);
    }
    let (reason, sequence) = stop_reason(&answer.stop);
    message["stop_reason"] = reason.into();
    message["stop_sequence"] = sequence.into();
    message["usage"] = usage(answer.spoken);
    message
}

/// A message before its first word.
pub(super) fn envelope(start: &Start, stamp: Stamp) -> Value {
    let id = start.id.clone().unwrap_or_else(|| format!("msg_{}", stamp.id()));
    json!({
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": start.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": usage(Spoken::default()),
    })
}

pub(super) fn stop_reason(stop: &Stop) -> (&'static str, Option<&str>) {
    match stop {
        Stop::End => ("end_turn", None),
        Stop::Length => ("max_tokens", None),
        Stop::Sequence(sequence) => ("stop_sequence", sequence.as_deref()),
        Stop::Refused => ("refusal", None),
    }
}

/// Clients of this API count on both, so what the upstream has not said is 0.
pub(super) fn usage(spoken: Spoken) -> Value {
    json!({
        "input_tokens": spoken.input.unwrap_or(0),
        "output_tokens": spoken.output.unwrap_or(0),
    })
}

pub(in super::super) fn read_fault(kind: FaultKind, body: &Value) -> Fault {
    let error = &body["error"];
    let message = error["message"].as_str();
    let kind = match error["type"].as_str() {
        Some("invalid_request_error")
            if message.is_some_and(|text| text.starts_with("prompt is too long")) =>
        {
            FaultKind::ContextLength
        }
        Some("invalid_request_error") => FaultKind::InvalidRequest,
        Some("authentication_error") => FaultKind::Authentication,
        Some("billing_error") => FaultKind::Billing,
        Some("permission_error") => FaultKind::Permission,
        Some("not_found_error") => FaultKind::NotFound,
        Some("request_too_large") => FaultKind::TooLarge,
        Some("rate_limit_error") => FaultKind::RateLimit,
        Some("overloaded_error") => FaultKind::Overloaded,
        Some("timeout_error") => FaultKind::Timeout,
        Some("api_error") => FaultKind::Server,
        _ => kind,
    };
    Fault { kind, message: message.unwrap_or(kind.words()).to_owned() }
}

pub(in super::super) fn write_fault(fault: &Fault) -> Value {
    let kind = match fault.kind {
        FaultKind::InvalidRequest | FaultKind::ContextLength => "invalid_request_error",
        FaultKind::Authentication => "authentication_error",
        FaultKind::Billing => "billing_error",
        FaultKind::Permission => "permission_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::TooLarge => "request_too_large",
        FaultKind::RateLimit | FaultKind::Quota => "rate_limit_error",
        FaultKind::Overloaded => "overloaded_error",
        FaultKind::Timeout => "timeout_error",
        FaultKind::Server => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": fault.message } })
}
