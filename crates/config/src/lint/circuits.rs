//! Settings of one breaker that work against each other.

use std::time::Duration;

use panelboard_core::{Kind, Mode, WindowSpec};

use super::{Lint, clash, number, time, unwritten};
use crate::check::LaidOut;
use crate::context::Context;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::source::Span;

pub(super) fn look(lint: &mut Lint<'_>, cx: &Context) {
    for laid in lint.laid {
        mode(laid, lint, cx);
        if let Some(timeout) = laid.settings.timeout() {
            slow_bound(laid, timeout, lint);
            window(laid, timeout, lint);
            recovery(laid, timeout, lint);
        }
        if matches!(laid.settings.mode(), Mode::Auto | Mode::Observe) {
            rules(laid, lint);
        }
    }
}

/// A mode that somebody must remember to take out again.
fn mode(laid: &LaidOut, lint: &mut Lint<'_>, cx: &Context) {
    let span = laid.place("mode");
    let (word, consequence) = match laid.settings.mode() {
        Mode::Auto => return,
        Mode::Observe => ("observe", "nothing is refused, however much fails"),
        Mode::ForcedOpen => ("forced_open", "every call is refused, also after a restart"),
        Mode::ForcedClosed => ("forced_closed", "every call goes through, however much fails"),
    };
    // `enabled = false` says the same, and says that it is meant to stay.
    if span.is_nowhere() || !cx.text(span).contains(word) {
        return;
    }
    let message = format!("`{}.mode` is {word} in the file: {consequence}", laid.subject);
    let (command, good) = match laid.settings.mode() {
        Mode::Observe => ("observe", ""),
        Mode::ForcedOpen => ("open", ""),
        _ => ("close", "; for good, `enabled = false` says so"),
    };
    let problem = Problem::new(codes::MODE_LEFT, message)
        .at(span, "until somebody edits the file")
        .help(format!(
            "for a while, `panelboard {command} {} --for 1h` comes back by itself{good}",
            laid.circuit
        ));
    lint.tell(problem);
}

fn slow_bound(laid: &LaidOut, timeout: Duration, lint: &mut Lint<'_>) {
    let Some(slow) = laid.settings.slow_call_duration() else { return };
    if slow < timeout || !laid.says(&["slow_call_duration", "timeout"]) {
        return;
    }
    let message = format!(
        "`{}.slow_call_duration` is {}, but calls end at their timeout of {}: no call that succeeds \
         is ever slow",
        laid.subject,
        time(slow),
        time(timeout)
    );
    let (at, also) = (laid.place("slow_call_duration"), laid.place("timeout"));
    let defaults = unwritten(&[("slow_call_duration", at), ("timeout", also)]);
    lint.tell(
        clash(
            codes::SLOW_NEVER_SEEN,
            message,
            (at, String::from("never reached")),
            (also, format!("calls end after {}", time(timeout))),
        )
        .help(format!(
            "half the timeout, {}, would tell of trouble in time{defaults}",
            time(timeout / 2)
        )),
    );
}

fn window(laid: &LaidOut, timeout: Duration, lint: &mut Lint<'_>) {
    let settings = &laid.settings;
    let WindowSpec::Time(window) = settings.window() else { return };
    // Where failures in a row open it and nothing is said of windows, theirs is a second opinion.
    let by_streak = settings.failure_threshold().is_some();
    if by_streak && !laid.says(&["window", "failure_rate", "failure_count", "min_calls"]) {
        return;
    }
    let (needed, by) = match (settings.failure_rate(), settings.failure_count()) {
        (Some(_), _) => (settings.min_calls(), "min_calls"),
        (None, Some(count)) => (count, "failure_count"),
        (None, None) => return,
    };
    if window >= timeout * 2 || !laid.says(&["window", "timeout"]) {
        return;
    }
    let hung = window.as_secs_f64() / timeout.as_secs_f64();
    let callers = (f64::from(needed) / hung).ceil();
    let message = format!(
        "`{}.window` is {}, less than two timeouts of {}: while calls hang, each caller leaves {} \
         failures in it, so `{by}` = {needed} takes {} callers at once",
        laid.subject,
        time(window),
        time(timeout),
        number(hung),
        number(callers)
    );
    let (at, also) = (laid.place("window"), laid.place("timeout"));
    let defaults = unwritten(&[("window", at), ("timeout", also)]);
    lint.tell(
        clash(
            codes::SHORT_WINDOW,
            message,
            (at, format!("{} at most", time(window))),
            (also, format!("a hanging call ends after {}", time(timeout))),
        )
        .help(format!("look back over {} or more{defaults}", time(timeout * 2))),
    );
}

fn recovery(laid: &LaidOut, timeout: Duration, lint: &mut Lint<'_>) {
    let recovery = laid.settings.recovery_timeout();
    if recovery >= timeout || !laid.says(&["recovery_timeout", "timeout"]) {
        return;
    }
    let message = format!(
        "`{}.recovery_timeout` is {}, shorter than the timeout of {}: the first probe goes out while \
         calls from before may hang for {} more",
        laid.subject,
        time(recovery),
        time(timeout),
        time(timeout.saturating_sub(recovery))
    );
    let (at, also) = (laid.place("recovery_timeout"), laid.place("timeout"));
    let defaults = unwritten(&[("recovery_timeout", at), ("timeout", also)]);
    lint.tell(
        clash(
            codes::EARLY_PROBE,
            message,
            (at, format!("probes after {}", time(recovery))),
            (also, format!("calls end after {}", time(timeout))),
        )
        .help(format!("wait {} or longer{defaults}", time(timeout))),
    );
}

/// Rules that cannot fire whatever happens.
fn rules(laid: &LaidOut, lint: &mut Lint<'_>) {
    let settings = &laid.settings;
    let slow = settings.slow_call_duration().is_some();
    let of_failures: Vec<&str> = [
        ("failure_threshold", settings.failure_threshold().is_some()),
        ("failure_rate", settings.failure_rate().is_some()),
        ("failure_count", settings.failure_count().is_some()),
        ("sequential", settings.sequential().is_some()),
    ]
    .into_iter()
    .filter_map(|(rule, on)| on.then_some(rule))
    .collect();
    if of_failures.is_empty() && !slow {
        let at = first_place(laid, &["failure_rate", "failure_threshold", "failure_count"]);
        let message = format!("`{}` can never open: every rule is off", laid.subject);
        let problem = Problem::new(codes::NEVER_OPENS, message)
            .at(at, "off, like all the others")
            .help("set `failure_threshold` or `failure_rate`, or say `enabled = false`");
        return lint.tell(problem);
    }
    if Kind::ALL.into_iter().all(|kind| settings.ignore().contains(kind)) {
        let message = format!(
            "`{}` can never open{}: failures of every kind are ignored",
            laid.subject,
            if slow { " on failures" } else { "" }
        );
        let at = laid.place("ignore");
        let problem = Problem::new(codes::NEVER_OPENS, message)
            .at(if at.is_nowhere() { laid.name_span } else { at }, "ignores all 15 kinds")
            .help("leave out of it what is the dependency's fault, such as timeout and connect");
        return lint.tell(problem);
    }
    let WindowSpec::Calls(calls) = settings.window() else { return };
    let blind = [
        ("failure_rate", "min_calls", settings.failure_rate().map(|_| settings.min_calls())),
        ("failure_count", "failure_count", settings.failure_count()),
    ];
    for (rule, key, needed) in blind {
        let Some(needed) = needed.filter(|needed| *needed > calls) else { continue };
        let others: Vec<&str> =
            of_failures.iter().copied().filter(|other| *other != rule).collect();
        let left = match others.as_slice() {
            [] => format!("`{}` can never open", laid.subject),
            others => format!("only {} can open `{}`", others.join(" or "), laid.subject),
        };
        let message = format!(
            "{left}: `{rule}` waits for {needed} {} in a window of {calls} calls",
            if rule == "failure_rate" { "calls" } else { "failures" }
        );
        let (at, also) = (laid.place(key), laid.place("window"));
        if at.is_nowhere() && also.is_nowhere() {
            continue;
        }
        lint.tell(
            clash(
                codes::NEVER_OPENS,
                message,
                (at, format!("{needed} are never there")),
                (also, format!("holds {calls}")),
            )
            .help(format!("at most {calls}{}", unwritten(&[(key, at), ("window", also)]))),
        );
    }
}

fn first_place(laid: &LaidOut, keys: &[&str]) -> Span {
    let said = keys.iter().map(|key| laid.place(key)).find(|span| !span.is_nowhere());
    said.unwrap_or(laid.name_span)
}
