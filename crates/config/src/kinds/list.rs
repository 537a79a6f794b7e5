//! Lists.

use serde_json::{Value as Json, json};

use crate::context::{At, Context};
use crate::describe::{Kind, Read, Shape};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::schema::Definitions;
use crate::syntax::{Node, Value, parse_fragment};

/// Most items of a list.
const LONGEST: usize = 1_000;

/// A list, each item of the inner type.
pub(crate) struct List<K> {
    pub(crate) item: K,
    pub(crate) rules: Rules,
}

/// What a list may be.
#[derive(Copy, Clone)]
pub(crate) struct Rules {
    pub(crate) empty: bool,
    pub(crate) repeats: bool,
}

/// A list, or its only item by itself.
pub(crate) struct OneOrMany<K>(pub(crate) List<K>);

impl Rules {
    /// At least one item, none of them twice.
    pub(crate) const SOME_DISTINCT: Rules = Rules { empty: false, repeats: false };
    /// None twice.
    pub(crate) const DISTINCT: Rules = Rules { empty: true, repeats: false };
    /// Anything.
    pub(crate) const ANY: Rules = Rules { empty: true, repeats: true };
}

impl<K: Kind> Kind for List<K> {
    fn accepts(&self) -> String {
        format!("a list, each item {}", self.item.accepts())
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        let mut schema = json!({ "type": "array", "items": self.item.schema(definitions) });
        if !self.rules.empty {
            schema["minItems"] = json!(1);
        }
        if !self.rules.repeats {
            schema["uniqueItems"] = json!(true);
        }
        schema
    }
}

impl<K: Read<Out: PartialEq>> Read for List<K> {
    type Out = Vec<At<K::Out>>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Self::Out> {
        match &node.value {
            Value::List(items) => Some(self.items(node, items, cx)),
            Value::Untyped(text) => {
                let items = split(text, node, cx)?;
                Some(self.items(node, &items, cx))
            }
            value => {
                let problem = cx.wrong_type(node, &self.accepts());
                let problem = match value {
                    Value::Text(_) | Value::Integer(_) => {
                        problem.help(format!("write [{}]", cx.quote(node)))
                    }
                    _ => problem,
                };
                cx.report(problem);
                None
            }
        }
    }
}

impl<K: Read<Out: PartialEq>> List<K> {
    fn items(&self, node: &Node, items: &[Node], cx: &mut Context) -> Vec<At<K::Out>> {
        if items.is_empty() && !self.rules.empty {
            let subject = cx.subject();
            let problem = Problem::new(codes::BAD_LIST, format!("`{subject}` is an empty list"))
                .at(node.span, "empty")
                .help(format!("name at least one: {}", self.item.accepts()));
            cx.report(problem);
        }
        if items.len() > LONGEST {
            let message = format!(
                "`{}` has {} items, but at most {LONGEST} are read",
                cx.subject(),
                items.len()
            );
            cx.report(Problem::new(codes::BAD_LIST, message).at(node.span, "too long"));
            return Vec::new();
        }
        let mut read: Vec<At<K::Out>> = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let Some(value) = cx.within_item(i, |cx| self.item.read(item, cx)) else { continue };
            let twice = read.iter().find(|earlier| earlier.value == value);
            if let (Some(earlier), false) = (twice, self.rules.repeats) {
                let message = format!("`{}` has {} twice", cx.subject(), cx.quote(item));
                let problem = Problem::new(codes::BAD_LIST, message)
                    .at(item.span, "again here")
                    .also(earlier.span, "first here")
                    .help("name it once");
                cx.report(problem);
                continue;
            }
            read.push(At::new(value, item.span));
        }
        read
    }
}

/// A list from the environment: JSON, or separated by commas.
fn split(text: &str, node: &Node, cx: &mut Context) -> Option<Vec<Node>> {
    // A default stands nowhere.
    let start = node.span.end.saturating_sub(text.len());
    if text.trim_start().starts_with('[') {
        return match parse_fragment(text, start, node.span.source) {
            Ok((Node { value: Value::List(items), .. }, problems)) => {
                for problem in problems {
                    cx.report(problem);
                }
                Some(items)
            }
            Ok(_) => None,
            Err(problem) => {
                cx.report(*problem);
                None
            }
        };
    }
    let mut items = Vec::new();
    let mut at = 0;
    for part in text.split(',') {
        let word = part.trim();
        let from = at + (part.len() - part.trim_start().len());
        if !word.is_empty() {
            let mut span = node.span;
            span.start = start + from;
            span.end = span.start + word.len();
            items.push(Node::new(span, Value::Untyped(word.to_owned())));
        }
        at += part.len() + 1;
    }
    Some(items)
}

// ===== impl OneOrMany =====

impl<K: Kind> Kind for OneOrMany<K> {
    fn accepts(&self) -> String {
        format!("{}, or a list of them", self.0.item.accepts())
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [self.0.item.schema(definitions), self.0.schema(definitions)] })
    }

    fn shape(&self) -> Shape {
        match self.0.item.shape() {
            Shape::Table(table) => Shape::OneOrMany(table),
            _ => Shape::Leaf,
        }
    }
}

impl<K: Read<Out: PartialEq>> Read for OneOrMany<K> {
    type Out = Vec<At<K::Out>>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Self::Out> {
        match &node.value {
            Value::List(_) | Value::Untyped(_) => self.0.read(node, cx),
            _ => {
                let value = self.0.item.read(node, cx)?;
                Some(vec![At::new(value, node.span)])
            }
        }
    }
}
