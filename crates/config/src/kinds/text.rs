//! Text, names, and maps from one to the other.

use serde_json::{Value as Json, json};

use super::table::check_name;
use crate::context::{At, Context, Named, shorten};
use crate::describe::{Kind, Read, Shape};
use crate::diagnostic::codes;
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// Text for people: not empty, at most so many bytes.
pub(crate) struct Text {
    pub(crate) what: &'static str,
    pub(crate) longest: usize,
    /// Whether it may go over several lines.
    pub(crate) lines: bool,
}

/// One word that can stand in a header.
pub(crate) struct Word(pub(crate) &'static str);

/// The name of something else in the configuration.
pub(crate) struct Name(pub(crate) &'static str);

/// Names and text under them, both of the user's choosing.
pub(crate) struct Pairs {
    /// What it is, to follow "must be".
    pub(crate) what: &'static str,
    /// What one key is, with an article.
    pub(crate) key: &'static str,
    /// What one value is.
    pub(crate) value: &'static str,
}

/// The text a value is; what is none is reported.
pub(super) fn text_of<'n>(node: &'n Node, accepts: &str, cx: &mut Context) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) | Value::Untyped(text) => Some(text),
        _ => {
            let problem = cx.wrong_type(node, accepts);
            cx.report(problem);
            None
        }
    }
}

impl Kind for Text {
    fn accepts(&self) -> String {
        format!("{}, at most {} bytes of text", self.what, self.longest)
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "minLength": 1, "maxLength": self.longest })
    }
}

impl Read for Text {
    type Out = String;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<String> {
        let text = text_of(node, &self.accepts(), cx)?;
        let control = |c: char| c.is_control() && !(self.lines && matches!(c, '\n' | '\t'));
        let label = if text.trim().is_empty() {
            "empty"
        } else if text.len() > self.longest {
            "too long"
        } else if text.contains(control) {
            "has a control character"
        } else if !self.lines && text.trim() != text {
            "has a blank at its end"
        } else {
            return Some(text.to_owned());
        };
        let problem = cx.refuse(codes::BAD_TEXT, node, &self.accepts(), label);
        cx.report(problem);
        None
    }
}

impl Kind for Word {
    fn accepts(&self) -> String {
        self.0.to_owned()
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": "^[!-~]{1,64}$" })
    }
}

impl Read for Word {
    type Out = String;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<String> {
        let text = text_of(node, &self.accepts(), cx)?;
        if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(text.to_owned());
        }
        let problem = cx.refuse(codes::BAD_TEXT, node, &self.accepts(), "not a word");
        cx.report(problem);
        None
    }
}

impl Kind for Name {
    fn accepts(&self) -> String {
        self.0.to_owned()
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Read for Name {
    type Out = String;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<String> {
        let text = text_of(node, &self.accepts(), cx)?;
        if text.is_empty() {
            let problem = cx.refuse(codes::BAD_TEXT, node, &self.accepts(), "empty");
            cx.report(problem);
            return None;
        }
        Some(text.to_owned())
    }
}

impl Kind for Pairs {
    fn accepts(&self) -> String {
        self.what.to_owned()
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "object", "additionalProperties": { "type": "string", "minLength": 1 } })
    }

    fn shape(&self) -> Shape {
        Shape::Values
    }
}

impl Read for Pairs {
    type Out = Vec<Named<At<String>>>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Self::Out> {
        let Some(table) = node.as_table() else {
            let problem = cx.wrong_type(node, &self.accepts());
            cx.report(problem);
            return None;
        };
        let mut pairs = Vec::new();
        for entry in table.iter() {
            if !check_name(self.key, entry, cx) {
                continue;
            }
            let value =
                cx.within(&shorten(&entry.key), |cx| Name(self.value).read(&entry.node, cx));
            if let Some(value) = value {
                pairs.push(Named {
                    name: entry.key.clone(),
                    name_span: entry.key_span,
                    value: At::new(value, entry.node.span),
                });
            }
        }
        Some(pairs)
    }
}
