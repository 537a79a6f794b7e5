//! Settings as they are being put together: every one of them may still be unsaid.

use alloc::format;
use alloc::string::ToString;
use core::time::Duration;

use super::checks::{duration, jitter, millis, positive_ratio, within, within_time};
use super::{Backoff, Jitter, SequentialSpec, Settings, SettingsError, Throttle, WindowSpec};
use crate::{Kind, KindSet, Mode, limits};

/// Builds [`Settings`]. What is not said keeps its default.
///
/// A builder is also one layer of a configuration: [`SettingsBuilder::over`] lays one over
/// another.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
#[must_use]
#[expect(
    clippy::option_option,
    reason = "outer: whether this layer says anything; inner: whether it says on or off"
)]
pub struct SettingsBuilder {
    mode: Option<Mode>,
    failure_threshold: Option<Option<u32>>,
    failure_rate: Option<Option<f64>>,
    failure_count: Option<Option<u32>>,
    min_calls: Option<u32>,
    window: Option<WindowSpec>,
    slow_call_duration: Option<Option<Duration>>,
    slow_call_rate: Option<f64>,
    sequential: Option<Option<SequentialSpec>>,
    adaptive: Option<bool>,
    recovery_timeout: Option<Duration>,
    backoff_multiplier: Option<f64>,
    backoff_max: Option<Duration>,
    jitter: Option<JitterInput>,
    max_retry_after: Option<Duration>,
    half_open_max_calls: Option<u32>,
    success_threshold: Option<u32>,
    probe_calls: Option<u32>,
    timeout: Option<Option<Duration>>,
    pace: Option<bool>,
    ramp: Option<Option<Duration>>,
    throttle: Option<Option<f64>>,
    throttle_window: Option<Duration>,
    throttle_max: Option<f64>,
    health_check: Option<Option<Duration>>,
    ignore: Option<KindSet>,
}

/// Jitter before its share is checked.
#[derive(Copy, Clone, PartialEq, Debug)]
enum JitterInput {
    Named(Jitter),
    Share(f64),
}

impl From<Duration> for WindowSpec {
    fn from(time: Duration) -> WindowSpec {
        WindowSpec::Time(time)
    }
}

impl From<u32> for WindowSpec {
    fn from(calls: u32) -> WindowSpec {
        WindowSpec::Calls(calls)
    }
}

// ===== impl SettingsBuilder =====

impl SettingsBuilder {
    /// Who decides while no operator override is in force. Default: [`Mode::Auto`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Trips after so many failures in a row; `None` switches the rule off. Default: 5.
    pub fn failure_threshold(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.failure_threshold = Some(failures.into());
        self
    }

    /// Trips when this share of the calls in the window failed; `None` switches the rule off.
    /// Above 0, at most 1. Default: 0.5.
    pub fn failure_rate(mut self, share: impl Into<Option<f64>>) -> Self {
        self.failure_rate = Some(share.into());
        self
    }

    /// Trips after so many failures within the window; `None` switches the rule off. Default: off.
    pub fn failure_count(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.failure_count = Some(failures.into());
        self
    }

    /// No rate rule trips on fewer calls than this in the window; so none ever trips on a window
    /// over fewer calls. Default: 10.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = Some(calls);
        self
    }

    /// Over what the rate and count rules look back: a [`Duration`], or a number of calls.
    /// Default: 10 s.
    pub fn window(mut self, window: impl Into<WindowSpec>) -> Self {
        self.window = Some(window.into());
        self
    }

    /// A call that takes this long or longer is slow; `None` switches the slow rule off.
    /// Default: off.
    pub fn slow_call_duration(mut self, bound: impl Into<Option<Duration>>) -> Self {
        self.slow_call_duration = Some(bound.into());
        self
    }

    /// Trips when this share of the calls in the window was slow. Default: 0.8.
    pub fn slow_call_rate(mut self, share: f64) -> Self {
        self.slow_call_rate = Some(share);
        self
    }

    /// Trips when failures come too often to be chance, however few the calls
    /// ([`crate::cusum`]); `None` switches the rule off. Default: off.
    pub fn sequential(mut self, rule: impl Into<Option<SequentialSpec>>) -> Self {
        self.sequential = Some(rule.into());
        self
    }

    /// Whether the thresholds of the consecutive rule and of the failure rate tighten while a
    /// health check reports trouble or calls are slow on average ([`crate::adaptive`]). Default:
    /// `false`.
    pub fn adaptive(mut self, adaptive: bool) -> Self {
        self.adaptive = Some(adaptive);
        self
    }

    /// How long the breaker first stays open. Default: 5 s.
    pub fn recovery_timeout(mut self, wait: Duration) -> Self {
        self.recovery_timeout = Some(wait);
        self
    }

    /// By what each failed recovery lengthens the open phase; 1 keeps it. Default: 2.
    pub fn backoff_multiplier(mut self, factor: f64) -> Self {
        self.backoff_multiplier = Some(factor);
        self
    }

    /// How long the open phase may grow (or `recovery_timeout`, if that is longer). Default: 60 s.
    pub fn backoff_max(mut self, max: Duration) -> Self {
        self.backoff_max = Some(max);
        self
    }

    /// How the open phase is spread. Default: 10 % more or less.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(JitterInput::Named(jitter));
        self
    }

    /// Spreads the open phase by up to this share more or less.
    pub fn jitter_share(mut self, share: f64) -> Self {
        self.jitter = Some(JitterInput::Share(share));
        self
    }

    /// The longest a server's hint (`Retry-After`) is believed. Default: 5 min.
    pub fn max_retry_after(mut self, max: Duration) -> Self {
        self.max_retry_after = Some(max);
        self
    }

    /// Probes in flight at most while half-open. Default: 1.
    pub fn half_open_max_calls(mut self, calls: u32) -> Self {
        self.half_open_max_calls = Some(calls);
        self
    }

    /// Successful probes that close the breaker. Default: 3.
    pub fn success_threshold(mut self, probes: u32) -> Self {
        self.success_threshold = Some(probes);
        self
    }

    /// Probes out of which `success_threshold` must succeed. Default: `success_threshold`.
    pub fn probe_calls(mut self, probes: u32) -> Self {
        self.probe_calls = Some(probes);
        self
    }

    /// The attempt timeout that async calls enforce; `None` for none. Default: none.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// Whether pushback holds calls back (`true`), or is only counted. Default: `true`.
    pub fn pace(mut self, pace: bool) -> Self {
        self.pace = Some(pace);
        self
    }

    /// How long traffic takes to come back after a recovery: 10 % of it at first, then 25 % and
    /// 50 %, each for a third of this; but always 5 calls a second. `None` lets all of it through
    /// at once. Default: 10 s.
    pub fn ramp(mut self, over: impl Into<Option<Duration>>) -> Self {
        self.ramp = Some(over.into());
        self
    }

    /// Refuses calls at random while less than one in `k` is accepted, the more the fewer are;
    /// `None` switches it off. From 1 (any failure counts) to 100. Default: off.
    ///
    /// It is for overload: about `k` calls are then sent for each that is accepted, so the share
    /// `1 − 1/k` of them fails. To shed and not to trip, keep that below `failure_rate`: 1.5 goes
    /// with the default of 0.5.
    pub fn throttle(mut self, k: impl Into<Option<f64>>) -> Self {
        self.throttle = Some(k.into());
        self
    }

    /// Over what the throttle counts. Default: 30 s.
    pub fn throttle_window(mut self, window: Duration) -> Self {
        self.throttle_window = Some(window);
        self
    }

    /// The largest share of calls that the throttle refuses. Default: 0.9.
    pub fn throttle_max(mut self, share: f64) -> Self {
        self.throttle_max = Some(share);
        self
    }

    /// How often somebody reports what a health check found
    /// ([`Command::Health`](crate::Command::Health)). Then an open breaker probes with real calls
    /// only after a check has found the dependency at work; or if no report comes in for three
    /// intervals, at least 30 s. `None` to probe when the wait is over. Default: none.
    pub fn health_check(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.health_check = Some(interval.into());
        self
    }

    /// Failures of these kinds are neutral. Default: none.
    pub fn ignore(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.ignore = Some(kinds.into_iter().collect());
        self
    }

    /// Only failures of these kinds count; all others are neutral. The same setting as
    /// [`ignore`](Self::ignore), said the other way round.
    pub fn record(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.ignore = Some(kinds.into_iter().collect::<KindSet>().complement());
        self
    }

    /// This layer laid over `below`: what this one says wins, what it does not say shows through.
    pub fn over(self, below: SettingsBuilder) -> Self {
        SettingsBuilder {
            mode: self.mode.or(below.mode),
            failure_threshold: self.failure_threshold.or(below.failure_threshold),
            failure_rate: self.failure_rate.or(below.failure_rate),
            failure_count: self.failure_count.or(below.failure_count),
            min_calls: self.min_calls.or(below.min_calls),
            window: self.window.or(below.window),
            slow_call_duration: self.slow_call_duration.or(below.slow_call_duration),
            slow_call_rate: self.slow_call_rate.or(below.slow_call_rate),
            sequential: self.sequential.or(below.sequential),
            adaptive: self.adaptive.or(below.adaptive),
            recovery_timeout: self.recovery_timeout.or(below.recovery_timeout),
            backoff_multiplier: self.backoff_multiplier.or(below.backoff_multiplier),
            backoff_max: self.backoff_max.or(below.backoff_max),
            jitter: self.jitter.or(below.jitter),
            max_retry_after: self.max_retry_after.or(below.max_retry_after),
            half_open_max_calls: self.half_open_max_calls.or(below.half_open_max_calls),
            success_threshold: self.success_threshold.or(below.success_threshold),
            probe_calls: self.probe_calls.or(below.probe_calls),
            timeout: self.timeout.or(below.timeout),
            pace: self.pace.or(below.pace),
            ramp: self.ramp.or(below.ramp),
            throttle: self.throttle.or(below.throttle),
            throttle_window: self.throttle_window.or(below.throttle_window),
            throttle_max: self.throttle_max.or(below.throttle_max),
            health_check: self.health_check.or(below.health_check),
            ignore: self.ignore.or(below.ignore),
        }
    }

    /// Checks everything and fills in the defaults.
    ///
    /// # Errors
    /// The first setting that is out of its range ([`limits`]) or contradicts another.
    pub fn build(self) -> Result<Settings, SettingsError> {
        let base = Settings::default();
        let (success_threshold, probe_calls) = self.round()?;
        Ok(Settings {
            mode: self.mode.unwrap_or(base.mode),
            failure_threshold: self
                .failure_threshold
                .unwrap_or(base.failure_threshold)
                .map(|n| within("failure_threshold", n, limits::FAILURES))
                .transpose()?,
            failure_rate: match self.failure_rate {
                None => base.failure_rate,
                Some(None) => None,
                Some(Some(share)) => Some(positive_ratio("failure_rate", share)?),
            },
            failure_count: self
                .failure_count
                .unwrap_or(base.failure_count)
                .map(|n| within("failure_count", n, limits::FAILURES))
                .transpose()?,
            min_calls: within(
                "min_calls",
                self.min_calls.unwrap_or(base.min_calls),
                limits::MIN_CALLS,
            )?,
            window: match self.window.unwrap_or(base.window) {
                WindowSpec::Time(time) => {
                    WindowSpec::Time(within_time("window", time, limits::WINDOW_TIME)?)
                }
                WindowSpec::Calls(calls) => {
                    WindowSpec::Calls(within("window", calls, limits::WINDOW_CALLS)?)
                }
            },
            slow_call_duration: self
                .slow_call_duration
                .unwrap_or(base.slow_call_duration)
                .map(|d| duration("slow_call_duration", d))
                .transpose()?,
            slow_call_rate: match self.slow_call_rate {
                None => base.slow_call_rate,
                Some(share) => positive_ratio("slow_call_rate", share)?,
            },
            sequential: match self.sequential {
                None => base.sequential,
                Some(rule) => rule.map(SequentialSpec::check).transpose()?,
            },
            adaptive: self.adaptive.unwrap_or(base.adaptive),
            recovery_timeout: duration(
                "recovery_timeout",
                self.recovery_timeout.unwrap_or(base.recovery_timeout),
            )?,
            backoff: Backoff {
                multiplier_millis: match self.backoff_multiplier {
                    None => base.backoff.multiplier_millis,
                    Some(factor) => {
                        millis("backoff.multiplier", factor, limits::MULTIPLIER_MILLIS)?
                    }
                },
                max: duration("backoff.max", self.backoff_max.unwrap_or(base.backoff.max))?,
            },
            jitter: match self.jitter {
                None => base.jitter,
                Some(JitterInput::Named(jitter)) => jitter,
                Some(JitterInput::Share(share)) => jitter(share)?,
            },
            max_retry_after: duration(
                "max_retry_after",
                self.max_retry_after.unwrap_or(base.max_retry_after),
            )?,
            half_open_max_calls: within(
                "half_open_max_calls",
                self.half_open_max_calls.unwrap_or(base.half_open_max_calls),
                limits::PROBES,
            )?,
            success_threshold,
            probe_calls,
            timeout: self
                .timeout
                .unwrap_or(base.timeout)
                .map(|d| duration("timeout", d))
                .transpose()?,
            pace: self.pace.unwrap_or(base.pace),
            ramp: self.ramp.unwrap_or(base.ramp).map(|d| duration("ramp", d)).transpose()?,
            throttle: self.throttled()?,
            health_check: self
                .health_check
                .unwrap_or(base.health_check)
                .map(|d| duration("health_check", d))
                .transpose()?,
            ignore: self.ignore.unwrap_or(base.ignore),
        })
    }
}

impl SettingsBuilder {
    /// How many probes must succeed, and out of how many.
    fn round(&self) -> Result<(u32, u32), SettingsError> {
        let success_threshold = within(
            "success_threshold",
            self.success_threshold.unwrap_or(Settings::default().success_threshold),
            limits::PROBES,
        )?;
        let probe_calls =
            within("probe_calls", self.probe_calls.unwrap_or(success_threshold), limits::PROBES)?;
        if probe_calls < success_threshold {
            return Err(SettingsError {
                field: "probe_calls",
                value: probe_calls.to_string(),
                accepted: format!("success_threshold ({success_threshold}) or more"),
            });
        }
        Ok((success_threshold, probe_calls))
    }

    /// The throttle. Its parts are checked also while it is off.
    fn throttled(&self) -> Result<Option<Throttle>, SettingsError> {
        let base = Throttle::default();
        let window = self.throttle_window.unwrap_or(base.window);
        let window = within_time("throttle.window", window, limits::WINDOW_TIME)?;
        let max = match self.throttle_max {
            None => base.max,
            Some(share) => positive_ratio("throttle.max", share)?,
        };
        let k = self.throttle.flatten().map(|k| millis("throttle.k", k, limits::THROTTLE_K));
        Ok(k.transpose()?.map(|k_millis| Throttle { k_millis, window, max }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ratio;

    #[test]
    fn says_nothing_and_gets_the_defaults() {
        assert_eq!(Settings::builder().build(), Ok(Settings::default()));
    }

    /// Each another value than by default, so none can stand for another.
    #[test]
    fn settings_are_what_was_said() {
        let secs = Duration::from_secs;
        let rule = SequentialSpec::default();
        let said = Settings::builder()
            .mode(Mode::Observe)
            .failure_threshold(11)
            .failure_rate(0.12)
            .failure_count(13)
            .min_calls(14)
            .window(15_u32)
            .slow_call_duration(secs(16))
            .slow_call_rate(0.17)
            .sequential(rule)
            .adaptive(true)
            .recovery_timeout(secs(18))
            .backoff_multiplier(1.9)
            .backoff_max(secs(20))
            .jitter(Jitter::Full)
            .max_retry_after(secs(21))
            .half_open_max_calls(22)
            .success_threshold(23)
            .probe_calls(24)
            .timeout(secs(25))
            .pace(false)
            .ramp(secs(26))
            .throttle(2.7)
            .throttle_window(secs(28))
            .throttle_max(0.29)
            .health_check(secs(30))
            .ignore([Kind::Auth]);
        let percent = |percent| Ratio::percent(percent).unwrap();
        for settings in [said, said.over(Settings::builder()), Settings::builder().over(said)] {
            let settings = settings.build().unwrap();
            assert_eq!(settings.mode(), Mode::Observe);
            assert_eq!(settings.failure_threshold(), Some(11));
            assert_eq!(settings.failure_rate(), Some(percent(12)));
            assert_eq!(settings.failure_count(), Some(13));
            assert_eq!(settings.min_calls(), 14);
            assert_eq!(settings.window(), WindowSpec::Calls(15));
            assert_eq!(settings.slow_call_duration(), Some(secs(16)));
            assert_eq!(settings.slow_call_rate(), percent(17));
            assert_eq!(settings.sequential().map(SequentialSpec::from), Some(rule));
            assert!(settings.adaptive());
            assert_eq!(settings.recovery_timeout(), secs(18));
            assert_eq!(settings.backoff().multiplier_millis(), 1_900);
            assert_eq!(settings.backoff().max(), secs(20));
            assert_eq!(settings.jitter(), Jitter::Full);
            assert_eq!(settings.max_retry_after(), secs(21));
            assert_eq!(settings.half_open_max_calls(), 22);
            assert_eq!(settings.success_threshold(), 23);
            assert_eq!(settings.probe_calls(), 24);
            assert_eq!(settings.timeout(), Some(secs(25)));
            assert!(!settings.pace());
            assert_eq!(settings.ramp(), Some(secs(26)));
            let throttle = settings.throttle().unwrap();
            assert_eq!(throttle.k_millis(), 2_700);
            assert_eq!((throttle.window(), throttle.max()), (secs(28), percent(29)));
            assert_eq!(settings.health_check(), Some(secs(30)));
            assert_eq!(settings.ignore(), [Kind::Auth].into_iter().collect());
        }
        assert!(Settings::default().pace());
    }

    /// What is kept only for a rule is kept if there is such a rule, and if there is any.
    #[test]
    fn what_is_kept_follows_from_the_rules_there_are() {
        let bare = Settings::builder().failure_rate(None);
        let slow = Duration::from_secs(1);
        for (said, window, latency) in [
            (bare, false, false),
            (bare.failure_rate(0.5), true, false),
            (bare.failure_count(5), true, false),
            (bare.slow_call_duration(slow), true, false),
            (bare.adaptive(true), false, false),
            (bare.adaptive(true).slow_call_duration(slow), true, true),
        ] {
            let settings = said.build().unwrap();
            assert_eq!((settings.has_window_rule(), settings.tracks_latency()), (window, latency));
        }
    }

    #[test]
    fn errors_name_field_value_and_what_is_accepted() {
        let text = |b: SettingsBuilder| b.build().unwrap_err().to_string();
        let b = Settings::builder;
        assert_eq!(
            text(b().failure_threshold(0)),
            "failure_threshold is 0, but must be 1 to 65535"
        );
        assert_eq!(
            text(b().failure_rate(50.0)),
            "failure_rate is 50, but must be above 0 and at most 1"
        );
        assert_eq!(
            text(b().recovery_timeout(Duration::ZERO)),
            "recovery_timeout is 0ns, but must be 1ms to 365d"
        );
        assert_eq!(
            text(b().success_threshold(4).probe_calls(3)),
            "probe_calls is 3, but must be success_threshold (4) or more"
        );
        assert_eq!(
            text(b().backoff_multiplier(0.5)),
            "backoff.multiplier is 0.5, but must be 1 to 100"
        );
        assert!(b().failure_rate(f64::NAN).build().is_err());
        assert_eq!(
            text(b().failure_rate(0.0)),
            "failure_rate is 0, but must be above 0 and at most 1"
        );
        assert!(b().slow_call_rate(0.000_01).build().is_err(), "nearer to none than to any share");
        assert!(b().backoff_multiplier(f64::INFINITY).build().is_err());
        let (day, second) = (Duration::from_secs(86_400), Duration::from_secs(1));
        assert_eq!(text(b().window(day + second)), "window is 86401s, but must be 100ms to 1d");
        assert!(b().window(day).build().is_ok());
        assert!(b().window(Duration::from_millis(1)).build().is_err());
        assert!(b().window(0_u32).build().is_err());
        assert!(b().jitter_share(1.5).build().is_err());
    }

    #[test]
    fn probe_calls_follow_the_success_threshold() {
        let settings = Settings::builder().success_threshold(7).build().unwrap();
        assert_eq!(settings.probe_calls(), 7);
    }

    #[test]
    fn layers_show_through_where_the_upper_says_nothing() {
        let below = Settings::builder().failure_threshold(2).timeout(Duration::from_secs(9));
        let above = Settings::builder().timeout(None).failure_rate(None);
        let settings = above.over(below).build().unwrap();
        assert_eq!(settings.failure_threshold(), Some(2));
        assert_eq!(settings.timeout(), None);
        assert_eq!(settings.failure_rate(), None);
        assert_eq!(settings.lease(), Duration::from_secs(30));
    }

    #[test]
    fn record_is_the_complement_of_ignore() {
        let settings = Settings::builder().record([Kind::Timeout]).build().unwrap();
        assert!(!settings.ignore().contains(Kind::Timeout));
        assert!(settings.ignore().contains(Kind::Connect));
    }
}
