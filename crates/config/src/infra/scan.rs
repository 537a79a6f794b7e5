//! A file, line by line.

use std::ops::Range;

use super::line::{Line, parse};
use super::rules::{Rules, deprecated, plain_http, switches_tls_off, too_short};
use crate::context::Context;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::source::{Source, Span};
use crate::text;

/// More findings than this in one file say nothing new.
const MOST: usize = 50;

/// The names of the variables that a `.env` file sets to something.
pub(super) fn variables(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(parse);
    lines.filter(|line| !line.value.is_empty()).map(|line| line.key.to_owned()).collect()
}

/// Looks through a text; of what it holds, only keys and what is found may be shown.
pub(super) fn look(name: &str, text: String, rules: &Rules<'_>, cx: &mut Context) {
    let mut source = Source::new(name, text);
    let id = cx.next_source();
    let mut found: Vec<Problem> = Vec::new();
    let mut visible: Vec<Range<usize>> = Vec::new();
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut offset = 0;
    for text in source.text().split_inclusive('\n') {
        let start = offset;
        offset += text.len();
        let Some(line) = parse(text.trim_end_matches(['\n', '\r'])) else { continue };
        blocks.retain(|(indent, _)| *indent < line.indent);
        visible.push(start + line.key_at.start..start + line.key_at.end);
        if line.value.is_empty() {
            blocks.push((line.indent, line.key.to_owned()));
            continue;
        }
        let around: Vec<String> = blocks.iter().map(|(_, name)| name.clone()).collect();
        for (range, problem) in judge(&line, &around, rules) {
            let range = start + range.start..start + range.end;
            let (code, message, label, help) = problem;
            found.push(
                Problem::new(code, message).at(Span::new(id, range.clone()), label).help(help),
            );
            visible.push(range);
        }
    }
    if found.is_empty() {
        return;
    }
    conceal(&mut source, &visible);
    cx.add_source(source);
    found.into_iter().take(MOST).for_each(|problem| cx.report(problem));
}

/// A code, what is wrong, a label and what to do.
type Told = (crate::diagnostic::Code, String, &'static str, String);

fn judge(line: &Line<'_>, around: &[String], rules: &Rules<'_>) -> Vec<(Range<usize>, Told)> {
    let within =
        |range: Range<usize>| line.value_at.start + range.start..line.value_at.start + range.end;
    let mut told = Vec::new();
    for (range, host, pattern) in deprecated(line.value, rules.deprecated) {
        let message = format!("`{}` names {host}, which is deprecated ({pattern})", line.key);
        let help = String::from("`check.deprecated_hosts` says so; name the host in its place");
        told.push((within(range), (codes::DEPRECATED_HOST, message, "deprecated", help)));
    }
    if switches_tls_off(line.key, line.value) {
        let message = format!(
            "`{}` switches the verification of certificates off: anybody can answer",
            line.key
        );
        let help = String::from("verify, and trust a private authority by its certificate instead");
        told.push((line.key_at.clone(), (codes::TLS_SWITCHED_OFF, message, "not verified", help)));
    }
    for (range, host) in plain_http(line.value) {
        let message = format!(
            "`{}` is plain http to {host}: what is sent can be read and changed on the way",
            line.key
        );
        let help = String::from("use https, or a tunnel that ends on the same machine");
        told.push((within(range), (codes::PLAIN_HTTP, message, "not encrypted", help)));
    }
    if let Some((subject, timeout, least)) = too_short(line.key, line.value, around, &rules.least) {
        let message = format!(
            "`{}` is {}, but timeouts for `{subject}` must be {} or longer",
            line.key,
            text::duration(timeout),
            text::duration(least)
        );
        let help = format!("`check.min_timeouts.{subject}` sets another bound");
        told.push((line.value_at.clone(), (codes::SHORT_TIMEOUT, message, "too short", help)));
    }
    told
}

/// Hides everything but these ranges.
fn conceal(source: &mut Source, visible: &[Range<usize>]) {
    let mut visible = visible.to_vec();
    visible.sort_by_key(|range| range.start);
    let mut at = 0;
    let end = source.text().len();
    let mut gaps = Vec::new();
    for range in visible {
        if range.start > at {
            gaps.push(at..range.start);
        }
        at = at.max(range.end);
    }
    if at < end {
        gaps.push(at..end);
    }
    for gap in gaps {
        // Blanks and the signs between keys and values tell nothing, and keep lines readable.
        let mut word = None;
        let text = source.text()[gap.clone()].to_owned();
        for (i, c) in text.char_indices().chain([(text.len(), ' ')]) {
            let plain =
                c.is_whitespace() || matches!(c, '=' | ':' | '"' | '{' | '}' | '[' | ']' | ',');
            match (plain, word) {
                (false, None) => word = Some(i),
                (true, Some(start)) => {
                    source.hide(gap.start + start..gap.start + i);
                    word = None;
                }
                _ => {}
            }
        }
    }
}
