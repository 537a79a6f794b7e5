//! Fallbacks.

use std::collections::BTreeMap;

use crate::context::Context;
use crate::describe::Keys;
use crate::describe::suggest::nearest;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{Fallback, built_in_fallbacks};
use crate::sections::RootKeys;
use crate::source::Span;

/// In a route's `fallback`, this stands for an error in the API's own shape.
pub(super) const ERROR: &str = "error";

/// In metrics and headers, this stands for an answer that was kept.
const CACHE: &str = "cache";

/// Those built in, and over them those configured.
pub(super) fn build(keys: &RootKeys, cx: &mut Context) -> BTreeMap<String, Fallback> {
    let mut fallbacks = built_in_fallbacks();
    let standard = fallbacks["default"].clone();
    for entry in keys.fallbacks.as_ref().map_or(&[][..], |at| &at.value) {
        if entry.name == ERROR {
            let problem = Problem::new(codes::BAD_NAME, "no fallback can be called `error`")
                .at(entry.name_span, "has a meaning already")
                .help("in a route, `fallback = \"error\"` stands for an error in the API's shape");
            cx.report(problem);
        }
        if entry.name == CACHE {
            let problem = Problem::new(codes::BAD_NAME, "no fallback can be called `cache`")
                .at(entry.name_span, "has a meaning already")
                .help("in metrics and headers, `cache` stands for a route's last good answer");
            cx.report(problem);
        }
        let built_in = fallbacks.get(&entry.name).cloned();
        let keys = &entry.value;
        if built_in.is_none() && !keys.reading().wrote("message") {
            let message = format!("the fallback `{}` has no `message`", entry.name);
            let problem = Problem::new(codes::MISSING_KEY, message)
                .at(entry.name_span, "needs `message`")
                .help("say what is the matter; only built-in fallbacks bring a message along");
            cx.report(problem);
        }
        let base = built_in.unwrap_or_else(|| Fallback {
            message: String::new(),
            alternatives: Vec::new(),
            ..standard.clone()
        });
        let alternatives = keys.alternatives.as_ref();
        let fallback = Fallback {
            title: keys.title.as_ref().map_or(base.title, |at| at.value.clone()),
            message: keys.message.as_ref().map_or(base.message, |at| at.value.clone()),
            alternatives: alternatives.map_or(base.alternatives, |at| {
                at.value.iter().map(|item| item.value.clone()).collect()
            }),
            status: keys.status.as_ref().map_or(base.status, |at| at.value),
        };
        fallbacks.insert(entry.name.clone(), fallback);
    }
    fallbacks
}

/// Says that there is no fallback of this name.
pub(super) fn unknown(
    subject: &str,
    name: &str,
    span: Span,
    fallbacks: &BTreeMap<String, Fallback>,
    cx: &mut Context,
) {
    let problem = Problem::new(
        codes::UNKNOWN_FALLBACK,
        format!(
            "`{subject}` names the fallback `{}`, which does not exist",
            crate::context::shorten(name)
        ),
    )
    .at(span, "unknown fallback");
    let problem = if let Some(meant) = nearest(name, fallbacks.keys().map(String::as_str)) {
        problem.help(format!("did you mean `{meant}`?"))
    } else {
        let names: Vec<&str> = fallbacks.keys().map(String::as_str).collect();
        problem.help(format!("there are {}", names.join(", ")))
    };
    cx.report(problem);
}
