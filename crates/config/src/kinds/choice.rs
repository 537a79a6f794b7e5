//! One of a fixed set of words.

use serde_json::{Value as Json, json};

use crate::context::Context;
use crate::describe::suggest::nearest;
use crate::describe::{Kind, Read};
use crate::diagnostic::{Code, codes};
use crate::schema::Definitions;
use crate::syntax::{Node, Value};

/// A word, and what it stands for.
pub(crate) struct Choice<T: 'static> {
    /// What the words are, to follow "must be".
    pub(crate) what: &'static str,
    pub(crate) words: &'static [(&'static str, T)],
    /// What an unknown word is reported as.
    pub(crate) code: Code,
}

impl<T> Choice<T> {
    /// A choice of `what`.
    pub(crate) const fn of(what: &'static str, words: &'static [(&'static str, T)]) -> Choice<T> {
        Choice { what, words, code: codes::NOT_A_CHOICE }
    }

    fn list(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|(word, _)| *word).collect();
        match words.as_slice() {
            [first, middle @ .., last] if middle.len() < 16 => {
                let start: Vec<&str> =
                    std::iter::once(*first).chain(middle.iter().copied()).collect();
                format!("{} or {last}", start.join(", "))
            }
            _ => words.join(", "),
        }
    }
}

impl<T: Sync> Kind for Choice<T> {
    fn accepts(&self) -> String {
        format!("{}: {}", self.what, self.list())
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        let words: Vec<&str> = self.words.iter().map(|(word, _)| *word).collect();
        json!({ "enum": words })
    }
}

impl<T: Sync + Copy> Read for Choice<T> {
    type Out = T;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<T> {
        let (Value::Text(text) | Value::Untyped(text)) = &node.value else {
            let problem = cx.wrong_type(node, &self.accepts());
            cx.report(problem);
            return None;
        };
        if let Some((_, value)) = self.words.iter().find(|(word, _)| word == text) {
            return Some(*value);
        }
        let meant = nearest(text, self.words.iter().map(|(word, _)| *word));
        let problem = cx
            .refuse(self.code, node, &self.accepts(), "unknown")
            .maybe_help(meant.map(|meant| format!("did you mean \"{meant}\"?")));
        cx.report(problem);
        None
    }
}
