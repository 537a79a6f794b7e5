//! Streams: named events that end with `message_stop`.

use serde_json::{Value, json};

use super::super::Voice;
use super::super::chat::{FaultKind, Part, Spoken, Start, Stop, Untranslatable};
use super::answer::{self, envelope, stop_reason, usage};

pub(in super::super) fn read(data: &Value) -> Result<Vec<Part>, Untranslatable> {
    let mut parts = Vec::new();
    match data["type"].as_str() {
        Some("message_start") => {
            let message = &data["message"];
            parts.push(Part::Start(answer::start(message)));
            parts.push(Part::Spoken(answer::spoken(&message["usage"])));
        }
        Some("content_block_start") => {
            parts.extend(text(answer::words_of(&data["content_block"])?));
        }
        Some("content_block_delta") => match data["delta"]["type"].as_str() {
            Some("text_delta") => match &data["delta"]["text"] {
                Value::String(words) => parts.extend(text(words)),
                _ => return Err(Untranslatable::new("the `text` of a delta is no string")),
            },
            // Of thoughts, and where a text is from.
            Some("thinking_delta" | "signature_delta" | "citations_delta") => {}
            _ => return Err(Untranslatable::new("it has a delta that is no text")),
        },
        Some("message_delta") => {
            parts.push(Part::Spoken(answer::spoken(&data["usage"])));
            parts.extend(answer::stop(&data["delta"])?.map(Part::Stop));
        }
        Some("message_stop") => parts.push(Part::End),
        Some("error") => parts.push(Part::Fault(answer::read_fault(FaultKind::Server, data))),
        Some(_) => {} // `ping`, and what may be added: clients are told to pass over it.
        None => return Err(Untranslatable::new("an event without a `type`")),
    }
    Ok(parts)
}

fn text(words: &str) -> Option<Part> {
    (!words.is_empty()).then(|| Part::Text(words.to_owned()))
}

pub(in super::super) fn opening(start: &Start, voice: Voice) -> String {
    let message = envelope(start, voice.stamp);
    event(&json!({ "type": "message_start", "message": message }))
}

pub(in super::super) fn words(text: &str, first: bool) -> String {
    let delta = json!({ "type": "text_delta", "text": text });
    let delta = event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    if !first {
        return delta;
    }
    let block = json!({ "type": "text", "text": "" });
    event(&json!({ "type": "content_block_start", "index": 0, "content_block": block })) + &delta
}

pub(in super::super) fn closing(stop: &Stop, spoken: Spoken, spoke: bool) -> String {
    let (reason, sequence) = stop_reason(stop);
    let delta = json!({ "stop_reason": reason, "stop_sequence": sequence });
    let block = match spoke {
        true => event(&json!({ "type": "content_block_stop", "index": 0 })),
        false => String::new(),
    };
    let last = json!({ "type": "message_delta", "delta": delta, "usage": usage(spoken) });
    [block, event(&last), event(&json!({ "type": "message_stop" }))].concat()
}

/// An event is named by the type of its data.
pub(in super::super) fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}
