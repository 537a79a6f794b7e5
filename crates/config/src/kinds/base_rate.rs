//! What share of failures is normal.

use serde_json::{Value as Json, json};

use super::ratio::Share;
use crate::context::Context;
use crate::describe::suggest::nearest;
use crate::describe::{Kind, Read};
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// A share, or `"learned"`, which is none.
pub(crate) struct BaseRateKind;

const LEARNED: &str = "learned";

impl Kind for BaseRateKind {
    fn accepts(&self) -> String {
        format!("{}, or \"{LEARNED}\"", Share.accepts())
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [Share.schema(definitions), { "const": LEARNED }] })
    }
}

impl Read for BaseRateKind {
    type Out = Option<f64>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Option<f64>> {
        let text = match &node.value {
            Value::Text(text) | Value::Untyped(text) => text.as_str(),
            _ => "",
        };
        if text == LEARNED {
            return Some(None);
        }
        let mark = cx.mark();
        let share = Share.read(node, cx);
        if share.is_none()
            && nearest(text, [LEARNED]).is_some()
            && let Some(problem) = cx.last_since(mark)
        {
            problem.add_help(&format!("did you mean \"{LEARNED}\"?"));
        }
        share.map(Some)
    }
}
