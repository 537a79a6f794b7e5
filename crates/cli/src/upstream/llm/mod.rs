//! Answers in the shape of LLM APIs.
//!
//! The same request gets the same bytes each time, ids and dates included, so that tests can
//! compare whole answers.

mod anthropic;
mod ollama;
mod openai;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{Head, Request};

/// What the model says, over and over for as long as it is to speak.
const WORDS: [&str; 6] = ["All", " circuits", " are", " closed", " here", "."];

/// When every answer was made: 2026-01-01T00:00:00Z.
const CREATED: u64 = 1_767_225_600;

/// An API that speaks of models and messages.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Api {
    OpenAi,
    Anthropic,
    Ollama,
}

/// A conversation that a request asks to go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chat {
    api: Api,
    model: String,
    id: String,
    prompt_tokens: usize,
    /// Whether the answer is to come in events.
    pub(super) streamed: bool,
    /// Whether a stream is to tell its usage at the end; always so but with OpenAI's API.
    with_usage: bool,
}

/// What is read from a request body; the rest of it could be anything.
#[derive(Default, Deserialize)]
struct Asked {
    model: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The model that a body asks for.
pub(super) fn model(body: &[u8]) -> Option<String> {
    asked(body).model
}

/// A body that is no such JSON asks for nothing, as a server in rehearsal takes what it gets.
fn asked(body: &[u8]) -> Asked {
    serde_json::from_slice(body).unwrap_or_default()
}

/// Four bytes to a token is near enough for what nobody is billed for.
fn prompt_tokens(body: &[u8]) -> usize {
    body.len() / 4
}

/// All that the model says in an answer of one piece.
fn text() -> String {
    WORDS.concat()
}

// ===== impl Api =====

impl Api {
    /// The API that a path belongs to, wherever it is mounted; OpenAI's, which others imitate,
    /// where that is not clear.
    pub(super) fn of(path: &str) -> Api {
        match path {
            path if path.ends_with("/chat/completions") => Api::OpenAi,
            path if path.contains("/v1/messages") => Api::Anthropic,
            path if path.contains("/api/") => Api::Ollama,
            _ => Api::OpenAi,
        }
    }

    /// The models there are, or one of them, in the shapes of the APIs, if a request asks for that.
    pub(super) fn list(request: &Request) -> Option<Value> {
        let Head { method, .. } = &request.head;
        let path = request.head.path();
        let asks = |what: &str, how: &str| path.ends_with(what) && method == how;
        // Two APIs have their list in the same place, and one of them its version in a header.
        let anthropic = request.head.text("anthropic-version").is_some();
        Some(match path {
            _ if asks("/v1/models", "GET") && anthropic => anthropic::models(),
            _ if asks("/v1/models", "GET") || asks("/openai/models", "GET") => openai::models(),
            _ if asks("/v1/messages/count_tokens", "POST") => {
                json!({ "input_tokens": prompt_tokens(&request.body) })
            }
            _ if asks("/api/tags", "GET") => ollama::models(),
            _ if asks("/api/show", "POST") => ollama::show(),
            _ if asks("/api/version", "GET") => json!({ "version": "0.12.0" }),
            _ => return None,
        })
    }

    /// The documented error object for a status, with this code in place of its usual one.
    pub(super) fn error(self, status: u16, code: Option<&str>) -> Value {
        match self {
            Api::OpenAi => openai::error(status, code),
            Api::Anthropic => anthropic::error(status, code),
            Api::Ollama => ollama::error(status, code),
        }
    }
}

// ===== impl Chat =====

impl Chat {
    /// The conversation that a request asks to go on, if it does.
    pub(super) fn of(request: &Request) -> Option<Chat> {
        let Head { method, .. } = &request.head;
        let path = request.head.path();
        let api = Api::of(path);
        let wanted = match api {
            Api::OpenAi => path.ends_with("/chat/completions"),
            Api::Anthropic => path.ends_with("/v1/messages"),
            Api::Ollama => path.ends_with("/api/chat"),
        };
        if !wanted || method != "POST" {
            return None;
        }
        let Asked { model, stream, stream_options } = asked(&request.body);
        let include_usage = stream_options.and_then(|options| options.include_usage);
        Some(Chat {
            api,
            model: model.unwrap_or_else(|| String::from("scripted")),
            id: format!("{:08x}", crc32fast::hash(&request.body)),
            prompt_tokens: prompt_tokens(&request.body),
            streamed: stream.unwrap_or(api == Api::Ollama),
            with_usage: include_usage.unwrap_or(false),
        })
    }

    /// The media type of its answer.
    pub(super) fn media_type(&self) -> &'static str {
        match (self.streamed, self.api) {
            (false, _) => "application/json",
            (true, Api::Ollama) => "application/x-ndjson",
            (true, _) => "text/event-stream",
        }
    }

    /// The answer in one piece.
    pub(super) fn whole(&self) -> Value {
        match self.api {
            Api::OpenAi => openai::completion(self),
            Api::Anthropic => anthropic::message(self),
            Api::Ollama => ollama::line(self, &text(), Some(WORDS.len())),
        }
    }

    /// The answer in so many events, or as few more as the API's shape needs. OpenAI's end marker
    /// and usage come on top.
    pub(super) fn events(&self, count: u32) -> Vec<Vec<u8>> {
        let (opening, closing) = match self.api {
            Api::OpenAi => (1, 1),
            Api::Anthropic => (2, 3),
            Api::Ollama => (0, 1),
        };
        let words = count.saturating_sub(opening + closing).max(1);
        let mut events = self.first_events(opening + words);
        events.extend(self.closing(words as usize));
        events
    }

    /// The first so many events of an answer that goes on long enough not to end within them.
    pub(super) fn first_events(&self, count: u32) -> Vec<Vec<u8>> {
        let words = (0..).map(|index| self.word(WORDS[index % WORDS.len()]));
        self.opening().into_iter().chain(words).take(count as usize).collect()
    }

    /// An error in the midst of a stream.
    pub(super) fn error_event(&self) -> Vec<u8> {
        match self.api {
            Api::OpenAi => openai::event(&openai::error(500, None)),
            Api::Anthropic => anthropic::event(&anthropic::error(529, None)),
            Api::Ollama => ollama::event(&ollama::error(500, None)),
        }
    }

    /// The marker that ends a stream, without what makes the answer complete; nothing where there
    /// is none that stands by itself.
    pub(super) fn bare_end(&self) -> Option<&'static [u8]> {
        (self.api == Api::OpenAi).then_some(openai::DONE)
    }

    /// What keeps a stream alive and says nothing. Anthropic has an event for it. A line of JSON has
    /// no comments, so Ollama's gets a blank line.
    pub(super) fn keepalive(&self) -> &'static [u8] {
        match self.api {
            Api::OpenAi => b": keepalive\n\n",
            Api::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            Api::Ollama => b"\n",
        }
    }

    /// The events before the first word.
    fn opening(&self) -> Vec<Vec<u8>> {
        match self.api {
            Api::OpenAi => vec![openai::opening(self)],
            Api::Anthropic => anthropic::opening(self),
            Api::Ollama => Vec::new(),
        }
    }

    fn word(&self, word: &str) -> Vec<u8> {
        match self.api {
            Api::OpenAi => openai::delta(self, &json!({ "content": word }), None),
            Api::Anthropic => anthropic::delta(word),
            Api::Ollama => ollama::event(&ollama::line(self, word, None)),
        }
    }

    /// The events after the last of so many words: what makes the answer complete.
    fn closing(&self, words: usize) -> Vec<Vec<u8>> {
        match self.api {
            Api::OpenAi => openai::closing(self, words),
            Api::Anthropic => anthropic::closing(words),
            Api::Ollama => vec![ollama::event(&ollama::line(self, "", Some(words)))],
        }
    }
}
