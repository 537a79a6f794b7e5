//! Statuses of answers.

use std::ops::RangeInclusive;

use serde_json::{Value as Json, json};

use super::scalar::whole;
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// A status, or a range of them such as `"200-299"`.
pub(crate) struct StatusRange;

/// What a final answer can have.
const STATUSES: RangeInclusive<u16> = 200..=599;

impl Kind for StatusRange {
    fn accepts(&self) -> String {
        String::from("a status, 200 to 599, or a range such as \"200-299\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({
            "anyOf": [
                { "type": "integer", "minimum": STATUSES.start(), "maximum": STATUSES.end() },
                { "type": "string", "pattern": "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$" },
            ]
        })
    }
}

impl Read for StatusRange {
    type Out = RangeInclusive<u16>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<RangeInclusive<u16>> {
        let range = match (&node.value, whole(&node.value)) {
            (_, Some(status)) => u16::try_from(status).ok().map(|status| status..=status),
            (Value::Text(text) | Value::Untyped(text), None) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                let status = |text: &str| text.trim().parse::<u16>().ok();
                status(first).zip(status(last)).map(|(first, last)| first..=last)
            }
            _ => {
                let problem = cx.wrong_type(node, &self.accepts());
                cx.report(problem);
                return None;
            }
        };
        let range = range.filter(|range| {
            !range.is_empty() && STATUSES.contains(range.start()) && STATUSES.contains(range.end())
        });
        if range.is_none() {
            let problem = cx.refuse(codes::OUT_OF_RANGE, node, &self.accepts(), "no such statuses");
            cx.report(problem);
        }
        range
    }
}
