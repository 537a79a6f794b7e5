//! Settings of circuits from requests to the admin API.

use super::address::Address;
use super::{lay_over, plant};
use crate::conceal::conceal_text;
use crate::context::Context;
use crate::describe::{Keys as _, modernise};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::sections::{CircuitKeys, ROOT, SettingsKeys};
use crate::source::{Source, Span};
use crate::syntax::{Entry, Node, Table, Value, parse};

/// Lays what requests said of circuits, by their names, over `tree`.
pub(crate) fn apply_requests(tree: &mut Table, requests: Vec<(String, String)>, cx: &mut Context) {
    for (circuit, text) in requests {
        let mut source = Source::request(text);
        conceal_text(&mut source);
        let id = cx.next_source();
        let parsed = parse(&source, id);
        let span = Span::new(id, 0..source.text().len());
        cx.add_source(source);
        for problem in parsed.problems {
            cx.report(problem);
        }
        if !parsed.whole {
            cx.set_partial();
            continue;
        }
        let mut settings = parsed.root;
        modernise(&mut settings, SettingsKeys::TABLE, cx);
        settings.retain(|entry| match fixed(entry) {
            Some(problem) => {
                cx.report(problem);
                false
            }
            None => true,
        });
        let path = ["circuit_breaker", "circuits", &circuit].map(str::to_owned).to_vec();
        let overlay = plant(&Address { path }, Node::new(span, Value::Table(settings)), span);
        lay_over(tree, overlay, Some(ROOT));
    }
}

/// The problem with a key of a circuit that is not for requests to change.
fn fixed(entry: &Entry) -> Option<Problem> {
    let help = match entry.key.as_str() {
        "enabled" | "mode" => "order it: force-open, force-closed, observe or auto",
        key if SettingsKeys::TABLE.field(key).is_some() => return None,
        key if CircuitKeys::TABLE.field(key).is_some() => "change the file",
        // Whether it is a key at all is found out with all the others.
        _ => return None,
    };
    let message = format!("`{}` cannot be set at run time", entry.key);
    Some(Problem::new(codes::NOT_AT_RUN_TIME, message).at(entry.key_span, "not here").help(help))
}
