//! What a thread keeps of the failures it has seen.

use panelboard_core::window::KindTally;
use panelboard_core::window::cell::BUCKETS;
use panelboard_core::{Kind, Tick};

use super::{add, get, set};
use crate::sync::atomic::{AtomicU64, Ordering};

/// Errors a breaker shows.
pub(crate) const RECENT: usize = 20;

/// Enough of them, and a power of two, so that no failure has to ask where the ring ends.
const KEPT: usize = RECENT.next_power_of_two();

type Kinds = [AtomicU64; Kind::COUNT];
type Ring = [AtomicU64; KEPT];

/// Apart from the shard, for most threads never need it.
#[derive(Default)]
pub(super) struct Failures {
    /// By kind, those that voters met; ever.
    voters: Kinds,
    /// Packed [`Recent`]s of voters.
    recent: Ring,
    /// By kind, all others; ever.
    others: Kinds,
    recent_others: Ring,
    /// How many of `recent_others` there have been.
    next: AtomicU64,
    /// Those that said nothing, for a dependency was open.
    excused: AtomicU64,
    /// What `voters` stood at when each bucket of the window began.
    marks: [Kinds; BUCKETS],
}

/// A failure as remembered where nobody said more of it than its kind.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Recent {
    pub(crate) at: Tick,
    pub(crate) kind: Kind,
}

// ===== impl Failures =====

impl Failures {
    /// Counts what a voter met, by the index of its kind.
    #[inline]
    pub(super) fn count(&self, place: usize) {
        add(&self.voters[place]);
    }

    /// Remembers it; it is the `nth`.
    #[inline]
    pub(super) fn remember(&self, code: u8, now: Tick, nth: u64) {
        put(&self.recent, nth, pack(code, now));
    }

    pub(super) fn count_other(&self, kind: Kind) {
        add(&self.others[kind.index()]);
    }

    pub(super) fn remember_other(&self, kind: Kind, now: Tick) {
        put(&self.recent_others, get(&self.next), pack(kind.code(), now));
        add(&self.next);
    }

    pub(super) fn excuse(&self) {
        add(&self.excused);
    }

    pub(super) fn excused(&self) -> u64 {
        get(&self.excused)
    }

    /// A bucket of the window begins.
    pub(super) fn note(&self, place: usize) {
        for (mark, count) in self.marks[place].iter().zip(&self.voters) {
            set(mark, get(count));
        }
    }

    /// What voters met, as it stood when a bucket began.
    pub(super) fn at(&self, place: usize) -> KindTally {
        self.marks[place].each_ref().map(get)
    }

    /// What voters met.
    pub(super) fn present(&self) -> KindTally {
        self.voters.each_ref().map(get)
    }

    /// All of them, ever.
    pub(super) fn total(&self) -> KindTally {
        std::array::from_fn(|kind| get(&self.voters[kind]) + get(&self.others[kind]))
    }

    pub(super) fn recent(&self) -> impl Iterator<Item = Recent> {
        let words = self.recent.iter().chain(&self.recent_others);
        words.filter_map(|word| Recent::unpack(word.load(Ordering::Relaxed)))
    }
}

#[inline]
fn put(ring: &Ring, nth: u64, word: u64) {
    ring[nth as usize % KEPT].store(word, Ordering::Relaxed);
}

// ===== impl Recent =====

/// A time takes 55 bits in units of 512 ns: which is 584 years, as in a tick.
const UNIT_BITS: u32 = 9;

/// The time, then the kind's code, then a 1 so that no packed failure is the empty word.
#[inline]
fn pack(code: u8, at: Tick) -> u64 {
    at.as_nanos() >> UNIT_BITS << UNIT_BITS | u64::from(code) << 1 | 1
}

impl Recent {
    fn unpack(word: u64) -> Option<Recent> {
        let kind = Kind::from_code((word >> 1) as u8);
        let at = Tick::from_nanos(word >> UNIT_BITS << UNIT_BITS);
        (word != 0).then_some(Recent { at, kind })
    }
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_to_the_microsecond() {
        for (nanos, kind) in [(0, Kind::Connect), (u64::MAX, Kind::from_code(255))] {
            let found = Recent::unpack(pack(kind.code(), Tick::from_nanos(nanos))).unwrap();
            assert_eq!((found.at.as_nanos(), found.kind), (nanos / 512 * 512, kind));
        }
        assert_eq!(Recent::unpack(0), None);
    }

    #[test]
    fn only_the_last_are_remembered() {
        let failures = Failures::default();
        for n in 0..KEPT as u64 + 3 {
            failures.remember(Kind::Timeout.code(), Tick::from_nanos(n * 1_024), n);
            failures.remember_other(Kind::Timeout, Tick::from_nanos(n * 1_024));
        }
        let oldest = failures.recent().map(|recent| recent.at.as_nanos()).min();
        assert_eq!((failures.recent().count(), oldest), (2 * KEPT, Some(3 * 1_024)));
    }
}
