//! What one thread has counted.

use std::time::Duration;

use panelboard_core::machine::Counters;
use panelboard_core::window::KindTally;
use panelboard_core::{Kind, Reason, Tick};

use super::failures::{Failures, Recent};
use super::window::Window;
use super::{Frame, add, get, set};
use crate::sync::Lazy;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What one thread has counted.
///
/// Aligned so that two shards never share a cache line, nor the pair that is fetched with it. In
/// the order in which calls need it: what a success writes lies in the first line.
#[repr(C, align(128))]
#[derive(Default)]
pub(crate) struct Shard {
    pub(super) admitted: AtomicU64,
    /// The run ([`Streak::run`](crate::streak::Streak::run)) that this thread last met a failure of.
    run: AtomicU64,
    pub(super) window: Window,
    /// What `failed` stood at when that run began.
    run_base: AtomicU64,
    /// Counted ever, never reset; as far as the window does not count it.
    pub(super) success: AtomicU64,
    neutral: AtomicU64,
    pushback: AtomicU64,
    late: AtomicU64,
    slow: AtomicU64,
    would_reject: AtomicU64,
    rejected: [AtomicU64; Reason::ALL.len()],
    /// Only threads that have seen a failure need one.
    failures: Lazy<Box<Failures>>,
}

// ===== impl Shard: written by its owner alone =====

impl Shard {
    #[inline]
    pub(crate) fn admitted(&self) {
        add(&self.admitted);
    }

    pub(crate) fn would_reject(&self) {
        add(&self.would_reject);
    }

    #[inline]
    pub(crate) fn rejected(&self, reason: Reason) {
        add(&self.rejected[reason.index()]);
    }

    /// A success that counts in no window.
    #[inline]
    pub(crate) fn success(&self) {
        add(&self.success);
    }

    /// A failure that counts in no window.
    #[inline]
    pub(crate) fn failure(&self, kind: Kind) {
        self.failures.get_or_make().count_other(kind);
    }

    #[inline]
    pub(crate) fn neutral(&self) {
        add(&self.neutral);
    }

    /// A failure that was excused: neutral, and counted apart as well.
    pub(crate) fn excused(&self) {
        add(&self.neutral);
        self.failures.get_or_make().excuse();
    }

    pub(crate) fn pushback(&self) {
        add(&self.pushback);
    }

    pub(crate) fn late(&self) {
        add(&self.late);
    }

    /// A slow call, whatever came of it.
    #[inline]
    pub(crate) fn slow(&self) {
        add(&self.slow);
    }

    /// Remembers a failure of which nothing but its kind is known: that of a voter just counted.
    pub(crate) fn remember(&self, kind: Kind, now: Tick) {
        let failures = self.failures.get_or_make();
        failures.remember(kind.code(), now, get(&self.window.failed));
    }

    /// Remembers any other.
    pub(crate) fn remember_other(&self, kind: Kind, now: Tick) {
        self.failures.get_or_make().remember_other(kind, now);
    }

    /// A success in the window: what nearly every call comes to. Not for the overflow shard.
    #[inline]
    pub(crate) fn success_in(&self, stamp: u64, width: impl FnOnce() -> u64, now: Tick) {
        if !self.window.is_in(stamp, now) {
            self.begin_bucket(Frame { stamp, width: width() }, now);
        }
        add(&self.window.success);
    }

    /// Adds to such a success that it was timed, and not slow.
    #[inline]
    pub(crate) fn fast(&self) {
        add(&self.window.fast);
    }

    /// Counts and remembers a voter's failure of which nothing but its kind is known (by code and
    /// index), in the window with this stamp if there is one. Says no, and counts nothing, if it is
    /// the first of this thread or of a bucket. Not for the overflow shard.
    #[inline]
    pub(crate) fn failure_in(
        &self,
        stamp: Option<u64>,
        now: Tick,
        (code, place): (u8, usize),
    ) -> bool {
        let Some(failures) = self.failures.get() else { return false };
        if stamp.is_some_and(|stamp| !self.window.is_in(stamp, now)) {
            return false;
        }
        failures.count(place);
        failures.remember(code, now, self.window.fail());
        true
    }

    /// The end of a voter's call, in the window of the frame if there is one; says whether it came
    /// in turn. What did not is counted, but in no window.
    #[inline]
    pub(crate) fn end(&self, frame: Option<Frame>, now: Tick, failure: Option<Kind>) -> bool {
        let in_turn = frame.is_none_or(|frame| self.enter_in_turn(frame, now));
        match failure {
            None if in_turn && frame.is_some() => add(&self.window.success),
            None => self.success(),
            Some(kind) if in_turn => {
                self.failures.get_or_make().count(kind.index());
                self.window.fail();
            }
            Some(kind) => self.failure(kind),
        }
        in_turn
    }

    /// Counts in the window how fast a call was, and says whether it does.
    #[inline]
    pub(crate) fn speed(&self, frame: Frame, now: Tick, slow: bool) -> bool {
        let weighed = self.enter_in_turn(frame, now);
        if weighed {
            add(if slow { &self.window.slow } else { &self.window.fast });
        }
        weighed
    }

    /// Adds up in the window how long a call took whose speed was counted.
    pub(crate) fn took(&self, frame: Frame, now: Tick, took: Duration) {
        if self.enter_in_turn(frame, now) {
            self.window.took(took);
        }
    }

    /// Whether the failure just counted was within this thread's
    /// [slack](panelboard_core::rules::slack).
    #[inline]
    pub(crate) fn had_slack(&self, version: u64) -> bool {
        self.window.had_slack(version)
    }

    /// Takes one from the slack for a slow call that did not fail, if there is any.
    pub(crate) fn spend(&self, version: u64) -> bool {
        self.window.spend(version)
    }

    /// Grants this thread slack until the bucket that `now` falls into is over.
    pub(crate) fn grant(&self, frame: Frame, now: Tick, version: u64, slack: u64) {
        self.window.grant(frame, now, version, slack);
    }

    /// The run that this thread last met a failure of.
    #[inline]
    pub(crate) fn last_run(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }

    /// The failure just counted is the first of a run that this thread has met.
    pub(crate) fn begin_run(&self, run: u64) {
        set(&self.run_base, get(&self.window.failed).saturating_sub(1));
        // Release: pairs with the acquire in `run`, so whoever sees the run sees where it began.
        set(&self.run, run);
    }

    /// Goes to the bucket for `now`, never an older one than before. For the overflow shard: says
    /// no if another of its writers has already come with a later frame. What belongs to this one
    /// does not count any more, and must not take the place of what does.
    #[inline]
    fn enter_in_turn(&self, frame: Frame, now: Tick) -> bool {
        self.window.is_in(frame.stamp, now) || self.enter_late(frame, now)
    }

    #[cold]
    fn enter_late(&self, frame: Frame, now: Tick) -> bool {
        let over = self.window.is_ahead_of(frame.stamp);
        if !over {
            self.begin_bucket(frame, now);
        }
        !over
    }

    #[cold]
    fn begin_bucket(&self, frame: Frame, now: Tick) {
        self.window.begin(frame, now, |place| {
            if let Some(failures) = self.failures.get() {
                failures.note(place);
            }
        });
    }
}

// ===== impl Shard: read by others =====

impl Shard {
    /// Success, failed, fast and slow, if this thread has any part in the window.
    pub(super) fn counts(&self, frame: Frame, newest: u32) -> Option<[u64; 4]> {
        self.window.is_of(frame).then(|| self.window.counts(newest))
    }

    /// How long the calls in the window took, in nanoseconds, as far as that is added up.
    pub(super) fn took_in(&self, newest: u32) -> u64 {
        self.window.took_in(newest)
    }

    /// The failures in the window by kind.
    pub(super) fn kinds(&self, frame: Frame, newest: u32) -> Option<KindTally> {
        let failures = self.failures.get().filter(|_| self.window.is_of(frame))?;
        let present = || failures.present();
        Some(self.window.within(newest, |place| failures.at(place), present))
    }

    pub(super) fn ends(&self, frame: Frame) -> u64 {
        if self.window.is_of(frame) { self.window.ends() } else { 0 }
    }

    pub(super) fn granted(&self, frame: Frame, newest: u32, version: u64) -> u64 {
        if self.window.is_of(frame) { self.window.granted(newest, version) } else { 0 }
    }

    pub(super) fn run(&self, run: u64) -> u64 {
        match get(&self.run) == run {
            true => get(&self.window.failed).saturating_sub(get(&self.run_base)),
            false => 0,
        }
    }

    /// If nothing but successes has ended or been refused here: how many have not ended yet.
    pub(super) fn only_successes(&self) -> Option<u64> {
        let other = [&self.neutral, &self.pushback, &self.late, &self.slow, &self.would_reject];
        let none = other.into_iter().chain(&self.rejected).all(|count| get(count) == 0);
        let none = none && self.failures.get().is_none() && get(&self.run) == 0;
        get(&self.admitted).checked_sub(self.successes()).filter(|_| none)
    }

    pub(super) fn successes(&self) -> u64 {
        get(&self.success) + get(&self.window.success)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.get().map_or(0, |failures| failures.total().iter().sum())
    }

    pub(super) fn add_ends_to(&self, sum: &mut Counters) {
        sum.success += self.successes();
        // Before all that are neutral, of which they are a part.
        sum.excused += self.failures.get().map_or(0, |failures| failures.excused());
        sum.neutral += get(&self.neutral);
        sum.pushback += get(&self.pushback);
        sum.late += get(&self.late);
        sum.slow += get(&self.slow);
        sum.would_reject += get(&self.would_reject);
        for (sum, count) in sum.rejected.iter_mut().zip(&self.rejected) {
            *sum += get(count);
        }
        if let Some(failures) = self.failures.get() {
            sum.failures.iter_mut().zip(failures.total()).for_each(|(sum, count)| *sum += count);
        }
    }

    pub(super) fn add_admitted_to(&self, sum: &mut Counters) {
        sum.admitted += get(&self.admitted);
    }

    pub(super) fn recent(&self) -> impl Iterator<Item = Recent> {
        self.failures.get().into_iter().flat_map(|failures| failures.recent())
    }
}
