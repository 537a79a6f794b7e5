//! Sizes in bytes.

use std::ops::RangeInclusive;

use serde_json::{Value as Json, json};

use super::scalar::whole;
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};
use crate::text;

/// A size in a range: a number of bytes, or text such as `"64KiB"`.
pub(crate) struct Size(pub(crate) RangeInclusive<u64>);

impl Kind for Size {
    fn accepts(&self) -> String {
        let (least, most) = (text::size(*self.0.start()), text::size(*self.0.end()));
        format!("a size from {least} to {most}, such as 65536 (bytes) or \"64KiB\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({
            "anyOf": [
                { "type": "integer", "minimum": self.0.start(), "maximum": self.0.end() },
                { "type": "string", "pattern": text::SIZE_PATTERN },
            ]
        })
    }

    fn canonical(&self, node: &Node) -> Option<Json> {
        self.read(node, &mut Context::default()).map(|bytes| json!(text::size(bytes)))
    }
}

impl Read for Size {
    type Out = u64;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<u64> {
        let bytes = match (&node.value, whole(&node.value)) {
            (_, Some(bytes)) => u64::try_from(bytes).ok(),
            (Value::Text(text) | Value::Untyped(text), None) => match text::parse_size(text) {
                Ok(bytes) => Some(bytes),
                Err(meant) => {
                    let help = match meant {
                        Some(meant) => format!("did you mean \"{meant}\"?"),
                        None => String::from("the units are B, KiB, MiB and GiB"),
                    };
                    let problem =
                        cx.refuse(codes::BAD_SIZE, node, &self.accepts(), "not a size").help(help);
                    cx.report(problem);
                    return None;
                }
            },
            _ => {
                let problem = cx.wrong_type(node, &self.accepts());
                cx.report(problem);
                return None;
            }
        };
        if let Some(bytes) = bytes.filter(|bytes| self.0.contains(bytes)) {
            return Some(bytes);
        }
        let problem = cx.refuse(codes::OUT_OF_RANGE, node, &self.accepts(), "out of range");
        cx.report(problem);
        None
    }
}
