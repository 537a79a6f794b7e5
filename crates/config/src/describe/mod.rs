//! One description of every key.
//!
//! A section is declared once, with [`keys!`]: names, types with their ranges, defaults and docs.
//! Reading, range checks, suggestions, overrides, the JSON Schema and the reference all follow
//! from that declaration, so a new key is one entry there and its use in `check`.

mod macros;
mod old;
mod reader;
pub(crate) mod suggest;

use serde_json::Value as Json;

pub(crate) use macros::keys;
pub(crate) use old::{Convert, Literal, OldName, is_note, modernise};
pub(crate) use reader::{Reading, TableReader, is_free_key};

use crate::context::Context;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// All there is to know about a table.
pub(crate) struct Table {
    /// What the schema calls it.
    pub(crate) id: &'static str,
    /// Where it stands, as a header: `upstreams.NAME`.
    pub(crate) header: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
    /// Tables whose keys stand in this one as well.
    pub(crate) parts: &'static [&'static Table],
    /// The key that is meant when a bare value stands in place of the table.
    pub(crate) shorthand: Option<&'static str>,
    /// Keys of which a table can have one.
    pub(crate) exclusive: &'static [&'static [&'static str]],
    /// Names these keys went by.
    pub(crate) old: &'static [OldName],
    /// Keys that other versions know.
    pub(crate) later: &'static [&'static str],
}

/// All there is to know about a key.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) kind: &'static dyn Kind,
    pub(crate) presence: Presence,
}

/// What it means that a key is absent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    /// An error.
    Required,
    /// What this text says, in words.
    Optional(&'static str),
    /// This value, as one would write it.
    Default(&'static str),
    /// What a lower layer says, and this value where none does.
    Layered(&'static str),
}

/// A type of value, for everything but reading it.
pub(crate) trait Kind: Sync {
    /// What is accepted, to follow "must be".
    fn accepts(&self) -> String;

    /// What is accepted, as JSON Schema.
    fn schema(&self, definitions: &mut Definitions) -> Json;

    /// The value in the one spelling that stands for all of them; `None` where there is only one.
    fn canonical(&self, _: &Node) -> Option<Json> {
        None
    }

    /// Whether a value stands for nothing at all, instead of for the table's shorthand.
    fn is_off(&self, _: &Value) -> bool {
        false
    }

    /// What is inside.
    fn shape(&self) -> Shape {
        Shape::Leaf
    }
}

/// A type of value that can be read.
pub(crate) trait Read: Kind {
    type Out;

    /// The value, or `None` after reporting why there is none.
    fn read(&self, node: &Node, cx: &mut Context) -> Option<Self::Out>;
}

/// How a value is made up of tables.
#[derive(Copy, Clone)]
pub(crate) enum Shape {
    /// Not of tables.
    Leaf,
    /// One table.
    Table(&'static Table),
    /// Tables under names that users choose.
    Map(&'static Table),
    /// Values under names that users choose.
    Values,
    /// A list of tables.
    List(&'static Table),
    /// A value, a table that says more, or a list of either.
    OneOrMany(&'static Table),
}

/// What [`keys!`] makes a struct into.
pub(crate) trait Keys: Sized {
    const TABLE: &'static Table;

    /// How reading it went.
    fn reading(&self) -> &Reading;

    /// Reads every key; what cannot be read is reported and left out.
    fn read(reader: &mut TableReader<'_, '_>) -> Self;
}

// ===== impl Table =====

impl Table {
    /// Its own keys and those of its parts.
    pub(crate) fn all_fields(&self) -> impl Iterator<Item = &'static Field> {
        let parts = self.parts.iter().flat_map(|part| part.fields);
        self.fields.iter().chain(parts)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.all_fields().find(|field| field.name == name)
    }

    /// Its own old names and those of its parts.
    pub(crate) fn all_old(&self) -> impl Iterator<Item = &'static OldName> {
        let parts = self.parts.iter().flat_map(|part| part.old);
        self.old.iter().chain(parts)
    }

    pub(crate) fn all_exclusive(&self) -> impl Iterator<Item = &'static [&'static str]> {
        let parts = self.parts.iter().flat_map(|part| part.exclusive);
        self.exclusive.iter().chain(parts).copied()
    }

    /// This table and every table below it, each once.
    pub(crate) fn family(&'static self) -> Vec<&'static Table> {
        let mut family: Vec<&'static Table> = vec![self];
        let mut next = 0;
        while let Some(table) = family.get(next).copied() {
            for field in table.all_fields() {
                let (Shape::Table(inner)
                | Shape::Map(inner)
                | Shape::List(inner)
                | Shape::OneOrMany(inner)) = field.kind.shape()
                else {
                    continue;
                };
                if !family.iter().any(|known| known.id == inner.id) {
                    family.push(inner);
                }
            }
            next += 1;
        }
        family
    }
}
