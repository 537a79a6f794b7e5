//! How the open phase is spread.

use panelboard_core::Jitter;
use serde_json::{Value as Json, json};

use super::ratio::{PERCENT_PATTERN, share};
use crate::context::Context;
use crate::describe::suggest::nearest;
use crate::describe::{Kind, Read};
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// A share, or one of the named ways.
pub(crate) struct JitterKind;

/// What was said of it.
#[derive(Copy, Clone, PartialEq, Debug)]
pub(crate) enum JitterValue {
    Named(Jitter),
    Share(f64),
}

const NAMED: [(&str, Jitter); 3] =
    [("none", Jitter::None), ("equal", Jitter::Equal), ("full", Jitter::Full)];

impl Kind for JitterKind {
    fn accepts(&self) -> String {
        String::from("a share from 0 to 1, \"none\", \"equal\" or \"full\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 1 },
                { "enum": NAMED.map(|(name, _)| name) },
                { "type": "string", "pattern": PERCENT_PATTERN },
            ]
        })
    }
}

impl Read for JitterKind {
    type Out = JitterValue;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<JitterValue> {
        if let Value::Text(text) | Value::Untyped(text) = &node.value
            && let Some((_, jitter)) = NAMED.iter().find(|(name, _)| name == text)
        {
            return Some(JitterValue::Named(*jitter));
        }
        let mark = cx.mark();
        let value = share(node, &self.accepts(), cx).map(JitterValue::Share);
        if let (None, Value::Text(text) | Value::Untyped(text)) = (&value, &node.value)
            && let Some(meant) = nearest(text, NAMED.map(|(name, _)| name))
            && let Some(problem) = cx.last_since(mark)
        {
            problem.add_help(&format!("did you mean \"{meant}\"?"));
        }
        value
    }
}
