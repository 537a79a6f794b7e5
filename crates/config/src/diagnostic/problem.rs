//! A diagnostic as it is being written, its places still spans.

use crate::diagnostic::codes::Code;
use crate::source::Span;

/// One thing to tell the reader of a configuration.
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub(crate) struct Problem {
    code: Code,
    message: String,
    primary: Option<(Span, String)>,
    also: Vec<(Span, String)>,
    help: Option<String>,
}

impl Problem {
    /// A problem without a place.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), primary: None, also: Vec::new(), help: None }
    }

    /// Where it is, and what stands there.
    pub(crate) fn at(mut self, span: Span, label: impl Into<String>) -> Problem {
        if !span.is_nowhere() {
            self.primary = Some((span, label.into()));
        }
        self
    }

    /// A second place that belongs to it.
    pub(crate) fn also(mut self, span: Span, label: impl Into<String>) -> Problem {
        if !span.is_nowhere() {
            self.also.push((span, label.into()));
        }
        self
    }

    /// What would be accepted, or what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// More help, after what there is.
    pub(crate) fn add_help(&mut self, more: &str) {
        match &mut self.help {
            Some(help) => {
                help.push_str("; ");
                help.push_str(more);
            }
            None => self.help = Some(more.to_owned()),
        }
    }

    /// Says that `all` is accepted, where the message ends by saying that `part` of it is.
    pub(crate) fn accept_more(&mut self, part: &str, all: &str) {
        if let Some(said) = self.message.strip_suffix(part) {
            self.message = format!("{said}{all}");
        }
    }

    /// [`Problem::help`] where there is some.
    pub(crate) fn maybe_help(self, help: Option<impl Into<String>>) -> Problem {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn primary_span(&self) -> Option<Span> {
        self.primary.as_ref().map(|(span, _)| *span)
    }

    pub(crate) fn primary(&self) -> Option<&(Span, String)> {
        self.primary.as_ref()
    }

    pub(crate) fn secondary(&self) -> &[(Span, String)] {
        &self.also
    }

    pub(crate) fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}
