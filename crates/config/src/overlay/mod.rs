//! Settings from the environment and the command line, laid over those of the file.
//!
//! `PANELBOARD__CIRCUITS__LLM__TIMEOUT=45s` sets `timeout` of the circuit `llm`. Double underscores
//! separate; names are compared without regard to case, and `_` stands for any sign that is
//! neither letter nor digit. An override changes what there is: a name that the file does not
//! configure is an error, because a misspelt one would silently protect nothing, and its true
//! spelling cannot be told from a variable.

mod address;
mod lay;
mod request;

pub(crate) use address::fold;
use address::{Address, find};
pub(crate) use lay::lay_over;
pub(crate) use request::apply_requests;

use crate::conceal::conceal;
use crate::context::Context;
use crate::describe::modernise;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::sections::ROOT;
use crate::source::{Medium, Source, SourceId, Span};
use crate::syntax::{Entry, Node, Table, Value};

/// What every variable that overrides a setting begins with.
const PREFIX: &str = "PANELBOARD__";

/// The prefix as it is sometimes mistaken.
const NEAR_PREFIX: &str = "PANELBOARD_";

/// Lays the variables that are meant for it over `tree`.
pub(crate) fn apply_variables(
    tree: &mut Table,
    environment: Vec<(String, String)>,
    cx: &mut Context,
) {
    let mut variables: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(NEAR_PREFIX))
        .filter(|(name, _)| name.starts_with(PREFIX) || name.contains("__"))
        .collect();
    variables.sort();
    let mut settings = Vec::new();
    for (name, value) in variables {
        let id = cx.add_source(Source::setting(Medium::Variable, &name, &value));
        if let Some(path) = name.strip_prefix(PREFIX) {
            let segments = split(path, PREFIX.len(), |rest| rest.find("__").map(|i| (i, 2)));
            settings.push(Setting { id, name, value, segments });
        } else {
            let meant = format!("{PREFIX}{}", &name[NEAR_PREFIX.len()..]);
            let value = Span::new(id, name.len() + 1..name.len() + 1 + value.len());
            cx.hide(value);
            let problem = Problem::new(
                codes::NEARLY_A_VARIABLE,
                format!("the variable `{name}` overrides nothing"),
            )
            .at(Span::new(id, 0..name.len()), "one underscore too few")
            .help(format!("did you mean `{meant}`?"));
            cx.report(problem);
        }
    }
    apply(tree, settings, cx);
}

/// Lays the settings of the command line, `circuits.llm.timeout` and its value, over `tree`.
pub(crate) fn apply_options(tree: &mut Table, options: Vec<(String, String)>, cx: &mut Context) {
    let mut settings = Vec::new();
    for (name, value) in options {
        let id = cx.add_source(Source::setting(Medium::Option, &name, &value));
        let segments = split(&name, 0, dot);
        settings.push(Setting { id, name, value, segments });
    }
    apply(tree, settings, cx);
}

/// One override.
struct Setting {
    id: SourceId,
    name: String,
    value: String,
    segments: Vec<Segment>,
}

/// One word of an override's name.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) text: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

fn apply(tree: &mut Table, settings: Vec<Setting>, cx: &mut Context) {
    let mut done: Vec<(Vec<String>, Span)> = Vec::new();
    for setting in settings {
        let name_span = Span::new(setting.id, 0..setting.name.len());
        let value_start = setting.name.len() + 1;
        let value_span = Span::new(setting.id, value_start..value_start + setting.value.len());
        let medium = cx.source(setting.id).medium();
        let address = match find(&setting.segments, tree, medium) {
            Ok(address) => address,
            Err(fault) => {
                // Nobody knows what it is, so nobody knows that it is no secret.
                cx.hide(value_span);
                if fault.is_of_file() && cx.is_partial() {
                    continue;
                }
                let what = if medium == Medium::Variable { "variable" } else { "setting" };
                cx.report(fault.into_problem(what, &setting.name, name_span));
                continue;
            }
        };
        if let Some((_, earlier)) = done.iter().find(|(path, _)| *path == address.path) {
            let message = format!("`{}` sets what another one sets already", setting.name);
            let problem = Problem::new(codes::AMBIGUOUS_VARIABLE, message)
                .at(name_span, "the same key again")
                .help(format!("unset this one or `{}`", cx.text(*earlier)));
            cx.report(problem);
            continue;
        }
        done.push((address.path.clone(), name_span));
        let mut overlay =
            plant(&address, Node::new(value_span, Value::Untyped(setting.value)), name_span);
        conceal(&overlay, Some(ROOT), cx);
        modernise(&mut overlay, ROOT, cx);
        lay_over(tree, overlay, Some(ROOT));
    }
}

/// A tree with nothing in it but `leaf`.
fn plant(address: &Address, leaf: Node, key_span: Span) -> Table {
    let mut node = leaf;
    let mut steps = address.path.iter().rev();
    let last = steps.next().cloned().unwrap_or_default();
    let mut table = Table::of(Entry { key: last, key_span, node });
    for step in steps {
        node = Node::new(key_span, Value::Table(table));
        table = Table::of(Entry { key: step.clone(), key_span, node });
    }
    table
}

/// Splits at what `separator` finds: its place in the rest, and its length.
fn split(
    path: &str,
    offset: usize,
    separator: impl Fn(&str) -> Option<(usize, usize)>,
) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut start = 0;
    loop {
        let (length, gap) = separator(&path[start..]).unwrap_or((path.len() - start, 0));
        let text = path[start..start + length].trim_matches('"').to_owned();
        segments.push(Segment { text, start: offset + start, end: offset + start + length });
        if gap == 0 {
            return segments;
        }
        start += length + gap;
    }
}

/// The next dot that is not within quotes.
fn dot(rest: &str) -> Option<(usize, usize)> {
    let mut quoted = false;
    rest.char_indices()
        .find(|(_, c)| {
            quoted ^= *c == '"';
            *c == '.' && !quoted
        })
        .map(|(at, _)| (at, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(segments: &[Segment]) -> Vec<&str> {
        segments.iter().map(|s| s.text.as_str()).collect()
    }

    #[test]
    fn names_are_split_with_their_places() {
        let segments = split("CIRCUITS__LLM__TIMEOUT", 12, |r| r.find("__").map(|i| (i, 2)));
        assert_eq!(words(&segments), ["CIRCUITS", "LLM", "TIMEOUT"]);
        assert_eq!((segments[1].start, segments[1].end), (22, 25));
        let segments = split("circuits.\"my.llm\".timeout", 0, dot);
        assert_eq!(words(&segments), ["circuits", "my.llm", "timeout"]);
        assert_eq!(words(&split("", 0, dot)), [""]);
    }
}
