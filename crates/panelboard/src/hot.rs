//! The few settings that calls read without a lock.

use std::time::Duration;

use panelboard_core::window::cell;
use panelboard_core::{Kind, KindSet, Outcome, Settings, Speed, Tick, WindowSpec, adaptive};

use crate::sync::atomic::{AtomicU64, Ordering};

/// The published settings.
pub(crate) struct HotCell {
    word: AtomicU64,
    width: AtomicU64,
    slow_after: AtomicU64,
    timeout: AtomicU64,
    /// Names what slack was granted under: raised when it no longer holds.
    version: AtomicU64,
}

/// The settings that calls read, in one word.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hot(u64);

/// Where the results of voters go.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Recorder {
    /// No rule looks at a window: only the streak counts.
    Streak = 0,
    /// A time window, in shards.
    Shards = 1,
    /// A window over the last N calls, behind the lock: their order matters.
    Locked = 2,
}

// The word, from the lowest bit: recorder (2), ignored kinds (16), from how many failures in a row on
// the rules are asked (16, 0 for never), kinds of which there is more to a failure than to count it
// (16), whether durations are added up (1), whether results are held against something behind the lock
// (1), whether there are dependencies (1), whether there is a throttle (1).
const IGNORE_AT: u32 = 2;
const ASKED_FROM_AT: u32 = 18;
const INVOLVED_AT: u32 = 34;
const ADDS_UP: u64 = 1 << 50;
const LOCKED: u64 = 1 << 51;
const DEPENDS: u64 = 1 << 52;
const THROTTLED: u64 = 1 << 53;

// ===== impl HotCell =====

impl HotCell {
    pub(crate) fn new(settings: &Settings) -> HotCell {
        let cell = HotCell {
            word: AtomicU64::new(0),
            width: AtomicU64::new(1),
            slow_after: AtomicU64::new(0),
            timeout: AtomicU64::new(0),
            version: AtomicU64::new(0),
        };
        cell.publish(settings, false);
        cell
    }

    /// Shows new settings to calls; a face with another epoch is published after them.
    pub(crate) fn publish(&self, settings: &Settings, depends: bool) {
        let width = match settings.window() {
            WindowSpec::Time(length) => cell::width_of(length),
            WindowSpec::Calls(_) => 1,
        };
        self.width.store(width, Ordering::Relaxed);
        self.slow_after.store(nanos(settings.slow_call_duration()), Ordering::Relaxed);
        self.timeout.store(nanos(settings.timeout()), Ordering::Relaxed);
        // Thresholds may tighten at any moment, so calls go by the tightest there can be.
        let asked_from = adaptive::tightest(settings).asked_from();
        let throttled = settings.throttle().is_some();
        let involved = match depends || throttled {
            true => KindSet::ALL,
            false => settings.ignore(),
        };
        let flag = |flag, on| if on { flag } else { 0 };
        let word = Recorder::of(settings) as u64
            | u64::from(settings.ignore().bits()) << IGNORE_AT
            | u64::from(asked_from.unwrap_or(0) as u16) << ASKED_FROM_AT
            | u64::from(involved.bits()) << INVOLVED_AT
            | flag(ADDS_UP, settings.tracks_latency())
            | flag(LOCKED, weighs_behind_the_lock(settings))
            | flag(DEPENDS, depends)
            | flag(THROTTLED, throttled);
        // Release: pairs with the acquire in `load`.
        self.word.store(word, Ordering::Release);
        self.revoke_slack();
    }

    /// Takes back all slack that threads have been granted: their next bad event asks the rules. The
    /// caller holds the lock, or nobody else has the breaker yet.
    pub(crate) fn revoke_slack(&self) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        // Release: pairs with the acquire in `version`.
        self.version.store(next, Ordering::Release);
    }

    /// What slack is granted under now.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn load(&self) -> Hot {
        Hot(self.word.load(Ordering::Acquire))
    }

    /// Width of a bucket in nanoseconds. A call that goes by an older face may read the width of
    /// a newer window; but the cells it then writes bear the older stamp and do not count.
    #[inline]
    pub(crate) fn width(&self) -> u64 {
        self.width.load(Ordering::Relaxed)
    }

    /// The attempt timeout, if there is one.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        duration(self.timeout.load(Ordering::Relaxed))
    }

    /// From when on a call is slow, if calls are timed.
    pub(crate) fn slow_after(&self) -> Option<Duration> {
        duration(self.slow_after.load(Ordering::Relaxed))
    }

    /// How a call compares with the slow bound that began at `started`, if it was timed.
    #[inline]
    pub(crate) fn speed(&self, started: Option<Tick>, now: Tick) -> Speed {
        match started {
            Some(started) => {
                let took = now.as_nanos().saturating_sub(started.as_nanos());
                match self.slow_after.load(Ordering::Relaxed) {
                    // The rule was switched off while the call ran.
                    0 => Speed::Unjudged,
                    bound if took >= bound => Speed::Slow,
                    _ => Speed::Fast,
                }
            }
            None => Speed::Unjudged,
        }
    }
}

/// No setting of a duration is zero, so zero can stand for "none" in an atomic.
fn nanos(duration: Option<Duration>) -> u64 {
    Tick::ZERO.after(duration.unwrap_or_default()).as_nanos()
}

fn duration(nanos: u64) -> Option<Duration> {
    (nanos != 0).then(|| Duration::from_nanos(nanos))
}

// ===== impl Hot =====

impl Hot {
    #[inline]
    pub(crate) fn recorder(self) -> Recorder {
        match self.0 & 0b11 {
            0 => Recorder::Streak,
            1 => Recorder::Shards,
            _ => Recorder::Locked,
        }
    }

    /// From how many failures in a row on the rules are asked.
    #[inline]
    pub(crate) fn asked_from(self) -> Option<u16> {
        Some((self.0 >> ASKED_FROM_AT) as u16).filter(|failures| *failures != 0)
    }

    /// Whether the state machine wants to hear of every failure.
    #[inline]
    pub(crate) fn throttled(self) -> bool {
        self.0 & THROTTLED != 0
    }

    /// Whether durations are added up.
    #[inline]
    pub(crate) fn adds_up(self) -> bool {
        self.0 & ADDS_UP != 0
    }

    /// How long a call took that began at `started`, if that is of interest.
    #[inline]
    pub(crate) fn took(self, started: Option<Tick>, now: Tick) -> Option<Duration> {
        if self.adds_up() { started.map(|started| now.since(started)) } else { None }
    }

    /// Whether results are held against something behind the lock.
    #[inline]
    pub(crate) fn weighs_behind_the_lock(self) -> bool {
        self.0 & LOCKED != 0
    }

    /// Whether there are dependencies that may excuse a failure.
    #[inline]
    pub(crate) fn depends(self) -> bool {
        self.0 & DEPENDS != 0
    }

    /// Whether there is more to a failure than to count it: its kind (by
    /// [`index`](panelboard_core::Kind::index)) is ignored, it may be excused, or a throttle wants to
    /// hear of it.
    #[inline]
    pub(crate) fn involves(self, kind: usize) -> bool {
        self.0 >> INVOLVED_AT & 1 << kind != 0
    }

    /// What an outcome is under these settings; as [`Settings::regard`].
    #[inline]
    pub(crate) fn regard(self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failure { kind, .. } if self.ignores(kind) => Outcome::Neutral,
            outcome => outcome,
        }
    }

    /// Whether a failure of this kind is neutral.
    #[inline]
    fn ignores(self, kind: Kind) -> bool {
        KindSet::from_bits((self.0 >> IGNORE_AT) as u16).contains(kind)
    }
}

impl Recorder {
    pub(crate) fn of(settings: &Settings) -> Recorder {
        match settings.window() {
            _ if !settings.has_window_rule() => Recorder::Streak,
            WindowSpec::Time(_) => Recorder::Shards,
            WindowSpec::Calls(_) => Recorder::Locked,
        }
    }
}

/// Whether results are held against something behind the lock: a window over calls, or the score of
/// the sequential rule.
pub(crate) fn weighs_behind_the_lock(settings: &Settings) -> bool {
    Recorder::of(settings) == Recorder::Locked || settings.sequential().is_some()
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_slow_by_a_rule_that_was_just_switched_off() {
        let secs = Duration::from_secs;
        let timed = Settings::builder().slow_call_duration(secs(9)).build().unwrap();
        let cell = HotCell::new(&timed);
        let now = Tick::ZERO.after(secs(1));
        assert_eq!(cell.speed(Some(Tick::ZERO), now), Speed::Fast);
        cell.publish(&Settings::default(), false);
        assert_eq!(cell.speed(Some(Tick::ZERO), now), Speed::Unjudged);
    }
}
