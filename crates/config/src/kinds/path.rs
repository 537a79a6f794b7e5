//! Paths.

use serde_json::{Value as Json, json};

use super::text::text_of;
use super::url::part;
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::model::PathPattern;
use crate::schema::Definitions;
use crate::syntax::Node;

/// A path that a route takes.
pub(crate) struct PathKind {
    /// Whether stars may stand in it.
    pub(crate) globs: bool,
}

impl Kind for PathKind {
    fn accepts(&self) -> String {
        String::from(if self.globs {
            "a path such as \"/v1/\" (with everything below it) or \"/v1/*/chat\""
        } else {
            "a path such as \"/api\""
        })
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        let pattern = if self.globs { r"^/[^?#\s]*$" } else { r"^/[^?#\s*]*$" };
        json!({ "type": "string", "pattern": pattern })
    }
}

impl Read for PathKind {
    type Out = PathPattern;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<PathPattern> {
        let text = text_of(node, &self.accepts(), cx)?;
        let Some((fault, label, help)) = self.fault(text) else {
            return Some(PathPattern::new(text));
        };
        let problem = cx.refuse(codes::BAD_PATH, node, &self.accepts(), label);
        let problem = problem.at(part(node.span, fault, cx), label).maybe_help(help);
        cx.report(problem);
        None
    }
}

impl PathKind {
    /// Which part of the path is wrong, how, and what to do about it.
    fn fault<'t>(&self, text: &'t str) -> Option<(&'t str, &'static str, Option<String>)> {
        if !text.starts_with('/') {
            let help = if text.contains("://") {
                String::from("only the path: the host goes into `host`")
            } else {
                format!("write \"/{text}\"")
            };
            return Some((text, "does not begin with /", Some(help)));
        }
        let from = |needle: &str| text.find(needle).map(|at| &text[at..]);
        let say = |part, label, help: &str| Some((part, label, Some(help.to_owned())));
        if let Some(part) = from("?").or_else(|| from("#")) {
            return say(part, "not part of a path", "routes look at the path only");
        }
        if let Some(c) = text.chars().find(|c| c.is_whitespace() || c.is_control() || !c.is_ascii())
        {
            let at = text.find(c).unwrap_or_default();
            let part = &text[at..at + c.len_utf8()];
            return say(part, "cannot stand in a path", "write it as %XX, as clients send it");
        }
        if text.contains("***") {
            return say("***", "too many stars", "`*` stays within a segment, `**` does not");
        }
        if text.contains('*') && !self.globs {
            return say("*", "a star", "this path is taken literally");
        }
        if text.split('/').any(|segment| matches!(segment, "." | "..")) {
            return say(text, "has a dot segment", "clients send paths with dots resolved");
        }
        None
    }
}
