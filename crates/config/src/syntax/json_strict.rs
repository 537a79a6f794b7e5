//! What makes a text strict JSON.

use jsonc_parser::tokens::{Token, TokenAndRange};

use super::ENOUGH;
use super::json::Place;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::source::Span;

/// Reports what other dialects allow.
pub(super) fn judge(
    text: &str,
    tokens: &[TokenAndRange<'_>],
    place: Place,
    problems: &mut Vec<Problem>,
) {
    for token in tokens {
        if problems.len() > ENOUGH {
            return;
        }
        let span = place.of(token);
        let raw = &text[token.range.start..token.range.end];
        match &token.token {
            Token::CommentLine(_) | Token::CommentBlock(_) => problems.push(foreign(
                "comments",
                span,
                "use a `\"comment\"` key, which is allowed everywhere, or TOML",
            )),
            Token::String(_) if raw.starts_with('\'') => {
                problems.push(foreign("single quotes", span, "write double quotes"));
            }
            Token::String(_) if foreign_escape(raw) => {
                problems.push(foreign("this escape", span, "write `\\uXXXX`"));
            }
            Token::String(_) if raw.contains(|c: char| c.is_ascii_control()) => {
                let help = "write `\\t` for a tab, `\\uXXXX` for others";
                problems.push(foreign("control characters in text", span, help));
            }
            Token::Number(_) => {
                let odd = odd_number(raw);
                problems.extend(odd.map(|what| foreign(what, span, "write a plain number")));
            }
            _ => {}
        }
    }
    let solid: Vec<_> = tokens
        .iter()
        .filter(|t| !matches!(t.token, Token::CommentLine(_) | Token::CommentBlock(_)))
        .collect();
    for pair in solid.windows(2) {
        let (left, right) = (&pair[0], &pair[1]);
        if problems.len() > ENOUGH {
            return;
        }
        if left.token == Token::Comma
            && matches!(right.token, Token::CloseBrace | Token::CloseBracket)
        {
            let span = place.of(*left);
            problems.push(foreign("a comma after the last value", span, "take it out"));
        }
        if ends_value(&left.token) && begins_value(&right.token) {
            let gap = place.span(left.range.end..left.range.end);
            let problem = Problem::new(codes::NOT_STRICT_JSON, "a comma is missing")
                .at(gap, "between these two values")
                .help("write `,`");
            problems.push(problem);
        }
    }
}

/// Says that JSON does not allow `what`.
pub(super) fn foreign(what: &str, span: Span, help: impl Into<String>) -> Problem {
    Problem::new(codes::NOT_STRICT_JSON, format!("JSON does not allow {what}"))
        .at(span, "not JSON")
        .help(help)
}

fn ends_value(token: &Token<'_>) -> bool {
    begins_value(token) && !matches!(token, Token::OpenBrace | Token::OpenBracket)
        || matches!(token, Token::CloseBrace | Token::CloseBracket)
}

fn begins_value(token: &Token<'_>) -> bool {
    matches!(
        token,
        Token::OpenBrace
            | Token::OpenBracket
            | Token::String(_)
            | Token::Word(_)
            | Token::Boolean(_)
            | Token::Number(_)
            | Token::Null
    )
}

/// What is odd about a number, if anything is.
fn odd_number(raw: &str) -> Option<&'static str> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let plain = |at: usize| digits.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    if digits.contains(['x', 'X']) {
        Some("hexadecimal numbers")
    } else if raw.starts_with('+') {
        Some("a plus sign before a number")
    } else if digits.starts_with("Inf") || digits == "NaN" {
        Some("numbers that are not finite")
    } else if !plain(0) || digits.find('.').is_some_and(|dot| !plain(dot + 1)) {
        Some("a decimal point at the edge of a number")
    } else {
        None
    }
}

fn foreign_escape(raw: &str) -> bool {
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c == '\\'
            && !matches!(chars.next(), Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' | 'u'))
        {
            return true;
        }
    }
    false
}
