//! Reads a table by its description.

use super::suggest::{elsewhere, enumerate, nearest};
use super::{Keys, Read, Table};
use crate::context::{At, Context};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::sections::ROOT;
use crate::source::Span;
use crate::syntax::{self, Entry, Node, Value};

/// A table that is being read.
pub(crate) struct TableReader<'n, 'c> {
    table: &'static Table,
    entries: &'n syntax::Table,
    span: Span,
    cx: &'c mut Context,
    errors_before: usize,
}

/// How reading a table went, to tell what follows from a mistake that was reported already.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    written: Vec<&'static str>,
    clean: bool,
}

impl Reading {
    /// Whether the key was there, readable or not.
    pub(crate) fn wrote(&self, key: &str) -> bool {
        self.written.contains(&key)
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.clean
    }
}

/// Keys that are nobody's business, in every table of ours.
pub(crate) fn is_free_key(key: &str) -> bool {
    matches!(key, "comment" | "$schema") || key.starts_with("x-")
}

impl<'n, 'c> TableReader<'n, 'c> {
    /// Reads the keys in `entries`, and says which of them are none. `span` is where the table
    /// itself is named.
    pub(crate) fn read<T: Keys>(entries: &'n syntax::Table, span: Span, cx: &'c mut Context) -> T {
        let errors_before = cx.errors();
        let mut reader = TableReader { table: T::TABLE, entries, span, cx, errors_before };
        reader.check_keys();
        reader.check_exclusive();
        T::read(&mut reader)
    }

    /// How reading went, once all keys have been read.
    pub(crate) fn reading(&self) -> Reading {
        let written = |name: &&'static str| self.entries.get(name).is_some();
        Reading {
            written: self.table.all_fields().map(|field| field.name).filter(written).collect(),
            clean: self.cx.errors() == self.errors_before,
        }
    }

    /// A key that may be absent.
    pub(crate) fn optional<K: Read>(&mut self, name: &str, kind: &K) -> Option<At<K::Out>> {
        let entry = self.entries.get(name)?;
        let value = self.cx.within(name, |cx| kind.read(&entry.node, cx))?;
        Some(At::new(value, entry.node.span))
    }

    /// A key that may not be absent.
    pub(crate) fn required<K: Read>(&mut self, name: &str, kind: &K) -> Option<At<K::Out>> {
        if self.entries.get(name).is_none() && !self.cx.is_partial() {
            let header = self.cx.header();
            let problem = Problem::new(codes::MISSING_KEY, format!("{header} has no `{name}`"))
                .at(self.span, format!("needs `{name}`"))
                .help(format!("`{name}` must be {}", kind.accepts()));
            self.cx.report(problem);
        }
        self.optional(name, kind)
    }

    /// A key that stands for itself when it is absent or unreadable.
    pub(crate) fn or_default<K: Read>(&mut self, name: &str, kind: &K, text: &str) -> At<K::Out> {
        self.optional(name, kind).unwrap_or_else(|| {
            let node = Node::new(Span::NOWHERE, Value::Untyped(text.to_owned()));
            let value = kind.read(&node, &mut Context::default());
            // Every default is read by a test.
            At::new(value.unwrap_or_else(|| unreachable!("`{name}` = {text}")), Span::NOWHERE)
        })
    }

    // ===== keys =====

    fn check_keys(&mut self) {
        for entry in self.entries.iter() {
            if self.cx.is_full() {
                return;
            }
            if self.table.field(&entry.key).is_none() && !is_free_key(&entry.key) {
                self.unknown(entry);
            }
        }
    }

    fn unknown(&mut self, entry: &Entry) {
        let header = self.cx.header();
        let key = crate::context::shorten(&entry.key);
        if self.table.later.contains(&key.as_str()) {
            let message = format!("`{key}` in {header} is not supported by this version");
            let problem = Problem::new(codes::UNSUPPORTED_KEY, message)
                .at(entry.key_span, "not supported")
                .help("take it out, or use a version that knows it");
            return self.cx.report(problem);
        }
        let problem = Problem::new(codes::UNKNOWN_KEY, format!("unknown key `{key}` in {header}"));
        let names = || self.table.all_fields().map(|field| field.name);
        let problem = if let Some(meant) = nearest(&entry.key, names()) {
            problem.at(entry.key_span, "unknown key").help(format!("did you mean `{meant}`?"))
        } else {
            let others = elsewhere(&entry.key, self.table, ROOT);
            if others.is_empty() {
                let known = enumerate(names());
                problem.at(entry.key_span, "unknown key").help(format!("known keys: {known}"))
            } else {
                let places: Vec<String> =
                    others.iter().take(3).map(|table| format!("[{}]", table.header)).collect();
                problem
                    .at(entry.key_span, "not here")
                    .help(format!("`{key}` belongs under {}", places.join(" or ")))
            }
        };
        self.cx.report(problem);
    }

    fn check_exclusive(&mut self) {
        for group in self.table.all_exclusive() {
            let mut given: Vec<&Entry> =
                group.iter().filter_map(|name| self.entries.get(name)).collect();
            given.sort_by_key(|entry| entry.key_span.start);
            if let [first, second, ..] = given.as_slice() {
                let problem = Problem::new(
                    codes::EXCLUSIVE_KEYS,
                    format!("{} has both `{}` and `{}`", self.cx.header(), first.key, second.key),
                )
                .at(second.key_span, "and this")
                .also(first.key_span, "this")
                .help(format!("keep one of {}", enumerate(group.iter().copied())));
                self.cx.report(problem);
            }
        }
    }
}
