//! Switches and plain numbers.

use std::ops::RangeInclusive;

use serde_json::{Value as Json, json};

use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// `true` or `false`.
pub(crate) struct Flag;

/// A whole number in a range.
pub(crate) struct Count(pub(crate) RangeInclusive<u32>);

/// A whole number in a range that is too large for [`Count`].
pub(crate) struct Large(pub(crate) RangeInclusive<u64>);

/// An HTTP status code that carries a body.
pub(crate) struct Status(pub(crate) RangeInclusive<u16>);

/// A number in a range, given in thousandths.
pub(crate) struct Factor(pub(crate) RangeInclusive<u32>);

impl Kind for Flag {
    fn accepts(&self) -> String {
        String::from("true or false")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "boolean" })
    }
}

impl Read for Flag {
    type Out = bool;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<bool> {
        match &node.value {
            Value::Bool(flag) => Some(*flag),
            Value::Untyped(text) if matches!(text.as_str(), "true" | "1") => Some(true),
            Value::Untyped(text) if matches!(text.as_str(), "false" | "0") => Some(false),
            value => {
                let mut problem = cx.wrong_type(node, &self.accepts());
                if let Value::Text(text) | Value::Untyped(text) = value {
                    let meant = match text.to_ascii_lowercase().as_str() {
                        "true" | "yes" | "on" => Some("true"),
                        "false" | "no" | "off" => Some("false"),
                        _ => None,
                    };
                    problem = problem.maybe_help(meant.map(|meant| format!("write {meant}")));
                }
                cx.report(problem);
                None
            }
        }
    }
}

impl Kind for Count {
    fn accepts(&self) -> String {
        format!("a whole number, {} to {}", self.0.start(), self.0.end())
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": self.0.start(), "maximum": self.0.end() })
    }
}

impl Read for Count {
    type Out = u32;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<u32> {
        count(&self.0, node, &self.accepts(), cx)
    }
}

/// A whole number in a range, or a report that something else must be `accepted`.
pub(super) fn count(
    range: &RangeInclusive<u32>,
    node: &Node,
    accepted: &str,
    cx: &mut Context,
) -> Option<u32> {
    let Some(number) = whole(&node.value) else {
        let problem = cx.wrong_type(node, accepted);
        cx.report(problem);
        return None;
    };
    let number = u32::try_from(number).ok().filter(|number| range.contains(number));
    if number.is_none() {
        let problem = cx.refuse(codes::OUT_OF_RANGE, node, accepted, "out of range");
        cx.report(problem);
    }
    number
}

impl Kind for Large {
    fn accepts(&self) -> String {
        format!("a whole number, {} to {}", self.0.start(), self.0.end())
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": self.0.start(), "maximum": self.0.end() })
    }
}

impl Read for Large {
    type Out = u64;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<u64> {
        let Some(number) = whole(&node.value) else {
            let problem = cx.wrong_type(node, &self.accepts());
            cx.report(problem);
            return None;
        };
        let number = u64::try_from(number).ok().filter(|number| self.0.contains(number));
        if number.is_none() {
            let problem = cx.refuse(codes::OUT_OF_RANGE, node, &self.accepts(), "out of range");
            cx.report(problem);
        }
        number
    }
}

impl Kind for Status {
    fn accepts(&self) -> String {
        format!("an HTTP status, {} to {}", self.0.start(), self.0.end())
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({
            "type": "integer", "minimum": self.0.start(), "maximum": self.0.end(),
            "not": { "enum": BODYLESS },
        })
    }
}

/// Statuses that may not carry a body.
const BODYLESS: [u16; 3] = [204, 205, 304];

impl Read for Status {
    type Out = u16;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<u16> {
        let range = u32::from(*self.0.start())..=u32::from(*self.0.end());
        let status = count(&range, node, &self.accepts(), cx)? as u16;
        if BODYLESS.contains(&status) {
            let accepted = "a status whose answer has a body";
            let problem = cx.refuse(codes::OUT_OF_RANGE, node, accepted, "has no body");
            cx.report(problem);
            return None;
        }
        Some(status)
    }
}

impl Kind for Factor {
    fn accepts(&self) -> String {
        format!("a number, {} to {}", self.0.start() / 1_000, self.0.end() / 1_000)
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({
            "type": "number",
            "minimum": self.0.start() / 1_000,
            "maximum": self.0.end() / 1_000,
        })
    }
}

impl Read for Factor {
    type Out = f64;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<f64> {
        let Some(number) = number(&node.value) else {
            let problem = cx.wrong_type(node, &self.accepts());
            cx.report(problem);
            return None;
        };
        let range = f64::from(*self.0.start())..=f64::from(*self.0.end());
        if range.contains(&(number * 1_000.0)) {
            return Some(number);
        }
        let problem = cx.refuse(codes::OUT_OF_RANGE, node, &self.accepts(), "out of range");
        cx.report(problem);
        None
    }
}

/// The whole number a value is. `3.0` is one, as it is to JSON Schema.
pub(super) fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Float(number) if number.fract() == 0.0 => Some(*number as i128),
        Value::Untyped(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The number a value is.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Untyped(text) => text.trim().parse().ok(),
        _ => None,
    }
}
