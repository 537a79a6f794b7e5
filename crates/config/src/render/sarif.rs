//! SARIF 2.1.0, for code scanning.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Location, Severity};
use crate::source::Medium;

pub(super) fn render(diagnostics: &Diagnostics) -> String {
    let mut codes: Vec<Code> = diagnostics.iter().map(Diagnostic::code).collect();
    codes.sort();
    codes.dedup();
    let results: Vec<Json> = diagnostics.iter().map(|found| result(found, &codes)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "panelboard",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: Code) -> Json {
    json!({
        "id": code.id(),
        "shortDescription": { "text": code.title() },
        "fullDescription": { "text": code.explanation().trim() },
        "help": { "text": code.docs() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn level(severity: Severity) -> &'static str {
    severity.name()
}

fn result(diagnostic: &Diagnostic, codes: &[Code]) -> Json {
    let text = match diagnostic.help() {
        Some(help) => format!("{} (help: {help})", diagnostic.message()),
        None => diagnostic.message().to_owned(),
    };
    let mut result = json!({
        "ruleId": diagnostic.code().id(),
        "ruleIndex": codes.iter().position(|code| *code == diagnostic.code()),
        "level": level(diagnostic.severity()),
        "message": { "text": text },
        "locations": diagnostic.location().map(location).into_iter().collect::<Vec<_>>(),
    });
    let related: Vec<Json> = diagnostic
        .related()
        .iter()
        .enumerate()
        .map(|(id, at)| {
            let mut location = location(at);
            location["id"] = json!(id);
            location["message"] = json!({ "text": at.label() });
            location
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = json!(related);
    }
    result
}

fn location(at: &Location) -> Json {
    let source = at.source();
    match source.medium() {
        Medium::File | Medium::Request => {
            let (start, end) = (at.start(), at.end());
            json!({ "physicalLocation": {
                "artifactLocation": { "uri": uri(source.name()) },
                "region": {
                    "startLine": start.line,
                    "startColumn": start.column,
                    "endLine": end.line,
                    "endColumn": end.column,
                },
            } })
        }
        Medium::Variable | Medium::Option => {
            let name = source.setting_name().unwrap_or_default();
            json!({ "logicalLocations": [{ "name": name, "kind": "variable" }] })
        }
    }
}

/// A path as a URI reference.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            b'\\' => uri.push('/'),
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("config/panelboard.toml"), "config/panelboard.toml");
        assert_eq!(uri("/etc/my app.toml"), "file:///etc/my%20app.toml");
        assert_eq!(uri("a:b%c"), "a%3Ab%25c");
    }
}
