//! What a breaker will do at the traffic that is expected.

use std::collections::HashMap;
use std::time::Duration;

use panelboard_core::{Mode, Rule, WindowSpec};

use super::{Lint, clash, number, percent, time};
use crate::check::LaidOut;
use crate::diagnostic::codes;
use crate::forecast::{Traffic, calls_held, detection, false_trips, poisson_tail, streak_for};
use crate::source::Span;

/// More false trips than this are told: one in 30 days.
const PER_DAY: f64 = 1.0 / 30.0;

/// Whoever was not told of an outage for this long has heard of it otherwise.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What is expected of a circuit, and where that was said.
struct Expected {
    rate: f64,
    rate_span: Span,
    error_rate: Option<f64>,
}

pub(super) fn look(lint: &mut Lint<'_>) {
    let circuits = lint.keys.circuit_breaker.as_ref().and_then(|at| at.value.circuits.as_ref());
    let named = circuits.map_or(&[][..], |at| &at.value).iter();
    let said: HashMap<&str, Span> = named
        .filter_map(|entry| Some((entry.name.as_str(), entry.value.expected_rate.as_ref()?.span)))
        .collect();
    for laid in lint.laid {
        let Some(circuit) = lint.parts.circuits.get(&laid.circuit) else { continue };
        let decides = matches!(laid.settings.mode(), Mode::Auto | Mode::Observe);
        let (Some(rate), true) = (circuit.expected_rate, decides) else { continue };
        let expected = Expected {
            rate,
            // Its name, if it takes the rate over from another circuit.
            rate_span: said.get(laid.circuit.as_str()).copied().unwrap_or(laid.name_span),
            error_rate: circuit.expected_error_rate,
        };
        unreached(laid, &expected, lint);
        too_late(laid, &expected, lint);
        falsely(laid, &expected, lint);
    }
}

fn calls_a_second(rate: f64) -> String {
    format!("{} calls/s", number(rate))
}

/// Windows of time too short for the calls that a rule waits for.
fn unreached(laid: &LaidOut, expected: &Expected, lint: &mut Lint<'_>) {
    let settings = &laid.settings;
    let WindowSpec::Time(window) = settings.window() else { return };
    let mean = calls_held(settings.window(), expected.rate);
    let blind = [
        ("failure_rate", "min_calls", settings.failure_rate().map(|_| settings.min_calls())),
        ("failure_count", "failure_count", settings.failure_count()),
    ];
    let mut left: Vec<Rule> = Vec::new();
    left.extend(settings.failure_threshold().map(|_| Rule::ConsecutiveFailures));
    left.extend(settings.sequential().map(|_| Rule::Sequential));
    for (rule, key, needed) in blind {
        let Some(needed) = needed.filter(|needed| f64::from(*needed) > mean) else { continue };
        let others = match left.as_slice() {
            [] => format!("`{}` can hardly ever open", laid.subject),
            rules => {
                let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
                format!("of `{}`, only {} sees an outage", laid.subject, names.join(" and "))
            }
        };
        let message = format!(
            "{others}: at {}, {} hold {} calls on average, and the {needed} that `{rule}` waits for \
             are in {} of them",
            calls_a_second(expected.rate),
            time(window),
            number(mean),
            percent(poisson_tail(mean, needed))
        );
        let enough = Duration::try_from_secs_f64(2.0 * f64::from(needed) / expected.rate);
        let enough = time(enough.unwrap_or(Duration::MAX));
        let (at, also) = (laid.place(key), expected.rate_span);
        lint.tell(
            clash(
                codes::NEVER_OPENS,
                message,
                (at, format!("{needed}, but there are {}", number(mean))),
                (also, String::from("so many calls")),
            )
            .help(format!(
                "a window of {enough} holds twice as many; `sequential` needs no window at all"
            )),
        );
    }
}

/// Rules that need longer than outages last.
fn too_late(laid: &LaidOut, expected: &Expected, lint: &mut Lint<'_>) {
    let Some((rule, after)) = detection(&laid.settings, expected.rate) else { return };
    if after <= LONGEST {
        return;
    }
    let message = format!(
        "`{}` opens {} after everything began to fail ({rule}, at {})",
        laid.subject,
        time(after),
        calls_a_second(expected.rate)
    );
    let key = match rule {
        Rule::ConsecutiveFailures => "failure_threshold",
        Rule::FailureCount => "failure_count",
        Rule::Sequential => "sequential",
        _ => "window",
    };
    lint.tell(
        clash(
            codes::OPENS_LATE,
            message,
            (laid.place(key), String::from("takes that many calls")),
            (expected.rate_span, String::from("and so many come")),
        )
        .help(match rule {
            Rule::ConsecutiveFailures => {
                "most outages are over by then; a lower one would tell sooner"
            }
            _ => {
                "most outages are over by then; `failure_threshold = 5` would tell after five calls"
            }
        }),
    );
}

/// Trips by chance.
fn falsely(laid: &LaidOut, expected: &Expected, lint: &mut Lint<'_>) {
    let Some(error_rate) = expected.error_rate else { return };
    let traffic = Traffic { rate: expected.rate, error_rate };
    let trips = false_trips(&laid.settings, traffic);
    let per_day: f64 = trips.iter().map(|(_, n)| n).sum();
    if per_day <= PER_DAY {
        return;
    }
    let by_rule: Vec<String> = trips
        .iter()
        .filter(|(_, n)| *n > per_day / 100.0)
        .map(|(rule, n)| format!("{rule} {}", number(*n)))
        .collect();
    let often = if per_day >= 1.0 {
        format!("{} times a day", number(per_day))
    } else {
        format!("once in {} days", number(1.0 / per_day))
    };
    let noticed = match detection(&laid.settings, expected.rate) {
        Some((rule, after)) => {
            format!("; when everything fails, it opens after {} ({rule})", time(after))
        }
        None => String::new(),
    };
    let message = format!(
        "`{}` will open by chance about {often}, at {} of which {} fail ({} a day){noticed}",
        laid.subject,
        calls_a_second(expected.rate),
        percent(error_rate),
        by_rule.join(", ")
    );
    let worst = trips.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(rule, _)| *rule);
    let (key, help) = match worst {
        Some(Rule::ConsecutiveFailures) => ("failure_threshold", calmer_streak(traffic)),
        Some(Rule::FailureCount) => ("failure_count", String::from("raise `failure_count`")),
        Some(Rule::Sequential) => ("sequential", String::from("raise `sequential.base_rate`")),
        _ => (
            "failure_rate",
            String::from(
                "raise `failure_rate`, or look back over more calls: `window`, `min_calls`",
            ),
        ),
    };
    let problem = clash(
        codes::OPENS_FALSELY,
        message,
        (laid.place(key), String::from("reached by chance")),
        (expected.rate_span, String::from("with so many calls")),
    );
    lint.tell(problem.help(help));
}

fn calmer_streak(traffic: Traffic) -> String {
    match streak_for(PER_DAY, traffic) {
        Some(streak) => {
            let later = Duration::try_from_secs_f64(f64::from(streak) / traffic.rate);
            format!(
                "`failure_threshold = {streak}` does so less than once a month, and sees a total \
                 outage after {}",
                time(later.unwrap_or(Duration::MAX))
            )
        }
        None => String::from("no number of failures in a row tells such traffic from an outage"),
    }
}
