//! Whose section is it?

use std::path::Path;

use crate::context::{Context, shorten};
use crate::describe::is_free_key;
use crate::describe::suggest::{elsewhere, enumerate, nearest};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::sections::{LATER, ROOT};
use crate::source::Span;
use crate::syntax::{Entry, Table};

/// Takes out of the top level what is not ours, and says so.
pub(super) fn sort_out(tree: &mut Table, file: &str, start: Span, cx: &mut Context) {
    let ours_alone = Path::new(file)
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.to_ascii_lowercase().starts_with("panelboard"));
    let mut foreign: Vec<&Entry> = Vec::new();
    for entry in tree.iter() {
        let known = ROOT.field(&entry.key).is_some() || is_free_key(&entry.key);
        if known || cx.is_full() {
            continue;
        }
        if LATER.contains(&entry.key.as_str()) {
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
    tree.retain(|entry| ROOT.field(&entry.key).is_some());
    if tree.is_empty() && !cx.has_errors() {
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
