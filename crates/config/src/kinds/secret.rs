//! Where a secret is; never what it is.

use serde_json::{Value as Json, json};

use crate::context::Context;
use crate::describe::{Keys, Kind, Read, Shape, TableReader};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::SecretRef;
use crate::schema::Definitions;
use crate::sections::SecretKeys;
use crate::syntax::{Node, Value};

/// `{ env = "NAME" }` or `{ file = "path" }`.
pub(crate) struct SecretKind;

/// The name of an environment variable.
pub(crate) struct VariableName;

const ACCEPTS: &str = "{ env = \"NAME\" } or { file = \"path\" }";

impl Kind for SecretKind {
    fn accepts(&self) -> String {
        ACCEPTS.to_owned()
    }

    fn schema(&self, definitions: &mut Definitions) -> Json {
        let mut schema = json!({ "minProperties": 1 });
        schema["allOf"] = json!([definitions.reference(SecretKeys::TABLE)]);
        schema
    }

    fn shape(&self) -> Shape {
        Shape::Table(SecretKeys::TABLE)
    }
}

impl Read for SecretKind {
    type Out = SecretRef;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<SecretRef> {
        let Some(entries) = node.as_table() else {
            literal(node, &format!("must say where the secret is: {ACCEPTS}"), cx);
            return None;
        };
        let keys: SecretKeys = TableReader::read(entries, node.span, cx);
        let given = entries.get("env").is_some() || entries.get("file").is_some();
        if !given && !cx.is_partial() {
            let message = format!("`{}` does not say where the secret is", cx.subject());
            let problem = Problem::new(codes::MISSING_KEY, message)
                .at(node.span, "neither `env` nor `file`")
                .help(format!("write {ACCEPTS}"));
            cx.report(problem);
        }
        match (keys.env, keys.file) {
            (Some(name), None) => Some(SecretRef::Env(name.value)),
            (None, Some(path)) => Some(SecretRef::File(path.value.into())),
            _ => None,
        }
    }
}

impl Kind for VariableName {
    fn accepts(&self) -> String {
        String::from("the name of an environment variable: letters, digits and _")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })
    }
}

impl Read for VariableName {
    type Out = String;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<String> {
        let sign = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match &node.value {
            Value::Text(name) | Value::Untyped(name)
                if name.chars().all(sign)
                    && !name.starts_with(|c: char| c.is_ascii_digit())
                    && !name.is_empty() =>
            {
                Some(name.clone())
            }
            _ => {
                // The secret itself is easily put where its name belongs.
                literal(node, &format!("must be {}", self.accepts()), cx);
                None
            }
        }
    }
}

/// Says that this is perhaps a secret, without saying what it is.
pub(super) fn literal(node: &Node, expected: &str, cx: &mut Context) {
    cx.hide(node.span);
    let message = format!(
        "`{}` is {} that is not shown, but {expected}",
        cx.subject(),
        node.value.describe()
    );
    let problem = Problem::new(codes::LITERAL_SECRET, message)
        .at(node.span, "not shown")
        .help("if this was a secret, replace it where it was issued: files get about");
    cx.report(problem);
}
