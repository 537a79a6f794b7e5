//! Parts of the file that hold for one environment only.

use crate::context::{Context, shorten};
use crate::describe::suggest::nearest;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::source::{Medium, Source, Span};
use crate::syntax::{Node, Table, Value};

/// The section they are in.
const SECTION: &str = "env";

/// What names the environment when the command line does not.
const VARIABLE: &str = "PANELBOARD_ENV";

/// A part of the file, and the environment it holds for.
pub(super) struct Environment {
    pub(super) name: String,
    pub(super) part: Table,
}

/// Takes the environments out of the tree.
pub(super) fn take(tree: &mut Table, cx: &mut Context) -> Vec<Environment> {
    match tree.get(SECTION).map(|entry| &entry.node) {
        // What is no table is read later, to say so.
        Some(Node { value: Value::Table(_), .. }) => {}
        _ => return Vec::new(),
    }
    let Some(Node { value: Value::Table(section), .. }) = tree.remove(SECTION).map(|e| e.node)
    else {
        return Vec::new();
    };
    let mut environments = Vec::new();
    for entry in section.into_entries().filter(|entry| !crate::describe::is_note(entry)) {
        let name = entry.key;
        match entry.node.value {
            Value::Table(part) => environments.push(Environment { name, part }),
            value => {
                let node = Node::new(entry.node.span, value);
                let problem = cx.within(SECTION, |cx| {
                    cx.within(&name, |cx| cx.wrong_type(&node, "a table: part of this file"))
                });
                let help = "to choose an environment, use --env or PANELBOARD_ENV";
                cx.report(problem.help(help));
            }
        }
    }
    environments
}

/// Which of them is asked for, by option or variable; one that is not there is reported.
pub(super) fn choose(
    environments: &[Environment],
    option: Option<&str>,
    variables: &[(String, String)],
    cx: &mut Context,
) -> Option<usize> {
    let variable = variables.iter().find(|(name, value)| name == VARIABLE && !value.is_empty());
    let (medium, name, wanted) = match (option, variable) {
        (Some(wanted), _) => (Medium::Option, "--env", wanted),
        (None, Some((name, wanted))) => (Medium::Variable, name.as_str(), wanted.as_str()),
        (None, None) => return None,
    };
    let found = environments.iter().position(|environment| environment.name == wanted);
    // A file that could not be read as a whole may well have it.
    if found.is_none() && !cx.is_partial() {
        let id = cx.add_source(Source::setting(medium, name, wanted));
        let start = name.len() + 1;
        let names: Vec<&str> = environments.iter().map(|e| e.name.as_str()).collect();
        let message = format!("there is no environment `{}`", shorten(wanted));
        let help = match nearest(wanted, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => format!("the file has no [{SECTION}.NAME]"),
            None => format!("the file has {}", shorten(&names.join(", "))),
        };
        let problem = Problem::new(codes::UNKNOWN_ENVIRONMENT, message)
            .at(Span::new(id, start..start + wanted.len()), "unknown environment")
            .help(help);
        cx.report(problem);
    }
    found
}
