//! The same rules, held against the configuration itself.

use std::time::Duration;

use super::rules::{deprecated, is_about};
use crate::context::{Context, key_text};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::Checks;
use crate::syntax::{Entry, Node, Table, Value};
use crate::text;

/// The section that names what must not be named.
const EXCEPT: &str = "check";

pub(super) fn look(checks: &Checks, tree: &Table, cx: &mut Context) {
    let mut found = Vec::new();
    let mut path: Vec<String> = Vec::new();
    for entry in tree.iter().filter(|entry| entry.key != EXCEPT) {
        walk(entry, &mut path, checks, &mut found);
    }
    for problem in found {
        cx.report(problem);
    }
}

fn walk(entry: &Entry, path: &mut Vec<String>, checks: &Checks, found: &mut Vec<Problem>) {
    path.push(entry.key.clone());
    node(&entry.node, path, checks, found);
    path.pop();
}

fn node(at: &Node, path: &mut Vec<String>, checks: &Checks, found: &mut Vec<Problem>) {
    match &at.value {
        Value::Table(table) => table.iter().for_each(|entry| walk(entry, path, checks, found)),
        Value::List(items) => items.iter().for_each(|item| node(item, path, checks, found)),
        _ => {}
    }
    if let Value::Text(text) | Value::Untyped(text) = &at.value {
        for (_, host, pattern) in deprecated(text, &checks.deprecated_hosts) {
            let message =
                format!("`{}` names {host}, which is deprecated ({pattern})", subject(path));
            let problem = Problem::new(codes::DEPRECATED_HOST, message)
                .at(at.span, "deprecated")
                .help("`check.deprecated_hosts` says so; name the host in its place");
            found.push(problem);
        }
    }
    let is_timeout = path.last().is_some_and(|key| key.ends_with("timeout"));
    // What is due to a circuit is for its preset to say, so the defaults for files do not count.
    let Some(timeout) = duration(&at.value).filter(|_| is_timeout) else { return };
    let least = checks.min_timeouts.iter().find(|(subject, least)| {
        timeout < **least && path.iter().any(|name| is_about(name, subject))
    });
    if let Some((about, least)) = least {
        let message = format!(
            "`{}` is {}, but timeouts for `{about}` must be {} or longer",
            subject(path),
            text::duration(timeout),
            text::duration(*least)
        );
        let problem = Problem::new(codes::SHORT_TIMEOUT, message)
            .at(at.span, "too short")
            .help(format!("`check.min_timeouts.{about}` says so"));
        found.push(problem);
    }
}

fn subject(path: &[String]) -> String {
    let names: Vec<String> = path.iter().map(|name| key_text(name)).collect();
    let joined = names.join(".");
    joined.strip_prefix("circuit_breaker.").unwrap_or(&joined).to_owned()
}

fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::Integer(seconds) => Duration::try_from_secs_f64(*seconds as f64).ok(),
        Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        Value::Text(text) | Value::Untyped(text) => text::parse_duration(text).ok(),
        _ => None,
    }
}
