//! The tree as TOML, with its comments.

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use super::comments::Comment;
use crate::context::Context;
use crate::describe::{Shape, Table as Described, is_note};
use crate::sections::ROOT;
use crate::syntax::{self, Node};

/// Tables with more keys than this get a header of their own.
const INLINE: usize = 4;

pub(super) fn write(tree: &syntax::Table, comments: Vec<Comment>, cx: &Context) -> String {
    let mut writer = Writer { cx, comments, anchors: Vec::new() };
    writer.anchor(tree, Some(ROOT), true);
    writer.anchors.sort_unstable();
    let mut document = DocumentMut::new();
    writer.table(document.as_table_mut(), tree, Some(ROOT), true);
    let rest: Vec<Comment> = std::mem::take(&mut writer.comments);
    if !rest.is_empty() {
        document.set_trailing(format!("\n{}", lines(&rest, false)));
    }
    let text = document.to_string();
    format!("{}\n", text.trim())
}

struct Writer<'a> {
    cx: &'a Context,
    /// Those that have found no place yet.
    comments: Vec<Comment>,
    /// Where those lines begin in the old text that are lines in the new one, too.
    anchors: Vec<usize>,
}

impl Writer<'_> {
    /// Notes what comments can stand before.
    fn anchor(&mut self, table: &syntax::Table, described: Option<&'static Described>, top: bool) {
        for entry in table.iter() {
            let (shape, _) = shape(described, &entry.key);
            match &entry.node.value {
                syntax::Value::Table(inner) if !inlined(inner, shape, top) => {
                    if has_header(inner, shape) {
                        self.anchors.push(entry.key_span.start);
                    }
                    self.below(inner, shape);
                }
                syntax::Value::List(items) if of_tables(items, shape) => {
                    for item in items {
                        self.anchors.push(item.span.start);
                        if let Some(inner) = item.as_table() {
                            self.anchor(inner, table_of(shape), false);
                        }
                    }
                }
                _ => self.anchors.push(entry.key_span.start),
            }
        }
    }

    fn below(&mut self, inner: &syntax::Table, shape: Option<Shape>) {
        let described = table_of(shape);
        if let Some(Shape::Map(_)) = shape {
            for entry in inner.iter() {
                match entry.node.as_table() {
                    Some(named) if !is_note(entry) => {
                        self.anchors.push(entry.key_span.start);
                        self.anchor(named, described, false);
                    }
                    _ => self.anchors.push(entry.key_span.start),
                }
            }
        } else {
            self.anchor(inner, described, false);
        }
    }

    /// Writes `from`, which is a table as described.
    fn table(
        &mut self,
        to: &mut Table,
        from: &syntax::Table,
        described: Option<&'static Described>,
        top: bool,
    ) {
        for entry in from.iter() {
            let (shape, below) = shape(described, &entry.key);
            match &entry.node.value {
                syntax::Value::Null => {}
                syntax::Value::Table(inner) if !inlined(inner, shape, top) => {
                    let mut table = Table::new();
                    if has_header(inner, shape) {
                        self.decorate(entry.key_span.start, table.decor_mut());
                    } else {
                        table.set_implicit(true);
                    }
                    if let Some(Shape::Map(_)) = shape {
                        self.map(&mut table, inner, below);
                    } else {
                        self.table(&mut table, inner, below, false);
                    }
                    to.insert(&entry.key, Item::Table(table));
                }
                syntax::Value::List(items) if of_tables(items, shape) => {
                    let mut list = ArrayOfTables::new();
                    for item in items {
                        let mut table = Table::new();
                        self.decorate(item.span.start, table.decor_mut());
                        if let Some(inner) = item.as_table() {
                            self.table(&mut table, inner, below, false);
                        }
                        list.push(table);
                    }
                    to.insert(&entry.key, Item::ArrayOfTables(list));
                }
                _ => self.line(to, entry),
            }
        }
    }

    /// Tables under names.
    fn map(&mut self, to: &mut Table, from: &syntax::Table, below: Option<&'static Described>) {
        for entry in from.iter() {
            match entry.node.as_table() {
                Some(inner) if !is_note(entry) => {
                    let mut table = Table::new();
                    self.decorate(entry.key_span.start, table.decor_mut());
                    self.table(&mut table, inner, below, false);
                    to.insert(&entry.key, Item::Table(table));
                }
                _ => self.line(to, entry),
            }
        }
    }

    /// One key and its value, with the comments about it.
    fn line(&mut self, to: &mut Table, entry: &syntax::Entry) {
        let mut value = self.value(&entry.node);
        let mut key = toml_edit::Key::new(&entry.key);
        let (before, behind) = self.comments_of(entry.key_span.start);
        if !before.is_empty() {
            key.leaf_decor_mut().set_prefix(lines(&before, true));
        }
        if let Some(comment) = behind {
            value.decor_mut().set_suffix(format!(" {}", comment.text));
        }
        to.insert_formatted(&key, Item::Value(value));
    }

    fn decorate(&mut self, start: usize, decor: &mut toml_edit::Decor) {
        let (before, behind) = self.comments_of(start);
        decor.set_prefix(format!("\n{}", lines(&before, false)));
        if let Some(comment) = behind {
            decor.set_suffix(format!(" {}", comment.text));
        }
    }

    /// Takes the comments that belong to the line which began at `start`: those before it, back to
    /// the line before, and the first that stands behind it or within it.
    fn comments_of(&mut self, start: usize) -> (Vec<Comment>, Option<Comment>) {
        let next = self.anchors.iter().copied().find(|anchor| *anchor > start);
        let next = next.unwrap_or(usize::MAX);
        let previous = self.anchors.iter().rev().copied().find(|anchor| *anchor < start);
        let (mut before, mut behind, mut rest) = (Vec::new(), None, Vec::new());
        for comment in std::mem::take(&mut self.comments) {
            let earlier =
                comment.start < start && (previous.is_none_or(|previous| comment.start > previous));
            let own = comment.start > start && comment.start < next && comment.trailing;
            if earlier {
                before.push(comment);
            } else if own && behind.is_none() {
                behind = Some(comment);
            } else {
                rest.push(comment);
            }
        }
        self.comments = rest;
        (before, behind)
    }

    fn value(&self, node: &Node) -> Value {
        match &node.value {
            syntax::Value::Null => Value::from(""),
            syntax::Value::Bool(flag) => Value::from(*flag),
            syntax::Value::Integer(number) => match i64::try_from(*number) {
                Ok(number) => Value::from(number),
                Err(_) => Value::from(*number as f64),
            },
            syntax::Value::Float(number) => Value::from(*number),
            syntax::Value::Text(text) | syntax::Value::Untyped(text) => Value::from(text.as_str()),
            syntax::Value::Date => {
                let text = self.cx.text(node.span);
                text.parse().unwrap_or_else(|_| Value::from(text))
            }
            syntax::Value::List(items) => {
                let items = items.iter().filter(|item| item.value != syntax::Value::Null);
                Value::Array(items.map(|item| self.value(item)).collect::<Array>())
            }
            syntax::Value::Table(table) => {
                let mut inline = InlineTable::new();
                for entry in table.iter().filter(|entry| entry.node.value != syntax::Value::Null) {
                    inline.insert(&entry.key, self.value(&entry.node));
                }
                Value::InlineTable(inline)
            }
        }
    }
}

/// How the value of a key is made up of tables, and which those are.
fn shape(
    described: Option<&'static Described>,
    key: &str,
) -> (Option<Shape>, Option<&'static Described>) {
    let field = described.and_then(|table| table.field(key));
    let shape = field.map(|field| field.kind.shape());
    (shape, table_of(shape))
}

fn table_of(shape: Option<Shape>) -> Option<&'static Described> {
    match shape {
        Some(Shape::Table(table) | Shape::Map(table) | Shape::List(table)) => Some(table),
        _ => None,
    }
}

/// Whether a table is short enough to stand behind its key.
fn inlined(table: &syntax::Table, shape: Option<Shape>, top: bool) -> bool {
    let plain = |entry: &syntax::Entry| entry.node.as_table().is_none();
    let few = table.iter().count() <= INLINE;
    !top && !matches!(shape, Some(Shape::Map(_))) && few && table.iter().all(plain)
}

/// Whether something is said in the table itself, and not only below.
fn has_header(table: &syntax::Table, shape: Option<Shape>) -> bool {
    let named = matches!(shape, Some(Shape::Map(_)));
    let plain = |entry: &syntax::Entry| match &entry.node.value {
        syntax::Value::Table(inner) => {
            !named && inlined(inner, self::shape(table_of(shape), &entry.key).0, false)
        }
        syntax::Value::List(items) => !of_tables(items, self::shape(table_of(shape), &entry.key).0),
        _ => true,
    };
    table.iter().count() == 0 || table.iter().any(plain)
}

fn of_tables(items: &[Node], shape: Option<Shape>) -> bool {
    matches!(shape, Some(Shape::List(_)))
        && items.iter().all(|item| item.as_table().is_some())
        && !items.is_empty()
}

/// Comments as lines of their own.
fn lines(comments: &[Comment], within: bool) -> String {
    let mut text = String::new();
    for (i, comment) in comments.iter().enumerate() {
        if comment.apart && (i > 0 || within) {
            text.push('\n');
        }
        text.push_str(&comment.text);
        text.push('\n');
    }
    text
}
