//! "Why is it open?", answered in one sentence after the other.
//!
//! The same words in log, API, command line and page: all of them come from here.

/// Adds one sentence.
macro_rules! say {
    ($out:expr, $($text:tt)*) => {{
        // Writing to a string cannot fail.
        let _ = write!($out, " {}.", format_args!($($text)*));
    }};
}

mod signs;
mod text;

use std::fmt::Write as _;

use panelboard_core::ramp::FREE_PER_SECOND;
use panelboard_core::rollup::Children;
use text::{Count, Many, Time};

use crate::event::{Event, LastError, Order, TripRecord, What};
use crate::snapshot::Keys;
use crate::{Cause, Fired, Kind, Mode, PhaseName, Ratio, Rule, Settings, Snapshot, WindowSpec};

/// How many kinds of failure the explanation names.
const KINDS: usize = 3;

impl Snapshot {
    /// What the breaker is doing, why, and what happens next.
    pub fn explain(&self) -> String {
        let mut out = format!("`{}` {}", self.name.printable(), self.headline());
        self.say_mode(&mut out);
        match self.phase {
            PhaseName::Closed => self.say_closed(&mut out),
            PhaseName::Open => self.say_open(&mut out),
            PhaseName::HalfOpen => self.say_half_open(&mut out),
        }
        self.say_dependencies(&mut out);
        if self.phase != PhaseName::Open {
            self.say_paced(&mut out);
        }
        if let Some(Keys { count, open, .. }) = self.keys {
            let keys = match (count, open) {
                (0, _) => "none so far".to_owned(),
                (_, 0) => format!("{count} so far"),
                _ => format!("{count} so far, {open} of them open"),
            };
            say!(out, "It has a circuit for each key: {keys}");
        }
        out
    }

    fn say_paced(&self, out: &mut String) {
        match (self.paced_for, self.quota_used_up) {
            (Some(wait), true) => say!(
                out,
                "The dependency said that a quota is used up: calls are held back, and in {} one \
                 tries again",
                Time(wait)
            ),
            (None, true) => say!(
                out,
                "The dependency said that a quota is used up: the next call tries again, and the \
                 others wait for it"
            ),
            (Some(wait), false) => {
                say!(
                    out,
                    "The dependency asked to slow down: calls are held back for {}",
                    Time(wait)
                );
            }
            (None, false) => {}
        }
    }

    fn headline(&self) -> String {
        // An incident begins when the breaker opens from closed, however often it reopens.
        let since = match (self.phase, &self.trip) {
            (PhaseName::Open, Some(trip)) => self.at.duration_since(trip.at).unwrap_or_default(),
            _ => self.in_phase,
        };
        let since = Time(since);
        match self.mode {
            Mode::ForcedOpen => "FORCED OPEN.".into(),
            Mode::ForcedClosed if self.override_.is_none() => {
                "SWITCHED OFF: every call is let through.".into()
            }
            Mode::ForcedClosed => "FORCED CLOSED: every call is let through.".into(),
            Mode::Auto | Mode::Observe => format!("{} for {since}.", shout(self.phase)),
        }
    }

    fn say_mode(&self, out: &mut String) {
        if let Some(over) = &self.override_ {
            let order = over.order.as_ref().map_or(String::new(), said);
            let mode = self.mode.name().replace('_', " ");
            say!(out, "Operator override ({mode}{order}) for {} more", Time(over.for_));
        }
        match self.mode {
            Mode::Observe => {
                let count = Many(self.counters.would_reject, "call");
                say!(out, "Observing: nothing is refused; {count} would have been");
            }
            Mode::ForcedOpen | Mode::ForcedClosed if self.phase != PhaseName::Closed => {
                say!(out, "Left to itself it would be {}", shout(self.phase));
            }
            _ => {}
        }
    }

    fn say_closed(&self, out: &mut String) {
        let window = over_window(self.settings.window());
        if self.settings.has_window_rule() {
            let tally = self.tally;
            let calls = Many(tally.calls, "call");
            let ratio = Ratio::of(tally.failures, tally.calls);
            let against = match self.thresholds.failure_rate {
                Some(threshold) => format!(" ({ratio}, opens at {threshold})"),
                None => format!(" ({ratio})"),
            };
            let failed = Count(tally.failures);
            match (tally.calls, self.settings.window()) {
                // The last so many calls are never over, so there were none.
                (0, WindowSpec::Calls(_)) => say!(out, "No calls yet"),
                (0, _) => say!(out, "No calls {window}"),
                _ => say!(out, "{failed} of {calls} failed{against} {window}"),
            }
            if let Some(bound) = self.settings.slow_call_duration()
                && tally.timed > 0
            {
                let slow = Count(tally.slow);
                let timed = Many(tally.timed, "call");
                say!(out, "{slow} of {timed} took {} or longer", Time(bound));
            }
        }
        if let Some(ramp) = self.ramp {
            let (share, ends) = (ramp.share, Time(ramp.ends_in));
            say!(
                out,
                "It has just recovered: {share} of the calls go through, or {FREE_PER_SECOND} a \
                 second; all of them in {ends}"
            );
        }
        if let Some(share) = self.throttled
            && share > Ratio::ZERO
        {
            let throttle = self.settings.throttle().unwrap_or_default();
            let window = over_window(WindowSpec::Time(throttle.window()));
            say!(
                out,
                "Throttling: {share} of the calls are refused, as too few succeeded {window}"
            );
        }
        if let Some(threshold) = self.thresholds.streak
            && self.streak > 0
        {
            let streak = Many(self.streak.into(), "failure");
            say!(out, "{streak} in a row, opens at {threshold}");
        }
        self.say_suspicion(out);
        self.say_thresholds(out);
        if let Some(trip) = &self.trip {
            let ago = self.at.duration_since(trip.at).unwrap_or_default();
            say!(out, "It last opened {} ago: {}", Time(ago), why(trip));
        }
    }

    fn say_open(&self, out: &mut String) {
        let (Some(trip), Some(last)) = (&self.trip, &self.last) else { return };
        out.push(' ');
        out.push_str(&capital(&format!("{}.", why(trip))));
        say_kinds(out, trip);
        if self.mode.weighs() {
            let next = Time(self.opens_for.unwrap_or_default());
            match self.awaits_health {
                true => say!(out, "The wait is over; a health check is to pass before calls probe"),
                false => say!(out, "Next probe in {next}{}", attempts(last)),
            }
        }
        let rejected = Many(self.rejected().saturating_sub(trip.rejected_before), "call");
        say!(out, "{rejected} rejected since; {}", closes_after(&self.settings));
    }

    fn say_half_open(&self, out: &mut String) {
        if let Some(probes) = self.probes {
            let (won, needed, of) = (probes.successes, probes.needed, probes.of);
            let failed = match probes.failures {
                0 => String::new(),
                n => format!(", {n} failed"),
            };
            let in_flight = probes.in_flight;
            say!(out, "{won} of {needed} needed probes succeeded{failed}, {in_flight} in flight");
            if of > needed {
                say!(out, "Up to {} of {of} may fail", of - needed);
            }
        }
        if let Some(trip) = &self.trip {
            say!(out, "It opened because {}", why(trip));
            say_kinds(out, trip);
        }
    }
}

impl Event {
    /// What happened, in words.
    pub fn explain(&self) -> String {
        let name = &self.circuit;
        match &self.what {
            What::Transition { to, record, .. } => {
                let mut out = format!("`{name}` {}:", shout(*to));
                out.push(' ');
                out.push_str(&why(record));
                out.push('.');
                if *to == PhaseName::Open {
                    say_kinds(&mut out, record);
                    if let Some(wait) = record.opens_for {
                        say!(out, "Next probe in {}{}", Time(wait), attempts(record));
                    }
                }
                out
            }
            What::Mode { from, to, until, order } => {
                let (from, to) = (from.name(), to.name());
                let order = order.as_ref().map_or(String::new(), said);
                let until = until.and_then(|until| until.duration_since(self.at).ok());
                match until {
                    Some(until) => format!("`{name}` {from} → {to}{order} for {}.", Time(until)),
                    None => format!("`{name}` {from} → {to}{order}."),
                }
            }
            What::Reconfigured => format!("`{name}` runs on new settings."),
        }
    }
}

// ===== parts =====

/// Why the phase of this record was entered.
fn why(record: &TripRecord) -> String {
    let order = record.order.as_ref().map_or(String::new(), said);
    match record.transition.cause {
        Cause::Tripped(fired) => fired_because(&fired, record.window),
        Cause::RecoveryDue => {
            format!("the wait is over; {}", closes_after_of(record.probes))
        }
        Cause::HealthCheckPassed => {
            format!("a health check passed; {}", closes_after_of(record.probes))
        }
        Cause::ProbeOrdered => {
            format!("it was ordered to probe{order}; {}", closes_after_of(record.probes))
        }
        Cause::ProbesSucceeded => "enough probes succeeded".into(),
        Cause::ProbesFailed => "recovery failed: a probe did not succeed".into(),
        Cause::RoundStalled => "recovery stalled: probes gave no result in time".into(),
        Cause::Ordered => format!("it was ordered to open{order}"),
        Cause::Reset => format!("it was reset{order}"),
        Cause::ChildrenOpen(Children { busy, open }) => {
            format!("{open} of {busy} busy children are open")
        }
        _ => record.transition.cause.name().into(),
    }
}

fn fired_because(fired: &Fired, window: WindowSpec) -> String {
    let Fired { rule, streak, tally, score, thresholds } = fired;
    let window = over_window(window);
    let rate = |part, whole, threshold: Option<Ratio>| {
        let ratio = Ratio::of(part, whole);
        threshold.map_or(String::new(), |threshold| format!(" ({ratio} ≥ {threshold})"))
    };
    let numbers = match rule {
        Rule::ConsecutiveFailures => {
            let limit = thresholds.streak.unwrap_or_default();
            format!("{} in a row (limit {limit})", Many((*streak).into(), "failure"))
        }
        Rule::FailureRate => {
            let ratio = rate(tally.failures, tally.calls, thresholds.failure_rate);
            let calls = Many(tally.calls, "call");
            format!("{} of {calls} failed{ratio} {window}", Count(tally.failures))
        }
        Rule::FailureCount => {
            let limit = thresholds.failure_count.unwrap_or_default();
            format!("{} (limit {limit}) {window}", Many(tally.failures, "failure"))
        }
        Rule::SlowRate => {
            let ratio = rate(tally.slow, tally.timed, thresholds.slow_rate);
            let calls = Many(tally.timed, "call");
            format!("{} of {calls} were slow{ratio} {window}", Count(tally.slow))
        }
        Rule::Sequential => {
            let limit = thresholds.score.unwrap_or_default();
            format!("failures come too often to be chance (score {score} ≥ {limit})")
        }
        _ => "its numbers".into(),
    };
    format!("{rule} fired: {numbers}")
}

fn say_kinds(out: &mut String, record: &TripRecord) {
    // Where nobody told failures apart, "other" would say nothing.
    if let [] | [(Kind::OTHER, _)] = record.kinds[..] {
        return;
    }
    let named: Vec<String> = record
        .kinds
        .iter()
        .take(KINDS)
        .map(|(kind, count)| format!("{} ({})", label(record, *kind), Count(*count)))
        .collect();
    say!(out, "Mostly {}", named.join(", "));
}

/// What to call failures of this kind: by their status, if the remembered ones agree on one.
fn label(record: &TripRecord, kind: Kind) -> String {
    let mut labels = record
        .errors
        .iter()
        .filter(|error| error.kind.index() == kind.index())
        .map(LastError::label);
    match labels.next() {
        Some(first) if labels.all(|label| label == first) => first.replace('_', " "),
        _ => kind.name().replace('_', " "),
    }
}

fn attempts(record: &TripRecord) -> String {
    let mut waits: Vec<String> = record.waits.iter().map(|wait| Time(*wait).to_string()).collect();
    waits.dedup();
    match record.transition.cause {
        Cause::Ordered => String::new(),
        _ => format!(" (attempt {}, {})", record.failed_recoveries + 1, waits.join(" → ")),
    }
}

fn closes_after(settings: &Settings) -> String {
    closes_after_of((settings.success_threshold(), settings.probe_calls()))
}

fn closes_after_of((needed, of): (u32, u32)) -> String {
    let plural = if of == 1 { "probe succeeds" } else { "probes succeed" };
    format!("it closes after {needed} of {of} {plural}")
}

fn over_window(window: WindowSpec) -> String {
    match window {
        WindowSpec::Time(length) => format!("in {}", Time(length)),
        WindowSpec::Calls(calls) => format!("in the last {}", Many(calls.into(), "call")),
    }
}

fn said(order: &Order) -> String {
    let by = match &*order.by {
        "" => String::new(),
        by => format!(" by {by}"),
    };
    match &*order.reason {
        "" => by,
        reason => format!("{by}: “{reason}”"),
    }
}

fn shout(phase: PhaseName) -> &'static str {
    match phase {
        PhaseName::Closed => "CLOSED",
        PhaseName::Open => "OPEN",
        PhaseName::HalfOpen => "HALF-OPEN",
    }
}

fn capital(text: &str) -> String {
    // Names of rules are written as in the configuration, so only words are capitalised.
    match text.split_once(' ') {
        Some((first, _)) if first.contains('_') => text.into(),
        _ => {
            let mut chars = text.chars();
            chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
        }
    }
}
