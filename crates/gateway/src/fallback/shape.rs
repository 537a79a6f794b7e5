//! Answers of our own in the shapes of the APIs that clients speak.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response};
use panelboard_config::{Fallback, UpstreamKind};
use serde_json::{Value, json};

use super::{Cause, Wanted};

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

/// A chat completion that says `text`, if that is what was asked for. Its model is the one that
/// was asked, its id says whose it is, and it bears `fallback_used`.
pub(super) fn completion(text: &str, wanted: Wanted<'_>) -> Option<Response<Bytes>> {
    let chat = wanted.method == Method::POST && wanted.path.ends_with("/chat/completions");
    if !wanted.kind.is_llm() || !chat {
        return None;
    }
    let created = unix_now();
    let id = "chatcmpl-panelboard-fallback";
    let model = wanted.model.unwrap_or("unknown");
    if !wanted.stream {
        let body = json!({
            "id": id,
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": text, "refusal": null },
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": { "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 },
            "fallback_used": true,
        });
        return Some(ok("application/json", body.to_string()));
    }
    let chunk = |delta: Value, finish: Option<&str>| {
        let chunk = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }],
            "fallback_used": true,
        });
        format!("data: {chunk}\n\n")
    };
    let events = [
        chunk(json!({ "role": "assistant", "content": "" }), None),
        chunk(json!({ "content": text }), None),
        chunk(json!({}), Some("stop")),
        String::from("data: [DONE]\n\n"),
    ];
    Some(ok("text/event-stream", events.concat()))
}

/// The API's own error object; `None` where there is no API but HTTP.
pub(super) fn error(cause: &Cause, kind: UpstreamKind) -> Option<Value> {
    let message = cause.detail();
    let code = format!("circuit_{}", cause.reason());
    match kind {
        UpstreamKind::Http => None,
        UpstreamKind::OpenAi => Some(json!({
            "error": {
                "message": message,
                "type": "service_unavailable",
                "param": null,
                "code": code,
            }
        })),
        UpstreamKind::Anthropic => Some(json!({
            "type": "error",
            "error": { "type": "overloaded_error", "message": message },
        })),
        UpstreamKind::Ollama => Some(json!({ "error": message })),
    }
}

/// The last event of a stream that the upstream has cut, before the connection ends abnormally.
pub(crate) fn last_words(kind: UpstreamKind) -> &'static str {
    match kind {
        UpstreamKind::Anthropic => {
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\
             \"message\":\"the upstream ended this stream early\"}}\n\n"
        }
        UpstreamKind::Http => "event: error\ndata: the upstream ended this stream early\n\n",
        UpstreamKind::OpenAi | UpstreamKind::Ollama => {
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

#[expect(clippy::disallowed_methods, reason = "the API's timestamps are by the wall clock")]
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
