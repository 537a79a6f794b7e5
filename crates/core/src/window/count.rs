//! The last so many calls.

use alloc::boxed::Box;
use alloc::vec;

use super::KindTally;
use crate::{Kind, Tally};

/// A sliding window over the last N calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountWindow {
    ends: Ring,
    speeds: Ring,
}

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
        CountWindow { ends: Ring::new(calls), speeds: Ring::new(calls) }
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

    pub(super) fn record_speed(&mut self, slow: bool) {
        self.speeds.push(u8::from(slow));
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            calls: self.ends.filled.into(),
            failures: self.ends.bad.into(),
            timed: self.speeds.filled.into(),
            slow: self.speeds.bad.into(),
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
        window.record_speed(true);
        window.record_end(None);
        assert_eq!(window.tally(), Tally { calls: 1, failures: 0, timed: 1, slow: 1 });
        window.record_speed(false);
        window.record_speed(false);
        assert_eq!(window.tally().slow, 0);
        assert_eq!(window.tally().timed, 2);
    }
}
