//! From text to tree: TOML and JSON, with the place of every key and value.

mod json;
mod json_strict;
mod node;
mod toml;
mod toml_keys;

use std::path::Path;

pub(crate) use json::parse_fragment;
pub(crate) use node::{Entry, Node, Table, Value};

use crate::context::shorten;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::source::{Source, SourceId, Span};

/// No text is worth more complaints than this about its syntax.
const ENOUGH: usize = 500;

/// What came of reading a text.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The top-level table, as far as it could be read.
    pub(crate) root: Table,
    /// What is wrong with the text.
    pub(crate) problems: Vec<Problem>,
    /// Whether `root` is all of the text. Otherwise what it lacks says nothing.
    pub(crate) whole: bool,
}

/// The two formats, same schema.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Format {
    Toml,
    Json,
}

/// Reads a text in the format its name tells, or its first character where the name tells none.
pub(crate) fn parse(source: &Source, id: SourceId) -> Parsed {
    match format_of(source) {
        Format::Toml => toml::parse(source, id),
        Format::Json => json::parse(source.text(), id),
    }
}

/// Whether a text is read as TOML.
pub(crate) fn is_toml(source: &Source) -> bool {
    format_of(source) == Format::Toml
}

fn format_of(source: &Source) -> Format {
    let extension = Path::new(source.name()).extension().and_then(|e| e.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("toml") => Format::Toml,
        Some("json") => Format::Json,
        _ if source.text().trim_start().starts_with('{') => Format::Json,
        _ => Format::Toml,
    }
}

fn duplicate(key: &str, first: Option<Span>, again: Span) -> Problem {
    let message = format!("`{}` stands here twice", shorten(key));
    let problem = Problem::new(codes::DUPLICATE_KEY, message)
        .at(again, "again here")
        .help("keep one of the two");
    match first {
        Some(first) => problem.also(first, "first here"),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_format_and_then_the_content() {
        let format = |name: &str, text: &str| format_of(&Source::new(name, text));
        assert_eq!(format("a.toml", "{"), Format::Toml);
        assert_eq!(format("a.JSON", "a = 1"), Format::Json);
        assert_eq!(format("body", " \n{ \"a\": 1 }"), Format::Json);
        assert_eq!(format("app.conf", "a = 1"), Format::Toml);
        assert_eq!(format("body", ""), Format::Toml);
    }
}
