//! The neutral form between dialects: what all of them can say.

use std::time::Duration;

use serde_json::Number;

use super::Dialect;

/// A conversation that a request asks to go on.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Chat {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) temperature: Option<Number>,
    pub(crate) top_p: Option<Number>,
    pub(crate) top_k: Option<Number>,
    pub(crate) frequency_penalty: Option<Number>,
    pub(crate) presence_penalty: Option<Number>,
    /// For answers that come out alike, as far as a provider can.
    pub(crate) seed: Option<Number>,
    pub(crate) stop: Vec<String>,
    pub(crate) stream: bool,
    /// Whether a stream is to tell its usage, where that has to be asked for.
    pub(crate) tells_usage: bool,
}

/// What somebody said, in as many parts as it was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) parts: Vec<String>,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

/// What an upstream needs to be told beyond the conversation.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Manner<'a> {
    /// What the model is called there.
    pub(crate) model: &'a str,
    /// How long an answer may be where the request does not say, if the API must be told.
    pub(crate) max_tokens: u64,
}

/// An answer of the model in one piece.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) start: Start,
    pub(crate) text: String,
    pub(crate) stop: Stop,
    pub(crate) spoken: Spoken,
}

/// How an answer begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Start {
    /// The upstream's name for it, if it has one.
    pub(crate) id: Option<String>,
    /// The model, in the upstream's words.
    pub(crate) model: String,
}

/// Why an answer ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// It was complete.
    End,
    /// It came to as many tokens as it may have.
    Length,
    /// It came to one of the sequences to stop at, this one if that is known.
    Sequence(Option<String>),
    /// The model, or a filter, would not go on.
    Refused,
}

/// Tokens read and made, as far as the upstream says.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spoken {
    /// Those of the request, those from a cache among them.
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
}

/// A part of a stream. What comes twice counts the last time, a start the first time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Start(Start),
    Text(String),
    Spoken(Spoken),
    Stop(Stop),
    /// The upstream's own end marker.
    End,
    Fault(Fault),
}

/// An error that an API reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
}

/// What sort of error it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum FaultKind {
    InvalidRequest,
    /// The conversation is longer than the model can take.
    ContextLength,
    Authentication,
    Billing,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    /// Nothing is left of what was paid for.
    Quota,
    Overloaded,
    Timeout,
    Server,
}

/// When an answer is written, as an argument.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// Since 1970.
    pub(crate) unix: Duration,
}

/// Why a request cannot be translated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// Where it stands in the body; empty for the body itself.
    pub(crate) field: String,
    reason: String,
}

/// Why an upstream cannot be asked: it speaks another API, in which that cannot be said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Foreign {
    pub(crate) speaks: Dialect,
    pub(crate) refusal: Refusal,
}

/// Why an answer cannot be translated, in words that quote nothing of its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Untranslatable(String);

// ===== impl Role, Spoken, Stamp =====

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

impl Spoken {
    /// With what is known by now.
    pub(crate) fn and(self, later: Spoken) -> Spoken {
        Spoken { input: later.input.or(self.input), output: later.output.or(self.output) }
    }
}

impl Stamp {
    /// An id for an answer that came without one.
    pub(crate) fn id(self) -> String {
        format!("panelboard-{:x}", self.unix.as_nanos())
    }
}

// ===== impl FaultKind =====

impl FaultKind {
    pub(crate) fn of_status(status: u16) -> FaultKind {
        match status {
            401 => FaultKind::Authentication,
            402 => FaultKind::Billing,
            403 => FaultKind::Permission,
            404 => FaultKind::NotFound,
            408 | 504 => FaultKind::Timeout,
            413 => FaultKind::TooLarge,
            429 => FaultKind::RateLimit,
            503 | 529 => FaultKind::Overloaded,
            500.. => FaultKind::Server,
            _ => FaultKind::InvalidRequest,
        }
    }

    /// For an upstream that says nothing itself.
    pub(crate) fn words(self) -> &'static str {
        match self {
            FaultKind::InvalidRequest => "the upstream did not accept the request",
            FaultKind::ContextLength => "the conversation is too long for the model",
            FaultKind::Authentication => "the upstream did not accept the credentials",
            FaultKind::Billing => "the upstream has an issue with the billing details",
            FaultKind::Permission => "the upstream does not permit this",
            FaultKind::NotFound => "the upstream does not know this model",
            FaultKind::TooLarge => "the request is too large for the upstream",
            FaultKind::RateLimit => "the upstream's rate limit is reached",
            FaultKind::Quota => "the upstream's quota is used up",
            FaultKind::Overloaded => "the upstream is overloaded",
            FaultKind::Timeout => "the upstream ran out of time",
            FaultKind::Server => "the upstream failed",
        }
    }
}

// ===== impl Refusal, Foreign, Untranslatable =====

impl Refusal {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Refusal {
        Refusal { field: field.into(), reason: reason.into() }
    }

    pub(crate) fn body(reason: impl Into<String>) -> Refusal {
        Refusal::new("", reason)
    }

    /// A setting by the name that it has in this dialect, where it is another.
    pub(super) fn renamed(self, client: Dialect) -> Refusal {
        let field = match (client, self.field.as_str()) {
            (Dialect::Anthropic, "stop") => String::from("stop_sequences"),
            (
                Dialect::Ollama,
                name @ ("stop" | "temperature" | "top_k" | "top_p" | "frequency_penalty"
                | "presence_penalty"),
            ) => format!("options.{name}"),
            _ => return self,
        };
        Refusal { field, ..self }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "the body {}", self.reason),
            field => write!(f, "`{field}` {}", self.reason),
        }
    }
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it speaks {}, and {}", self.speaks.name(), self.refusal)
    }
}

impl Untranslatable {
    pub(crate) fn new(reason: impl Into<String>) -> Untranslatable {
        Untranslatable(reason.into())
    }
}

impl std::fmt::Display for Untranslatable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
