//! Every value of a configuration, and where it comes from: to show it, and to compare two.

mod circuits;
mod compare;
mod written;

use serde_json::{Value as Json, json};

use crate::check::{Input, run};
use crate::context::{Context, key_text};
use crate::diagnostic::Diagnostics;
use crate::model::{Config, Layer, Origin, Place};
use crate::source::{Medium, Span};
use crate::syntax::{Node, Value};

pub use compare::{Difference, compare};

/// A configuration, value by value.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The configuration.
    pub config: Config,
    /// Warnings and notes.
    pub diagnostics: Diagnostics,
    /// Its values, in the order of the reference.
    pub values: Vec<Listed>,
}

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    /// What it is a value of, as one would write it after `--set`: `circuits.llm.timeout`.
    pub path: String,
    /// The value, in its canonical spelling. Of secrets, where they are.
    pub value: Json,
    /// Where it was said.
    pub origin: Origin,
}

/// Which values are listed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum View {
    /// Those that somebody wrote down: the file, with everything that is laid over it.
    Written,
    /// All that there are, defaults and presets with the rest.
    Effective,
}

/// Lists the values of a configuration.
///
/// # Errors
/// Everything that is wrong with it, if something is.
///
/// ```
/// use panelboard_config::{Input, Source, View, list};
///
/// let source = Source::new("panelboard.toml", "[circuit_breaker.circuits.llm]\ntimeout = 90");
/// let listing = list(Input::new().file(source), View::Effective)?;
/// let timeout = listing.values.iter().find(|v| v.path == "circuits.llm.timeout").unwrap();
/// assert_eq!(timeout.value, "1m30s");
/// assert_eq!(timeout.origin.to_string(), "panelboard.toml:2");
/// # Ok::<(), panelboard_config::Diagnostics>(())
/// ```
pub fn list(input: Input<'_>, view: View) -> Result<Listing, Diagnostics> {
    let (checked, cx, tree) = run(input);
    let Some(config) = checked.config else { return Err(cx.into_diagnostics()) };
    let mut lister = Lister { cx: &cx, view, values: Vec::new() };
    lister.file(&tree, &config);
    let values = lister.values;
    Ok(Listing { config, diagnostics: cx.into_diagnostics(), values })
}

struct Lister<'a> {
    cx: &'a Context,
    view: View,
    values: Vec<Listed>,
}

impl Lister<'_> {
    fn push(&mut self, path: &str, value: Json, origin: Origin) {
        // `circuit_breaker` goes without saying, as in overrides.
        let path = path.strip_prefix("circuit_breaker.").unwrap_or(path).to_owned();
        self.values.push(Listed { path, value, origin });
    }

    /// What stands at a node, unless it must not be shown.
    fn shown(&self, node: &Node) -> Json {
        let hidden = |span: Span| {
            self.cx.has_source(span.source) && self.cx.source(span.source).hides(&span.range())
        };
        match &node.value {
            _ if hidden(node.span) => json!("(not shown)"),
            Value::Null => Json::Null,
            Value::Bool(flag) => json!(flag),
            Value::Integer(number) => i64::try_from(*number)
                .map_or_else(|_| json!(*number as f64), |number| json!(number)),
            Value::Float(number) => json!(number),
            Value::Text(text) => json!(text),
            Value::Untyped(text) => plain(text),
            Value::Date => json!(self.cx.text(node.span)),
            Value::List(items) => items.iter().map(|item| self.shown(item)).collect(),
            Value::Table(table) => Json::Object(
                table.iter().map(|entry| (entry.key.clone(), self.shown(&entry.node))).collect(),
            ),
        }
    }

    fn origin(&self, span: Span) -> Origin {
        origin(&Layer::Own, span, self.cx)
    }
}

/// Text that is a number or a switch, as such.
fn plain(text: &str) -> Json {
    match serde_json::from_str(text) {
        Ok(value @ (Json::Bool(_) | Json::Number(_))) => value,
        _ => json!(text),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key_text(key) } else { format!("{path}.{}", key_text(key)) }
}

/// What `layer` says at `span`, and where that is.
pub(crate) fn origin(layer: &Layer, span: Span, cx: &Context) -> Origin {
    let place = (!span.is_nowhere()).then(|| {
        let source = cx.source(span.source);
        let name = std::sync::Arc::from(source.setting_name().unwrap_or(source.name()));
        match source.medium() {
            Medium::File => {
                let position = source.position(span.start);
                Place::File { name, line: position.line, column: position.column }
            }
            Medium::Variable => Place::Variable(name),
            Medium::Option => Place::Option(name),
            Medium::Request => Place::Admin,
        }
    });
    Origin { layer: layer.clone(), place }
}

impl Listed {
    /// The value as TOML has it.
    pub fn text(&self) -> String {
        text(&self.value)
    }
}

/// A value as TOML has it, on one line.
pub(crate) fn text(value: &Json) -> String {
    match value {
        Json::Array(items) => {
            format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", "))
        }
        Json::Object(entries) if entries.is_empty() => String::from("{}"),
        Json::Object(entries) => {
            let pairs =
                entries.iter().map(|(key, value)| format!("{} = {}", key_text(key), text(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
