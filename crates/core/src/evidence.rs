//! What a closed breaker has seen since it closed.

use core::time::Duration;

use crate::rules::{self, Bad, Seen};
use crate::window::{KindTally, Window};
use crate::{
    End, Fired, HealthReport, Outcome, Score, Settings, Speed, Tally, Tick, WindowSpec, adaptive,
};

/// The streak and the window of one closed phase, in plain values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    streak: u32,
    window: Window,
}

/// What the rules reckon with that this evidence does not hold.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Signs {
    /// What a health check last reported.
    pub health: Option<HealthReport>,
    /// The score of the sequential rule, this call included.
    pub score: Score,
}

impl Evidence {
    /// Nothing seen yet.
    pub fn new(settings: &Settings) -> Evidence {
        Evidence { streak: 0, window: Window::new(settings) }
    }

    /// Forgets everything: a phase starts with empty windows.
    pub fn clear(&mut self) {
        self.streak = 0;
        self.window.clear();
    }

    /// Keeps what still means the same under new settings: the streak always, the window if it
    /// looks back just as far and any rule still looks at it.
    pub fn reconfigure(&mut self, settings: &Settings) {
        if !self.window.fits(settings) || !settings.has_window_rule() {
            self.window = Window::new(settings);
        }
    }

    /// Counts a result and asks the rules. Neutral and pushback count in no failure rule; a
    /// neutral one that was slow (cancelled past the bound) counts as a slow call.
    ///
    /// A window over calls that is full of fast successes takes no note of one more, so what it
    /// knows of their durations may be old; but it is all below the bound, as theirs are.
    pub fn record(
        &mut self,
        settings: &Settings,
        now: Tick,
        end: End,
        signs: Signs,
    ) -> Option<Fired> {
        let windowed = settings.has_window_rule();
        let speed = if settings.has_slow_rule() { end.speed } else { Speed::Unjudged };
        let took = end.adds(settings);
        // A call that was counted before, as slow, and of which there is more to add now.
        let adds = speed == Speed::Unjudged && took.is_some();
        let mut bad = Bad { failure: false, slow: speed == Speed::Slow };
        match end.outcome {
            Outcome::Success if !adds && !bad.slow && self.is_saturated_with_success(settings) => {
                return None;
            }
            Outcome::Success => {
                self.streak = 0;
                if windowed {
                    self.window.record_end(now, None);
                    self.window.record_speed(now, speed, took);
                }
            }
            Outcome::Failure { kind, .. } => {
                bad.failure = true;
                self.streak = self.streak.saturating_add(1);
                if windowed {
                    self.window.record_end(now, Some(kind));
                    self.window.record_speed(now, speed, took);
                }
            }
            Outcome::Neutral if bad.slow => self.window.record_speed(now, speed, took),
            Outcome::Neutral | Outcome::Pushback { .. } => return None,
        }
        if !bad.any() {
            return None;
        }
        let seen = Seen { streak: self.streak, tally: self.tally(now), score: signs.score };
        let thresholds = adaptive::in_force(settings, signs.health, seen.tally);
        rules::judge(&thresholds, bad, seen)
    }

    /// Counts a running call that has just passed the slow bound: it took that long at least.
    pub fn record_slow(&mut self, settings: &Settings, now: Tick, signs: Signs) -> Option<Fired> {
        self.record(settings, now, End::passed_the_bound(settings), signs)
    }

    /// Takes a streak over from where it was counted before.
    pub fn set_streak(&mut self, streak: u32) {
        self.streak = streak;
    }

    /// Failures in a row.
    pub fn streak(&self) -> u32 {
        self.streak
    }

    /// What is in the window now.
    pub fn tally(&self, now: Tick) -> Tally {
        self.window.tally(now)
    }

    /// The failures in the window now, by kind.
    pub fn kinds(&self, now: Tick) -> KindTally {
        self.window.kinds(now)
    }

    /// Whether a success (timed and fast, if calls are timed) would change nothing.
    pub fn is_saturated_with_success(&self, settings: &Settings) -> bool {
        self.streak == 0
            && match &self.window {
                Window::Count(window) => window.is_saturated_with_success(settings.has_slow_rule()),
                Window::Time(_) => false,
            }
    }

    /// Whether this closed phase, `closed_for` long, has seen a whole window with enough calls.
    pub fn fills_a_window(&self, settings: &Settings, closed_for: Duration) -> bool {
        match &self.window {
            Window::Time(window) => fills_a_window(settings, closed_for, window.ends()),
            Window::Count(window) => {
                settings.has_window_rule()
                    && window.is_full()
                    && window.capacity() >= settings.min_calls
            }
        }
    }
}

/// Whether nothing seen is held against the dependency, so that forgetting it forgets no reason to
/// open. Successes alone are none.
pub fn is_clean(streak: u32, tally: Tally) -> bool {
    streak == 0 && tally.failures == 0 && tally.slow == 0
}

/// Whether a closed phase with so many ended calls has seen a whole time window with enough of
/// them.
pub fn fills_a_window(settings: &Settings, closed_for: Duration, ends: u64) -> bool {
    match settings.window() {
        WindowSpec::Time(length) if settings.has_window_rule() => {
            closed_for >= length && ends >= u64::from(settings.min_calls)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, SettingsBuilder};

    fn settings(builder: SettingsBuilder) -> Settings {
        builder.min_calls(4).build().unwrap()
    }

    fn after_calls(settings: &Settings, calls: u32) -> Evidence {
        let mut evidence = Evidence::new(settings);
        for _ in 0..calls {
            let end = End { outcome: Outcome::Success, speed: Speed::Unjudged, took: None };
            let fired = evidence.record(settings, Tick::ZERO, end, Signs::default());
            assert_eq!(fired, None);
        }
        evidence
    }

    #[test]
    fn a_phase_starts_with_nothing_held_against_anybody() {
        let failure = Outcome::failure(Kind::Timeout);
        let end = End { outcome: failure, speed: Speed::Unjudged, took: None };
        for rule in [
            settings(Settings::builder().failure_threshold(4).failure_rate(None)),
            settings(Settings::builder().failure_threshold(None)),
        ] {
            let mut evidence = Evidence::new(&rule);
            let record = |evidence: &mut Evidence| {
                evidence.record(&rule, Tick::ZERO, end, Signs::default()).is_some()
            };
            assert!(!(0..3).any(|_| record(&mut evidence)));
            evidence.clear();
            assert!(!(0..3).any(|_| record(&mut evidence)), "those before count no more");
            assert!(record(&mut evidence), "four in one phase do");
        }
    }

    #[test]
    fn new_settings_keep_the_streak_and_a_window_that_looks_back_as_far() {
        let last = |calls: u32| Settings::builder().window(calls).failure_threshold(9);
        let failure = Outcome::failure(Kind::Timeout);
        let end = End { outcome: failure, speed: Speed::Unjudged, took: None };
        let mut before = Evidence::new(&settings(last(5)));
        for _ in 0..2 {
            let fired = before.record(&settings(last(5)), Tick::ZERO, end, Signs::default());
            assert_eq!(fired, None);
        }
        let after = |rule: SettingsBuilder| {
            let mut evidence = before.clone();
            evidence.reconfigure(&settings(rule));
            assert_eq!(evidence.streak(), 2);
            let kinds = evidence.kinds(Tick::ZERO);
            let failures = evidence.tally(Tick::ZERO).failures;
            assert_eq!((kinds[Kind::Timeout.index()], kinds.iter().sum()), (failures, failures));
            failures
        };
        assert_eq!(after(last(5).failure_rate(0.9)), 2);
        assert_eq!(after(last(6)), 0, "another window");
        assert_eq!(after(last(5).failure_rate(None)), 0, "nobody looks at it any more");
    }

    #[test]
    fn only_a_slow_success_or_neutral_result_counts_against_speed() {
        let bound = Duration::from_millis(100);
        let rule = settings(Settings::builder().window(4_u32).slow_call_duration(bound));
        let mut evidence = Evidence::new(&rule);
        let mut record = |outcome, speed| {
            let end = End { outcome, speed, took: Some(bound) };
            let fired = evidence.record(&rule, Tick::ZERO, end, Signs::default());
            let tally = evidence.tally(Tick::ZERO);
            (tally.calls, tally.timed, tally.slow, fired.is_some())
        };
        assert_eq!(record(Outcome::Neutral, Speed::Fast), (0, 0, 0, false), "cancelled early");
        assert_eq!(record(Outcome::Neutral, Speed::Slow), (0, 1, 1, false), "cancelled late");
        assert_eq!(record(Outcome::Success, Speed::Fast), (1, 2, 1, false));
        assert_eq!(record(Outcome::Success, Speed::Slow), (2, 3, 2, false));
    }

    /// What the lock-free breaker leaves out, the core leaves out too; even if thresholds depend on
    /// how long calls take, unless it is the rest of one that was too long.
    #[test]
    fn a_success_changes_nothing_in_a_window_full_of_them() {
        let bound = Duration::from_secs(1);
        for adaptive in [false, true] {
            let builder = Settings::builder().window(4_u32).slow_call_duration(bound);
            let rule = settings(builder.adaptive(adaptive));
            let mut evidence = Evidence::new(&rule);
            let record = |evidence: &mut Evidence, speed, millis| {
                let took = Some(Duration::from_millis(millis));
                let end = End { outcome: Outcome::Success, speed, took };
                assert_eq!(evidence.record(&rule, Tick::ZERO, end, Signs::default()), None);
            };
            for _ in 0..4 {
                record(&mut evidence, Speed::Fast, 10);
            }
            let full = evidence.clone();
            record(&mut evidence, Speed::Fast, 900);
            assert_eq!(evidence, full);
            let took = evidence.tally(Tick::ZERO).took;
            record(&mut evidence, Speed::Unjudged, 1_900);
            let beyond = Duration::from_millis(if adaptive { 900 } else { 0 });
            assert_eq!(evidence.tally(Tick::ZERO).took, took + beyond);
        }
    }

    #[test]
    fn a_whole_time_window_with_enough_calls_is_proof() {
        let secs = Duration::from_secs;
        let ten = settings(Settings::builder().window(secs(10)));
        let fills = |calls, closed_for| after_calls(&ten, calls).fills_a_window(&ten, closed_for);
        assert!(fills(4, secs(10)));
        assert!(!fills(4, secs(9)), "not whole");
        assert!(!fills(3, secs(10)), "too few calls");
        let off = settings(Settings::builder().failure_rate(None));
        assert!(!after_calls(&off, 9).fills_a_window(&off, secs(99)), "nobody looks at it");
        assert!(!fills_a_window(&off, secs(99), 99), "however many calls somebody counted");
    }

    #[test]
    fn a_full_window_over_calls_is_proof() {
        let last = |calls: u32| settings(Settings::builder().window(calls));
        let fills = |settings: &Settings, calls| {
            after_calls(settings, calls).fills_a_window(settings, Duration::ZERO)
        };
        assert!(fills(&last(5), 5));
        assert!(!fills(&last(5), 4), "not full");
        assert!(!fills(&last(3), 9), "too short for a rate rule");
        let off = settings(Settings::builder().window(5_u32).failure_rate(None));
        assert!(!fills(&off, 9), "nobody looks at it");
    }

    /// A success may be left out only if it would change neither window nor streak.
    #[test]
    fn only_a_window_full_of_successes_after_one_is_saturated() {
        let rule = settings(Settings::builder().window(4_u32));
        assert!(!after_calls(&rule, 3).is_saturated_with_success(&rule));
        let mut evidence = after_calls(&rule, 4);
        assert!(evidence.is_saturated_with_success(&rule));
        evidence.set_streak(1);
        assert!(!evidence.is_saturated_with_success(&rule), "a success would end the streak");
    }

    /// Of a call that is found slow while it runs no more is known at first than the bound. If that
    /// were all, no mean of such calls could ever lie above it.
    #[test]
    fn a_call_found_slow_adds_the_rest_of_its_time_when_it_ends() {
        let secs = Duration::from_secs;
        let (now, signs) = (Tick::ZERO.after(secs(1)), Signs::default());
        for builder in [Settings::builder(), Settings::builder().window(4_u32)] {
            let adaptive = builder.adaptive(true).slow_call_duration(secs(5)).slow_call_rate(1.0);
            let settings = settings(adaptive.failure_threshold(5));
            let mut evidence = Evidence::new(&settings);
            let call =
                |took| End { outcome: Outcome::Success, speed: Speed::Fast, took: Some(took) };
            let _ = evidence.record(&settings, now, call(secs(1)), signs);
            let _ = evidence.record_slow(&settings, now, signs);
            assert_eq!(evidence.tally(now).took, secs(6));
            let end = End { speed: Speed::Unjudged, ..call(secs(19)) };
            let _ = evidence.record(&settings, now, end, signs);
            let tally = evidence.tally(now);
            assert_eq!((tally.calls, tally.timed, tally.slow), (2, 2, 1), "it is counted once");
            assert_eq!((tally.took, tally.mean_latency()), (secs(20), Some(secs(10))));
            assert_eq!(adaptive::in_force(&settings, None, tally).streak, Some(4));
            // It leaves as any other does.
            if let WindowSpec::Calls(calls) = settings.window() {
                for _ in 0..calls {
                    let _ = evidence.record(&settings, now, call(secs(1)), signs);
                }
                assert_eq!(evidence.tally(now).took, secs(4));
            } else {
                assert_eq!(evidence.tally(now.after(secs(10))).took, Duration::ZERO);
            }
        }
    }

    #[test]
    fn only_what_is_bad_makes_evidence_worth_keeping() {
        let spotless = Tally { calls: 9, timed: 9, ..Tally::default() };
        assert!(is_clean(0, spotless));
        assert!(!is_clean(1, spotless));
        assert!(!is_clean(0, Tally { failures: 1, ..spotless }));
        assert!(!is_clean(0, Tally { slow: 1, ..spotless }));
    }
}
