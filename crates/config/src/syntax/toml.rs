//! TOML into the tree.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::toml_keys::Definitions;
use super::{ENOUGH, Entry, Node, Parsed, Table, Value, duplicate};
use crate::context::shorten;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::source::{Source, SourceId, Span, floor_char_boundary};

/// Reads as much as can be read; see [`Parsed`].
pub(super) fn parse(source: &Source, id: SourceId) -> Parsed {
    let text = source.text();
    let (tree, errors) = DeTable::parse_recoverable(text);
    let (duplicates, syntax): (Vec<_>, Vec<_>) =
        errors.into_iter().partition(|error| error.message() == "duplicate key");
    let hopeless = syntax.len() > ENOUGH;

    let mut problems: Vec<Problem> = Vec::new();
    if !duplicates.is_empty() {
        let definitions = Definitions::of(text);
        for error in duplicates.into_iter().take(ENOUGH) {
            let again = spot(text, error.span());
            let first = definitions.first_of(&again).map(|range| Span::new(id, range));
            problems.push(duplicate(&text[again.clone()], first, Span::new(id, again)));
        }
    }
    let mut root = table(tree.into_inner(), id);
    let faults: Vec<Range<usize>> =
        syntax.iter().take(ENOUGH).map(|error| spot(text, error.span())).collect();
    for (error, at) in syntax.iter().zip(&faults) {
        // A slip such as a missing bracket makes several errors; the first on a line tells most.
        let told = problems.last().and_then(Problem::primary_span);
        if told.is_none_or(|told| !same_line(text, told.start, at.start)) {
            let span = error.span().map_or(Span::NOWHERE, |_| Span::new(id, at.clone()));
            let found = (!source.hides(at)).then_some(&text[at.clone()]);
            problems.push(explain(error.message(), found).at(span, "here"));
        }
    }
    if hopeless {
        root = Table::default();
    } else if !faults.is_empty() {
        prune(&mut root, &faults);
    }
    Parsed { root, problems, whole: faults.is_empty() }
}

/// Where an error is: within the text, on character boundaries, not past the last line.
fn spot(text: &str, span: Option<Range<usize>>) -> Range<usize> {
    let span = span.unwrap_or(0..0);
    let end_of_text = text.trim_end_matches(['\n', '\r']).len();
    let start = floor_char_boundary(text, span.start.min(end_of_text));
    let end = floor_char_boundary(text, span.end.clamp(start, text.len()));
    start..end
}

fn same_line(text: &str, a: usize, b: usize) -> bool {
    !text[a.min(b)..a.max(b)].contains('\n')
}

// ===== tree =====

fn table(entries: DeTable<'_>, id: SourceId) -> Table {
    let mut table = Table::default();
    for (key, value) in entries {
        let key_span = Span::new(id, key.span());
        table.push(Entry { key: key.into_inner().into_owned(), key_span, node: node(value, id) });
    }
    table.sort_by_place();
    table
}

fn node(value: Spanned<DeValue<'_>>, id: SourceId) -> Node {
    let span = Span::new(id, value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => Value::Integer(integer(&number)),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Bool(flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| node(item, id)).collect())
        }
        DeValue::Table(entries) => Value::Table(table(entries, id)),
    };
    Node::new(span, value)
}

fn integer(number: &DeInteger<'_>) -> i128 {
    let saturated = if number.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
    i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(saturated)
}

/// Drops what was made up to get past a syntax error: nothing is said about that.
fn prune(table: &mut Table, faults: &[Range<usize>]) {
    let touched = |span: Span| faults.iter().any(|f| span.start <= f.end && f.start <= span.end);
    // The place of a table with a header is its header, which holds the key.
    let inline = |entry: &Entry| entry.node.span.start > entry.key_span.start;
    let spoilt = |entry: &Entry| inline(entry) && touched(entry.node.span);
    table.retain(|entry| !touched(entry.key_span) && !spoilt(entry));
    for entry in table.iter_mut() {
        match &mut entry.node.value {
            Value::Table(inner) => prune(inner, faults),
            Value::List(items) => {
                items.retain(|item| !touched(item.span));
                items.iter_mut().filter_map(Node::as_table_mut).for_each(|t| prune(t, faults));
            }
            _ => {}
        }
    }
}

// ===== words =====

/// The parser's error, in words that say what to write instead. What was found is `None` where it
/// may be a secret.
fn explain(message: &str, found: Option<&str>) -> Problem {
    let problem = |message: String| Problem::new(codes::TOML_SYNTAX, message);
    if message.starts_with("cannot recurse further") || message == "recursion limit" {
        return Problem::new(codes::TOO_DEEP, "tables or lists are nested too deeply");
    }
    let word = found.is_some_and(|found| found.bytes().all(|b| b.is_ascii_alphabetic()));
    if message.starts_with("string values must be quoted")
        || message.starts_with("invalid boolean")
        || message.starts_with("invalid float") && word
    {
        return match found {
            Some(found) if found.contains(char::is_control) => {
                problem(format!("`{}` has a control character", shorten(found)))
                    .help("take it out; editors that show invisible characters will find it")
            }
            Some("") => problem(String::from("there is no value after `=`"))
                .help("write a value, or take the line out"),
            Some(found) => problem(format!("`{}` is not a TOML value", shorten(found)))
                .help(format!("write {}", as_value(found))),
            None => problem(String::from("this is not a TOML value")).help(
                "secrets are not written into the file: { env = \"NAME\" } or { file = \"path\" }",
            ),
        };
    }
    let advice = [
        ("key with no value", "a key is followed by `=` and a value"),
        ("unclosed table", "close the table's name with `]`"),
        ("unclosed array", "close the list with `]`"),
        ("unclosed inline table", "close the table with `}`"),
        ("invalid basic string", "close the text with `\"` on the same line"),
        ("invalid literal string", "close the text with `'` on the same line"),
        ("missing comma", "separate the values with `,`, or close the list with `]` before this"),
        ("cannot extend", "what stands before the dot has a value already"),
        ("invalid unquoted key", "a line is `key = value` or `[table]`; `:` is no TOML"),
        ("invalid key-value pair", "a line is `key = value`; a file that begins with `{` is .json"),
        ("unexpected leading zero", "write the number without zeros in front"),
        ("invalid value, expected unicode", "write four digits of a character, such as `\\u00fc`"),
        ("missing escaped value", "write `\\\\` for a backslash, or use single quotes"),
    ]
    .into_iter()
    .find(|(start, _)| message.starts_with(start))
    .map(|(_, advice)| advice);
    problem(message.to_owned()).maybe_help(advice)
}

/// What the writer of an unquoted value probably meant.
fn as_value(found: &str) -> String {
    match found.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "tru" => String::from("`true`"),
        "false" | "no" | "off" | "fals" => String::from("`false`"),
        "null" | "none" | "nil" => String::from("nothing: leave the key out"),
        _ => format!("`\"{}\"`, in quotes", shorten(&found.replace(['"', '\\'], ""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, id: SourceId) -> Parsed {
        super::parse(&Source::new("f.toml", text), id)
    }

    fn told(text: &str) -> Vec<String> {
        parse(text, SourceId::new(0)).problems.iter().map(|p| p.message().to_owned()).collect()
    }

    #[test]
    fn every_syntax_error_is_told_once_and_the_rest_is_kept() {
        let text = "a = 5s\n[t]\nb = True\nc = 3\nd = \n";
        let parsed = parse(text, SourceId::new(0));
        assert!(!parsed.whole);
        assert_eq!(
            told(text),
            [
                "`5s` is not a TOML value",
                "`True` is not a TOML value",
                "there is no value after `=`"
            ]
        );
        let table = parsed.root.get("t").unwrap().node.as_table().unwrap();
        assert_eq!(table.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["c"]);
        assert!(parsed.root.get("a").is_none(), "made-up values are not judged");
    }

    #[test]
    fn duplicates_point_at_both_and_leave_the_tree_whole() {
        let parsed = parse("[a]\nx = 1\nx = 2\n", SourceId::new(0));
        assert!(parsed.whole);
        let problem = &parsed.problems[0];
        assert_eq!(problem.code(), codes::DUPLICATE_KEY);
        assert_eq!(problem.primary_span().unwrap().start, 10);
        assert_eq!(problem.secondary()[0].0.start, 4);
    }

    #[test]
    fn numbers_of_any_size_are_read() {
        let parsed = parse(
            "a = 99999999999999999999999999999999999999999\nb = 0xff\nc = -1\nd = inf\ne = 1_000\n",
            SourceId::new(0),
        );
        let value = |key: &str| parsed.root.get(key).unwrap().node.value.clone();
        assert_eq!(value("a"), Value::Integer(i128::MAX));
        assert_eq!(value("b"), Value::Integer(255));
        assert_eq!(value("c"), Value::Integer(-1));
        assert_eq!(value("d"), Value::Float(f64::INFINITY));
        assert_eq!(value("e"), Value::Integer(1_000));
    }

    #[test]
    fn depth_is_bounded() {
        for text in [
            format!("{}1", "a.".repeat(100_000)),
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}", "{a=".repeat(100_000)),
            format!("[{}a]", "a.".repeat(100_000)),
        ] {
            assert!(!parse(&text, SourceId::new(0)).problems.is_empty());
        }
    }
}
