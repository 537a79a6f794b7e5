//! What must not be shown: found before anything is said about a text.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::context::Context;
use crate::describe::suggest::nearest;
use crate::describe::{Field, Keys, Presence, Shape, Table};
use crate::sections::{ROOT, SecretKeys};
use crate::source::Source;
use crate::syntax::{self, Node, Value, parse_fragment};

/// Parts of names under which people keep secrets.
const TELLTALE: [&str; 13] = [
    "accesskey",
    "apikey",
    "auth",
    "bearer",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "signingkey",
    "token",
];

/// Hides every secret in a tree: values of secret fields that are written out, text under names
/// that suggest a secret (in sections of other programs, too), and credentials in URLs.
pub(crate) fn conceal(entries: &syntax::Table, table: Option<&'static Table>, cx: &mut Context) {
    for entry in entries.iter() {
        let field = table.and_then(|table| table.field(&entry.key));
        let shape = field.map(|field| field.kind.shape());
        let secret = match shape {
            Some(Shape::Table(inner)) => holds_secrets(inner),
            // A header a route asks for may be a key as well.
            Some(Shape::Leaf | Shape::OneOrMany(_)) => false,
            Some(_) => tells_of_secret(&entry.key),
            // A slip in its name makes it no less of a secret.
            None => tells_of_secret(&entry.key) || nearly_holds_secrets(&entry.key, table),
        };
        conceal_node(&entry.node, shape, secret, cx);
    }
}

fn conceal_node(node: &Node, shape: Option<Shape>, secret: bool, cx: &mut Context) {
    match (&node.value, shape) {
        (Value::Table(inner), Some(Shape::Table(table) | Shape::OneOrMany(table))) => {
            conceal(inner, Some(table), cx);
        }
        (Value::Table(inner), Some(Shape::Map(table))) => {
            for entry in inner.iter() {
                conceal_node(&entry.node, Some(Shape::Table(table)), false, cx);
            }
        }
        (Value::Table(inner), _) => conceal(inner, None, cx),
        (Value::List(items), Some(Shape::List(table) | Shape::OneOrMany(table))) => {
            for item in items {
                conceal_node(item, Some(Shape::Table(table)), false, cx);
            }
        }
        (Value::List(items), _) => {
            for item in items {
                conceal_node(item, None, secret, cx);
            }
        }
        (Value::Untyped(text), _) if text.trim_start().starts_with('{') => {
            let start = node.span.end.saturating_sub(text.len());
            match parse_fragment(text, start, node.span.source) {
                Ok((parsed, _)) => conceal_node(&parsed, shape, false, cx),
                Err(_) if secret => cx.hide(node.span),
                Err(_) => {}
            }
        }
        (Value::Text(_) | Value::Untyped(_) | Value::Integer(_), _) if secret => {
            cx.hide(node.span);
        }
        (Value::Text(_) | Value::Untyped(_), _) => {
            if let Some(range) = credentials(cx.text(node.span)) {
                cx.hide(node.span.part(range.start, range.end));
            }
        }
        _ => {}
    }
}

/// Whether a table is a secret or cannot do without one: whatever stands in its place may be it.
pub(crate) fn holds_secrets(table: &'static Table) -> bool {
    let is_secret = |table: &Table| table.id == SecretKeys::TABLE.id;
    let must_have = |field: &Field| field.presence == Presence::Required;
    is_secret(table)
        || table.fields.iter().any(|field| match field.kind.shape() {
            Shape::Table(inner) => is_secret(inner) && must_have(field),
            _ => false,
        })
}

/// Whether this unknown name was probably meant to be that of a secret.
fn nearly_holds_secrets(name: &str, table: Option<&'static Table>) -> bool {
    let Some(table) = table else { return false };
    let meant = nearest(name, table.all_fields().map(|field| field.name));
    match meant.and_then(|meant| table.field(meant)).map(|field| field.kind.shape()) {
        Some(Shape::Table(inner)) => holds_secrets(inner),
        _ => false,
    }
}

fn tells_of_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    TELLTALE.iter().any(|word| plain.contains(word))
}

/// The `user:password` of a URL in this text.
fn credentials(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + 3;
    let end = text[start..]
        .find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace())
        .map_or(text.len(), |i| start + i);
    let at = text[start..end].rfind('@')?;
    Some(start..start + at)
}

/// Hides what looks like a secret in a text that may not parse: the string after a telling name,
/// or the rest of its line.
pub(crate) fn conceal_text(source: &mut Source) {
    let plain = plain_keys();
    let mut hidden: Vec<Range<usize>> = Vec::new();
    let mut offset = 0;
    for line in source.text().split_inclusive(['\n', '\r']) {
        let found = secrets_of_line(line.trim_end_matches(['\n', '\r']), &plain);
        hidden.extend(found.into_iter().map(|r| offset + r.start..offset + r.end));
        offset += line.len();
    }
    for range in hidden {
        source.hide(range);
    }
}

fn secrets_of_line(line: &str, plain: &BTreeMap<&str, Plain>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = credentials(line).into_iter().collect();
    let mut from = 0;
    // The names whose braces are open.
    let mut outer: Vec<bool> = Vec::new();
    while let Some(sign) = line[from..].find(['=', ':', '}']).map(|i| from + i) {
        let before = &line[from..sign];
        from = sign + 1;
        if line[sign..].starts_with('}') {
            outer.pop();
            continue;
        }
        let name = before.rsplit(['{', ',', '[', ';']).next().unwrap_or_default();
        let name = name.trim().trim_matches(['"', '\'']);
        let value = line[from..].trim_start();
        let harmless = match plain.get(name) {
            Some(Plain::Everywhere) => true,
            Some(Plain::Somewhere) => value.starts_with(|c: char| c.is_ascii_digit()),
            None => false,
        };
        let telling =
            tells_of_secret(name) && !harmless || name == "value" && outer.last() == Some(&true);
        let start = line.len() - value.len();
        let end = match value.chars().next() {
            Some('{') => {
                outer.push(tells_of_secret(name));
                from = start + 1;
                continue;
            }
            Some('[') | None => continue,
            Some(quote @ ('"' | '\'')) => {
                value[1..].find(quote).map_or(line.len(), |i| start + i + 2)
            }
            Some(_) if telling => line.len(),
            Some(_) => continue,
        };
        if telling {
            found.push(start..end);
        }
        from = end;
    }
    found
}

/// Where a key that sounds like a secret is none.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Plain {
    Everywhere,
    /// In another table it is one, though a number never is.
    Somewhere,
}

/// The keys of ours that sound like secrets and are none.
fn plain_keys() -> BTreeMap<&'static str, Plain> {
    let plain = |field: &Field| match field.kind.shape() {
        Shape::Leaf => true,
        Shape::Table(inner) => !holds_secrets(inner),
        _ => false,
    };
    let mut fields: Vec<_> = ROOT
        .family()
        .into_iter()
        .flat_map(Table::all_fields)
        .filter(|field| tells_of_secret(field.name))
        .map(|field| (field.name, plain(field)))
        .collect();
    fields.sort_unstable();
    fields
        .chunk_by(|(name, _), (other, _)| name == other)
        .filter(|of_name| of_name.iter().any(|(_, plain)| *plain))
        .map(|of_name| match of_name.iter().all(|(_, plain)| *plain) {
            true => (of_name[0].0, Plain::Everywhere),
            false => (of_name[0].0, Plain::Somewhere),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    fn shown(name: &str, text: &str) -> String {
        let mut cx = Context::default();
        let source = Source::new(name, text);
        let parsed = parse(&source, cx.next_source());
        let id = cx.add_source(source);
        conceal(&parsed.root, Some(ROOT), &mut cx);
        cx.source(id).shown().into_owned()
    }

    #[test]
    fn secrets_are_hidden_wherever_they_are_written() {
        let text = r#"
[upstreams.a]
api_key = "sk-1"
apikey = "sk-2"
auth = { header = "x-key", value = "sk-3" }
url = "http://me:sk-4@host/"
first_token_timeout = "abc"
[upstreams.b]
auth = "Bearer sk-5"
api_key = { env = "NAME" }
[database]
password = "sk-6"
dsn = "postgres://me:sk-7@db/x"
tokens = ["sk-8"]
"#;
        let shown = shown("app.toml", text);
        assert!(!shown.contains("sk-"), "{shown}");
        for kept in ["x-key", "abc", "NAME", "@host", "@db"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }

    #[test]
    fn secrets_are_hidden_in_texts_that_do_not_parse() {
        for line in [
            "api_key = \"sk-1",
            "\"api_key\": \"sk-1\", \"timeout\": 5s",
            "password: sk-1",
            "tokens = \"sk-1",
            "auth = { header = \"a\", value = \"sk-1\" ",
            "url = \"http://me:sk-1@host",
        ] {
            let mut source = Source::new("f", format!("timeout = 5\n{line}\nnext = 1\n"));
            conceal_text(&mut source);
            let shown = source.shown();
            assert!(!shown.contains("sk-1"), "{shown}");
            assert!(shown.contains("timeout = 5\n") && shown.contains("next = 1"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for line in [
            "first_token_timeout = 5s",
            "token_limit = 90000",
            "token_limit = { tokens = 0, per = \"1w\" }",
            "[circuit_breaker.circuits.auth",
            "path = /v1",
            "url = \"http://auth:8080\"",
            "circuits = { auth = { timeout = 5s } }",
            "\"circuit\": \"auth\", \"deadline\": 5s",
        ] {
            let mut source = Source::new("f", line);
            conceal_text(&mut source);
            assert_eq!(source.shown(), line);
        }
    }
}
