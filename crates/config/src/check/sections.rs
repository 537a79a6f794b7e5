//! Whose section is it?

use std::path::Path;

use crate::context::{Context, shorten};
use crate::describe::suggest::{elsewhere, enumerate, nearest};
use crate::describe::{Keys, is_free_key};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::sections::{CheckKeys, LATER, ROOT};
use crate::source::Span;
use crate::syntax::{Entry, Table};

/// The section with what holds for one environment only.
const ENVIRONMENTS: &str = "env";

/// Takes out of the top level what is not ours, and says so.
pub(super) fn sort_out(tree: &mut Table, file: &str, start: Span, cx: &mut Context) {
    let ours_alone = Path::new(file)
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.to_ascii_lowercase().starts_with("panelboard"));
    let ours = |entry: &Entry| {
        ROOT.field(&entry.key).is_some() && (ours_alone || !means_something_else(entry))
    };
    for entry in tree.iter_mut().filter(|entry| entry.key == ENVIRONMENTS && ours(entry)) {
        let parts = entry.node.as_table_mut().into_iter().flat_map(Table::iter_mut);
        for part in parts.filter_map(|part| part.node.as_table_mut()) {
            sort_out_part(part, ours_alone, cx);
        }
    }
    let mut foreign: Vec<&Entry> = Vec::new();
    for entry in tree.iter() {
        let known = ours(entry) || is_free_key(&entry.key);
        if known || cx.is_full() {
            continue;
        }
        if ROOT.field(&entry.key).is_some() {
            foreign.push(entry);
        } else if LATER.contains(&entry.key.as_str()) {
            let message = format!("`{}` is not supported by this version", entry.key);
            let problem = Problem::new(codes::UNSUPPORTED_SECTION, message)
                .at(entry.key_span, "ignored")
                .help("the section has no effect; take it out, or use a version that knows it");
            cx.report(problem);
        } else if let Some(problem) = unknown(entry, ours_alone) {
            cx.report(problem);
        } else {
            foreign.push(entry);
        }
    }
    if let [first, ..] = foreign.as_slice() {
        let names: Vec<String> =
            foreign.iter().take(5).map(|entry| format!("`{}`", shorten(&entry.key))).collect();
        let more = match foreign.len().saturating_sub(5) {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        let problem = Problem::new(
            codes::FOREIGN_SECTION,
            format!("not ours, left alone: {}{more}", names.join(", ")),
        )
        .at(first.key_span, "ignored");
        cx.report(problem);
    }
    tree.retain(|entry| ours(entry) || is_free_key(&entry.key));
    if !tree.iter().any(ours) && !cx.has_errors() {
        let problem =
            Problem::new(codes::NOTHING_SAID, format!("`{file}` configures nothing of ours"))
                .at(start, "no section of ours")
                .help(format!(
                    "every circuit runs on the built-in defaults; sections are {}",
                    enumerate(ROOT.fields.iter().map(|field| field.name))
                ));
        cx.report(problem);
    }
}

/// Takes out of the part for one environment what is not ours.
fn sort_out_part(part: &mut Table, ours_alone: bool, cx: &mut Context) {
    for entry in part.iter() {
        if entry.key == ENVIRONMENTS {
            let problem = Problem::new(codes::UNKNOWN_SECTION, "an environment within another")
                .at(entry.key_span, "not here")
                .help("environments stand side by side, at the top of the file");
            cx.report(problem);
        } else if ROOT.field(&entry.key).is_none()
            && !is_free_key(&entry.key)
            && let Some(problem) = unknown(entry, ours_alone)
        {
            cx.report(problem);
        }
    }
    part.retain(|entry| entry.key != ENVIRONMENTS && ROOT.field(&entry.key).is_some());
}

/// Whether another program may well have meant something of its own by this name.
fn means_something_else(entry: &Entry) -> bool {
    let field = |name: &str| ROOT.field(name).is_some();
    let holds = |table: &Table, known: &dyn Fn(&Entry) -> bool| table.iter().any(known);
    let table = entry.node.as_table();
    match entry.key.as_str() {
        ENVIRONMENTS => !table.is_some_and(|table| {
            let part = |part: &Entry| {
                part.node.as_table().is_some_and(|part| holds(part, &|entry| field(&entry.key)))
            };
            holds(table, &part)
        }),
        "check" => !table.is_some_and(|table| {
            holds(table, &|entry| CheckKeys::TABLE.field(&entry.key).is_some())
        }),
        _ => false,
    }
}

/// The problem with a section that should be ours and is not.
fn unknown(entry: &Entry, ours_alone: bool) -> Option<Problem> {
    let key = shorten(&entry.key);
    let sections = || ROOT.fields.iter().map(|field| field.name);
    let problem = Problem::new(codes::UNKNOWN_SECTION, format!("unknown section `{key}`"))
        .at(entry.key_span, "unknown section");
    if let Some(meant) = nearest(&entry.key, sections()) {
        return Some(problem.help(format!("did you mean `{meant}`?")));
    }
    if !ours_alone {
        return None;
    }
    Some(match elsewhere(&entry.key, ROOT, ROOT).first() {
        Some(table) => problem.help(format!("`{key}` belongs under [{}]", table.header)),
        None => problem.help(format!(
            "sections are {}; a file with those of other programs must not be named panelboard.*",
            enumerate(sections())
        )),
    })
}
