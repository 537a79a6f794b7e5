//! The last so many calls.

use alloc::boxed::Box;
use alloc::vec;
use core::time::Duration;

use super::KindTally;
use crate::time::nanos;
use crate::{Kind, Tally, limits};

/// A sliding window over the last N calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountWindow {
    ends: Ring,
    speeds: Ring,
    took: Took,
}

/// How long the calls in `speeds` took, place by place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Took {
    /// Allocated with the first duration: most windows have none.
    nanos: Option<Box<[u64]>>,
    sum: u64,
}

/// A call that took longer counts as one of this length (51 hours), so that no sum overflows.
const LONGEST_CALL: u64 = u64::MAX / *limits::WINDOW_CALLS.end() as u64;

/// The last N marks; 0 stands for the good one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Ring {
    /// Allocated with the first mark: a breaker that is never called costs nothing.
    marks: Option<Box<[u8]>>,
    capacity: u32,
    next: u32,
    filled: u32,
    bad: u32,
}

const GOOD: u8 = 0;

// ===== impl CountWindow =====

impl CountWindow {
    /// An empty window over this many calls.
    pub fn new(calls: u32) -> CountWindow {
        CountWindow { ends: Ring::new(calls), speeds: Ring::new(calls), took: Took::default() }
    }

    /// How many calls it looks back over.
    pub fn capacity(&self) -> u32 {
        self.ends.capacity
    }

    /// Whether as many calls as it looks back over have ended since it was last empty.
    pub fn is_full(&self) -> bool {
        self.ends.filled == self.ends.capacity
    }

    /// Whether one more success (and, if `timed`, one more fast call) would change nothing: the
    /// window is already full of them.
    pub fn is_saturated_with_success(&self, timed: bool) -> bool {
        self.ends.is_all_good() && (!timed || self.speeds.is_all_good())
    }

    pub(super) fn record_end(&mut self, failure: Option<Kind>) {
        self.ends.push(failure.map_or(GOOD, |kind| kind.index() as u8 + 1));
    }

    pub(super) fn record_speed(&mut self, slow: bool, took: Option<Duration>) {
        self.took.put(&self.speeds, took);
        self.speeds.push(u8::from(slow));
    }

    /// Adds to what calls took. It leaves with the newest call: whose it was is not known.
    pub(super) fn add(&mut self, beyond: Duration) {
        self.took.add(&self.speeds, beyond);
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            calls: self.ends.filled.into(),
            failures: self.ends.bad.into(),
            timed: self.speeds.filled.into(),
            slow: self.speeds.bad.into(),
            took: Duration::from_nanos(self.took.sum),
        }
    }

    pub(super) fn kinds(&self) -> KindTally {
        let mut tally = KindTally::default();
        for mark in self.ends.marks.iter().flatten().filter(|mark| **mark != GOOD) {
            tally[usize::from(*mark) - 1] += 1;
        }
        tally
    }
}

// ===== impl Took =====

impl Took {
    /// For the call that `ring` is about to take in.
    fn put(&mut self, ring: &Ring, took: Option<Duration>) {
        if took.is_none() && self.nanos.is_none() {
            return;
        }
        let places =
            self.nanos.get_or_insert_with(|| vec![0; ring.capacity as usize].into_boxed_slice());
        let place = &mut places[ring.next as usize];
        self.sum -= *place;
        *place = took.map_or(0, nanos).min(LONGEST_CALL);
        self.sum += *place;
    }

    /// To the call that `ring` took in last; nothing if there is none.
    fn add(&mut self, ring: &Ring, beyond: Duration) {
        if let Some(places) = &mut self.nanos {
            let newest = (ring.next + ring.capacity - 1) % ring.capacity;
            let place = &mut places[newest as usize];
            self.sum -= *place;
            *place = place.saturating_add(nanos(beyond)).min(LONGEST_CALL);
            self.sum += *place;
        }
    }
}

// ===== impl Ring =====

impl Ring {
    fn new(capacity: u32) -> Ring {
        Ring { marks: None, capacity, next: 0, filled: 0, bad: 0 }
    }

    fn is_all_good(&self) -> bool {
        self.filled == self.capacity && self.bad == 0
    }

    fn push(&mut self, mark: u8) {
        let marks =
            self.marks.get_or_insert_with(|| vec![GOOD; self.capacity as usize].into_boxed_slice());
        let place = &mut marks[self.next as usize];
        // Places not yet filled hold GOOD, so forgetting them subtracts nothing.
        self.bad -= u32::from(*place != GOOD);
        self.bad += u32::from(mark != GOOD);
        *place = mark;
        self.filled = (self.filled + 1).min(self.capacity);
        self.next = (self.next + 1) % self.capacity;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_call() {
        let mut window = CountWindow::new(3);
        window.record_end(Some(Kind::Timeout));
        window.record_end(None);
        window.record_end(None);
        assert!(window.is_full());
        assert_eq!(window.tally().failures, 1);
        assert_eq!(window.kinds()[Kind::Timeout.index()], 1);
        window.record_end(None);
        assert_eq!(window.tally().failures, 0);
        assert_eq!(window.tally().calls, 3);
        assert!(window.is_saturated_with_success(false));
        assert!(!window.is_saturated_with_success(true), "no call was timed yet");
    }

    #[test]
    fn fast_and_failed_are_counted_apart() {
        let mut window = CountWindow::new(2);
        window.record_speed(true, None);
        window.record_end(None);
        let expected = Tally { calls: 1, timed: 1, slow: 1, ..Tally::default() };
        assert_eq!(window.tally(), expected);
        window.record_speed(false, None);
        window.record_speed(false, None);
        assert_eq!(window.tally().slow, 0);
        assert_eq!(window.tally().timed, 2);
    }

    #[test]
    fn what_is_added_later_leaves_with_the_newest_call() {
        let mut window = CountWindow::new(3);
        for newest in 1_u64..8 {
            window.record_speed(true, Some(Duration::from_secs(newest)));
            window.add(Duration::from_secs(100 * newest));
            let last_three: u64 = (1..=newest).rev().take(3).sum();
            assert_eq!(window.tally().took, Duration::from_secs(101 * last_three));
        }
    }

    #[test]
    fn durations_leave_with_their_calls_and_never_overflow() {
        let mut window = CountWindow::new(2);
        for secs in [8, 1, 3] {
            window.record_speed(false, Some(Duration::from_secs(secs)));
        }
        assert_eq!(window.tally().mean_latency(), Some(Duration::from_secs(2)));
        window.record_speed(false, None);
        assert_eq!(window.tally().took, Duration::from_secs(3), "not known counts as none");
        let most = *limits::WINDOW_CALLS.end();
        let mut window = CountWindow::new(most);
        for _ in 0..=most {
            window.record_speed(true, Some(Duration::MAX));
        }
        assert!(window.tally().took > Duration::from_secs(500 * 365 * 86_400));
    }
}
