//! Answers in one piece, and errors.

use serde_json::{Value, json};

use super::super::chat::{Answer, Fault, FaultKind, Spoken, Stamp, Start, Stop, Untranslatable};

pub(in super::super) fn read(body: &Value) -> Result<Answer, Untranslatable> {
    let choice = match body["choices"].as_array().map(Vec::as_slice) {
        Some([choice]) => choice,
        Some(choices) => {
            let count = choices.len();
            return Err(Untranslatable::new(format!("`choices` has {count} and not one")));
        }
        None => return Err(Untranslatable::new("`choices` is missing")),
    };
    let message = &choice["message"];
    text_only(message)?;
    let refusal = message["refusal"].as_str();
    let text = match (&message["content"], refusal) {
        (Value::String(text), _) => text.as_str(),
        (Value::Null, Some(refusal)) => refusal,
        // All tokens went into thinking.
        (Value::Null, None) if message.is_object() => "",
        _ => return Err(Untranslatable::new("`message.content` is no string")),
    };
    let stop = stop(choice)?.ok_or_else(|| Untranslatable::new("`finish_reason` is missing"))?;
    Ok(Answer {
        start: start(body),
        text: text.to_owned(),
        stop: if refusal.is_some() { Stop::Refused } else { stop },
        spoken: spoken(&body["usage"]),
    })
}

pub(super) fn start(body: &Value) -> Start {
    let id = body["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    Start { id, model: body["model"].as_str().unwrap_or_default().to_owned() }
}

/// Refuses what is no text. Nobody asked for it.
pub(super) fn text_only(message: &Value) -> Result<(), Untranslatable> {
    let is_there = |name: &str| match &message[name] {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    match ["tool_calls", "function_call", "audio"].into_iter().find(|name| is_there(name)) {
        Some(name) => Err(Untranslatable::new(format!("it has `{name}`, which is no text"))),
        None => Ok(()),
    }
}

pub(super) fn stop(choice: &Value) -> Result<Option<Stop>, Untranslatable> {
    match &choice["finish_reason"] {
        Value::Null => Ok(None),
        reason if reason == "stop" => Ok(Some(Stop::End)),
        reason if reason == "length" => Ok(Some(Stop::Length)),
        reason if reason == "content_filter" => Ok(Some(Stop::Refused)),
        _ => Err(Untranslatable::new("its `finish_reason` means nothing to another API")),
    }
}

pub(super) fn spoken(usage: &Value) -> Spoken {
    Spoken { input: usage["prompt_tokens"].as_u64(), output: usage["completion_tokens"].as_u64() }
}

pub(in super::super) fn write(answer: &Answer, stamp: Stamp) -> Value {
    let message = json!({ "role": "assistant", "content": answer.text, "refusal": null });
    let mut body = json!({
        "id": id(&answer.start, stamp),
        "object": "chat.completion",
        "created": stamp.unix.as_secs(),
        "model": answer.start.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(&answer.stop),
        }],
    });
    if let Some(usage) = usage(answer.spoken) {
        body["usage"] = usage;
    }
    body
}

pub(super) fn id(start: &Start, stamp: Stamp) -> String {
    start.id.clone().unwrap_or_else(|| format!("chatcmpl-{}", stamp.id()))
}

pub(super) fn finish_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        Stop::Refused => "content_filter",
    }
}

/// `None` if the upstream has said nothing of it: no usage is better than an invented one.
pub(super) fn usage(spoken: Spoken) -> Option<Value> {
    if spoken == Spoken::default() {
        return None;
    }
    let (input, output) = (spoken.input.unwrap_or(0), spoken.output.unwrap_or(0));
    Some(json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input.saturating_add(output),
    }))
}

pub(in super::super) fn read_fault(kind: FaultKind, body: &Value) -> Fault {
    let error = &body["error"];
    // The second is of servers that speak this API in part.
    let message = [&error["message"], error, &body["message"], &body["detail"]];
    let message = message.into_iter().find_map(Value::as_str);
    let is = |name: &str| error["code"] == name || error["type"] == name;
    let kind = match () {
        () if is("insufficient_quota") => FaultKind::Quota,
        () if is("context_length_exceeded") => FaultKind::ContextLength,
        () if is("rate_limit_exceeded") => FaultKind::RateLimit,
        () => kind,
    };
    Fault { kind, message: message.unwrap_or(kind.words()).to_owned() }
}

pub(in super::super) fn write_fault(fault: &Fault) -> Value {
    let (kind, code) = match fault.kind {
        FaultKind::InvalidRequest
        | FaultKind::Permission
        | FaultKind::NotFound
        | FaultKind::TooLarge => ("invalid_request_error", None),
        FaultKind::ContextLength => ("invalid_request_error", Some("context_length_exceeded")),
        FaultKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        FaultKind::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
        FaultKind::Quota | FaultKind::Billing => ("insufficient_quota", Some("insufficient_quota")),
        FaultKind::Overloaded | FaultKind::Timeout | FaultKind::Server => ("server_error", None),
    };
    json!({
        "error": { "message": fault.message, "type": kind, "param": null, "code": code },
    })
}
