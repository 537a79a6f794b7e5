//! Tables within tables.

use std::marker::PhantomData;

use serde_json::{Value as Json, json};

use super::secret::literal;
use crate::conceal::holds_secrets;
use crate::context::{At, Context, Named, shorten};
use crate::describe::suggest::enumerate;
use crate::describe::{Keys, Kind, Read, Shape, TableReader, is_note};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::schema::Definitions;
use crate::syntax::{Entry, Node, Value};

/// Longest name of a circuit, upstream, route or fallback, in bytes.
const LONGEST_NAME: usize = 128;

/// Most tables of a list; each is compared with each.
const MOST_TABLES: usize = 2_000;

/// One table.
pub(crate) struct Nested<T>(PhantomData<fn() -> T>);

/// Tables by name; `what` says of what the names are, with an article.
pub(crate) struct Many<T> {
    what: &'static str,
    most: usize,
    keys: PhantomData<fn() -> T>,
}

/// A list of tables.
pub(crate) struct Each<T>(PhantomData<fn() -> T>);

impl<T: Keys> Nested<T> {
    pub(crate) const HERE: Nested<T> = Nested(PhantomData);
}

impl<T: Keys> Kind for Nested<T> {
    fn accepts(&self) -> String {
        String::from("a table")
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        definitions.with_shorthand(T::TABLE)
    }

    fn shape(&self) -> Shape {
        Shape::Table(T::TABLE)
    }
}

impl<T: Keys> Read for Nested<T> {
    type Out = T;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<T> {
        match node.as_table() {
            Some(entries) => Some(TableReader::read(entries, node.span, cx)),
            None if holds_secrets(T::TABLE) => {
                let keys = enumerate(T::TABLE.fields.iter().map(|field| field.name));
                literal(node, &format!("must be a table of {keys}"), cx);
                None
            }
            None => {
                let problem = cx.wrong_type(node, &self.accepts());
                cx.report(problem);
                None
            }
        }
    }
}

// ===== impl Many =====

impl<T: Keys> Many<T> {
    pub(crate) const fn of(what: &'static str, most: usize) -> Many<T> {
        Many { what, most, keys: PhantomData }
    }
}

impl<T: Keys> Kind for Many<T> {
    fn accepts(&self) -> String {
        format!("a table of tables, each under the name of {}", self.what)
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        let entry = definitions.with_shorthand(T::TABLE);
        json!({
            "type": "object",
            "propertyNames": { "minLength": 1, "maxLength": LONGEST_NAME },
            "patternProperties": {
                "^(comment|\\$schema|x-.*)$": { "if": { "type": "object" }, "then": entry },
                "^(?!comment$|\\$schema$|x-).*$": entry,
            },
        })
    }

    fn shape(&self) -> Shape {
        Shape::Map(T::TABLE)
    }
}

impl<T: Keys> Read for Many<T> {
    type Out = Vec<Named<T>>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Self::Out> {
        let Some(entries) = node.as_table() else {
            let problem = cx.wrong_type(node, &self.accepts());
            cx.report(problem);
            return None;
        };
        let mut many = Vec::new();
        if too_many(entries.iter().count(), self.most, node, cx) {
            return Some(many);
        }
        for entry in entries.iter().filter(|entry| !is_note(entry)) {
            let good = check_name(self.what, entry, cx);
            let value = cx.within(&entry.key, |cx| {
                if let Some(inner) = entry.node.as_table() {
                    return Some(TableReader::read(inner, entry.node.span, cx));
                }

                let problem = cx.wrong_type(&entry.node, &format!("the table of {}", self.what));
                cx.report(problem);
                None
            });
            if let (true, Some(value)) = (good, value) {
                let name = entry.key.clone();
                many.push(Named { name, name_span: entry.key_span, value });
            }
        }
        Some(many)
    }
}

// ===== impl Each =====

impl<T: Keys> Each<T> {
    pub(crate) const HERE: Each<T> = Each(PhantomData);
}

impl<T: Keys> Kind for Each<T> {
    fn accepts(&self) -> String {
        format!("a list of tables, [[{}]]", T::TABLE.header)
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        json!({ "type": "array", "items": definitions.reference(T::TABLE) })
    }

    fn shape(&self) -> Shape {
        Shape::List(T::TABLE)
    }
}

impl<T: Keys> Read for Each<T> {
    type Out = Vec<At<T>>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Self::Out> {
        let Value::List(items) = &node.value else {
            let problem = cx.wrong_type(node, &self.accepts());
            let problem = match node.as_table() {
                Some(_) => problem.help("in TOML, the header has double brackets"),
                None => problem,
            };
            cx.report(problem);
            return None;
        };
        let mut each = Vec::new();
        if too_many(items.len(), MOST_TABLES, node, cx) {
            return Some(each);
        }
        for (i, item) in items.iter().enumerate() {
            cx.within_item(i, |cx| {
                if let Some(entries) = item.as_table() {
                    let value = TableReader::read(entries, item.span, cx);
                    each.push(At::new(value, item.span));
                } else {
                    let problem = cx.wrong_type(item, "a table");
                    cx.report(problem);
                }
            });
        }
        Some(each)
    }
}

/// Whether there are more tables than anybody needs, which is reported.
fn too_many(count: usize, most: usize, node: &Node, cx: &mut Context) -> bool {
    if count > most {
        let message = format!("`{}` has {count} tables, but at most {most} are read", cx.subject());
        cx.report(Problem::new(codes::BAD_LIST, message).at(node.span, "too many"));
    }
    count > most
}

// ===== names =====

/// Whether the key of `entry` can be the name of `what`; if not, that is reported.
pub(crate) fn check_name(what: &str, entry: &Entry, cx: &mut Context) -> bool {
    let name = &entry.key;
    let fault = if name.is_empty() {
        "is empty"
    } else if name.len() > LONGEST_NAME {
        "is too long"
    } else if name.contains(char::is_control) {
        "has a control character"
    } else if name.trim() != name {
        "has a blank at its end"
    } else {
        return true;
    };
    let message = format!("the name \"{}\" of {what} {fault}", shorten(name));
    let problem = Problem::new(codes::BAD_NAME, message).at(entry.key_span, fault).help(format!(
        "names have 1 to {LONGEST_NAME} bytes, no control characters, and no blanks at their ends"
    ));
    cx.report(problem);
    false
}
