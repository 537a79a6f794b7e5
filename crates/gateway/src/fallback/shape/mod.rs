//! Answers of our own in the shapes of the APIs that clients speak.

mod anthropic;
mod ollama;
mod openai;

use std::fmt::Write as _;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response};
use panelboard_config::{Fallback, UpstreamKind};
use serde_json::{Value, json};

use super::{Cause, Limit, Wanted, Why};
use crate::llm::translate::{Dialect, Fault, FaultKind};
use ollama::Field;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";

/// The friendly text: what is the matter, what one can do meanwhile, when to try again.
pub(super) fn text(fallback: &Fallback, cause: &Cause) -> String {
    let mut text = fallback.message.clone();
    if !fallback.alternatives.is_empty() {
        text.push_str("\n\nMeanwhile you can:");
        for alternative in &fallback.alternatives {
            text.push_str("\n- ");
            text.push_str(alternative);
        }
    }
    let secs = cause.retry_secs();
    let seconds = if secs == 1 { "second" } else { "seconds" };
    // Writing to a string cannot fail.
    let _ = write!(text, "\n\nIt is worth trying again in {secs} {seconds}.");
    text
}

/// An answer of the model that says `text`, if an answer of a model was asked for. Its model is the
/// one that was asked, its id says whose it is, and it bears `fallback_used`.
pub(super) fn completion(text: &str, wanted: Wanted<'_>) -> Option<Response<Bytes>> {
    if !wanted.kind.is_llm() || wanted.method != Method::POST {
        return None;
    }
    let model = wanted.model.unwrap_or("unknown");
    let stream = wanted.stream.unwrap_or(false);
    let (media, body) = match Dialect::of_path(wanted.path) {
        Some(Dialect::OpenAi) => match stream {
            true => (EVENTS, openai::stream(text, model)),
            false => (JSON, openai::completion(text, model)),
        },
        Some(Dialect::Anthropic) => match stream {
            true => (EVENTS, anthropic::stream(text, model)),
            false => (JSON, anthropic::message(text, model)),
        },
        Some(Dialect::Ollama) => ollama(text, model, Field::Message, wanted.stream),
        None if wanted.path.ends_with("/api/generate") => {
            ollama(text, model, Field::Response, wanted.stream)
        }
        None => return None,
    };
    Some(ok(media, body))
}

fn ollama(text: &str, model: &str, field: Field, stream: Option<bool>) -> (&'static str, String) {
    // This API streams unless it is asked not to.
    match stream.unwrap_or(true) {
        true => (LINES, ollama::stream(text, model, field)),
        false => (JSON, ollama::answer(text, model, field)),
    }
}

/// The API's own error object; `None` where there is no API but HTTP.
pub(super) fn error(cause: &Cause, wanted: Wanted<'_>) -> Option<Value> {
    let message = cause.detail();
    let limited = cause.why == Why::TokenLimit;
    let code = match limited {
        true => String::from("rate_limit_exceeded"),
        false => format!("circuit_{}", cause.reason()),
    };
    Some(match api(wanted.kind, wanted.path)? {
        Dialect::OpenAi => json!({
            "error": {
                "message": message,
                "type": if limited { "tokens" } else { "service_unavailable" },
                "param": null,
                "code": code,
            }
        }),
        Dialect::Anthropic => json!({
            "type": "error",
            "error": {
                "type": if limited { "rate_limit_error" } else { "overloaded_error" },
                "message": message,
            },
        }),
        Dialect::Ollama => json!({ "error": message }),
    })
}

/// The same for a request that an upstream cannot be asked.
pub(super) fn refusal(message: &str, path: &str) -> Option<Value> {
    let fault = Fault { kind: FaultKind::InvalidRequest, message: message.to_owned() };
    Some(Dialect::of_path(path)?.write_fault(&fault))
}

/// The API that a client speaks: by the path where that tells, else that of this kind.
fn api(kind: UpstreamKind, path: &str) -> Option<Dialect> {
    let own = match kind {
        UpstreamKind::Http => return None,
        UpstreamKind::OpenAi => Dialect::OpenAi,
        UpstreamKind::Anthropic => Dialect::Anthropic,
        UpstreamKind::Ollama => Dialect::Ollama,
    };
    Some(Dialect::of_path(path).unwrap_or(own))
}

/// The same, where a policy of the route refused.
pub(super) fn limited(limit: Limit, message: &str, kind: UpstreamKind) -> Option<Value> {
    let (openai, anthropic) = match limit {
        Limit::Rate => ("requests", "rate_limit_error"),
        Limit::Bulkhead | Limit::Throttle => ("service_unavailable", "overloaded_error"),
    };
    let code = match limit {
        Limit::Rate => "rate_limit_exceeded",
        _ => limit.reason(),
    };
    match kind {
        UpstreamKind::Http => None,
        UpstreamKind::OpenAi => Some(json!({
            "error": { "message": message, "type": openai, "param": null, "code": code },
        })),
        UpstreamKind::Anthropic => Some(json!({
            "type": "error",
            "error": { "type": anthropic, "message": message },
        })),
        UpstreamKind::Ollama => Some(json!({ "error": message })),
    }
}

/// The last event of a stream that the upstream has cut, before the connection ends abnormally.
pub(crate) fn last_words(kind: UpstreamKind, path: &str) -> &'static str {
    match api(kind, path) {
        Some(Dialect::Anthropic) => {
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\
             \"message\":\"the upstream ended this stream early\"}}\n\n"
        }
        None => "event: error\ndata: the upstream ended this stream early\n\n",
        Some(Dialect::OpenAi | Dialect::Ollama) => {
            "data: {\"error\":{\"message\":\"the upstream ended this stream early\",\
             \"type\":\"upstream_error\",\"param\":null,\"code\":\"stream_cut\"}}\n\n"
        }
    }
}

fn ok(media: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

#[expect(clippy::disallowed_methods, reason = "the APIs' timestamps are by the wall clock")]
fn wall_now() -> SystemTime {
    SystemTime::now()
}
