//! Durations by name.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Time;
use super::table::check_name;
use crate::context::{At, Context, Named};
use crate::describe::{Kind, Read, Shape};
use crate::schema::Definitions;
use crate::syntax::Node;

/// Names of the user's choosing, and a duration for each.
pub(crate) struct Times {
    /// What it is, to follow "must be".
    pub(crate) what: &'static str,
    /// What one name is, with an article.
    pub(crate) key: &'static str,
}

impl Kind for Times {
    fn accepts(&self) -> String {
        self.what.to_owned()
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        json!({ "type": "object", "additionalProperties": Time::ANY.schema(definitions) })
    }

    fn shape(&self) -> Shape {
        Shape::Values
    }
}

impl Read for Times {
    type Out = Vec<Named<At<Duration>>>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Self::Out> {
        let Some(table) = node.as_table() else {
            let problem = cx.wrong_type(node, &self.accepts());
            cx.report(problem);
            return None;
        };
        let mut times = Vec::new();
        for entry in table.iter() {
            if !check_name(self.key, entry, cx) {
                continue;
            }
            if let Some(time) = cx.within(&entry.key, |cx| Time::ANY.read(&entry.node, cx)) {
                let (name, name_span) = (entry.key.clone(), entry.key_span);
                times.push(Named { name, name_span, value: At::new(time, entry.node.span) });
            }
        }
        Some(times)
    }
}
