//! How much comes in.

use std::ops::RangeInclusive;

use serde_json::{Value as Json, json};

use super::scalar::number;
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// Calls per second.
pub(crate) struct PerSecond;

const RANGE: RangeInclusive<f64> = 0.000_001..=10_000_000.0;

impl Kind for PerSecond {
    fn accepts(&self) -> String {
        String::from("a number of calls per second, 0.000001 to 10000000, such as 5 or 0.2")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "number", "minimum": RANGE.start(), "maximum": RANGE.end() })
    }
}

impl Read for PerSecond {
    type Out = f64;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<f64> {
        let Some(rate) = number(&node.value) else {
            let problem = cx.wrong_type(node, &self.accepts());
            let problem = match &node.value {
                Value::Text(_) => {
                    problem.help("write calls per second as a number, without a unit")
                }
                _ => problem,
            };
            cx.report(problem);
            return None;
        };
        if RANGE.contains(&rate) {
            return Some(rate);
        }
        let problem = cx.refuse(codes::OUT_OF_RANGE, node, &self.accepts(), "out of range");
        cx.report(problem);
        None
    }
}
