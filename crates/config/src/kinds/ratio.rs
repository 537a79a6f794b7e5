//! Shares of a whole.

use panelboard_core::Ratio;
use serde_json::{Value as Json, json};

use super::scalar::number;
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// A share above 0 and at most 1: `0.5`, or `"50%"`.
pub(crate) struct Share;

/// The percentages that [`percentage`] reads.
pub(super) const PERCENT_PATTERN: &str = r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$";

impl Kind for Share {
    fn accepts(&self) -> String {
        String::from("a share above 0 and at most 1, such as 0.5 or \"50%\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({
            "anyOf": [
                { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
                { "type": "string", "pattern": PERCENT_PATTERN },
            ]
        })
    }

    fn canonical(&self, node: &Node) -> Option<Json> {
        self.read(node, &mut Context::default()).map(|share| json!(share))
    }
}

impl Read for Share {
    type Out = f64;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<f64> {
        let share = share(node, &self.accepts(), cx)?;
        // The core counts in hundredths of a percent; less is nothing.
        if Ratio::from_f64(share).is_ok_and(|ratio| ratio > Ratio::ZERO) {
            return Some(share);
        }
        let problem = cx.refuse(codes::OUT_OF_RANGE, node, &self.accepts(), "out of range");
        cx.report(problem);
        None
    }
}

/// The number a value is, as a share; checked to be at most 1 and not negative.
pub(super) fn share(node: &Node, accepts: &str, cx: &mut Context) -> Option<f64> {
    let text = match &node.value {
        Value::Text(text) | Value::Untyped(text) => text.trim(),
        _ => "",
    };
    let Some(share) = number(&node.value).or_else(|| percentage(text)) else {
        let problem = match text.parse::<f64>() {
            Ok(_) => cx
                .refuse(codes::BAD_RATIO, node, accepts, "text")
                .help(format!("write {text} without quotes")),
            Err(_) if text.is_empty() => cx.wrong_type(node, accepts),
            Err(_) => cx.refuse(codes::BAD_RATIO, node, accepts, "not a share"),
        };
        cx.report(problem);
        return None;
    };
    if (0.0..=1.0).contains(&share) {
        return Some(share);
    }
    let problem = if share > 1.0 && share <= 100.0 && number(&node.value).is_some() {
        cx.refuse(codes::BAD_RATIO, node, accepts, "above 1")
            .help(format!("did you mean \"{share}%\" or {}?", share / 100.0))
    } else {
        cx.refuse(codes::OUT_OF_RANGE, node, accepts, "out of range")
    };
    cx.report(problem);
    None
}

/// `50%` as 0.5; what is not a number before a percent sign is none.
fn percentage(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?.trim_end();
    let plain = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { number.parse::<f64>().ok().map(|percent| percent / 100.0) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_plain() {
        assert_eq!(percentage("50%"), Some(0.5));
        assert_eq!(percentage("0.5 %"), Some(0.005));
        for text in ["50", "%", "-5%", "1e1%", "inf%", "5%%"] {
            assert_eq!(percentage(text), None, "{text}");
        }
    }
}
