//! For people.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    Severity as MietteSeverity, SourceCode, SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};
use textwrap::{WordSeparator, WordSplitter};

use super::TextStyle;
use crate::diagnostic::{Diagnostic, Diagnostics, Location, Severity};
use crate::source::{Source, floor_char_boundary};

/// Lines longer than this, in bytes, are not shown whole.
const LONGEST_LINE: usize = 240;

/// How much is shown of them, on either side.
const AROUND: usize = 60;

pub(super) fn render(diagnostics: &Diagnostics, style: TextStyle) -> String {
    let theme = GraphicalTheme {
        characters: if style.unicode {
            ThemeCharacters::unicode()
        } else {
            ThemeCharacters::ascii()
        },
        styles: if style.color { ThemeStyles::ansi() } else { ThemeStyles::none() },
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(style.width)
        // Names and paths are not to be torn apart.
        .with_word_separator(WordSeparator::AsciiSpace)
        .with_word_splitter(WordSplitter::NoHyphenation)
        .with_break_words(false)
        .with_links(false)
        .without_cause_chain()
        .without_syntax_highlighting();
    let mut text = String::new();
    let mut drawn: Vec<Drawn<'_>> = Vec::new();
    for diagnostic in diagnostics.iter() {
        if let Some(source) = diagnostic.location().map(Location::source)
            && !drawn.iter().any(|drawn| std::ptr::eq(drawn.source, source))
        {
            drawn.push(Drawn { source, text: source.shown() });
        }
        let shown = Shown::of(diagnostic, &drawn, style);
        // Writing to a string does not fail.
        let _ = handler.render_report(&mut text, &shown);
        text.push('\n');
    }
    if !diagnostics.is_empty() {
        text.push_str(&diagnostics.summary());
        text.push('\n');
    }
    // The renderer pads lines, which diffs and snapshots choke on.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// A diagnostic as the renderer wants it.
#[derive(Debug)]
struct Shown<'d> {
    diagnostic: &'d Diagnostic,
    source: Option<&'d Drawn<'d>>,
    message: String,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
}

/// A source with its secrets starred out.
#[derive(Debug)]
struct Drawn<'d> {
    source: &'d Source,
    text: Cow<'d, str>,
}

impl<'d> Shown<'d> {
    fn of(diagnostic: &'d Diagnostic, drawn: &'d [Drawn<'d>], style: TextStyle) -> Shown<'d> {
        let plain = |text: &str| {
            if style.unicode {
                text.to_owned()
            } else {
                text.replace('…', "...").replace('→', "->")
            }
        };
        let primary = diagnostic.location();
        let here = |at: &&Location| {
            primary.is_some_and(|primary| std::ptr::eq(primary.source(), at.source()))
                && !primary.is_some_and(|primary| is_long(primary) && is_long(at))
        };
        let label = |at: &Location, primary: bool| {
            let text = Some(plain(at.label())).filter(|text| !text.is_empty());
            let (start, end) = (at.span().start, at.span().end);
            let span = (start, if is_long(at) { (end - start).min(AROUND) } else { end - start });
            match primary {
                true => LabeledSpan::new_primary_with_span(text, span),
                false => LabeledSpan::new_with_span(text, span),
            }
        };
        let related = diagnostic.related();
        // The renderer draws one source; what cannot be drawn beside the rest goes into the help.
        let elsewhere =
            related.iter().filter(|at| !here(at)).map(|at| plain(&format!("{}: {at}", at.label())));
        let help: Vec<String> = diagnostic.help().map(plain).into_iter().chain(elsewhere).collect();
        let labels = primary.map(|at| label(at, true)).into_iter();
        Shown {
            diagnostic,
            source: primary.and_then(|primary| {
                drawn.iter().find(|drawn| std::ptr::eq(drawn.source, primary.source()))
            }),
            message: plain(diagnostic.message()),
            help: (!help.is_empty()).then(|| help.join("\n")),
            labels: labels.chain(related.iter().filter(here).map(|at| label(at, false))).collect(),
        }
    }
}

/// Whether a place is in a line too long to be shown.
fn is_long(at: &Location) -> bool {
    let line = at.source().line_of(at.span().start);
    at.source().lines(line, line).len() > LONGEST_LINE
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let (severity, code) = (self.diagnostic.severity(), self.diagnostic.code());
        Some(Box::new(format!("{severity}[{code}]")))
    }

    fn severity(&self) -> Option<MietteSeverity> {
        Some(match self.diagnostic.severity() {
            Severity::Error => MietteSeverity::Error,
            Severity::Warning => MietteSeverity::Warning,
            Severity::Note => MietteSeverity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn url<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code().docs()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

impl Drawn<'_> {
    /// The bytes to show around a span: its lines and their neighbours, or a part of its line if
    /// one of them is as long as those of a minified file.
    fn surroundings(&self, span: &SourceSpan, before: usize, after: usize) -> Range<usize> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        let first = self.source.line_of(start).saturating_sub(before);
        let last = self.source.line_of(end) + after;
        let too_long = |line| self.source.lines(line, line).len() > LONGEST_LINE;
        if !(first..=last).any(too_long) {
            return self.source.lines(first, last);
        }
        let line = self.source.line_of(start);
        let line = self.source.lines(line, line);
        let from = floor_char_boundary(&self.text, start.saturating_sub(AROUND));
        let until = floor_char_boundary(&self.text, end.min(start + LONGEST_LINE) + AROUND);
        from.max(line.start)..until.min(line.end).max(start)
    }
}

impl SourceCode for Drawn<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let range = self.surroundings(span, lines_before, lines_after);
        let (first, last) = (self.source.line_of(range.start), self.source.line_of(range.end));
        // The column is only asked of the span alone; it counts characters, as editors do.
        let column = self.source.position(span.offset()).column - 1;
        Ok(Box::new(MietteSpanContents::new_named(
            self.source.name().to_owned(),
            &self.text.as_bytes()[range.clone()],
            (range.start, range.len()).into(),
            first,
            if lines_before == 0 { column } else { 0 },
            // A little more than there is, so that places with a line or two between are joined.
            last - first + 2,
        )))
    }
}
