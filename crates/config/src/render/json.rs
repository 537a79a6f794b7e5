//! For programs.

use serde_json::{Value as Json, json};

use super::JSON_VERSION;
use crate::diagnostic::{Diagnostic, Diagnostics, Location, Severity};
use crate::source::Medium;

pub(super) fn render(diagnostics: &Diagnostics) -> String {
    let list: Vec<Json> = diagnostics.iter().map(diagnostic).collect();
    let object = json!({
        "version": JSON_VERSION,
        "errors": diagnostics.count(Severity::Error),
        "warnings": diagnostics.count(Severity::Warning),
        "notes": diagnostics.count(Severity::Note),
        "diagnostics": list,
    });
    format!("{object:#}\n")
}

fn diagnostic(diagnostic: &Diagnostic) -> Json {
    json!({
        "code": diagnostic.code().id(),
        "severity": diagnostic.severity().name(),
        "message": diagnostic.message(),
        "help": diagnostic.help(),
        "docs": diagnostic.code().docs(),
        "location": diagnostic.location().map(location),
        "related": diagnostic.related().iter().map(location).collect::<Vec<_>>(),
    })
}

fn location(location: &Location) -> Json {
    let source = location.source();
    let (start, end) = (location.start(), location.end());
    let mut object = json!({
        "label": location.label(),
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    });
    let (key, name) = match source.medium() {
        Medium::File => ("file", source.name()),
        Medium::Request => ("request", "body"),
        Medium::Variable => ("variable", source.setting_name().unwrap_or_default()),
        Medium::Option => ("option", source.setting_name().unwrap_or_default()),
    };
    object[key] = json!(name);
    object
}
