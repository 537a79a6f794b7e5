//! Failures in a row.
//!
//! One word for all threads, which is only read while nothing fails. If a rule counts failures in a
//! row, they are counted here, by compare-and-swap: the threshold bounds how often. If none does,
//! failures may go on for as long as they like, so each thread counts its own part of the *run* in its
//! shard, and this word only names the run. Either way a success ends it by naming another.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Failures in a row of one closed phase.
pub(crate) struct Streak(AtomicU64);

/// The word, unpacked. Generation and run are cut to their low bits: a stale writer would have to
/// sleep through exactly 2²⁰ phases to be mistaken for a current one, and what a thread counted
/// exactly 2²⁰ runs ago would show in the figure of a streak that no rule looks at.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Word {
    generation: u32,
    run: u32,
    /// Whether threads have counted failures of this run in their shards.
    shared_out: bool,
    /// Failures counted here.
    count: u16,
}

const GENERATION_BITS: u32 = 20;
const RUN_BITS: u32 = 20;
const GENERATION_AT: u32 = 44;
const RUN_AT: u32 = 24;
const SHARED_OUT_AT: u32 = 16;
const SHARED_OUT: u64 = 1 << SHARED_OUT_AT;
/// All that is zero while there is no streak.
const ANY: u64 = SHARED_OUT | 0xffff;

// ===== impl Streak =====

impl Streak {
    pub(crate) fn new(generation: u64) -> Streak {
        Streak(AtomicU64::new(Word::of(generation, 0, 0).pack()))
    }

    /// Failures in a row; `counted` says how many of a run are in the shards.
    pub(crate) fn get(&self, counted: impl Fn(u64) -> u64) -> u32 {
        Word::unpack(self.0.load(Ordering::Acquire)).total(counted)
    }

    /// Counting starts over at `streak`: in a new phase at 0.
    pub(crate) fn restart(&self, generation: u64, streak: u32) {
        self.update(|word| Some(Word::of(generation, word.run + 1, streak)));
    }

    /// Brings what the shards have counted in here: from now on a rule looks at it.
    ///
    /// A failure that another thread is counting in its shard at this moment may be missed.
    pub(crate) fn gather(&self, counted: impl Fn(u64) -> u64) {
        self.update(|word| {
            let total = word.total(&counted);
            word.shared_out.then(|| Word::of(word.generation.into(), word.run + 1, total))
        });
    }

    /// A success ends the streak. Nothing is written if there is none.
    #[inline]
    pub(crate) fn end(&self, generation: u64) {
        if self.0.load(Ordering::Acquire) & ANY != 0 {
            self.end_one(generation);
        }
    }

    #[cold]
    fn end_one(&self, generation: u64) {
        self.update(|word| {
            let ends = word.is_of(generation) && word.pack() & ANY != 0;
            ends.then(|| Word::of(generation, word.run + 1, 0))
        });
    }

    /// Counts a failure for the consecutive rule, and says how many that makes; `None` if the phase
    /// is over.
    #[inline]
    pub(crate) fn count(&self, generation: u64) -> Option<u32> {
        let mut count = None;
        self.update(|word| {
            let more = Word { count: word.count.saturating_add(1), ..word };
            count = word.is_of(generation).then_some(more.count.into());
            count.map(|_| more)
        });
        count
    }

    /// Whether this is the run that is being counted in the shards now.
    #[inline]
    pub(crate) fn is_run(&self, run: u64) -> bool {
        // All but the count, of which at most what was gathered remains.
        self.0.load(Ordering::Acquire) >> SHARED_OUT_AT == run
    }

    /// The run that a failure belongs to, to be counted in the thread's shard from now on; `None`
    /// if the phase is over.
    pub(crate) fn run(&self, generation: u64) -> Option<u64> {
        let mut run = None;
        self.update(|word| {
            run = word.is_of(generation).then(|| word.run());
            run.filter(|_| !word.shared_out).map(|_| Word { shared_out: true, ..word })
        });
        run
    }

    /// The only loop over this word. Acquire and release pair with each other: who sees a failure
    /// here sees it in the shard it was recorded in before.
    #[inline]
    fn update(&self, mut change: impl FnMut(Word) -> Option<Word>) {
        let mut seen = self.0.load(Ordering::Acquire);
        while let Some(wanted) = change(Word::unpack(seen)) {
            let wanted = wanted.pack();
            match self.0.compare_exchange_weak(seen, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

// ===== impl Word =====

impl Word {
    fn of(generation: u64, run: u32, streak: u32) -> Word {
        Word {
            generation: generation as u32 & ((1 << GENERATION_BITS) - 1),
            run: run & ((1 << RUN_BITS) - 1),
            shared_out: false,
            count: streak.try_into().unwrap_or(u16::MAX),
        }
    }

    fn is_of(self, generation: u64) -> bool {
        self.generation == generation as u32 & ((1 << GENERATION_BITS) - 1)
    }

    /// What names the run once it is shared out, and is nothing that an untouched shard holds.
    fn run(self) -> u64 {
        (self.pack() | SHARED_OUT) >> SHARED_OUT_AT
    }

    fn total(self, counted: impl Fn(u64) -> u64) -> u32 {
        let counted = if self.shared_out { counted(self.run()) } else { 0 };
        u32::try_from(counted).unwrap_or(u32::MAX).saturating_add(self.count.into())
    }

    #[inline]
    fn pack(self) -> u64 {
        u64::from(self.generation) << GENERATION_AT
            | u64::from(self.run) << RUN_AT
            | if self.shared_out { SHARED_OUT } else { 0 }
            | u64::from(self.count)
    }

    #[inline]
    fn unpack(word: u64) -> Word {
        Word {
            generation: (word >> GENERATION_AT) as u32,
            run: (word >> RUN_AT) as u32 & ((1 << RUN_BITS) - 1),
            shared_out: word & SHARED_OUT != 0,
            count: word as u16,
        }
    }
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn none(_: u64) -> u64 {
        0
    }

    #[test]
    fn words_keep_what_they_are_given() {
        for shared_out in [true, false] {
            let (generation, run) = (0xf_ffff, 0xf_ffff);
            let word = Word { generation, run, shared_out, count: 65_535 };
            assert_eq!(Word::unpack(word.pack()), word);
            let word = Word { generation: 1, run: 0, shared_out, count: 0 };
            assert_eq!(Word::unpack(word.pack()), word);
        }
    }

    #[test]
    fn failures_in_a_row_are_counted_until_a_success() {
        let streak = Streak::new(1);
        assert_eq!((streak.count(1), streak.count(1), streak.get(none)), (Some(1), Some(2), 2));
        streak.end(1);
        assert_eq!((streak.get(none), streak.count(1)), (0, Some(1)));
        streak.restart(2, 7);
        assert_eq!(streak.count(2), Some(8));
    }

    #[test]
    fn a_run_is_the_same_until_a_success_and_never_again() {
        let streak = Streak::new(1);
        let run = streak.run(1).unwrap();
        assert!(streak.run(1) == Some(run) && streak.is_run(run));
        streak.end(1);
        assert!(!streak.is_run(run) && !streak.is_run(0));
        let next = streak.run(1).unwrap();
        assert_ne!(next, run);
        streak.restart(2, 0);
        assert!(![run, next].contains(&streak.run(2).unwrap()));
    }

    #[test]
    fn what_the_shards_have_counted_is_gathered_once() {
        let (streak, shard) = (Streak::new(1), Cell::new((0, 0)));
        let counted = |run| if run == shard.get().0 { shard.get().1 } else { 0 };
        streak.count(1);
        shard.set((streak.run(1).unwrap(), 4));
        assert_eq!(streak.get(counted), 5);
        streak.gather(counted);
        assert_eq!((streak.get(counted), streak.count(1)), (5, Some(6)));
        streak.gather(counted);
        assert_eq!(streak.get(counted), 6);
    }

    #[test]
    fn b3_a_result_of_another_generation_changes_nothing() {
        let streak = Streak::new(2);
        assert_eq!((streak.count(1), streak.run(1), streak.get(none)), (None, None, 0));
        streak.count(2);
        streak.end(1);
        assert_eq!(streak.get(none), 1, "a stale success does not end the streak");
    }
}
