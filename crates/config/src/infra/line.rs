//! One line of a file of whatever format: a key, and what it is set to.

use std::ops::Range;

/// Longer keys are none.
const LONGEST_KEY: usize = 96;

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line<'t> {
    /// How far it is indented.
    pub(super) indent: usize,
    /// The name before `=` or `:`, or the words before `{`.
    pub(super) key: &'t str,
    /// Where that is in the line.
    pub(super) key_at: Range<usize>,
    /// What comes after, without quotes, separators and comments; empty if it opens a block.
    pub(super) value: &'t str,
    pub(super) value_at: Range<usize>,
}

/// What a line says; `None` if it says nothing, or in a way that has no key.
pub(super) fn parse(line: &str) -> Option<Line<'_>> {
    let code = &line[..end_of_code(line)];
    let body = code.trim_start_matches([' ', '\t', '-']);
    let body = body.strip_prefix("export ").unwrap_or(body);
    let start = code.len() - body.len();
    let indent = line.len() - line.trim_start().len();
    if body.trim().is_empty() {
        return None;
    }
    let separator = body.char_indices().find(|(at, c)| match c {
        '=' => true,
        // `a: b`, `"a":1` and `a:`, but not the port or scheme of an address.
        ':' => {
            let next = body[at + 1..].chars().next();
            next.is_none_or(char::is_whitespace) || body[..*at].ends_with(['"', '\''])
        }
        _ => false,
    });
    let Some((at, _)) = separator else {
        // `resource "google_sql" "main" {` opens a block.
        let words = body.trim_end().strip_suffix('{')?.trim_end();
        let key_at = start..start + words.len();
        return Some(Line {
            indent,
            key: words,
            key_at,
            value: "",
            value_at: code.len()..code.len(),
        });
    };
    let (key, key_at) = trim(body, 0..at, start);
    let sound = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '$' | ' ');
    if key.is_empty() || key.len() > LONGEST_KEY || !key.chars().all(sound) {
        return None;
    }
    let (value, value_at) = trim(body, at + 1..body.len(), start);
    let opens = matches!(value, "{" | "[" | "|" | ">" | "|-" | ">-");
    let value = if opens { "" } else { value };
    Some(Line { indent, key, key_at, value, value_at })
}

/// A part of `body` without blanks, quotes and commas around it, and where it is in the line.
fn trim(body: &str, range: Range<usize>, offset: usize) -> (&str, Range<usize>) {
    let around = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';');
    let part = &body[range.clone()];
    let left = part.trim_start_matches(around);
    let start = offset + range.start + (part.len() - left.len());
    let text = left.trim_end_matches(around);
    (text, start..start + text.len())
}

/// Where a comment begins, or the line ends.
fn end_of_code(line: &str) -> usize {
    let blank_before = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    let comment = |(at, _): &(usize, &str)| blank_before(*at);
    let hash = line.match_indices('#').find(comment);
    let slashes = line.match_indices("//").find(comment);
    let first = [hash, slashes].into_iter().flatten().map(|(at, _)| at).min();
    first.unwrap_or(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<(&str, &str)> {
        parse(line).map(|parsed| {
            assert_eq!(&line[parsed.key_at.clone()], parsed.key);
            if !parsed.value.is_empty() {
                assert_eq!(&line[parsed.value_at.clone()], parsed.value);
            }
            (parsed.key, parsed.value)
        })
    }

    #[test]
    fn keys_and_values_are_found_in_every_format() {
        for (line, key, value) in [
            ("DB_TIMEOUT=30", "DB_TIMEOUT", "30"),
            ("export A='b c' # d", "A", "b c"),
            ("  timeout: 30s", "timeout", "30s"),
            ("- name: \"x\"", "name", "x"),
            ("  timeout = \"10m\"", "timeout", "10m"),
            ("  \"timeout\":30,", "timeout", "30"),
            ("health_check:", "health_check", ""),
            ("url: http://a:1/b#c", "url", "http://a:1/b#c"),
            ("timeouts {", "timeouts", ""),
            ("resource \"sql\" \"main\" {", "resource \"sql\" \"main\"", ""),
            ("a = {", "a", ""),
        ] {
            assert_eq!(said(line), Some((key, value)), "{line}");
        }
        for line in ["", "# a = b", "  // a = b", "}", "http://a:1/", "- b", "x{y}=1"] {
            assert_eq!(said(line), None, "{line}");
        }
    }
}
