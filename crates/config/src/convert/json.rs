//! The tree as JSON.

use serde_json::{Value as Json, json};

use crate::context::Context;
use crate::syntax::{Table, Value};

pub(super) fn write(tree: &Table, cx: &Context) -> String {
    format!("{:#}\n", object(tree, cx))
}

fn object(table: &Table, cx: &Context) -> Json {
    let pair = |entry: &crate::syntax::Entry| {
        (entry.key.clone(), value(&entry.node.value, cx.text(entry.node.span), cx))
    };
    Json::Object(table.iter().map(pair).collect())
}

fn value(value: &Value, written: &str, cx: &Context) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Integer(number) => match i64::try_from(*number) {
            Ok(number) => json!(number),
            Err(_) => json!(*number as f64),
        },
        Value::Float(number) if number.is_finite() => json!(number),
        // Only in keys that mean nothing to us.
        Value::Float(_) | Value::Date => json!(written),
        Value::Text(text) | Value::Untyped(text) => json!(text),
        Value::List(items) => {
            items.iter().map(|item| self::value(&item.value, cx.text(item.span), cx)).collect()
        }
        Value::Table(table) => object(table, cx),
    }
}
