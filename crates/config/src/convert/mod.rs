//! A file in the other format, or in the canonical form of its own.

mod comments;
mod json;
mod toml;

use crate::check::{Input, check, read_source};
use crate::context::Context;
use crate::diagnostic::Diagnostics;
use crate::source::Source;
use crate::syntax::{Node, Table, Value};

/// A format to write.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// TOML, with the comments of a TOML file.
    Toml,
    /// JSON, which has no comments.
    Json,
}

/// A file in another form.
#[derive(Clone, Debug)]
pub struct Converted {
    /// Its text.
    pub text: String,
    /// Comments that the format has no place for.
    pub lost_comments: usize,
    /// What was said of the file: which names are old, which sections are left out.
    pub diagnostics: Diagnostics,
}

/// Writes a file anew: with today's names, sections of ours only, tables in full. It configures
/// the same.
///
/// # Errors
/// Everything that is wrong with the file, if something is.
///
/// ```
/// use panelboard_config::{Source, Target, convert};
///
/// let old = r#"{ "circuit_breaker": { "circuits": { "llm": { "timeout_seconds": 45 } } } }"#;
/// let new = convert(Source::new("app.json", old), Target::Toml)?;
/// assert_eq!(new.text, "[circuit_breaker.circuits.llm]\ntimeout = 45\n");
/// # Ok::<(), panelboard_config::Diagnostics>(())
/// ```
pub fn convert(source: Source, to: Target) -> Result<Converted, Diagnostics> {
    let checked = check(Input::new().file(source.clone()));
    if checked.config.is_none() {
        return Err(checked.diagnostics);
    }
    let found = comments::of(&source);
    let mut cx = Context::default();
    let mut tree = read_source(source, &mut cx);
    // What was renamed goes back to where it stood.
    in_order(&mut tree);
    let (text, lost_comments) = match to {
        Target::Toml => (toml::write(&tree, found, &cx), 0),
        Target::Json => (json::write(&tree, &cx), found.len()),
    };
    Ok(Converted { text, lost_comments, diagnostics: cx.into_diagnostics() })
}

fn in_order(table: &mut Table) {
    table.sort_by_place();
    for entry in table.iter_mut() {
        match &mut entry.node.value {
            Value::Table(inner) => in_order(inner),
            Value::List(items) => {
                items.iter_mut().filter_map(Node::as_table_mut).for_each(in_order);
            }
            _ => {}
        }
    }
}
