//! Listeners.

use std::net::SocketAddr;

use serde_json::Value as Json;

use super::net::AddressKind;
use crate::context::Context;
use crate::describe::{Keys as _, Kind, Read, Shape, TableReader};
use crate::schema::Definitions;
use crate::sections::ListenKeys;
use crate::syntax::Node;

/// An address, or a table that says more of a listener.
pub(crate) struct ListenKind;

/// What was said of a listener.
#[derive(Clone, Debug)]
pub(crate) enum ListenValue {
    Address(SocketAddr),
    Table(Box<ListenKeys>),
}

impl ListenValue {
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            ListenValue::Address(address) => Some(*address),
            ListenValue::Table(keys) => keys.address.as_ref().map(|at| at.value),
        }
    }
}

/// Two listeners are one too many if they want the same address, unless that is any that is free.
impl PartialEq for ListenValue {
    fn eq(&self, other: &ListenValue) -> bool {
        self.address().is_some() && self.address() == other.address()
    }
}

impl Kind for ListenKind {
    fn accepts(&self) -> String {
        format!("{}, or a table with that as its `address`", AddressKind.accepts())
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        definitions.with_shorthand(ListenKeys::TABLE)
    }

    fn shape(&self) -> Shape {
        Shape::Table(ListenKeys::TABLE)
    }
}

impl Read for ListenKind {
    type Out = ListenValue;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<ListenValue> {
        match node.as_table() {
            Some(entries) => {
                let keys = TableReader::read(entries, node.span, cx);
                Some(ListenValue::Table(Box::new(keys)))
            }
            None => AddressKind.read(node, cx).map(ListenValue::Address),
        }
    }
}
