//! The one tree both formats are read into: values, and where they stand.

use std::collections::HashMap;

use crate::source::Span;

/// A value and its place.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a file can hold.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Saturated where the text has more digits than any key takes.
    Integer(i128),
    Float(f64),
    Text(String),
    /// From the environment or the command line, where everything is text: read as whatever the
    /// key takes.
    Untyped(String),
    /// A TOML date or time, which no key takes.
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// Keys and values, in the order of the text; no key stands twice.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
}

/// One line of a [`Table`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

// ===== impl Node =====

impl Node {
    pub(crate) fn new(span: Span, value: Value) -> Node {
        Node { span, value }
    }

    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn as_table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

impl Value {
    /// What it is, with an article, for messages that do not quote it.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) | Value::Untyped(_) => "text",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

// ===== impl Table =====

impl Table {
    /// A table of one entry.
    pub(crate) fn of(entry: Entry) -> Table {
        Table { entries: vec![entry] }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.entries.into_iter()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        let at = self.position(key)?;
        self.entries.get(at)
    }

    /// Looking for many keys in many entries, ask [`Table::places`] once instead.
    fn position(&self, key: &str) -> Option<usize> {
        let at = self.entries.iter().position(|entry| entry.key == key);
        crate::work::count(at.map_or(self.entries.len(), |at| at + 1));
        at
    }

    /// Where each key is, to use with [`Table::at_mut`].
    pub(crate) fn places(&self) -> HashMap<String, usize> {
        crate::work::count(self.entries.len());
        let places = self.entries.iter().enumerate();
        places.map(|(at, entry)| (entry.key.clone(), at)).collect()
    }

    /// The entry at a place of [`Table::places`]; what was pushed since comes after those.
    pub(crate) fn at_mut(&mut self, place: usize) -> Option<&mut Entry> {
        self.entries.get_mut(place)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        let at = self.position(key)?;
        self.entries.get_mut(at)
    }

    /// Appends an entry whose key is not there yet.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.position(key)?;
        Some(self.entries.remove(at))
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(keep);
    }

    /// Puts the entries into the order of their keys in the text.
    pub(crate) fn sort_by_place(&mut self) {
        self.entries.sort_by_key(|entry| entry.key_span.start);
    }
}
