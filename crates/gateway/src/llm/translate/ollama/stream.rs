//! Streams: lines of JSON, the last of which is `done`.

use serde_json::Value;

use super::super::Voice;
use super::super::chat::{FaultKind, Part, Spoken, Start, Stop, Untranslatable};
use super::answer;

pub(in super::super) fn read(line: &Value) -> Result<Vec<Part>, Untranslatable> {
    if !line["error"].is_null() {
        return Ok(vec![Part::Fault(answer::read_fault(FaultKind::Server, line))]);
    }
    let mut parts = vec![Part::Start(answer::start(line))];
    let text = answer::text(line)?;
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    if line["done"] == true {
        parts.extend([
            Part::Spoken(answer::spoken(line)),
            Part::Stop(answer::stop(line)?),
            Part::End,
        ]);
    }
    Ok(parts)
}

pub(in super::super) fn words(text: &str, start: &Start, voice: Voice) -> String {
    event(&answer::line(text, start, voice.stamp))
}

pub(in super::super) fn closing(
    stop: &Stop,
    spoken: Spoken,
    start: &Start,
    voice: Voice,
) -> String {
    event(&answer::done(answer::line("", start, voice.stamp), stop, spoken))
}

pub(in super::super) fn event(data: &Value) -> String {
    format!("{data}\n")
}
