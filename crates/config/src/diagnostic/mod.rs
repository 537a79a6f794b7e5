//! What there is to say about a configuration.

pub(crate) mod codes;
mod examples;
pub(crate) mod problem;
mod reference;

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

pub use codes::{Code, Severity};
pub use reference::error_reference_markdown;

use crate::source::{Medium, Position, Source, Span};
use problem::Problem;

/// More than this is not listed: the reader has enough to do, and the text may be hostile.
const LISTED: usize = 200;

/// One finding: its code, where, what is wrong and what would be accepted.
#[derive(Clone, PartialEq, Debug)]
pub struct Diagnostic {
    code: Code,
    message: String,
    location: Option<Location>,
    related: Vec<Location>,
    help: Option<String>,
}

/// A piece of a source that a diagnostic points at.
#[derive(Clone, PartialEq, Debug)]
pub struct Location {
    source: Arc<Source>,
    span: Span,
    label: String,
}

/// All findings of one pass, in the order of the text, errors without a place first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

// ===== impl Diagnostic =====

impl Diagnostic {
    /// What sort of finding it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// What is wrong, with the offending value; one line, without a full stop.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where; `None` when it concerns no text.
    pub fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }

    /// Other places that belong to it.
    pub fn related(&self) -> &[Location] {
        &self.related
    }

    /// What would be accepted, or what to do.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Diagnostic {
    /// On one line, for logs: `panelboard.toml:3:21: error[PB0202]: … (help: …)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{}[{}]: {}", self.severity(), self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

// ===== impl Location =====

impl Location {
    /// The text it is in.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where it begins.
    pub fn start(&self) -> Position {
        self.source.position(self.span.start)
    }

    /// Where it ends: the first character that no longer belongs to it.
    pub fn end(&self) -> Position {
        self.source.position(self.span.end)
    }

    /// What stands there, in a few words; may be empty.
    pub fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn span(&self) -> Span {
        self.span
    }
}

impl fmt::Display for Location {
    /// `FILE:LINE:COLUMN`, or the name of the variable or option.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.source.medium(), self.source.setting_name()) {
            (Medium::Option, Some(name)) => write!(f, "command line {name}"),
            (_, Some(name)) => f.write_str(name),
            (_, None) => {
                let Position { line, column } = self.start();
                write!(f, "{}:{line}:{column}", self.source.name())
            }
        }
    }
}

// ===== impl Diagnostics =====

impl Diagnostics {
    /// Everything found, in the order of the text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the configuration is refused.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|d| d.severity() == severity).count()
    }

    /// Adds the findings on another configuration, for one report on several files.
    pub fn extend(&mut self, other: Diagnostics) {
        self.list.extend(other.list);
    }

    /// Puts findings that concern no text in front.
    pub(crate) fn prepend(&mut self, problems: Vec<Problem>) {
        self.list.splice(0..0, Diagnostics::collect(problems, Vec::new()).list);
    }

    /// `3 errors, 1 warning`, or `no problems`.
    pub fn summary(&self) -> String {
        let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .filter_map(|severity| match self.count(severity) {
                0 => None,
                1 => Some(format!("1 {severity}")),
                n => Some(format!("{n} {severity}s")),
            })
            .collect();
        if parts.is_empty() { String::from("no problems") } else { parts.join(", ") }
    }

    /// Puts the problems in order, drops repetitions, and ties them to their texts.
    pub(crate) fn collect(problems: Vec<Problem>, sources: Vec<Source>) -> Diagnostics {
        let sources: Vec<Arc<Source>> = sources.into_iter().map(Arc::new).collect();
        let mut kept: Vec<Problem> = Vec::new();
        for problem in problems {
            // One faulty default shows up in every circuit that builds on it.
            if !kept.contains(&problem) {
                kept.push(problem);
            }
        }
        let flood = kept.len() > LISTED;
        if flood {
            // Never lose an error to a heap of warnings.
            kept.sort_by_key(|p| Reverse(p.code().severity()));
            kept.truncate(LISTED);
        }
        kept.sort_by_key(|p| {
            (p.primary_span().map(|s| (s.source, s.start)), Reverse(p.code().severity()))
        });
        if flood {
            let message = format!("only the first {LISTED} problems are listed");
            kept.push(Problem::new(codes::TOO_MANY, message));
        }
        let list = kept.iter().map(|p| Diagnostic::resolve(p, &sources)).collect();
        Diagnostics { list }
    }
}

impl fmt::Display for Diagnostics {
    /// A line for each finding, as [`Diagnostic`] has it; [`render`](Diagnostics::render) shows
    /// them in their text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, diagnostic) in self.list.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        if self.list.is_empty() { f.write_str("no problems") } else { Ok(()) }
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    fn resolve(problem: &Problem, sources: &[Arc<Source>]) -> Diagnostic {
        let locate = |(span, label): &(Span, String)| {
            let source = sources.get(span.source.index())?;
            Some(Location {
                source: Arc::clone(source),
                span: first_line(source, *span),
                label: label.clone(),
            })
        };
        Diagnostic {
            code: problem.code(),
            message: problem.message().to_owned(),
            location: problem.primary().and_then(locate),
            related: problem.secondary().iter().filter_map(locate).collect(),
            help: problem.help_text().map(ToOwned::to_owned),
        }
    }
}

/// A table may be a page long: pointing at its first line says enough.
fn first_line(source: &Source, span: Span) -> Span {
    let text = source.text();
    let start = crate::source::floor_char_boundary(text, span.start);
    let end = crate::source::floor_char_boundary(text, span.end.max(start));
    let end = start + text[start..end].lines().next().unwrap_or_default().len();
    Span { source: span.source, start, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceId;

    fn problem(code: Code, start: usize) -> Problem {
        Problem::new(code, format!("at {start}"))
            .at(Span::new(SourceId::new(0), start..start + 1), "here")
    }

    #[test]
    fn findings_come_in_the_order_of_the_text_without_repetitions() {
        let source = Source::new("f.toml", "ab\ncd\n");
        let problems = vec![
            problem(codes::OUT_OF_RANGE, 4),
            problem(codes::OLD_NAME, 1),
            problem(codes::OUT_OF_RANGE, 4),
            Problem::new(codes::UNREADABLE, "no place"),
        ];
        let found = Diagnostics::collect(problems, vec![source]);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "error[PB0001]: no place",
                "f.toml:1:2: warning[PB1001]: at 1",
                "f.toml:2:2: error[PB0202]: at 4"
            ]
        );
        assert_eq!(found.summary(), "2 errors, 1 warning");
        assert_eq!(found.to_string(), lines.join("\n"));
        assert_eq!(Diagnostics::default().to_string(), "no problems");
        assert!(found.has_errors());
    }

    #[test]
    fn a_flood_is_cut_off_and_says_so() {
        let source = Source::new("f.toml", "x".repeat(1_000));
        let mut problems: Vec<Problem> = (0..500).map(|i| problem(codes::OLD_NAME, i)).collect();
        problems.push(problem(codes::UNKNOWN_KEY, 500));
        let found = Diagnostics::collect(problems, vec![source]);
        assert_eq!(found.iter().len(), LISTED + 1);
        assert!(found.has_errors(), "warnings must not push an error off the list");
        assert_eq!(found.iter().last().unwrap().code(), codes::TOO_MANY);
    }

    #[test]
    fn a_long_span_is_cut_at_its_first_line() {
        let source = Source::new("f.json", "{ \"a\": {\n 1\n } }");
        let span = Span::new(SourceId::new(0), 7..13);
        let problems = vec![Problem::new(codes::WRONG_TYPE, "long").at(span, "")];
        let found = Diagnostics::collect(problems, vec![source]);
        let location = found.iter().next().unwrap().location().unwrap();
        assert_eq!(location.start(), Position { line: 1, column: 8 });
        assert_eq!(location.end(), Position { line: 1, column: 9 });
    }
}
