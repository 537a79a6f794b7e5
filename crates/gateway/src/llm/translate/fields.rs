//! The fields of a request, taken one by one, so that what nobody took is found.

use serde_json::{Map, Number, Value};

use super::chat::{Message, Refusal, Role};

/// A value longer than this is not repeated to whoever sent it.
const LONGEST: usize = 40;

/// An object, and where in the body it stands.
pub(super) struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    pub(super) fn of(path: impl Into<String>, value: Value) -> Result<Fields, Refusal> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Fields { path, map }),
            other => Err(Refusal::new(path, format!("must be an object, not {}", shown(&other)))),
        }
    }

    /// Where a field stands.
    pub(super) fn path(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// A field; `null` says as much as none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, "a string", &other)),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<Number>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(other) => Err(self.wrong(name, "a number", &other)),
        }
    }

    /// A whole number above 0.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_u64().filter(|count| *count > 0) {
            Some(count) => Ok(Some(count)),
            None => Err(self.wrong(name, "a whole number above 0", &value)),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(name, "true or false", &other)),
        }
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong(name, "an array", &other)),
        }
    }

    /// Sequences to stop at: a list of them, or a single one where an API takes that.
    pub(super) fn stops(&mut self, name: &str, single: bool) -> Result<Vec<String>, Refusal> {
        let items = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(one @ Value::String(_)) if single => vec![one],
            Some(other) => return Err(self.wrong(name, "an array of strings", &other)),
        };
        let texts = items.into_iter().enumerate().map(|(index, item)| match item {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(&format!("{name}[{index}]"), "a string", &other)),
        });
        texts.collect()
    }

    /// The model, which must be named.
    pub(super) fn model(&mut self) -> Result<String, Refusal> {
        self.text("model")?.ok_or_else(|| Refusal::new(self.path("model"), "is missing"))
    }

    /// What was said, each read by `read`.
    pub(super) fn messages(
        &mut self,
        read: impl Fn(&mut Fields) -> Result<Message, Refusal>,
    ) -> Result<Vec<Message>, Refusal> {
        let messages = self.list("messages")?.unwrap_or_default();
        let path = self.path("messages");
        let each = messages.into_iter().enumerate().map(|(index, message)| {
            let mut fields = Fields::of(format!("{path}[{index}]"), message)?;
            let message = read(&mut fields)?;
            fields.end()?;
            Ok(message)
        });
        each.collect()
    }

    /// A role that is one of these.
    pub(super) fn role(&mut self, roles: &[(&str, Role)]) -> Result<Role, Refusal> {
        let name = self.text("role")?;
        let found = roles.iter().find(|(known, _)| name.as_deref() == Some(known));
        found.map(|(_, role)| *role).ok_or_else(|| {
            let known: Vec<String> = roles.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let value = name.map_or(Value::Null, Value::String);
            self.wrong("role", &known.join(" or "), &value)
        })
    }

    /// A text, or parts of which each is a text. `passing` are fields of a part that do not matter
    /// to anybody else.
    pub(super) fn content(
        &mut self,
        name: &str,
        passing: &[&str],
    ) -> Result<Option<Vec<String>>, Refusal> {
        let items = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => return Ok(Some(vec![text])),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.wrong(name, "a string or an array", &other)),
        };
        let path = self.path(name);
        let parts = items.into_iter().enumerate().map(|(index, part)| {
            let mut part = Fields::of(format!("{path}[{index}]"), part)?;
            part.only("type", "\"text\"", |kind| kind == "text")?;
            let text = part.text("text")?;
            part.pass(passing);
            let missing = Refusal::new(part.path("text"), "is missing");
            part.end()?;
            text.ok_or(missing)
        });
        parts.collect::<Result<_, _>>().map(Some)
    }

    /// Fields that mean nothing to anybody else, and whose loss changes no answer.
    pub(super) fn pass(&mut self, names: &[&str]) {
        for name in names {
            self.map.remove(*name);
        }
    }

    /// A field that may only say what is so anyway.
    pub(super) fn only(
        &mut self,
        name: &str,
        accepted: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Result<(), Refusal> {
        match self.take(name) {
            Some(value) if !is(&value) => Err(self.wrong(name, accepted, &value)),
            _ => Ok(()),
        }
    }

    /// A list that may only be empty.
    pub(super) fn none(&mut self, name: &str) -> Result<(), Refusal> {
        let is_empty = |value: &Value| {
            value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty)
        };
        match self.take(name) {
            Some(value) if !is_empty(&value) => Err(self.foreign(name)),
            _ => Ok(()),
        }
    }

    /// Whether anything is left that nobody took.
    pub(super) fn end(self) -> Result<(), Refusal> {
        match self.map.iter().find(|(_, value)| !value.is_null()) {
            Some((name, _)) => Err(self.foreign(name)),
            None => Ok(()),
        }
    }

    fn foreign(&self, name: &str) -> Refusal {
        // A name is the client's own, and of any length.
        let name: String = name.chars().take(LONGEST).collect();
        let reason = "cannot be translated from one API to another; without it, the request can";
        Refusal::new(self.path(&name), reason)
    }

    pub(super) fn wrong(&self, name: &str, accepted: &str, found: &Value) -> Refusal {
        let reason = format!("must be {accepted}, not {}, to be translated", shown(found));
        Refusal::new(self.path(name), reason)
    }
}

/// A value in a message: itself if it is short and a word, else what it is.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::from("missing"),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            match text.len() <= LONGEST && text.chars().all(plain) {
                true => format!("\"{text}\""),
                false => String::from("another string"),
            }
        }
        Value::Array(_) => String::from("an array"),
        Value::Object(_) => String::from("an object"),
    }
}
