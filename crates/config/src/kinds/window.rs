//! Over what rules look back.

use panelboard_core::{WindowSpec, limits};
use serde_json::{Value as Json, json};

use super::duration::time;
use super::scalar::{Count, count, whole};
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};
use crate::text;

/// A number of calls, or a duration as text.
pub(crate) struct WindowKind;

impl Kind for WindowKind {
    fn accepts(&self) -> String {
        let (calls, time) = (limits::WINDOW_CALLS, limits::WINDOW_TIME);
        format!(
            "a time from {} to {} such as \"10s\", or a number of calls from {} to {}",
            text::duration(*time.start()),
            text::duration(*time.end()),
            calls.start(),
            calls.end(),
        )
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        json!({
            "anyOf": [
                Count(limits::WINDOW_CALLS).schema(definitions),
                { "type": "string", "minLength": 2, "pattern": text::DURATION_PATTERN },
            ]
        })
    }
}

impl Read for WindowKind {
    type Out = WindowSpec;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<WindowSpec> {
        if whole(&node.value).is_some() {
            return count(&limits::WINDOW_CALLS, node, &self.accepts(), cx).map(WindowSpec::Calls);
        }
        match &node.value {
            Value::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
                let problem = cx
                    .refuse(codes::BAD_DURATION, node, &self.accepts(), "calls or seconds?")
                    .help(format!("write {text} for calls, or \"{text}s\" for seconds"));
                cx.report(problem);
                None
            }
            Value::Text(_) | Value::Untyped(_) => {
                time(&limits::WINDOW_TIME, node, &self.accepts(), cx).map(WindowSpec::Time)
            }
            Value::Float(seconds) => {
                let problem = cx
                    .refuse(codes::WRONG_TYPE, node, &self.accepts(), "not a number of calls")
                    .help(format!("for a time, write \"{seconds}s\""));
                cx.report(problem);
                None
            }
            _ => {
                let problem = cx.wrong_type(node, &self.accepts());
                cx.report(problem);
                None
            }
        }
    }
}
