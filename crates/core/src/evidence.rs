//! What a closed breaker has seen since it closed.

use core::time::Duration;

use crate::rules::{self, Bad};
use crate::window::{KindTally, Window};
use crate::{Fired, Outcome, Settings, Speed, Tally, Tick, WindowSpec};

/// The streak and the window of one closed phase, in plain values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    streak: u32,
    window: Window,
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
    pub fn record(
        &mut self,
        settings: &Settings,
        now: Tick,
        outcome: Outcome,
        speed: Speed,
    ) -> Option<Fired> {
        let windowed = settings.has_window_rule();
        let speed = if settings.has_slow_rule() { speed } else { Speed::Unjudged };
        let mut bad = Bad { failure: false, slow: speed == Speed::Slow };
        match outcome {
            Outcome::Success => {
                self.streak = 0;
                if windowed {
                    self.window.record_end(now, None);
                    self.window.record_speed(now, speed);
                }
            }
            Outcome::Failure { kind, .. } => {
                bad.failure = true;
                self.streak = self.streak.saturating_add(1);
                if windowed {
                    self.window.record_end(now, Some(kind));
                    self.window.record_speed(now, speed);
                }
            }
            Outcome::Neutral if bad.slow => self.window.record_speed(now, speed),
            Outcome::Neutral | Outcome::Pushback { .. } => return None,
        }
        if !bad.any() {
            return None;
        }
        rules::judge(settings, bad, self.streak, self.tally(now))
    }

    /// Counts a running call that has just passed the slow bound.
    pub fn record_slow(&mut self, settings: &Settings, now: Tick) -> Option<Fired> {
        self.record(settings, now, Outcome::Neutral, Speed::Slow)
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
