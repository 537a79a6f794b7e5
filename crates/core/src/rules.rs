//! When it is enough to trip.
//!
//! The rules are asked only when something bad was recorded: a success never opens a breaker,
//! even if old successes have meanwhile left the window.

use core::fmt;
use core::time::Duration;

use crate::{Ratio, Score, Sequential, Settings};

/// What is in the window.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Calls that ended with success or failure.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Calls whose speed is known.
    pub timed: u64,
    /// Those that were slow.
    pub slow: u64,
    /// How long those took together, as far as anybody asks
    /// ([`Settings::tracks_latency`]).
    pub took: Duration,
}

impl Tally {
    /// How long calls took on average; `None` if that is not known of any.
    ///
    /// Of calls that ended before anybody asked it is not known, and they count as quick.
    pub fn mean_latency(&self) -> Option<Duration> {
        let calls = u32::try_from(self.timed).unwrap_or(u32::MAX);
        if self.took.is_zero() { None } else { self.took.checked_div(calls) }
    }
}

/// The rule that fired.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Rule {
    /// `failure_threshold` failures in a row.
    ConsecutiveFailures,
    /// `failure_rate` of the calls in the window.
    FailureRate,
    /// `failure_count` failures in the window.
    FailureCount,
    /// `slow_call_rate` of the calls in the window.
    SlowRate,
    /// Failures too frequent to be chance.
    Sequential,
}

impl Rule {
    /// The name in metrics, API and the explain sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Rule::ConsecutiveFailures => "consecutive_failures",
            Rule::FailureRate => "failure_rate",
            Rule::FailureCount => "failure_count",
            Rule::SlowRate => "slow_rate",
            Rule::Sequential => "sequential",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that fired, with the numbers it fired on and the thresholds in force at that moment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Fired {
    /// Which.
    pub rule: Rule,
    /// Failures in a row.
    pub streak: u32,
    /// What the window held.
    pub tally: Tally,
    /// The score of the sequential rule.
    pub score: Score,
    /// The thresholds.
    pub thresholds: Thresholds,
}

/// The thresholds a rule was held against.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Thresholds {
    /// `failure_threshold`.
    pub streak: Option<u32>,
    /// `failure_rate`.
    pub failure_rate: Option<Ratio>,
    /// `failure_count`.
    pub failure_count: Option<u32>,
    /// `slow_call_rate`, if calls are timed.
    pub slow_rate: Option<Ratio>,
    /// `min_calls`.
    pub min_calls: u32,
    /// The score at which `sequential` fires.
    pub score: Option<Score>,
}

impl Thresholds {
    /// The thresholds as configured.
    pub fn of(settings: &Settings) -> Thresholds {
        Thresholds {
            streak: settings.failure_threshold,
            failure_rate: settings.failure_rate,
            failure_count: settings.failure_count,
            slow_rate: settings.has_slow_rule().then_some(settings.slow_call_rate),
            min_calls: settings.min_calls,
            score: settings.sequential.map(Sequential::limit),
        }
    }

    /// From how many failures in a row on the rules must be asked, whatever else is known; `None`
    /// if no number of them is reason to ask.
    pub fn asked_from(&self) -> Option<u32> {
        // The score is known only where it is kept; so each failure asks.
        if self.score.is_some() { Some(1) } else { self.streak }
    }
}

/// What was just recorded, as far as the rules care.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Bad {
    /// A failure.
    pub failure: bool,
    /// A slow call.
    pub slow: bool,
}

impl Bad {
    /// Whether the rules need asking at all.
    pub const fn any(self) -> bool {
        self.failure || self.slow
    }
}

/// What the rules are asked about.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Failures in a row.
    pub streak: u32,
    /// What is in the window.
    pub tally: Tally,
    /// The score of the sequential rule.
    pub score: Score,
}

/// The first rule that fires on `bad`, given that it is already part of what was `seen`.
pub fn judge(thresholds: &Thresholds, bad: Bad, seen: Seen) -> Option<Fired> {
    let Seen { streak, tally, score } = seen;
    let thresholds = *thresholds;
    let Thresholds { failure_rate, failure_count, slow_rate, min_calls, .. } = thresholds;
    let fired = |rule| Fired { rule, streak, tally, score, thresholds };
    if bad.failure {
        if thresholds.streak.is_some_and(|most| streak >= most) {
            return Some(fired(Rule::ConsecutiveFailures));
        }
        if rate_fires(failure_rate, min_calls, tally.failures, tally.calls) {
            return Some(fired(Rule::FailureRate));
        }
        if failure_count.is_some_and(|count| tally.failures >= u64::from(count)) {
            return Some(fired(Rule::FailureCount));
        }
        if thresholds.score.is_some_and(|limit| score >= limit) {
            return Some(fired(Rule::Sequential));
        }
    }
    if bad.slow && rate_fires(slow_rate, min_calls, tally.slow, tally.timed) {
        return Some(fired(Rule::SlowRate));
    }
    None
}

/// How many more bad events, counting from the next, must be recorded before a window rule can
/// fire, if nothing leaves the window meanwhile.
///
/// `1` means the very next one might. Good events only push the moment further away, except that
/// they help to reach `min_calls`; that much of them is assumed. So a shell that has read the whole
/// window once may count this down instead of reading it at every failure.
///
/// Thresholds that may yet tighten are to be given as [`tightest`](crate::adaptive::tightest).
pub fn slack(thresholds: &Thresholds, tally: Tally) -> u64 {
    let Thresholds { failure_rate, slow_rate, min_calls, .. } = *thresholds;
    let by_count = match thresholds.failure_count {
        Some(count) => u64::from(count).saturating_sub(tally.failures).max(1),
        None => u64::MAX,
    };
    by_count.min(rate_slack(failure_rate, min_calls, tally.failures, tally.calls)).min(rate_slack(
        slow_rate,
        min_calls,
        tally.slow,
        tally.timed,
    ))
}

fn rate_fires(rate: Option<Ratio>, min_calls: u32, bad: u64, all: u64) -> bool {
    rate.is_some_and(|rate| all >= u64::from(min_calls) && rate.reached_by(bad, all))
}

/// The least `k` with `(bad + k) / max(min_calls, all + k) >= rate`.
fn rate_slack(rate: Option<Ratio>, min_calls: u32, bad: u64, all: u64) -> u64 {
    let Some(rate) = rate else { return u64::MAX };
    let (points, one) = (u128::from(rate.as_basis_points()), u128::from(Ratio::SCALE));
    let (bad, all, min_calls) = (u128::from(bad), u128::from(all), u128::from(min_calls));
    let to_fill = (points * min_calls).div_ceil(one).saturating_sub(bad);
    let missing = (points * all).saturating_sub(one * bad);
    let to_reach = match one - points {
        0 if missing == 0 => 0,
        // At a rate of 1, one success in the window is one too many until it leaves.
        0 => u128::MAX,
        per_event => missing.div_ceil(per_event),
    };
    u64::try_from(to_fill.max(to_reach).max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn configured() -> Thresholds {
        Thresholds::of(&Settings::default())
    }

    fn judge_tally(thresholds: &Thresholds, bad: Bad, streak: u32, tally: Tally) -> Option<Fired> {
        judge(thresholds, bad, Seen { streak, tally, score: Score::FLOOR })
    }

    fn failures(failures: u64, calls: u64) -> Tally {
        Tally { calls, failures, ..Tally::default() }
    }

    const FAILURE: Bad = Bad { failure: true, slow: false };

    #[test]
    fn thresholds_are_met_by_equality() {
        let fired = judge_tally(&configured(), FAILURE, 5, Tally::default()).unwrap();
        assert_eq!(fired.rule, Rule::ConsecutiveFailures);
        assert_eq!(judge_tally(&configured(), FAILURE, 4, Tally::default()), None);
        let fired = judge_tally(&configured(), FAILURE, 1, failures(5, 10)).unwrap();
        assert_eq!(fired.rule, Rule::FailureRate);
    }

    #[test]
    fn so_many_failures_in_the_window_are_enough_without_any_share() {
        let settings = Settings::builder().failure_rate(None).failure_count(3).build().unwrap();
        let thresholds = Thresholds::of(&settings);
        assert_eq!(judge_tally(&thresholds, FAILURE, 1, failures(2, 2)), None);
        let fired = judge_tally(&thresholds, FAILURE, 1, failures(3, 1_000)).unwrap();
        assert_eq!((fired.rule, fired.tally.failures), (Rule::FailureCount, 3));
    }

    /// Dashboards and alerts go by these.
    #[test]
    fn rules_go_by_names_of_their_own() {
        for (rule, name) in [
            (Rule::ConsecutiveFailures, "consecutive_failures"),
            (Rule::FailureRate, "failure_rate"),
            (Rule::FailureCount, "failure_count"),
            (Rule::SlowRate, "slow_rate"),
            (Rule::Sequential, "sequential"),
        ] {
            assert_eq!((rule.name(), &*rule.to_string()), (name, name));
        }
    }

    #[test]
    fn rules_are_asked_only_about_what_is_bad() {
        for (failure, slow) in [(false, false), (true, false), (false, true), (true, true)] {
            let bad = Bad { failure, slow };
            assert_eq!(bad.any(), bad != Bad::default());
        }
    }

    /// B-5: fewer than `min_calls` never trips a rate rule.
    #[test]
    fn b5_rate_rules_wait_for_min_calls() {
        assert_eq!(judge_tally(&configured(), FAILURE, 1, failures(9, 9)), None);
        assert!(judge_tally(&configured(), FAILURE, 1, failures(9, 10)).is_some());
    }

    #[test]
    fn a_slow_success_asks_only_the_slow_rule() {
        let settings = Settings::builder()
            .slow_call_duration(core::time::Duration::from_secs(1))
            .min_calls(1)
            .build()
            .unwrap();
        let thresholds = Thresholds::of(&settings);
        let slow = Bad { failure: false, slow: true };
        let tally = Tally { calls: 10, failures: 9, timed: 10, slow: 7, ..Tally::default() };
        assert_eq!(judge_tally(&thresholds, slow, 0, tally), None);
        let fired = judge_tally(&thresholds, slow, 0, Tally { slow: 8, ..tally }).unwrap();
        assert_eq!(fired.rule, Rule::SlowRate);
    }

    #[test]
    fn the_sequential_rule_fires_at_its_limit_and_has_every_failure_asked_about() {
        let spec = crate::SequentialSpec::default();
        let settings = Settings::builder().sequential(spec).failure_rate(None).build().unwrap();
        let thresholds = Thresholds::of(&settings);
        let limit = thresholds.score.unwrap();
        let ask = |score, bad| judge(&thresholds, bad, Seen { score, ..Seen::default() });
        assert_eq!(ask(limit, FAILURE).unwrap().rule, Rule::Sequential);
        assert_eq!(ask(Score::FLOOR, FAILURE), None);
        assert_eq!(ask(limit, Bad { failure: false, slow: true }), None);
        assert_eq!(thresholds.asked_from(), Some(1));
        assert_eq!(configured().asked_from(), Some(5));
    }

    #[test]
    fn slack_is_one_when_the_next_failure_may_trip() {
        assert_eq!(slack(&configured(), failures(4, 9)), 1);
        assert_eq!(slack(&configured(), failures(0, 1000)), 1000);
        assert_eq!(slack(&configured(), failures(0, 0)), 5);
        let off = Settings::builder().failure_rate(None).build().unwrap();
        assert_eq!(slack(&Thresholds::of(&off), failures(3, 3)), u64::MAX);
        let all = Settings::builder().failure_rate(1.0).build().unwrap();
        let slack_of_all = |tally| slack(&Thresholds::of(&all), tally);
        assert_eq!(slack_of_all(failures(3, 3)), 7, "until there are `min_calls`");
        assert_eq!(slack_of_all(failures(20, 20)), 1);
        assert_eq!(slack_of_all(failures(19, 20)), u64::MAX, "not while there is a success");
    }

    proptest! {
        /// Whatever successes and failures follow, no rule fires earlier than the slack says; and
        /// with the friendliest successes one fires exactly then.
        #[test]
        fn slack_is_the_least_number_of_bad_events_to_fire(
            rate in 1_u16..=10_000,
            min_calls in 1_u32..50,
            calls in 0_u64..200,
            failed in 0_u64..200,
            good in 0_u64..60,
        ) {
            let failed = failed.min(calls);
            let share = f64::from(rate) / 10_000.0;
            let settings =
                Settings::builder().failure_rate(share).min_calls(min_calls).failure_threshold(None);
            let thresholds = Thresholds::of(&settings.build().unwrap());
            let slack = slack(&thresholds, failures(failed, calls));
            prop_assert!(slack >= 1);
            for k in 1..slack.min(300) {
                let tally = failures(failed + k, calls + k + good);
                prop_assert_eq!(judge_tally(&thresholds, FAILURE, 0, tally), None);
            }
            if slack < 1_000_000 {
                let all = (calls + slack).max(min_calls.into());
                prop_assert!(judge_tally(&thresholds, FAILURE, 0, failures(failed + slack, all)).is_some());
            }
        }
    }
}
