//! One thread's part of a sliding time window.
//!
//! The counters only ever grow. When a bucket begins, what they stand at is noted in a mark; so what
//! fell into the window is what they stand at now, less what they stood at when its oldest bucket
//! began. A call adds one to one counter, and nothing has to be moved or cleared as time goes by.

use std::time::Duration;

use panelboard_core::Tick;
use panelboard_core::window::cell::{self, BUCKETS};

use super::{Frame, get, set};
use crate::durations::Durations;
use crate::face::Face;
use crate::sync::Lazy;
use crate::sync::atomic::{AtomicU64, Ordering};

/// In the order in which a call needs them: with the two words before it in the shard, all that a
/// success touches is one cache line.
#[repr(C)]
#[derive(Default)]
pub(super) struct Window {
    /// Which phase and window the marks belong to; they start over when it changes.
    stamp: AtomicU64,
    /// When the current bucket ends.
    until: AtomicU64,
    pub(super) success: AtomicU64,
    /// Also counted while no rule looks at a window, for the streak.
    pub(super) failed: AtomicU64,
    pub(super) fast: AtomicU64,
    /// Up to how many `failed` this thread need not ask the rules. What is left until then is its
    /// slack.
    limit: AtomicU64,
    /// The [version](crate::hot::HotCell::version) that the slack was granted under.
    version: AtomicU64,
    pub(super) slow: AtomicU64,
    /// What [`ends`](Self::ends) is counted from.
    base: AtomicU64,
    /// The number of the current bucket.
    bucket: AtomicU64,
    marks: [Mark; BUCKETS],
    /// Only if thresholds depend on them.
    durations: Lazy<Box<Durations>>,
}

/// What the counters stood at when a bucket began.
#[derive(Default)]
struct Mark {
    /// The bucket's number and [`BEGUN`], or 0 for none.
    bucket: AtomicU64,
    success: AtomicU64,
    failed: AtomicU64,
    fast: AtomicU64,
    slow: AtomicU64,
}

const BEGUN: u64 = 1 << 32;
/// Buckets in a window, as an age.
const WINDOW: i32 = (BUCKETS as u32).cast_signed();

// ===== impl Window: written by its owner alone =====

impl Window {
    /// Whether `now` still falls into the current bucket of this very window: nearly always.
    #[inline]
    pub(super) fn is_in(&self, stamp: u64, now: Tick) -> bool {
        self.stamp.load(Ordering::Relaxed) == stamp
            && now.as_nanos() < self.until.load(Ordering::Relaxed)
    }

    /// Whether another writer, as the overflow shard has them, has come with a later frame.
    #[inline]
    pub(super) fn is_ahead_of(&self, stamp: u64) -> bool {
        let known = self.stamp.load(Ordering::Relaxed);
        known != stamp && Face::stamp_precedes(stamp, known)
    }

    /// Begins the bucket that `now` falls into; `note` keeps what else is counted by buckets.
    pub(super) fn begin(&self, frame: Frame, now: Tick, note: impl FnOnce(usize)) {
        if self.stamp.load(Ordering::Relaxed) != frame.stamp {
            self.start_over(frame.stamp);
        }
        let number = frame.bucket(now);
        let place = cell::place(number);
        let ends = (now.as_nanos() / frame.width + 1).saturating_mul(frame.width);
        // A bucket that is gone on with keeps its mark.
        if get(&self.marks[place].bucket) == BEGUN | u64::from(number) {
            self.bucket.store(number.into(), Ordering::Release);
            set(&self.limit, 0);
            return self.until.store(ends, Ordering::Relaxed);
        }
        for (at, mark) in self.marks.iter().enumerate() {
            let age = number.wrapping_sub(mark.bucket.load(Ordering::Relaxed) as u32);
            if at == place || age >= BUCKETS as u32 {
                mark.bucket.store(0, Ordering::Relaxed);
            }
        }
        let mark = &self.marks[place];
        // Release, as in `set`: whoever reads what is noted now finds the mark taken off, or on
        // again, but not as it was.
        set(&mark.success, get(&self.success));
        set(&mark.failed, get(&self.failed));
        set(&mark.fast, get(&self.fast));
        set(&mark.slow, get(&self.slow));
        note(place);
        mark.bucket.store(BEGUN | u64::from(number), Ordering::Release);
        self.bucket.store(number.into(), Ordering::Release);
        // A bucket leaves the window, and with it perhaps what kept a rule from firing.
        set(&self.limit, 0);
        self.until.store(ends, Ordering::Relaxed);
    }

    #[cold]
    fn start_over(&self, stamp: u64) {
        for mark in &self.marks {
            mark.bucket.store(0, Ordering::Relaxed);
        }
        if let Some(durations) = self.durations.get() {
            durations.clear();
        }
        set(&self.base, get(&self.success) + get(&self.failed));
        // Release: pairs with the acquire in `is_of`, so whoever sees the stamp sees no older mark.
        self.stamp.store(stamp, Ordering::Release);
    }

    /// Adds to the current bucket how long a call took.
    pub(super) fn took(&self, took: Duration) {
        let bucket = self.bucket.load(Ordering::Relaxed) as u32;
        self.durations.get_or_make().add(bucket, took);
    }

    /// Counts a failure, and says how many that makes.
    #[inline]
    pub(super) fn fail(&self) -> u64 {
        let failed = self.failed.load(Ordering::Relaxed) + 1;
        set(&self.failed, failed);
        failed
    }

    /// Whether the failure just counted was within the slack. Counting it has used it up.
    #[inline]
    pub(super) fn had_slack(&self, version: u64) -> bool {
        self.failed.load(Ordering::Relaxed) <= self.limit.load(Ordering::Relaxed)
            && self.version.load(Ordering::Relaxed) == version
    }

    /// Takes one from the slack for something that was no failure, if there is any.
    pub(super) fn spend(&self, version: u64) -> bool {
        let some = self.slack(version) != 0;
        if some {
            set(&self.limit, self.limit.load(Ordering::Relaxed) - 1);
        }
        some
    }

    /// Grants slack within the bucket that `now` falls into, if that is the current one.
    pub(super) fn grant(&self, frame: Frame, now: Tick, version: u64, slack: u64) {
        if self.is_of(frame) && get(&self.bucket) == u64::from(frame.bucket(now)) {
            set(&self.version, version);
            set(&self.limit, get(&self.failed).saturating_add(slack));
        }
    }
}

// ===== impl Window: from and to a lighter record =====

impl Window {
    /// Goes on with so many successes, of which so many ended in the window, and with what each of
    /// its buckets holds of them, the newest first.
    pub(super) fn resume(
        &self,
        (stamp, newest): (u64, u32),
        (success, ends): (u64, u64),
        buckets: impl Iterator<Item = (u32, u8)>,
    ) {
        set(&self.stamp, stamp);
        set(&self.success, success);
        set(&self.base, success.saturating_sub(ends));
        set(&self.bucket, newest.into());
        let mut begun_at = success;
        for (number, count) in buckets.filter(|(_, count)| *count > 0) {
            begun_at = begun_at.saturating_sub(count.into());
            let mark = &self.marks[cell::place(number)];
            set(&mark.bucket, BEGUN | u64::from(number));
            set(&mark.success, begun_at);
        }
    }

    /// All of them were timed, and fast.
    pub(super) fn resume_timed(&self) {
        set(&self.fast, get(&self.success));
        for mark in &self.marks {
            set(&mark.fast, get(&mark.success));
        }
    }

    /// Whether nothing was ever counted here.
    pub(super) fn is_unused(&self) -> bool {
        get(&self.stamp) == 0 && get(&self.failed) == 0
    }

    /// The newest bucket, and whether calls are timed: if this window has seen only successes, all
    /// of them fast or none of them timed, and its buckets one after the other.
    pub(super) fn is_simple(&self, stamp: u64) -> Option<(u32, bool)> {
        let bad = get(&self.failed) != 0 || get(&self.slow) != 0;
        if bad || get(&self.stamp) != stamp || self.durations.get().is_some() {
            return None;
        }
        let timed = match get(&self.fast) {
            0 => false,
            fast if fast == get(&self.success) => true,
            _ => return None,
        };
        let newest = get(&self.bucket) as u32;
        let in_order = self.marks.iter().filter(|mark| get(&mark.bucket) != 0).all(|mark| {
            // One that is ahead was written by a thread that had read the clock later.
            let age = newest.wrapping_sub(get(&mark.bucket) as u32).cast_signed();
            age >= 0 && (!timed || get(&mark.fast) == get(&mark.success))
        });
        in_order.then_some((newest, timed))
    }

    /// Successes of this one bucket, if it is in [order](Self::is_simple).
    pub(super) fn successes_of(&self, number: u32) -> u64 {
        let mark = &self.marks[cell::place(number)];
        if get(&mark.bucket) != BEGUN | u64::from(number) {
            return 0;
        }
        let from = get(&mark.success);
        let later = self.marks.iter().filter(|other| {
            let age = (get(&other.bucket) as u32).wrapping_sub(number).cast_signed();
            get(&other.bucket) != 0 && age > 0
        });
        let to = later.map(|mark| get(&mark.success)).min().unwrap_or(get(&self.success));
        to.saturating_sub(from)
    }
}

// ===== impl Window: read by others =====

impl Window {
    pub(super) fn is_of(&self, frame: Frame) -> bool {
        self.stamp.load(Ordering::Acquire) == frame.stamp
    }

    fn slack(&self, version: u64) -> u64 {
        // A failure uses slack up by being counted. So whoever finds this much left finds all
        // failures that had some before in the counters, too.
        let left = get(&self.limit).saturating_sub(get(&self.failed));
        if get(&self.version) == version { left } else { 0 }
    }

    /// Slack that may still be used within the bucket `newest`, or in a later one.
    pub(super) fn granted(&self, newest: u32, version: u64) -> u64 {
        let late = newest.wrapping_sub(get(&self.bucket) as u32).cast_signed() > 0;
        if late { 0 } else { self.slack(version) }
    }

    /// Calls that ended since the marks last started over.
    pub(super) fn ends(&self) -> u64 {
        (get(&self.success) + get(&self.failed)).saturating_sub(get(&self.base))
    }

    /// How long the calls took in the window whose newest bucket is `newest`, in nanoseconds.
    pub(super) fn took_in(&self, newest: u32) -> u64 {
        self.durations.get().map_or(0, |durations| durations.sum(newest))
    }

    /// Success, failed, fast and slow in the window whose newest bucket is `newest`.
    pub(super) fn counts(&self, newest: u32) -> [u64; 4] {
        self.within(
            newest,
            |place| {
                let mark = &self.marks[place];
                [&mark.success, &mark.failed, &mark.fast, &mark.slow].map(get)
            },
            || [&self.success, &self.failed, &self.fast, &self.slow].map(get),
        )
    }

    /// By how much some counters have grown within the window. `at` says what they stood at when
    /// the bucket at a place began, `present` what they stand at now.
    ///
    /// As with [`cell::live`], buckets ahead of `newest` by less than a window count, too: another
    /// thread's reading of the clock was later than ours.
    pub(super) fn within<const N: usize>(
        &self,
        newest: u32,
        at: impl Fn(usize) -> [u64; N],
        present: impl FnOnce() -> [u64; N],
    ) -> [u64; N] {
        // The oldest bucket in the window, and the first one beyond it: by age and counters.
        let (mut first, mut beyond) = (None, None);
        for (place, mark) in self.marks.iter().enumerate() {
            let begun = get(&mark.bucket);
            let age = newest.wrapping_sub(begun as u32).cast_signed();
            if begun == 0 || age >= WINDOW {
                continue;
            }
            let counts = at(place);
            // What is read of a bucket that is just being replaced belongs to neither; the older
            // of them has then left the window.
            if get(&mark.bucket) != begun {
                continue;
            }
            let oldest = if age > -WINDOW { &mut first } else { &mut beyond };
            if oldest.is_none_or(|(known, _)| known < age) {
                *oldest = Some((age, counts));
            }
        }
        let present = present();
        let Some((_, from)) = first else { return [0; N] };
        let to = beyond.map_or(present, |(_, counts)| counts);
        std::array::from_fn(|n| to[n].saturating_sub(from[n]))
    }
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::super::add;
    use super::*;

    const WIDTH: u64 = 1_000;

    fn frame(stamp: u64) -> Frame {
        Frame { stamp, width: WIDTH }
    }

    fn at(bucket: u64) -> Tick {
        Tick::from_nanos(bucket * WIDTH)
    }

    /// Successes at these buckets.
    fn succeed(window: &Window, buckets: impl IntoIterator<Item = u64>) {
        for bucket in buckets {
            if !window.is_in(1, at(bucket)) {
                window.begin(frame(1), at(bucket), |_| ());
            }
            add(&window.success);
        }
    }

    fn success(window: &Window, newest: u64) -> u64 {
        window.counts(newest as u32)[0]
    }

    #[test]
    fn slides_by_tenths_and_never_back() {
        let window = Window::default();
        succeed(&window, [100, 100, 105, 109]);
        assert_eq!(success(&window, 109), 4);
        assert_eq!(success(&window, 110), 2, "both of bucket 100 have left");
        assert_eq!(success(&window, 118), 1);
        assert_eq!(success(&window, 119), 0);
        succeed(&window, [50]);
        assert_eq!(success(&window, 109), 5, "a clock that steps back moves no bucket back");
        assert_eq!(window.ends(), 5);
    }

    #[test]
    fn buckets_a_window_ahead_do_not_count_and_those_before_do() {
        let window = Window::default();
        succeed(&window, [100, 103, 103, 109]);
        assert_eq!(success(&window, 95), 3, "109 is too far ahead");
        assert_eq!(success(&window, 91), 1);
        assert_eq!(success(&window, 90), 0);
    }

    #[test]
    fn what_was_left_alone_for_long_is_old_and_not_ahead() {
        let window = Window::default();
        succeed(&window, [7]);
        for later in [10, 1 << 31, (1 << 31) + 100, u64::from(u32::MAX) - 100] {
            assert_eq!(success(&window, 7 + later), 0, "{later} buckets later");
        }
        let wide = (1 << 31) + 100;
        succeed(&window, [wide]);
        assert_eq!(success(&window, wide), 1);
    }

    #[test]
    fn slack_is_used_up_under_its_version_within_its_bucket() {
        let window = Window::default();
        let fail = |version| {
            add(&window.failed);
            window.had_slack(version)
        };
        succeed(&window, [5]);
        window.grant(frame(1), at(6), 3, 9);
        assert!(!fail(3), "the window is not in bucket 6");
        window.grant(frame(1), at(5), 3, 4);
        assert_eq!((window.granted(5, 3), window.granted(5, 4), window.granted(6, 3)), (4, 0, 0));
        assert!(fail(3) && !fail(4));
        assert!(window.spend(3) && !window.spend(4), "a slow call takes its part");
        assert!(fail(3) && !fail(3) && !window.spend(3));
        window.grant(frame(1), at(5), 3, 4);
        succeed(&window, [6]);
        assert!(!fail(3), "what was granted in bucket 5 is void in bucket 6");
    }
}
