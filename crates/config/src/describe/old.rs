//! Settings that went by other names, and tables written as bare values: rewritten in the tree
//! before anything is read, so that the rest of the crate knows one form only.

use super::{Shape, Table, is_free_key};
use crate::context::Context;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::syntax::{self, Entry, Node, Value, parse_fragment};

/// A name that a key went by.
pub(crate) struct OldName {
    pub(crate) name: &'static str,
    /// The path of the key that took its place; empty when none did.
    pub(crate) new: &'static [&'static str],
    pub(crate) convert: Convert,
}

/// What becomes of the value.
#[derive(Copy, Clone)]
pub(crate) enum Convert {
    /// It is taken as it is.
    Same,
    /// It was a switch; now it is one of these.
    Switch { on: Literal, off: Literal },
    /// Nothing: the setting has no effect any more, for this reason.
    Dropped(&'static str),
}

/// A value that stands in for another.
#[derive(Copy, Clone)]
pub(crate) enum Literal {
    Number(f64),
    Text(&'static str),
}

/// Rewrites `entries`, which are those of `table`, into today's names and full tables.
pub(crate) fn modernise(entries: &mut syntax::Table, table: &'static Table, cx: &mut Context) {
    for field in table.all_fields() {
        if let (Shape::Table(inner), Some(entry)) =
            (field.kind.shape(), entries.get_mut(field.name))
            && !field.kind.is_off(&entry.node.value)
            && !spell_out(&mut entry.node, inner, cx)
        {
            entries.remove(field.name);
        }
    }
    for old in table.all_old() {
        rename(entries, old, table, cx);
    }
    for entry in entries.iter_mut() {
        let Some(field) = table.field(&entry.key) else { continue };
        let node = &mut entry.node;
        cx.within(field.name, |cx| match (field.kind.shape(), &mut node.value) {
            (Shape::Table(inner), Value::Table(entries)) => modernise(entries, inner, cx),
            (Shape::Map(inner), Value::Table(entries)) => {
                for entry in entries.iter_mut().filter(|entry| !is_note(entry)) {
                    cx.within(&entry.key, |cx| {
                        if spell_out(&mut entry.node, inner, cx)
                            && let Some(entries) = entry.node.as_table_mut()
                        {
                            modernise(entries, inner, cx);
                        }
                    });
                }
            }
            (Shape::List(inner), Value::List(items)) => {
                for (i, item) in items.iter_mut().enumerate() {
                    if let Some(entries) = item.as_table_mut() {
                        cx.within_item(i, |cx| modernise(entries, inner, cx));
                    }
                }
            }
            _ => {}
        });
    }
}

/// Whether an entry of a map is a remark rather than a name. A table is always a name: a circuit
/// called `x-…` must not go unprotected.
pub(crate) fn is_note(entry: &Entry) -> bool {
    is_free_key(&entry.key) && entry.node.as_table().is_none()
}

/// Makes a bare value the table it stands for. `false` if it turned out to be nothing.
fn spell_out(node: &mut Node, table: &'static Table, cx: &mut Context) -> bool {
    if let Value::Untyped(text) = &node.value
        && text.trim_start().starts_with('{')
    {
        match parse_fragment(text, node.span.end.saturating_sub(text.len()), node.span.source) {
            Ok((parsed, problems)) => {
                for problem in problems {
                    cx.report(problem);
                }
                *node = parsed;
            }
            Err(problem) => {
                cx.report(*problem);
                return false;
            }
        }
    }
    let Some(key) = table.shorthand else { return true };
    if matches!(node.value, Value::Table(_) | Value::Null) {
        return true;
    }
    let value = std::mem::replace(&mut node.value, Value::Null);
    let entry =
        Entry { key: key.to_owned(), key_span: node.span, node: Node::new(node.span, value) };
    node.value = Value::Table(syntax::Table::of(entry));
    true
}

fn rename(
    entries: &mut syntax::Table,
    old: &'static OldName,
    table: &'static Table,
    cx: &mut Context,
) {
    let switch = entries.get(old.name).and_then(|entry| as_switch(&entry.node.value));
    if old.new == [old.name] && switch.is_none() {
        return;
    }
    let Some(mut entry) = entries.remove(old.name) else { return };
    let (name, path) = (old.name, old.new.join("."));
    match (old.convert, switch) {
        (Convert::Dropped(reason), _) => {
            let problem =
                Problem::new(codes::NO_EFFECT, format!("`{name}` has no effect in this version"))
                    .at(entry.key_span, "ignored")
                    .help(reason);
            cx.report(problem);
        }
        (Convert::Switch { .. }, None) => {
            let problem = cx.within(name, |cx| cx.wrong_type(&entry.node, "true or false"));
            cx.report(problem.help(format!("the setting is now called `{path}`")));
        }
        (Convert::Switch { on, off }, Some(is_on)) => {
            let literal = if is_on { on } else { off };
            entry.node.value = literal.value();
            let was = if old.new == [name] { "an old form" } else { "the old name" };
            let told = format!("`{name} = {is_on}` is {was} of `{path}`");
            let help = format!("write {}", literal.assignment(&path));
            place(entries, old, entry, table, (told, help), cx);
        }
        (Convert::Same, _) => {
            let told = format!("`{name}` is the old name of `{path}`");
            let help = format!("rename it to `{path}`");
            place(entries, old, entry, table, (told, help), cx);
        }
    }
}

/// Puts the entry where its new name says, with a warning of these words; or says that something
/// is there already.
fn place(
    entries: &mut syntax::Table,
    old: &'static OldName,
    mut entry: Entry,
    table: &'static Table,
    (told, help): (String, String),
    cx: &mut Context,
) {
    let (target, key) = match *old.new {
        [key] => (entries, key),
        [outer, key] => {
            debug_assert!(table.field(outer).is_some(), "{outer}");
            if entries.get(outer).is_none() {
                let node = Node::new(entry.node.span, Value::Table(syntax::Table::default()));
                entries.push(Entry { key: outer.to_owned(), key_span: entry.key_span, node });
            }
            match entries.get_mut(outer).and_then(|outer| outer.node.as_table_mut()) {
                Some(inner) => (inner, key),
                // Not a table, which is reported when it is read.
                None => return,
            }
        }
        _ => return,
    };
    if let Some(present) = target.get(key) {
        let path = old.new.join(".");
        let problem = Problem::new(codes::OLD_AND_NEW, format!("`{path}` is given twice"))
            .at(entry.key_span, format!("as `{}`, its old name", old.name))
            .also(present.key_span, "and here")
            .help(format!("take `{}` out", old.name));
        return cx.report(problem);
    }
    cx.report(Problem::new(codes::OLD_NAME, told).at(entry.key_span, "old name").help(help));
    key.clone_into(&mut entry.key);
    target.push(entry);
}

fn as_switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::Untyped(text) => text.parse().ok(),
        _ => None,
    }
}

// ===== impl Literal =====

impl Literal {
    fn value(self) -> Value {
        match self {
            Literal::Number(number) => Value::Float(number),
            Literal::Text(text) => Value::Text(text.to_owned()),
        }
    }

    fn assignment(self, path: &str) -> String {
        match self {
            Literal::Number(number) => format!("`{path} = {number}`"),
            Literal::Text(text) => format!("`{path} = \"{text}\"`"),
        }
    }
}
