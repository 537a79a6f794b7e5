//! What can run, but hardly does what was meant: looked for between values that are each fine, and
//! told with what comes of it.

mod circuits;
mod expected;
mod fields;
mod routes;
mod upstreams;

use std::collections::HashMap;
use std::time::Duration;

pub(crate) use fields::is_loopback;

use crate::check::LaidOut;
use crate::context::{At, Context, Named};
use crate::diagnostic::Code;
use crate::diagnostic::problem::Problem;
use crate::forecast::whole;
use crate::model::Parts;
use crate::sections::{RootKeys, UpstreamKeys};
use crate::source::Span;
use crate::text;

/// Looks for all of it in a configuration without errors.
pub(crate) fn run(keys: &RootKeys, parts: &Parts, laid: &[LaidOut], cx: &mut Context) {
    let upstreams = keys.upstreams.as_ref().map_or(&[][..], |at| &at.value);
    let mut lint = Lint {
        keys,
        parts,
        laid,
        found: Vec::new(),
        known: HashMap::new(),
        // A circuit stands before the members of its family, and so replaces them here.
        circuits: laid.iter().rev().map(|laid| (laid.circuit.as_str(), laid)).collect(),
        upstream_keys: upstreams.iter().map(|named| (named.name.as_str(), &named.value)).collect(),
    };
    circuits::look(&mut lint, cx);
    expected::look(&mut lint);
    upstreams::look(&mut lint);
    routes::look(&mut lint);
    for (problem, others) in lint.found {
        cx.report(match others {
            0 => problem,
            n => {
                let mut problem = problem;
                problem.add_help(&format!("the same goes for {n} more"));
                problem
            }
        });
    }
}

/// A configuration, and what was found in it.
struct Lint<'a> {
    keys: &'a RootKeys,
    parts: &'a Parts,
    laid: &'a [LaidOut],
    /// Problems, and how many more there were like each.
    found: Vec<(Problem, usize)>,
    /// Where each was told. What many circuits inherit is told once.
    known: HashMap<(Code, Vec<Span>), usize>,
    circuits: HashMap<&'a str, &'a LaidOut>,
    upstream_keys: HashMap<&'a str, &'a UpstreamKeys>,
}

impl<'a> Lint<'a> {
    fn tell(&mut self, problem: Problem) {
        let also = problem.secondary().iter().map(|(span, _)| *span);
        let places: Vec<Span> = problem.primary_span().into_iter().chain(also).collect();
        match self.known.get(&(problem.code(), places.clone())) {
            Some(at) => self.found[*at].1 += 1,
            None => {
                self.known.insert((problem.code(), places), self.found.len());
                self.found.push((problem, 0));
            }
        }
    }

    fn upstreams(&self) -> &'a [Named<UpstreamKeys>] {
        self.keys.upstreams.as_ref().map_or(&[], |at| &at.value)
    }
}

impl LaidOut {
    /// Where the setting was said; nowhere, if it was not said in words.
    fn place(&self, key: &str) -> Span {
        self.places.get(key).copied().unwrap_or(Span::NOWHERE)
    }

    /// Whether any of these was said in words; else nobody could be pointed at, and it is for the
    /// defaults and presets to be sound.
    fn says(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| !self.place(key).is_nowhere())
    }
}

/// A problem between two values: at the first that was written, with the other as a second place.
fn clash(
    code: Code,
    message: String,
    (first, first_label): (Span, String),
    (second, second_label): (Span, String),
) -> Problem {
    let problem = Problem::new(code, message);
    if first.is_nowhere() {
        problem.at(second, second_label)
    } else {
        problem.at(first, first_label).also(second, second_label)
    }
}

/// What a value without a place comes from, to end a help with.
fn unwritten(names: &[(&str, Span)]) -> String {
    let silent: Vec<String> = names
        .iter()
        .filter(|(_, span)| span.is_nowhere())
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    match silent.as_slice() {
        [] => String::new(),
        [one] => format!("; {one} is not set here"),
        several => format!("; {} are not set here", several.join(" and ")),
    }
}

/// A duration short enough for a sentence.
fn time(duration: Duration) -> String {
    let unit = match duration.as_secs() {
        0 => return text::duration(duration),
        1..60 => 100,
        60..3_600 => 1_000,
        3_600..86_400 => 60_000,
        _ => 3_600_000,
    };
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    text::duration(Duration::from_millis(millis / unit * unit))
}

/// A number with two figures that count.
fn number(value: f64) -> String {
    if !value.is_finite() || value >= 1e15 {
        return String::from("countless");
    }
    let digits =
        if value >= 10.0 || value == 0.0 { 0 } else { whole(1.0 - value.log10().floor()) as usize };
    let text = format!("{value:.*}", digits.min(9));
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    group(text)
}

/// `1234567` as `1,234,567`.
fn group(text: &str) -> String {
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (i, digit) in whole.char_indices() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// A share as a percentage.
fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

fn span_of<T>(at: Option<&At<T>>) -> Span {
    at.map_or(Span::NOWHERE, |at| at.span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.031_8, "0.032"),
            (0.5, "0.5"),
            (3.888, "3.9"),
            (10.0, "10"),
            (97.6, "98"),
            (1_234_567.0, "1,234,567"),
            (1e300, "countless"),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
        assert_eq!(percent(0.1), "10 %");
    }

    #[test]
    fn times_are_short() {
        for (millis, text) in [
            (250, "250ms"),
            (1_640, "1s600ms"),
            (65_400, "1m5s"),
            (10_000_700, "2h46m"),
            (100_000_000, "1d3h"),
        ] {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }
}
