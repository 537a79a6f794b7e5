//! From one API's words to another's: `OpenAI`'s chat completions, Anthropic's messages, Ollama's
//! chat.
//!
//! ```text
//!  client ── request ─► read ─► Chat ─► write ── request ─► upstream
//!         ◄── answer ── write ◄─ Answer · Part · Fault ◄─ read ◄── answer ──
//! ```
//!
//! Each dialect is read into and written from the neutral form in the middle ([`chat`]) and knows
//! nothing of the others. Whatever would mean something else on the other side, or nothing, is
//! refused by its name. Pure: time comes in as an argument, bytes come and go.

mod anthropic;
mod chat;
mod events;
mod fields;
mod ollama;
mod openai;
#[cfg(test)]
mod tests;
mod translator;

use http::HeaderName;
use serde_json::Value;

pub(crate) use chat::{
    Chat, Fault, FaultKind, Foreign, Manner, Refusal, Role, Stamp, Untranslatable,
};
pub(crate) use translator::Translator;

use chat::{Answer, Part, Spoken, Start, Stop};
use fields::Fields;

/// An API to chat with a model.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
    Ollama,
}

impl Dialect {
    /// The API whose chat a path leads to, wherever it is mounted.
    pub(crate) fn of_path(path: &str) -> Option<Dialect> {
        let is = |end: &str| path.ends_with(end);
        match () {
            () if is("/chat/completions") => Some(Dialect::OpenAi),
            // Those of a thread are OpenAI's, and no chat.
            () if is("/messages") && !path.contains("/threads/") => Some(Dialect::Anthropic),
            () if is("/api/chat") => Some(Dialect::Ollama),
            () => None,
        }
    }

    /// Where its chat is, below the URL of an upstream with this path.
    pub(crate) fn path(self, base: &str) -> &'static str {
        let versioned = base.ends_with("/v1");
        match self {
            Dialect::OpenAi if versioned => "/chat/completions",
            Dialect::OpenAi => "/v1/chat/completions",
            Dialect::Anthropic if versioned => "/messages",
            Dialect::Anthropic => "/v1/messages",
            Dialect::Ollama => "/api/chat",
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Dialect::OpenAi => "OpenAI's API",
            Dialect::Anthropic => "Anthropic's API",
            Dialect::Ollama => "Ollama's API",
        }
    }

    /// The header with the id of a request.
    pub(crate) fn request_id(self) -> Option<HeaderName> {
        match self {
            Dialect::OpenAi => Some(HeaderName::from_static("x-request-id")),
            Dialect::Anthropic => Some(HeaderName::from_static("request-id")),
            Dialect::Ollama => None,
        }
    }

    /// The media type of an answer.
    pub(crate) fn media_type(self, stream: bool) -> &'static str {
        match (self, stream) {
            (_, false) => "application/json",
            (Dialect::Ollama, true) => "application/x-ndjson",
            (Dialect::OpenAi | Dialect::Anthropic, true) => "text/event-stream",
        }
    }

    /// Reads a request.
    pub(crate) fn read(self, body: &[u8]) -> Result<Chat, Refusal> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::body(format!("is not a JSON object: {error}")))?;
        let mut fields = Fields::of("", body)?;
        let chat = match self {
            Dialect::OpenAi => openai::request::read(&mut fields)?,
            Dialect::Anthropic => anthropic::request::read(&mut fields)?,
            Dialect::Ollama => ollama::request::read(&mut fields)?,
        };
        fields.end()?;
        match chat.messages.last() {
            None => Err(Refusal::new("messages", "is empty, but there must be one at least")),
            // Some APIs go on with it, others answer it.
            Some(last) if last.role == Role::Assistant => Err(Refusal::new(
                "messages",
                "ends with one of the assistant, which means different things to different APIs; \
                 the last must be the user's",
            )),
            Some(_) => Ok(chat),
        }
    }

    /// Writes a request that `client` made, for an upstream.
    pub(crate) fn write(
        self,
        chat: &Chat,
        client: Dialect,
        manner: &Manner<'_>,
    ) -> Result<Value, Refusal> {
        let written = match self {
            Dialect::OpenAi => openai::request::write(chat, manner),
            Dialect::Anthropic => anthropic::request::write(chat, manner),
            Dialect::Ollama => Ok(ollama::request::write(chat, manner)),
        };
        written.map_err(|refusal| refusal.renamed(client))
    }

    /// Reads an answer in one piece.
    fn read_answer(self, body: &[u8]) -> Result<Answer, Untranslatable> {
        let body: Value = parsed(body)?;
        match self {
            Dialect::OpenAi => openai::answer::read(&body),
            Dialect::Anthropic => anthropic::answer::read(&body),
            Dialect::Ollama => ollama::answer::read(&body),
        }
    }

    /// Writes an answer in one piece.
    fn write_answer(self, answer: &Answer, stamp: Stamp) -> Value {
        match self {
            Dialect::OpenAi => openai::answer::write(answer, stamp),
            Dialect::Anthropic => anthropic::answer::write(answer, stamp),
            Dialect::Ollama => ollama::answer::write(answer, stamp),
        }
    }

    /// Reads one event of a stream.
    fn read_event(self, data: &[u8]) -> Result<Vec<Part>, Untranslatable> {
        match self {
            _ if data.iter().all(u8::is_ascii_whitespace) => Ok(Vec::new()),
            Dialect::OpenAi if data == b"[DONE]" => Ok(vec![Part::End]),
            Dialect::OpenAi => openai::stream::read(&parsed(data)?),
            Dialect::Anthropic => anthropic::stream::read(&parsed(data)?),
            Dialect::Ollama => ollama::stream::read(&parsed(data)?),
        }
    }

    /// The events before the first word.
    fn opening(self, start: &Start, voice: Voice) -> String {
        match self {
            Dialect::OpenAi => openai::stream::opening(start, voice),
            Dialect::Anthropic => anthropic::stream::opening(start, voice),
            Dialect::Ollama => String::new(),
        }
    }

    /// Some words, the first ones or more.
    fn words(self, text: &str, first: bool, start: &Start, voice: Voice) -> String {
        match self {
            Dialect::OpenAi => openai::stream::words(text, start, voice),
            Dialect::Anthropic => anthropic::stream::words(text, first),
            Dialect::Ollama => ollama::stream::words(text, start, voice),
        }
    }

    /// The events after the last word, end marker included.
    fn closing(
        self,
        stop: &Stop,
        spoken: Spoken,
        spoke: bool,
        start: &Start,
        voice: Voice,
    ) -> String {
        match self {
            Dialect::OpenAi => openai::stream::closing(stop, spoken, start, voice),
            Dialect::Anthropic => anthropic::stream::closing(stop, spoken, spoke),
            Dialect::Ollama => ollama::stream::closing(stop, spoken, start, voice),
        }
    }

    /// Reads what an upstream says of its failure.
    fn read_fault(self, kind: FaultKind, body: &Value) -> Fault {
        match self {
            Dialect::OpenAi => openai::answer::read_fault(kind, body),
            Dialect::Anthropic => anthropic::answer::read_fault(kind, body),
            Dialect::Ollama => ollama::answer::read_fault(kind, body),
        }
    }

    /// The error object of an answer that is none.
    pub(crate) fn write_fault(self, fault: &Fault) -> Value {
        match self {
            Dialect::OpenAi => openai::answer::write_fault(fault),
            Dialect::Anthropic => anthropic::answer::write_fault(fault),
            Dialect::Ollama => ollama::answer::write_fault(fault),
        }
    }

    /// The same as an event of a stream.
    pub(crate) fn fault_event(self, fault: &Fault) -> String {
        let error = self.write_fault(fault);
        match self {
            Dialect::OpenAi => openai::stream::event(&error),
            Dialect::Anthropic => anthropic::stream::event(&error),
            Dialect::Ollama => ollama::stream::event(&error),
        }
    }
}

/// What all events of a stream are written with.
#[derive(Copy, Clone, Debug)]
struct Voice {
    stamp: Stamp,
    /// Whether to tell the usage, where that has to be asked for.
    tells_usage: bool,
}

fn parsed(body: &[u8]) -> Result<Value, Untranslatable> {
    // The parser's own words could quote the body.
    serde_json::from_slice(body).map_err(|error| {
        Untranslatable::new(format!("not JSON at line {} column {}", error.line(), error.column()))
    })
}
