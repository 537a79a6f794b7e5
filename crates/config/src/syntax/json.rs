//! JSON into the tree.
//!
//! The text is read leniently and judged strictly: comments, trailing commas and the like are
//! errors, but the tree behind them is good, so the rest of the file is checked all the same.

use std::collections::HashMap;
use std::ops::Range;

use jsonc_parser::ast::{ObjectPropName, Value as Ast};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::{ParseError, ParseErrorKind as Kind};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

use super::json_strict::{foreign, judge};
use super::{ENOUGH, Entry, Node, Parsed, Table, Value, duplicate};
use crate::context::shorten;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::source::{SourceId, Span};

/// Reads as much as can be read; see [`Parsed`].
pub(super) fn parse(text: &str, id: SourceId) -> Parsed {
    let nothing =
        |problem: Problem| Parsed { root: Table::default(), problems: vec![problem], whole: false };
    if text.trim().is_empty() {
        return nothing(
            Problem::new(codes::JSON_SYNTAX, "the file is empty, which is not JSON")
                .at(Span::new(id, 0..0), "nothing here")
                .help("write `{}` for a configuration that says nothing"),
        );
    }
    let mut problems = Vec::new();
    match read(text, 0, id, &mut problems) {
        Err(problem) => nothing(*problem),
        Ok(Node { value: Value::Table(root), .. }) => Parsed { root, problems, whole: true },
        Ok(node) => nothing(
            Problem::new(
                codes::NOT_A_TABLE,
                format!("the file holds {}, but must be one object", node.value.describe()),
            )
            .at(node.span, "not an object")
            .help("put the sections between `{` and `}`"),
        ),
    }
}

/// Reads the JSON that starts at byte `offset` of its source: a value from the environment.
pub(crate) fn parse_fragment(
    text: &str,
    offset: usize,
    id: SourceId,
) -> Result<(Node, Vec<Problem>), Box<Problem>> {
    let mut problems = Vec::new();
    read(text, offset, id, &mut problems).map(|node| (node, problems))
}

fn read(
    text: &str,
    offset: usize,
    id: SourceId,
    problems: &mut Vec<Problem>,
) -> Result<Node, Box<Problem>> {
    let place = Place { id, offset };
    if let Some(open) = unclosed_string(text) {
        let problem = Problem::new(codes::JSON_SYNTAX, "a string is not closed on its line")
            .at(place.span(open), "begins here")
            .help("close it with `\"`, or write `\\n` for a line break in it");
        return Err(Box::new(problem));
    }
    let collect = CollectOptions { comments: CommentCollectionStrategy::AsTokens, tokens: true };
    let parsed = parse_to_ast(text, &collect, &ParseOptions::default())
        .map_err(|e| Box::new(explain(&e, place)))?;
    let tokens = parsed.tokens.unwrap_or_default();
    judge(text, &tokens, place, problems);
    let value = parsed.value.ok_or_else(|| {
        let problem = Problem::new(codes::JSON_SYNTAX, "there is nothing but comments");
        Box::new(problem.at(place.span(0..0), "no value"))
    })?;
    Ok(node(&value, place, problems))
}

/// Where a text stands within its source.
#[derive(Copy, Clone)]
pub(super) struct Place {
    id: SourceId,
    offset: usize,
}

impl Place {
    pub(super) fn span(self, range: Range<usize>) -> Span {
        Span::new(self.id, range.start + self.offset..range.end + self.offset)
    }

    pub(super) fn of(self, ranged: &impl Ranged) -> Span {
        self.span(ranged.start()..ranged.end())
    }
}

// ===== tree =====

fn node(ast: &Ast<'_>, place: Place, problems: &mut Vec<Problem>) -> Node {
    let value = match ast {
        Ast::StringLit(text) => Value::Text(text.value.to_string()),
        Ast::NumberLit(number) => number_of(number.value),
        Ast::BooleanLit(flag) => Value::Bool(flag.value),
        Ast::NullKeyword(_) => Value::Null,
        Ast::Array(list) => {
            Value::List(list.elements.iter().map(|item| node(item, place, problems)).collect())
        }
        Ast::Object(object) => {
            let mut table = Table::default();
            let mut first: HashMap<&str, Span> = HashMap::new();
            for property in &object.properties {
                let key = property.name.as_str();
                let key_span = place.of(&property.name);
                if let ObjectPropName::Word(_) = property.name
                    && problems.len() <= ENOUGH
                {
                    let help = format!("write \"{}\"", shorten(key));
                    problems.push(foreign("keys without quotes", key_span, help));
                }
                if let Some(earlier) = first.get(key) {
                    if problems.len() <= ENOUGH {
                        problems.push(duplicate(key, Some(*earlier), key_span));
                    }
                    continue;
                }
                first.insert(key, key_span);
                let node = node(&property.value, place, problems);
                table.push(Entry { key: key.to_owned(), key_span, node });
            }
            Value::Table(table)
        }
    };
    Node::new(place.of(ast), value)
}

fn number_of(text: &str) -> Value {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let sign = if negative { -1 } else { 1 };
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return Value::Integer(i128::from_str_radix(hex, 16).map_or(i128::MAX, |n| n * sign));
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return Value::Integer(digits.parse::<i128>().unwrap_or(i128::MAX) * sign);
    }
    Value::Float(text.parse().unwrap_or(f64::NAN))
}

/// The first string with a line break in it: always a lost quote, and the reason for whatever else
/// is wrong behind it.
fn unclosed_string(text: &str) -> Option<Range<usize>> {
    let mut open: Option<usize> = None;
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match (open, c) {
            (Some(start), '\n' | '\r') => return Some(start..at),
            (Some(_), '\\') => {
                rest.next_if(|(_, c)| !matches!(c, '\n' | '\r'));
            }
            (Some(_), '"') => open = None,
            (None, '"') => open = Some(at),
            (None, '/') if text[at..].starts_with("//") => {
                while rest.next_if(|(_, c)| !matches!(c, '\n' | '\r')).is_some() {}
            }
            (None, '/') if text[at..].starts_with("/*") => {
                let end = text[at..].find("*/").map_or(text.len(), |i| at + i + 2);
                while rest.next_if(|(i, _)| *i < end).is_some() {}
            }
            _ => {}
        }
    }
    open.map(|start| start..text.trim_end().len())
}

// ===== words =====

/// The parser's error, in words that say what to write instead.
fn explain(error: &ParseError, place: Place) -> Problem {
    let range = error.range();
    let span = place.span(range.start..range.end.max(range.start));
    let (message, label, help) = match error.kind() {
        Kind::NestingDepthExceeded => {
            return Problem::new(codes::TOO_DEEP, "objects or lists are nested too deeply")
                .at(span, "here");
        }
        Kind::UnterminatedObject => ("an object is not closed", "begins here", "add a `}`"),
        Kind::UnterminatedArray => ("a list is not closed", "begins here", "add a `]`"),
        Kind::UnterminatedCommentBlock => {
            ("a comment is not closed", "begins here", "take it out: JSON has no comments")
        }
        Kind::MultipleRootJsonValues => {
            ("there is more than one value", "the second", "put everything into one object")
        }
        Kind::ExpectedColonAfterObjectKey => {
            ("a key has no value", "no `:` after it", "write `\"key\": value`")
        }
        Kind::ExpectedObjectValue | Kind::UnexpectedCloseBrace | Kind::UnexpectedComma => {
            ("a value is missing", "before this", "write a value, or take the key out")
        }
        Kind::UnexpectedWord => (
            "this is not a JSON value",
            "unknown word",
            "put text in quotes; true, false and null are written in small letters",
        ),
        Kind::UnexpectedTokenInObject => {
            ("there should be a key or `}`", "not a key", "keys are text in double quotes")
        }
        Kind::UnexpectedCloseBracket => ("`]` closes nothing here", "here", "take it out"),
        Kind::UnexpectedToken => (
            "there is no JSON value here",
            "not a value",
            "the file is one object, `{ … }`, without comments; what is TOML is called .toml",
        ),
        Kind::UnexpectedColon => ("`:` belongs after a key", "here", "take it out"),
        other => {
            let message = other.to_string();
            let mut letters = message.chars();
            let lowered: String =
                letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
            return Problem::new(codes::JSON_SYNTAX, lowered).at(span, "here");
        }
    };
    Problem::new(codes::JSON_SYNTAX, message).at(span, label).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        parse(text, SourceId::new(0)).problems.iter().map(|p| p.message().to_owned()).collect()
    }

    #[test]
    fn leniencies_are_errors_but_the_tree_is_whole() {
        let text =
            "{ // note\n 'a': 0x10, b: +1 \"c\": .5, \"d\": [1 2,], \"e\": \"\t\", /* x */ }";
        let parsed = parse(text, SourceId::new(0));
        assert!(parsed.whole);
        assert_eq!(parsed.root.iter().count(), 5);
        assert_eq!(parsed.root.get("a").unwrap().node.value, Value::Integer(16));
        let told = told(text).join("\n");
        for what in [
            "allow comments",
            "single quotes",
            "hexadecimal",
            "without quotes",
            "plus sign",
            "a comma is missing",
            "decimal point",
            "control characters",
            "comma after the last",
        ] {
            assert!(told.contains(what), "{what} is not in\n{told}");
        }
    }

    #[test]
    fn strict_json_is_taken_as_it_is() {
        let text =
            r#"{"a": [1, -2.5e3, "x\u00e9\ud83d\ude00\n", true, null], "b": {}, "c": 0, "d": 0.5}"#;
        let parsed = parse(text, SourceId::new(0));
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
        let Value::List(items) = &parsed.root.get("a").unwrap().node.value else { panic!() };
        assert_eq!(items[1].value, Value::Float(-2_500.0));
        assert_eq!(items[2].value, Value::Text(String::from("xé😀\n")));
    }

    #[test]
    fn a_lost_quote_is_found_where_it_was_lost() {
        let parsed = parse("{\n \"url\": \"http://x,\n \"b\": 1 }", SourceId::new(0));
        let problem = &parsed.problems[0];
        assert_eq!(problem.message(), "a string is not closed on its line");
        assert_eq!(problem.primary_span().unwrap().start, 10);
        assert_eq!(
            told("{ \"a\": \"x\\\"\" } // don't \" worry"),
            ["JSON does not allow comments"]
        );
    }

    #[test]
    fn duplicates_keep_the_first_and_point_at_both() {
        let parsed = parse("{ \"a\": 1, \"a\": 2, \"a\": 3 }", SourceId::new(0));
        assert_eq!(parsed.problems.len(), 2);
        assert!(parsed.problems.iter().all(|p| p.secondary()[0].0.start == 2));
        assert_eq!(parsed.root.get("a").unwrap().node.value, Value::Integer(1));
    }

    #[test]
    fn depth_is_bounded() {
        for open in ["[", "{\"a\":"] {
            let parsed = parse(&open.repeat(100_000), SourceId::new(0));
            assert_eq!(parsed.problems[0].code(), codes::TOO_DEEP);
        }
    }
}
