//! Values as they stand in the tree, by the declarations of their keys.

use serde_json::json;

use super::{Lister, View, join};
use crate::describe::{Field, Keys, Presence, Shape, Table, is_note};
use crate::model::{Config, Origin};
use crate::sections::{AdminKeys, GatewayKeys, ROOT, SecretKeys, SwitchKeys};
use crate::source::Span;
use crate::syntax::{self, Node, Value};

/// Tables that are there even if nobody writes them.
const ALWAYS: [&str; 3] = [SwitchKeys::TABLE.id, GatewayKeys::TABLE.id, AdminKeys::TABLE.id];

impl Lister<'_> {
    pub(super) fn file(&mut self, tree: &syntax::Table, config: &Config) {
        self.table("", ROOT, tree, Some(config));
    }

    /// `config` is given as long as circuits may be met, which have more layers than the tree.
    fn table(
        &mut self,
        path: &str,
        table: &'static Table,
        entries: &syntax::Table,
        config: Option<&Config>,
    ) {
        for field in table.all_fields() {
            let path = join(path, field.name);
            let node = entries.get(field.name).map(|entry| &entry.node);
            match (config, field.name, self.view) {
                (Some(config), "defaults", View::Effective) => self.defaults(config),
                (Some(config), "circuits", View::Effective) => {
                    self.circuits(config, node.and_then(Node::as_table));
                }
                _ => self.field(&path, field, node, config),
            }
        }
    }

    fn field(
        &mut self,
        path: &str,
        field: &'static Field,
        node: Option<&Node>,
        config: Option<&Config>,
    ) {
        let Some(node) = node else { return self.absent(path, field, config) };
        match (field.kind.shape(), &node.value) {
            (Shape::Table(inner), Value::Table(_)) if inner.id == SecretKeys::TABLE.id => {
                self.push(path, self.shown(node), self.origin(node.span));
            }
            (Shape::Table(inner), Value::Table(entries)) => {
                let config = config.filter(|_| inner.id == SwitchKeys::TABLE.id);
                self.table(path, inner, entries, config);
            }
            (Shape::Map(inner), Value::Table(entries)) => {
                for entry in entries.iter().filter(|entry| !is_note(entry)) {
                    if let Some(entries) = entry.node.as_table() {
                        self.table(&join(path, &entry.key), inner, entries, None);
                    }
                }
            }
            (Shape::Values, Value::Table(entries)) => {
                for entry in entries.iter() {
                    let (value, origin) = (self.shown(&entry.node), self.origin(entry.node.span));
                    self.push(&join(path, &entry.key), value, origin);
                }
            }
            (Shape::List(inner), Value::List(items)) => {
                for (i, item) in items.iter().enumerate() {
                    if let Some(entries) = item.as_table() {
                        self.table(&format!("{path}[{i}]"), inner, entries, None);
                    }
                }
            }
            _ => {
                let shown = self.shown(node);
                let hidden = shown == json!("(not shown)");
                let canonical = field.kind.canonical(node).filter(|_| !hidden);
                self.push(path, canonical.unwrap_or(shown), self.origin(node.span));
            }
        }
    }

    fn absent(&mut self, path: &str, field: &'static Field, config: Option<&Config>) {
        if self.view == View::Written {
            return;
        }
        match (field.kind.shape(), field.presence) {
            (Shape::Table(inner), _) if ALWAYS.contains(&inner.id) => {
                let config = config.filter(|_| inner.id == SwitchKeys::TABLE.id);
                self.table(path, inner, &syntax::Table::default(), config);
            }
            (_, Presence::Default(text)) => {
                let node = Node::new(Span::NOWHERE, Value::Untyped(text.to_owned()));
                let value = field.kind.canonical(&node).unwrap_or_else(|| self.shown(&node));
                self.push(path, value, Origin::BUILT_IN);
            }
            _ => {}
        }
    }
}
