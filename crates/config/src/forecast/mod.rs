//! What to expect of a breaker's settings at a given traffic: how often chance alone trips it, and
//! how long an outage goes unnoticed.
//!
//! Calls arrive independently of each other (a Poisson process) and fail independently, each with
//! the same probability. Real errors come in clusters, so these are estimates; they tell one in a
//! day from one in a century. Nothing is decided by them, hence floats.
//!
//! # Sources
//! - Failures in a row: the mean waiting time for a run of `k` is (1 − pᵏ) / (pᵏ(1 − p)) calls
//!   (Feller, *An Introduction to Probability Theory and Its Applications* I, XIII.7).
//! - Rates and counts: how often a sliding window crosses the threshold upwards, from the binomial
//!   and Poisson probabilities of the windows on either side of it, divided by how many crossings
//!   come in one cluster (Aldous, *Probability Approximations via the Poisson Clumping Heuristic*,
//!   A and B).
//! - Sequential: a CUSUM of log-likelihoods with limit `h` takes at least e^(θh) calls, where θ is
//!   the root of E[e^(θx)] = 1 for one call's step x (Wald's identity; Lorden, Ann. Math. Statist.
//!   1971).

mod chance;

use std::time::Duration;

use panelboard_core::cusum::{LEAST_LEARNED, MOST_LEARNED};
use panelboard_core::{BaseRate, Rule, Sequential, Settings, WindowSpec};

pub(crate) use chance::whole;
use chance::{binomial, poisson, poisson_cumulated};
pub use chance::{binomial_tail, poisson_tail};

/// With more calls than this in a window of time, it is taken to hold exactly its mean.
const EXACT: f64 = 600.0;

const DAY: f64 = 86_400.0;

/// What a breaker sees while nothing is wrong.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Traffic {
    /// Calls per second.
    pub rate: f64,
    /// The share of them that fails all the same.
    pub error_rate: f64,
}

/// How often each rule trips by chance, per day, in the order of the settings; rules that are off
/// are left out.
///
/// The slow rule is not among them: how many calls are slow is not known.
///
/// ```
/// use panelboard_config::forecast::{Traffic, false_trips};
/// use panelboard_core::{Rule, Settings};
///
/// let settings = Settings::builder().failure_rate(None).build()?;
/// let expected = false_trips(&settings, Traffic { rate: 5.0, error_rate: 0.1 });
/// assert_eq!(expected[0].0, Rule::ConsecutiveFailures);
/// assert!((3.0..4.5).contains(&expected[0].1), "five in a row, 432,000 times a day");
/// # Ok::<(), panelboard_core::SettingsError>(())
/// ```
pub fn false_trips(settings: &Settings, traffic: Traffic) -> Vec<(Rule, f64)> {
    let per_call = |chance: f64| chance * traffic.rate * DAY;
    let mut expected = Vec::new();
    if let Some(streak) = settings.failure_threshold() {
        let calls = calls_to_run(streak, traffic.error_rate);
        expected.push((Rule::ConsecutiveFailures, per_call(1.0 / calls)));
    }
    if let Some(share) = settings.failure_rate() {
        let (share, least) = (share.as_f64(), settings.min_calls());
        let chance = match settings.window() {
            WindowSpec::Calls(calls) => rate_by_calls(calls, least, share, traffic.error_rate),
            WindowSpec::Time(window) => {
                rate_by_time(window.as_secs_f64() * traffic.rate, least, share, traffic.error_rate)
            }
        };
        expected.push((Rule::FailureRate, per_call(chance)));
    }
    if let Some(count) = settings.failure_count() {
        let chance = match settings.window() {
            WindowSpec::Calls(calls) => count_by_calls(calls, count, traffic.error_rate),
            WindowSpec::Time(window) => {
                count_by_time(window.as_secs_f64() * traffic.rate, count, traffic.error_rate)
            }
        };
        expected.push((Rule::FailureCount, per_call(chance)));
    }
    if let Some(rule) = settings.sequential() {
        let calls = calls_to_score(rule, traffic.error_rate);
        expected.push((Rule::Sequential, per_call(1.0 / calls)));
    }
    expected
}

/// The rule that notices first that every call fails, and after how long, with so many calls a
/// second; `None` if none does. How long a failing call takes comes on top.
pub fn detection(settings: &Settings, rate: f64) -> Option<(Rule, Duration)> {
    let (least, mut best) = (f64::from(settings.min_calls()), None);
    let mut offer = |rule: Rule, calls: f64| {
        let seconds = calls / rate;
        if best.is_none_or(|(_, known)| seconds < known) {
            best = Some((rule, seconds));
        }
    };
    if let Some(streak) = settings.failure_threshold() {
        offer(Rule::ConsecutiveFailures, f64::from(streak));
    }
    let held = calls_held(settings.window(), rate);
    if let Some(share) = settings.failure_rate()
        && held >= least
    {
        offer(Rule::FailureRate, (held * share.as_f64()).max(1.0));
    }
    if let Some(count) = settings.failure_count()
        && held >= f64::from(count)
    {
        offer(Rule::FailureCount, f64::from(count));
    }
    if let Some(rule) = settings.sequential() {
        let (up, _) = steps(rule);
        offer(Rule::Sequential, (limit(rule) / up).ceil());
    }
    let (rule, seconds) = best?;
    Some((rule, Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}

/// How many calls a full window holds, on average, with so many calls a second.
pub fn calls_held(window: WindowSpec, rate: f64) -> f64 {
    match window {
        WindowSpec::Calls(calls) => f64::from(calls),
        WindowSpec::Time(window) => window.as_secs_f64() * rate,
    }
}

/// The least `failure_threshold` that chance reaches at most so often per day.
pub fn streak_for(per_day: f64, traffic: Traffic) -> Option<u32> {
    (1..=1_000)
        .find(|streak| traffic.rate * DAY / calls_to_run(*streak, traffic.error_rate) <= per_day)
}

// ===== failures in a row =====

/// The mean number of calls until `streak` failures in a row.
fn calls_to_run(streak: u32, p: f64) -> f64 {
    if p >= 1.0 {
        return f64::from(streak);
    }
    let run = p.powf(f64::from(streak));
    if run > 0.0 { (1.0 - run) / (run * (1.0 - p)) } else { f64::INFINITY }
}

// ===== windows: the chance per call that they are over the threshold anew =====

fn rate_by_calls(calls: u32, least: u32, share: f64, p: f64) -> f64 {
    if least > calls {
        return 0.0;
    }
    if p >= share {
        return 1.0 / f64::from(least);
    }
    let needed = (share * f64::from(calls) - 1e-9).ceil().max(1.0);
    crossing(f64::from(calls), needed, p) * declump(p * (1.0 - share), share * (1.0 - p))
}

fn count_by_calls(calls: u32, count: u32, p: f64) -> f64 {
    let (calls, count) = (f64::from(calls), f64::from(count));
    if count > calls {
        return 0.0;
    }
    let share = count / calls;
    if p >= share {
        return p / count;
    }
    crossing(calls, count, p) * declump(p * (1.0 - share), share * (1.0 - p))
}

/// The chance that a call takes the failures among the last `calls` from below `needed` to it: it
/// fails, the call that leaves did not, and of those between `needed` − 1 failed.
fn crossing(calls: f64, needed: f64, p: f64) -> f64 {
    p * (1.0 - p) * binomial(calls - 1.0, needed - 1.0, p)
}

/// The share of crossings that begin a cluster, where the number of failures goes up and down at
/// these rates.
fn declump(up: f64, down: f64) -> f64 {
    (1.0 - up / down).max(0.0)
}

fn rate_by_time(mean: f64, least: u32, share: f64, p: f64) -> f64 {
    if p >= share {
        return poisson_tail(mean, least) / f64::from(least);
    }
    if mean > EXACT {
        return rate_by_calls(whole(mean), least, share, p);
    }
    // Failures and successes in the window are independent of each other.
    let (bad, good) = (mean * p, mean * (1.0 - p));
    let cumulated = poisson_cumulated(good);
    let between = |low: f64, high: f64| {
        let at = |s: f64| match s {
            s if s < 0.0 => 0.0,
            s => cumulated.get(whole(s) as usize).copied().unwrap_or(1.0),
        };
        if high < low { 0.0 } else { at(high) - at(low - 1.0) }
    };
    let least = f64::from(least);
    // With so many failures, successes may be within these bounds for the rule to fire.
    let range = |failures: f64| {
        ((least - failures).max(0.0), (failures * (1.0 - share) / share + 1e-9).floor())
    };
    let mut before_bad = 0.0;
    let chance: f64 = poisson_cumulated(bad)
        .into_iter()
        .zip(0_u32..)
        .map(|(up_to, failures)| {
            let this_many = up_to - std::mem::replace(&mut before_bad, up_to);
            let failures = f64::from(failures);
            let (low, high) = range(failures + 1.0);
            let (low_before, high_before) = range(failures);
            let before = between(low_before.max(low), high_before.min(high));
            this_many * (between(low, high) - before).max(0.0)
        })
        .sum();
    p * chance * declump(p * (1.0 - share), share * (1.0 - p))
}

fn count_by_time(mean: f64, count: u32, p: f64) -> f64 {
    let (bad, count) = (mean * p, f64::from(count));
    if bad >= count {
        return p / count;
    }
    p * poisson(bad, count - 1.0) * declump(bad, count)
}

// ===== sequential =====

/// At least so many calls on average until the score reaches its limit by chance.
fn calls_to_score(rule: Sequential, p: f64) -> f64 {
    if p <= 0.0 {
        return f64::INFINITY;
    }
    let base = match rule.base_rate() {
        BaseRate::Known(_) => base_rate(rule),
        BaseRate::Learned => p.clamp(LEAST_LEARNED.as_f64(), MOST_LEARNED.as_f64()),
    };
    let (up, down) = steps_from(base, rule.fault_rate().as_f64());
    let drift = p * up - (1.0 - p) * down;
    if drift >= 0.0 {
        return limit(rule) / drift.max(1e-9);
    }
    let moment = |theta: f64| p * (theta * up).exp() + (1.0 - p) * (-theta * down).exp();
    // The moment is convex, 1 at 0 and falling there: beyond its other root it is above 1.
    let (mut low, mut high) = (0.0, 1.0);
    while moment(high) < 1.0 && high < 1e3 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if moment(middle) < 1.0 { low = middle } else { high = middle }
    }
    (low * limit(rule)).exp()
}

fn base_rate(rule: Sequential) -> f64 {
    match rule.base_rate() {
        BaseRate::Known(share) => share.as_f64(),
        BaseRate::Learned => LEAST_LEARNED.as_f64(),
    }
}

/// What a failure adds to the score, and what a success takes off.
fn steps(rule: Sequential) -> (f64, f64) {
    steps_from(base_rate(rule), rule.fault_rate().as_f64())
}

fn steps_from(base: f64, fault: f64) -> (f64, f64) {
    ((fault / base).ln(), ((1.0 - base) / (1.0 - fault)).ln())
}

fn limit(rule: Sequential) -> f64 {
    (rule.false_trips_per() as f64).ln()
}

#[cfg(test)]
mod tests;
