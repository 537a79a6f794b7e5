//! The settings of a breaker.

use std::time::Duration;

use panelboard_core::{Kind, Mode, WindowSpec, limits};

use super::SequentialKeys;
use crate::context::At;
use crate::describe::{Convert, Literal, OldName, keys};
use crate::kinds::{
    Choice, Count, Factor, Flag, JitterKind, JitterValue, List, Nested, OrOff, Rules, Share, Time,
    WindowKind,
};

pub(crate) const MODES: Choice<Mode> = Choice::of(
    "a mode",
    &[
        ("auto", Mode::Auto),
        ("observe", Mode::Observe),
        ("forced_open", Mode::ForcedOpen),
        ("forced_closed", Mode::ForcedClosed),
    ],
);

const KINDS: Choice<Kind> = Choice::of("a kind of failure", &KIND_NAMES);

const KIND_NAMES: [(&str, Kind); Kind::COUNT] = {
    let mut words = [("", Kind::OTHER); Kind::COUNT];
    let mut i = 0;
    while i < Kind::COUNT {
        words[i] = (Kind::ALL[i].name(), Kind::ALL[i]);
        i += 1;
    }
    words
};

const KIND_LIST: List<Choice<Kind>> = List { item: KINDS, rules: Rules::DISTINCT };

keys! {
    /// Settings of a breaker. In `[circuit_breaker.defaults]` they are for every circuit, in a
    /// circuit for that one, under `keys` for some members of its family.
    pub(crate) struct SettingsKeys = "settings" in "circuit_breaker.circuits.NAME.keys.PATTERN" {
        /// `false` lets every call through, whatever `mode` says.
        enabled: bool = Flag, layered "true";
        /// Who decides: the breaker (`auto`), nobody while it reports what it would have done
        /// (`observe`), or nobody (`forced_open`, `forced_closed`).
        mode: Mode = MODES, layered "auto";
        /// Opens after so many failures in a row.
        failure_threshold: Option<u32> = OrOff(Count(limits::FAILURES)), layered "5";
        /// Opens when this share of the calls in the window failed.
        failure_rate: Option<f64> = OrOff(Share), layered "0.5";
        /// Opens after so many failures within the window.
        failure_count: Option<u32> = OrOff(Count(limits::FAILURES)), layered "off";
        /// No rate opens the circuit on fewer calls than this in the window.
        min_calls: u32 = Count(limits::MIN_CALLS), layered "10";
        /// Over what rates and counts look back: a time, or a number of calls.
        window: WindowSpec = WindowKind, layered "10s";
        /// A call that takes this long or longer is slow.
        slow_call_duration: Option<Duration> = OrOff(Time::ANY), layered "off";
        /// Opens when this share of the calls in the window was slow.
        slow_call_rate: f64 = Share, layered "0.8";
        /// Opens when failures come too often to be chance, however few the calls.
        sequential: Option<SequentialKeys> = OrOff(Nested::<SequentialKeys>::HERE), layered "off";
        /// Whether `failure_threshold` and `failure_rate` tighten while a health check reports
        /// trouble, or calls take longer than `slow_call_duration` on average.
        adaptive: bool = Flag, layered "false";
        /// How long the circuit first stays open.
        recovery_timeout: Duration = Time::ANY, layered "5s";
        /// How the open time grows with each failed recovery. A bare number is the multiplier.
        backoff: BackoffKeys = Nested::<BackoffKeys>::HERE, layered "2";
        /// How the open time is spread, so that many instances do not probe in step.
        jitter: JitterValue = JitterKind, layered "0.1";
        /// The longest a server's hint (`Retry-After`) is believed.
        max_retry_after: Duration = Time::ANY, layered "5m";
        /// Probes in flight at most while half-open.
        half_open_max_calls: u32 = Count(limits::PROBES), layered "1";
        /// Successful probes that close the circuit.
        success_threshold: u32 = Count(limits::PROBES), layered "3";
        /// Probes out of which `success_threshold` must succeed; as many, unless said otherwise.
        probe_calls: u32 = Count(limits::PROBES), layered "3";
        /// How long one attempt may take. Of a stream the gateway bounds the wait for its first token
        /// and the pauses instead.
        timeout: Option<Duration> = OrOff(Time::ANY), layered "off";
        /// Whether pushback (429, 529) holds calls back, or is only counted.
        pace: bool = Flag, layered "true";
        /// How long traffic takes to come back after a recovery: 10 % of it at first, then 25 %
        /// and 50 %, each for a third of this; but always 5 calls a second.
        ramp: Option<Duration> = OrOff(Time::ANY), layered "10s";
        /// Refuses some calls while many fail, in proportion. A bare number is `k`.
        throttle: ThrottleKeys = Nested::<ThrottleKeys>::HERE, layered "off";
        /// Only failures of these kinds count.
        record: Vec<At<Kind>> = KIND_LIST, optional "all kinds";
        /// Failures of these kinds do not count.
        ignore: Vec<At<Kind>> = KIND_LIST, layered "[]";
    }
    exclusive [record, ignore];
    old OLD;
}

keys! {
    /// How the open time grows with each failed recovery.
    pub(crate) struct BackoffKeys = "backoff" in "circuit_breaker.circuits.NAME.backoff" {
        /// By what each failed recovery lengthens it; 1 keeps it.
        multiplier: f64 = Factor(limits::MULTIPLIER_MILLIS), layered "2";
        /// How long it may grow, or `recovery_timeout` if that is longer.
        max: Duration = Time::ANY, layered "1m";
    }
    shorthand multiplier;
}

keys! {
    /// Refuses calls at random while less than one in `k` is accepted, the more the fewer are:
    /// with the probability (requests − `k` · accepted) / (requests + 1). One call a second
    /// always goes through.
    pub(crate) struct ThrottleKeys = "throttle" in "circuit_breaker.circuits.NAME.throttle" {
        /// How many requests for each accepted one go unrefused. The share 1 − 1/`k` of what is
        /// sent into an overload fails: to shed and not to open, keep that below `failure_rate`.
        k: Option<f64> = OrOff(Factor(limits::THROTTLE_K)), default "2";
        /// Over what requests are counted.
        window: Duration = Time(limits::WINDOW_TIME), layered "30s";
        /// The largest share of calls that is refused.
        max: f64 = Share, layered "0.9";
    }
    shorthand k;
}

const fn same(name: &'static str, new: &'static [&'static str]) -> OldName {
    OldName { name, new, convert: Convert::Same }
}

const fn dropped(name: &'static str, reason: &'static str) -> OldName {
    OldName { name, new: &[], convert: Convert::Dropped(reason) }
}

const OLD: &[OldName] = &[
    same("error_rate_threshold", &["failure_rate"]),
    same("sliding_window_size", &["window"]),
    same("min_requests_threshold", &["min_calls"]),
    same("slow_call_threshold", &["slow_call_duration"]),
    same("timeout_seconds", &["timeout"]),
    same("recovery_timeout_seconds", &["recovery_timeout"]),
    same("max_backoff_seconds", &["backoff", "max"]),
    same("task_timeout_seconds", &["timeout"]),
    same("slow_task_threshold_seconds", &["slow_call_duration"]),
    OldName {
        name: "exponential_backoff",
        new: &["backoff", "multiplier"],
        convert: Convert::Switch { on: Literal::Number(2.0), off: Literal::Number(1.0) },
    },
    OldName {
        name: "jitter",
        new: &["jitter"],
        convert: Convert::Switch { on: Literal::Number(0.1), off: Literal::Text("none") },
    },
    same("adaptive_threshold", &["adaptive"]),
    dropped("expected_exception_types", "`record` and `ignore` say which kinds of failure count"),
    dropped("health_check_interval", "recovery is tried with real calls"),
];
