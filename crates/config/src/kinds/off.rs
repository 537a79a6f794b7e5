//! What can be switched off.

use serde_json::{Value as Json, json};

use super::scalar::number;
use crate::context::Context;
use crate::describe::{Kind, Read, Shape};
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// `false` or `"off"`, or else what the inner type takes.
pub(crate) struct OrOff<K>(pub(crate) K);

impl<K: Kind> Kind for OrOff<K> {
    fn accepts(&self) -> String {
        format!("{}, or \"off\"", self.0.accepts())
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        let mut schema = self.0.schema(definitions);
        let off = json!({ "enum": [false, "off"] });
        if let Some(choices) = schema.get_mut("anyOf").and_then(Json::as_array_mut) {
            choices.push(off);
            return schema;
        }
        json!({ "anyOf": [schema, off] })
    }

    fn canonical(&self, node: &Node) -> Option<Json> {
        match &node.value {
            Value::Bool(false) => Some(json!("off")),
            Value::Text(text) | Value::Untyped(text) if text == "off" || text == "false" => {
                Some(json!("off"))
            }
            _ => self.0.canonical(node),
        }
    }

    fn is_off(&self, value: &Value) -> bool {
        match value {
            Value::Bool(on) => !on,
            Value::Text(text) => text == "off",
            Value::Untyped(text) => matches!(text.as_str(), "off" | "false"),
            _ => false,
        }
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }
}

impl<K: Read> Read for OrOff<K> {
    type Out = Option<K::Out>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Option<K::Out>> {
        match &node.value {
            value if self.is_off(value) => return Some(None),
            Value::Bool(true) => {
                let problem = cx
                    .wrong_type(node, &self.accepts())
                    .help("give the value it is to have; only false switches it off");
                cx.report(problem);
                return None;
            }
            _ => {}
        }
        let mark = cx.mark();
        let value = self.0.read(node, cx);
        if value.is_none()
            && let Some(problem) = cx.last_since(mark)
            // What is wrong with a key of a table that stands here has nothing to do with "off".
            && problem.primary_span() == Some(node.span)
        {
            problem.accept_more(&self.0.accepts(), &self.accepts());
            if elsewhere_off(&node.value) {
                problem.add_help("to switch it off, write false or \"off\"");
            }
        }
        value.map(Some)
    }
}

/// Whether other programs would take this for "off".
fn elsewhere_off(value: &Value) -> bool {
    match value {
        Value::Text(text) | Value::Untyped(text) => {
            let word = text.to_ascii_lowercase();
            matches!(word.as_str(), "none" | "never" | "no" | "disabled" | "false" | "unlimited")
        }
        value => number(value).is_some_and(|number| number <= 0.0),
    }
}
