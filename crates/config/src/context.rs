//! What one pass over a configuration carries along: its texts, its findings, and where it is.

use crate::diagnostic::problem::Problem;
use crate::diagnostic::{Code, Diagnostics, Severity, codes};
use crate::source::{Source, SourceId, Span, is_invisible};
use crate::syntax::{Node, Value};

/// Beyond this many findings of one severity there is nothing left to learn; a hostile text could
/// otherwise make millions.
const KEPT: usize = 1_000;

/// Longer values are cut in messages.
const QUOTED: usize = 48;

#[derive(Debug, Default)]
pub(crate) struct Context {
    sources: Vec<Source>,
    problems: Vec<Problem>,
    /// What is not to be reported.
    allowed: Vec<Code>,
    /// How many of each severity were reported, kept or not.
    counts: [usize; 3],
    path: Vec<String>,
    /// Whether part of the text could not be read, so that what is missing says nothing.
    partial: bool,
}

/// A value and where it was said; nowhere, if it is a default.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A value that has a name of its user's choosing.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Named<T> {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) value: T,
}

impl Context {
    // ----- texts -----

    /// The number the next source will get.
    pub(crate) fn next_source(&self) -> SourceId {
        SourceId::new(self.sources.len())
    }

    pub(crate) fn add_source(&mut self, source: Source) -> SourceId {
        let id = self.next_source();
        self.sources.push(source);
        id
    }

    pub(crate) fn source(&self, id: SourceId) -> &Source {
        &self.sources[id.index()]
    }

    /// Whether there is such a text; defaults come from none.
    pub(crate) fn has_source(&self, id: SourceId) -> bool {
        id.index() < self.sources.len()
    }

    /// Never shows what stands at `span`.
    pub(crate) fn hide(&mut self, span: Span) {
        if let Some(source) = self.sources.get_mut(span.source.index()) {
            source.hide(span.range());
        }
    }

    /// The text at `span`.
    pub(crate) fn text(&self, span: Span) -> &str {
        self.sources
            .get(span.source.index())
            .and_then(|source| source.text().get(span.range()))
            .unwrap_or_default()
    }

    /// The node as its writer wrote it, short enough for a message.
    pub(crate) fn quote(&self, node: &Node) -> String {
        let hidden = self.sources.get(node.span.source.index());
        if hidden.is_some_and(|source| source.hides(&node.span.range())) {
            return String::from("a value that is not shown");
        }
        match &node.value {
            Value::Null | Value::List(_) | Value::Table(_) => node.value.describe().to_owned(),
            Value::Untyped(text) => format!("\"{}\"", shorten(text)),
            _ => shorten(self.text(node.span)),
        }
    }

    // ----- findings -----

    pub(crate) fn report(&mut self, problem: Problem) {
        let count = &mut self.counts[problem.code().severity() as usize];
        *count += 1;
        if *count <= KEPT {
            self.problems.push(problem);
        }
    }

    /// The problem reported last, if it was reported after `mark`.
    pub(crate) fn last_since(&mut self, mark: usize) -> Option<&mut Problem> {
        self.problems.get_mut(mark..)?.last_mut()
    }

    /// How much has been reported so far.
    pub(crate) fn mark(&self) -> usize {
        self.problems.len()
    }

    /// Whether there are so many errors that more are not worth working out.
    pub(crate) fn is_full(&self) -> bool {
        self.counts[Severity::Error as usize] > KEPT
    }

    /// How many errors were reported so far.
    pub(crate) fn errors(&self) -> usize {
        self.counts[Severity::Error as usize]
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.counts[Severity::Error as usize] > 0
    }

    pub(crate) fn is_partial(&self) -> bool {
        self.partial
    }

    pub(crate) fn set_partial(&mut self) {
        self.partial = true;
    }

    /// Says nothing of findings with these codes.
    pub(crate) fn allow(&mut self, codes: &[Code]) {
        self.allowed.extend(codes);
    }

    pub(crate) fn into_diagnostics(mut self) -> Diagnostics {
        self.problems.retain(|problem| !self.allowed.contains(&problem.code()));
        Diagnostics::collect(self.problems, self.sources)
    }

    // ----- where it is -----

    /// Runs `inside` with `step` added to the path.
    pub(crate) fn within<T>(&mut self, step: &str, inside: impl FnOnce(&mut Context) -> T) -> T {
        self.path.push(key_text(step));
        let result = inside(self);
        self.path.pop();
        result
    }

    /// Runs `inside` with `[index]` added to the path.
    pub(crate) fn within_item<T>(
        &mut self,
        index: usize,
        inside: impl FnOnce(&mut Context) -> T,
    ) -> T {
        self.path.push(format!("[{index}]"));
        let result = inside(self);
        self.path.pop();
        result
    }

    /// Where the reader is, as one would write it: `circuits.llm.timeout`.
    pub(crate) fn subject(&self) -> String {
        subject(&self.path)
    }

    /// Where the reader is, as a table header would name it.
    pub(crate) fn header(&self) -> String {
        if self.path.is_empty() {
            return String::from("the top level");
        }
        format!("[{}]", join(&self.path))
    }

    // ----- what all readers say -----

    /// `SUBJECT is VALUE, but must be ACCEPTED`, pointing at the value.
    pub(crate) fn refuse(&self, code: Code, node: &Node, accepted: &str, label: &str) -> Problem {
        let (subject, value) = (self.subject(), self.quote(node));
        let message = format!("`{subject}` is {value}, but must be {accepted}");
        Problem::new(code, message).at(node.span, label)
    }

    /// [`Context::refuse`] for a value of the wrong type.
    pub(crate) fn wrong_type(&self, node: &Node, accepted: &str) -> Problem {
        let problem = self.refuse(codes::WRONG_TYPE, node, accepted, "wrong type");
        match node.value {
            Value::Null => problem.help("null says nothing: leave the key out for its default"),
            _ => problem,
        }
    }
}

/// The path without what every circuit's has in common.
fn subject(path: &[String]) -> String {
    match path {
        [first, second, ..]
            if first == "circuit_breaker" && matches!(second.as_str(), "circuits" | "defaults") =>
        {
            join(&path[1..])
        }
        _ => join(path),
    }
}

fn join(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if !text.is_empty() && !step.starts_with('[') {
            text.push('.');
        }
        text.push_str(step);
    }
    text
}

/// A key as it stands in a path, in quotes where it needs them.
pub(crate) fn key_text(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("\"{}\"", shorten(key))
    }
}

/// The beginning of `text`, on one line, with nothing a terminal would act on.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    let mut short: String = line
        .chars()
        .take(QUOTED)
        .flat_map(|c| {
            let escaped: String =
                if is_invisible(c) { c.escape_default().collect() } else { c.to_string() };
            escaped.chars().collect::<Vec<_>>()
        })
        .collect();
    if short.len() < text.len() && line.chars().count() > QUOTED || line.len() < text.len() {
        short.push('…');
    }
    short
}

// ===== impl At =====

impl<T> At<T> {
    pub(crate) fn new(value: T, span: Span) -> At<T> {
        At { value, span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_they_are_written() {
        let mut cx = Context::default();
        assert_eq!(cx.header(), "the top level");
        let (subject, header) = cx.within("circuit_breaker", |cx| {
            cx.within("circuits", |cx| cx.within("my llm", |cx| (cx.subject(), cx.header())))
        });
        assert_eq!(subject, "circuits.\"my llm\"");
        assert_eq!(header, "[circuit_breaker.circuits.\"my llm\"]");
        let item =
            cx.within("routes", |cx| cx.within_item(2, |cx| cx.within("path", |cx| cx.subject())));
        assert_eq!(item, "routes[2].path");
    }

    #[test]
    fn quotes_are_short_and_harmless() {
        assert_eq!(shorten("plain"), "plain");
        assert_eq!(shorten("two\nlines"), "two…");
        assert_eq!(shorten("\u{1b}[31m"), "\\u{1b}[31m");
        assert_eq!(shorten("time\u{200b}\u{202e}out"), "time\\u{200b}\\u{202e}out");
        assert_eq!(shorten(&"x".repeat(100)).chars().count(), QUOTED + 1);
    }
}
