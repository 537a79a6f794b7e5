//! Texts that configuration is read from, and places in them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;

/// Columns are counted from the beginning of one of these, in bytes: a file may be one long line.
const BLOCK: usize = 1 << 10;

/// Larger files are refused unread: no hand-written configuration comes near.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// A text to read configuration from, and what to call it in messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// Where each line begins. Lines end with `\n`, or `\r\n`.
    line_starts: Vec<usize>,
    /// How many characters begin before each block of the text, for columns of long lines.
    blocks: Vec<usize>,
    medium: Medium,
    /// How long the name of the variable or option is that the text begins with.
    name_length: usize,
    /// Ends of what must not be shown, by their starts; no two touch.
    hidden: BTreeMap<usize, usize>,
}

/// What a [`Source`] is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Medium {
    /// A file, or a body that stands for one.
    File,
    /// Settings in a request to the admin API.
    Request,
    /// One environment variable, as `NAME=value`.
    Variable,
    /// One setting from the command line, as `key=value`.
    Option,
}

/// Which of the texts at hand.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SourceId(u32);

/// A piece of one source, in bytes.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Span {
    pub(crate) source: SourceId,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A line and a column, both from 1; columns count characters.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

// ===== impl Source =====

impl fmt::Debug for Source {
    /// Without its text: there may be secrets in it, and not all have been found yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("medium", &self.medium)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl Source {
    /// The text of a file, or of a body that stands for one. A byte-order mark is dropped.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Source::of(name.into(), text, Medium::File, 0)
    }

    /// What a request to the admin API says.
    pub(crate) fn request(text: impl Into<String>) -> Source {
        Source::of(String::from("request.json"), text.into(), Medium::Request, 0)
    }

    /// A setting that has no file around it.
    pub(crate) fn setting(medium: Medium, name: &str, value: &str) -> Source {
        let place = if medium == Medium::Variable { "environment" } else { "command line" };
        Source::of(place.to_owned(), format!("{name}={value}"), medium, name.len())
    }

    fn of(name: String, text: String, medium: Medium, name_length: usize) -> Source {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut characters = 0;
        let blocks = text.as_bytes().chunks(BLOCK).map(|block| {
            let before = characters;
            characters += characters_in(block);
            before
        });
        let blocks = blocks.collect();
        Source { name, text, line_starts, blocks, medium, name_length, hidden: BTreeMap::new() }
    }

    /// What it is called: a path, `environment` or `command line`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What sort of text it is.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// The name of the variable or option; `None` for a file or a request.
    pub fn setting_name(&self) -> Option<&str> {
        match self.medium {
            Medium::File | Medium::Request => None,
            Medium::Variable | Medium::Option => Some(&self.text[..self.name_length]),
        }
    }

    /// Where the byte at `offset` is; the end for an offset past it.
    pub fn position(&self, offset: usize) -> Position {
        let offset = floor_char_boundary(&self.text, offset);
        let line = self.line_of(offset);
        let column =
            self.characters_before(offset) - self.characters_before(self.line_starts[line]);
        Position { line: line + 1, column: column + 1 }
    }

    /// How many characters begin before the byte at `offset`.
    fn characters_before(&self, offset: usize) -> usize {
        let block = (offset / BLOCK).min(self.blocks.len().saturating_sub(1));
        let rest = &self.text.as_bytes()[block * BLOCK..offset];
        crate::work::count(rest.len());
        self.blocks.get(block).copied().unwrap_or(0) + characters_in(rest)
    }

    /// The number, from 0, of the line that the byte at `offset` is in.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) - 1
    }

    /// The bytes of the lines from `first` to `last`, both from 0, with their line breaks; lines
    /// that are not there are left out.
    pub(crate) fn lines(&self, first: usize, last: usize) -> Range<usize> {
        let start = |line: usize| self.line_starts.get(line).copied().unwrap_or(self.text.len());
        start(first)..start(last + 1)
    }

    /// Never shows the text between these bytes.
    pub(crate) fn hide(&mut self, range: Range<usize>) {
        let Range { mut start, mut end } = range;
        let touching: Vec<usize> = self
            .hidden
            .range(..=end)
            .rev()
            .take_while(|(_, other_end)| **other_end >= start)
            .map(|(other_start, _)| *other_start)
            .collect();
        for other in touching {
            start = start.min(other);
            end = end.max(self.hidden.remove(&other).unwrap_or(end));
        }
        self.hidden.insert(start, end);
    }

    /// Whether any of these bytes may not be shown.
    pub(crate) fn hides(&self, range: &Range<usize>) -> bool {
        self.hidden.range(..range.end).next_back().is_some_and(|(_, end)| range.start < *end)
    }

    /// The text as it may be shown: secrets starred out, terminal control characters and
    /// direction overrides replaced. Every byte keeps its offset.
    pub(crate) fn shown(&self) -> Cow<'_, str> {
        if self.hidden.is_empty() && !self.text.contains(is_unprintable) {
            return Cow::Borrowed(&self.text);
        }
        let mut shown = String::with_capacity(self.text.len());
        for (at, c) in self.text.char_indices() {
            let stand_in = if c == '\n' || self.text[at..].starts_with("\r\n") {
                None
            } else if self.hides(&(at..at + c.len_utf8())) {
                Some('*')
            } else if is_unprintable(c) {
                Some('?')
            } else {
                None
            };
            match stand_in {
                Some(mask) => shown.extend(std::iter::repeat_n(mask, c.len_utf8())),
                None => shown.push(c),
            }
        }
        Cow::Owned(shown)
    }
}

/// How many characters begin in these bytes of UTF-8.
fn characters_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// The source behind these bytes, or why there is none. Where they are not UTF-8, the source
/// shows where.
pub(crate) fn decode(name: &str, bytes: &[u8], id: SourceId) -> (Source, Option<Problem>) {
    if bytes.len() > MAX_BYTES {
        let problem = Problem::new(
            codes::TOO_LARGE,
            format!("`{name}` has {} bytes; at most {MAX_BYTES} are read", bytes.len()),
        );
        return (Source::new(name, ""), Some(problem));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (Source::new(name, text), None),
        Err(error) => {
            let source = Source::new(name, String::from_utf8_lossy(bytes));
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let mark = if valid.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
            let start = valid.len() - mark;
            let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
            let help = if utf16 {
                "the file looks like UTF-16; save it as UTF-8"
            } else {
                "save the file as UTF-8"
            };
            let problem = Problem::new(
                codes::NOT_UTF8,
                format!(
                    "`{name}` is not UTF-8 text: byte {} is 0x{:02x}",
                    error.valid_up_to(),
                    bytes[error.valid_up_to()]
                ),
            )
            .at(Span { source: id, start, end: start + '\u{fffd}'.len_utf8() }, "not UTF-8")
            .help(help);
            (source, Some(problem))
        }
    }
}

/// What a terminal would act on instead of showing, or what would reorder the line.
fn is_unprintable(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What nobody sees, or a terminal acts on: in a name, it is the mistake.
pub(crate) fn is_invisible(c: char) -> bool {
    let zero_width = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    zero_width || is_unprintable(c) || c.is_control()
}

/// The last character boundary at or before `offset`.
pub(crate) fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

// ===== impl SourceId, Span =====

impl SourceId {
    pub(crate) fn new(index: usize) -> SourceId {
        SourceId(index as u32)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl Span {
    /// The place of what nobody wrote.
    pub(crate) const NOWHERE: Span = Span { source: SourceId(u32::MAX), start: 0, end: 0 };

    pub(crate) fn new(source: SourceId, range: Range<usize>) -> Span {
        Span { source, start: range.start, end: range.end }
    }

    pub(crate) fn is_nowhere(self) -> bool {
        self.source == Span::NOWHERE.source
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// `from..to` within this span, which starts with `from` = 0.
    pub(crate) fn part(self, from: usize, to: usize) -> Span {
        Span { source: self.source, start: self.start + from, end: (self.start + to).min(self.end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_line_breaks() {
        let source = Source::new("f", "a\r\nb\nüx\ny");
        let at = |needle: char| source.position(source.text().find(needle).unwrap());
        assert_eq!(at('a'), Position { line: 1, column: 1 });
        assert_eq!(at('b'), Position { line: 2, column: 1 });
        assert_eq!(at('x'), Position { line: 3, column: 2 });
        assert_eq!(at('y'), Position { line: 4, column: 1 });
        assert_eq!(source.position(usize::MAX), Position { line: 4, column: 2 });
    }

    #[test]
    fn columns_of_long_lines_count_characters() {
        let source = Source::new("f", format!("ab\n{}", "aü€".repeat(2_000)));
        for n in 0..6_000 {
            let offset = 3 + n / 3 * 6 + [0, 1, 3][n % 3];
            assert_eq!(source.position(offset), Position { line: 2, column: n + 1 });
        }
        assert_eq!(Source::new("f", "").position(9), Position { line: 1, column: 1 });
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(Source::new("f", "\u{feff}a = 1").text(), "a = 1");
    }

    #[test]
    fn hidden_text_is_starred_out_and_keeps_its_length() {
        let text = "key = \"päss\nword\" # \u{1b}[31m\u{202e}\rx\r\n";
        let mut source = Source::new("f", text);
        let start = source.text().find('p').unwrap();
        source.hide(start..start + 10);
        let shown = source.shown();
        assert_eq!(shown, "key = \"*****\n****\" # ?[31m????x\r\n");
        assert_eq!(shown.len(), source.text().len());
    }

    #[test]
    fn hidden_places_join() {
        let mut source = Source::new("f", "0123456789");
        for range in [2..3, 5..6, 3..5, 8..9, 1..2] {
            source.hide(range);
        }
        assert_eq!(source.shown(), "0*****67*9");
        assert!(source.hides(&(0..2)) && source.hides(&(5..20)) && !source.hides(&(6..8)));
    }

    #[test]
    fn bytes_that_are_no_text_are_pointed_at() {
        let (source, problem) =
            decode("f", b"\xef\xbb\xbfok = 1\nbad = \"\xff\"", SourceId::new(0));
        let problem = problem.unwrap();
        let span = problem.primary_span().unwrap();
        assert_eq!(&source.text()[span.range()], "\u{fffd}");
        assert_eq!(source.position(span.start), Position { line: 2, column: 8 });
        assert!(problem.message().contains("0xff"), "{}", problem.message());
    }
}
