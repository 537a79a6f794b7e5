//! Requests and answers as the providers document them, in every direction.

mod answers;
mod properties;
mod requests;
mod streams;

use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;

use super::*;

const ALL: [Dialect; 3] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Ollama];

/// 2026-01-01T00:00:00Z.
const STAMP: Stamp = Stamp { unix: Duration::from_secs(1_767_225_600) };

/// All that a translator makes of these pieces.
fn translated<'a>(
    translator: &mut Translator,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (String, Result<(), Untranslatable>) {
    let mut out = BytesMut::new();
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| translator.feed(piece, &mut out));
    }
    let result = result.and_then(|()| translator.finish(&mut out));
    (String::from_utf8(out.to_vec()).unwrap(), result)
}

fn whole(from: Dialect, to: Dialect, answer: &Value) -> Result<Value, Untranslatable> {
    let mut translator = Translator::whole(from, to, STAMP);
    let answer = answer.to_string();
    let (text, result) = translated(&mut translator, answer.as_bytes().chunks(7));
    result.map(|()| serde_json::from_str(&text).unwrap())
}

fn error(from: Dialect, to: Dialect, status: u16, body: &str) -> Value {
    let mut translator = Translator::error(from, to, STAMP, status);
    let (text, result) = translated(&mut translator, [body.as_bytes()]);
    result.unwrap();
    serde_json::from_str(&text).unwrap()
}

fn stream(from: Dialect, to: Dialect, text: &str) -> (String, Result<(), Untranslatable>) {
    let mut translator = Translator::stream(from, to, STAMP, true);
    translated(&mut translator, [text.as_bytes()])
}
