//! Codes of diagnostics.

use serde_json::{Value as Json, json};

use super::text::text_of;
use crate::context::Context;
use crate::describe::suggest::nearest;
use crate::describe::{Kind, Read};
use crate::diagnostic::{Code, Severity, codes};
use crate::schema::Definitions;
use crate::syntax::Node;

/// The code of a warning or a note.
pub(crate) struct AllowedCode;

fn allowed() -> impl Iterator<Item = Code> {
    Code::all().iter().copied().filter(|code| code.severity() != Severity::Error)
}

impl Kind for AllowedCode {
    fn accepts(&self) -> String {
        String::from("the code of a warning or a note, such as \"PB1012\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "enum": allowed().map(Code::id).collect::<Vec<_>>() })
    }
}

impl Read for AllowedCode {
    type Out = Code;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Code> {
        let text = text_of(node, &self.accepts(), cx)?;
        if let Some(code) = allowed().find(|code| code.id() == text) {
            return Some(code);
        }
        let known = Code::all().iter().find(|code| code.id() == text);
        let (label, help) = match known {
            Some(code) => ("an error", format!("{code} is an error: {}", code.title())),
            None => {
                let meant = nearest(text, allowed().map(Code::id));
                let meant = meant.map_or_else(String::new, |id| format!("did you mean {id}? "));
                ("unknown", format!("{meant}docs/config-errors.md has them all"))
            }
        };
        let problem = cx.refuse(codes::UNKNOWN_CODE, node, &self.accepts(), label).help(help);
        cx.report(problem);
        None
    }
}
