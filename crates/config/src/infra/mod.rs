//! Rules for what surrounds a configuration: files of the infrastructure, and the environment.
//!
//! Files are looked through line by line, whatever their format. Of what they hold, findings show
//! keys, hosts and durations; all else is starred out, because secrets may be anywhere.

mod files;
mod line;
mod own;
mod rules;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::context::Context;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::Checks;
use crate::source::Span;
use crate::syntax::{Table, Value};

/// The least that timeouts may be in files, unless something else is said.
const LEAST: [(&str, Duration); 2] =
    [("database", Duration::from_secs(600)), ("health", Duration::from_secs(60))];

/// Looks for all of it. `base` is where paths begin.
pub(crate) fn look(
    checks: &Checks,
    tree: &Table,
    base: &Path,
    environment: &[(String, String)],
    cx: &mut Context,
) {
    own::look(checks, tree, cx);
    let mut least: BTreeMap<String, Duration> =
        LEAST.into_iter().map(|(subject, time)| (subject.to_owned(), time)).collect();
    least.extend(checks.min_timeouts.iter().map(|(subject, time)| (subject.clone(), *time)));
    let rules = rules::Rules { deprecated: &checks.deprecated_hosts, least };

    // Whoever has a variable in a `.env` file sets it before the start.
    let mut set: BTreeSet<String> = BTreeSet::new();
    for (name, value) in environment {
        if !value.trim().is_empty() {
            set.insert(name.clone());
        }
    }
    for file in files::find(&checks.files, base, &mut |pattern, why| {
        let at = item(tree, "files", pattern);
        let message = format!("`check.files`: {why}");
        let problem = Problem::new(codes::NO_SUCH_FILES, message).at(at, "finds nothing to check");
        cx.report(
            problem.help("paths begin where the configuration is; `**` goes into directories"),
        );
    }) {
        match files::read(&file.path) {
            Ok(text) => {
                if files::is_env(&file.path) {
                    set.extend(scan::variables(&text));
                }
                scan::look(&file.name, text, &rules, cx);
            }
            Err(why) => {
                let message = format!("`{}` was not looked through: {why}", file.name);
                let at = item(tree, "files", &file.pattern);
                cx.report(Problem::new(codes::FILE_SKIPPED, message).at(at, "names it"));
            }
        }
    }
    for name in checks.required_env.iter().filter(|name| !set.contains(*name)) {
        let problem = Problem::new(
            codes::VARIABLE_NOT_SET,
            format!("the environment variable {name} is required, but not set, or empty"),
        )
        .at(item(tree, "required_env", name), "required here")
        .help("set it where this runs, or in a `.env` file that `check.files` names");
        cx.report(problem);
    }
}

/// Where the list of this key in `[check]` has this text.
fn item(tree: &Table, key: &str, text: &str) -> Span {
    let list = tree.get("check").and_then(|check| check.node.as_table()).and_then(|t| t.get(key));
    let Some(Value::List(items)) = list.map(|entry| &entry.node.value) else {
        return Span::NOWHERE;
    };
    let same = |value: &Value| matches!(value, Value::Text(other) if other == text);
    items.iter().find(|item| same(&item.value)).map_or(Span::NOWHERE, |item| item.span)
}
