//! The one word that threads share while a closed breaker sees failures.
//!
//! It holds the failures in a row, and how many more bad events the window rules can take before
//! one of them might fire (the [slack](panelboard_core::rules::slack)). So a failure below the
//! threshold costs one compare-and-swap, and the window is summed up only when it matters.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Failures in a row and slack of one closed phase.
pub(crate) struct Streak(AtomicU64);

/// The word, unpacked. Generation and bucket are cut to their low bits: a stale writer would have
/// to sleep through exactly 2²⁰ phases to be mistaken for a current one, and a bucket mistaken for
/// one 65,536 before it costs at most a judgement that comes one bucket late.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Word {
    generation: u32,
    streak: u16,
    slack: u16,
    bucket: u16,
}

/// What a bad event calls for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Nothing: no rule can fire yet.
    Wait,
    /// Ask the rules, and answer with [`Streak::grant`].
    Judge(Judging),
    /// The phase is over.
    Stale,
}

/// A judgement under way.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Judging {
    pub(crate) streak: u32,
    word: u64,
}

const GENERATION_BITS: u32 = 20;
const STREAK_AT: u32 = 28;
const STREAK_MASK: u64 = 0xffff << STREAK_AT;
const SLACK_BITS: u32 = 12;
const MAX_SLACK: u16 = (1 << SLACK_BITS) - 1;

// ===== impl Streak =====

impl Streak {
    pub(crate) fn new(generation: u64) -> Streak {
        Streak(AtomicU64::new(Word::of(generation, 0).pack()))
    }

    /// Failures in a row.
    pub(crate) fn get(&self) -> u32 {
        Word::unpack(self.0.load(Ordering::Acquire)).streak.into()
    }

    /// Counting starts over at `streak`: in a new phase at 0.
    pub(crate) fn restart(&self, generation: u64, streak: u32) {
        // A swap, for it takes its place among the updates of other threads, which are
        // read-modify-writes too. AcqRel: pairs with those.
        self.0.swap(Word::of(generation, streak).pack(), Ordering::AcqRel);
    }

    /// The thresholds have changed: the next bad event asks the rules.
    pub(crate) fn forget_slack(&self) {
        self.update(|word| Some(Word { slack: 0, ..word }));
    }

    /// A success ends the streak. Nothing is written if there is none.
    #[inline]
    pub(crate) fn end(&self, generation: u64) {
        if self.0.load(Ordering::Acquire) & STREAK_MASK != 0 {
            self.end_one(generation);
        }
    }

    #[cold]
    fn end_one(&self, generation: u64) {
        self.update(|word| {
            (word.is_of(generation) && word.streak != 0).then_some(Word { streak: 0, ..word })
        });
    }

    /// A failure, or a slow call. `threshold` is that of the consecutive rule; `bucket` is the
    /// current one, if a window rule is at work.
    #[inline]
    pub(crate) fn bad(
        &self,
        generation: u64,
        failure: bool,
        threshold: Option<u16>,
        bucket: Option<u32>,
    ) -> Next {
        let mut next = Next::Stale;
        self.update(|word| {
            if !word.is_of(generation) {
                next = Next::Stale;
                return None;
            }
            let mut word = word;
            if failure {
                word.streak = word.streak.saturating_add(1);
            }
            let mut judge = failure && threshold.is_some_and(|most| word.streak >= most);
            if let Some(bucket) = bucket.map(|bucket| bucket as u16) {
                // A slack holds within its bucket: when one leaves the window, all bets are off.
                word.slack = if word.bucket == bucket { word.slack } else { 0 };
                word.bucket = bucket;
                judge |= word.slack == 0;
                word.slack = word.slack.saturating_sub(1);
            }
            next = match judge {
                true => Next::Judge(Judging { streak: word.streak.into(), word: word.pack() }),
                false => Next::Wait,
            };
            Some(word)
        });
        next
    }

    /// No rule fired, and the `slack`th bad event from now is the next that might do it.
    ///
    /// If another bad event came in between, it may or may not be part of what was judged: then
    /// nothing is granted, and the next one is judged again.
    pub(crate) fn grant(&self, judging: Judging, slack: u64) {
        let free = u16::try_from(slack.saturating_sub(1)).unwrap_or(MAX_SLACK).min(MAX_SLACK);
        let granted = Word { slack: free, ..Word::unpack(judging.word) }.pack();
        // Failing is fine, see above. Release: pairs with the acquire in `update`.
        let _ =
            self.0.compare_exchange(judging.word, granted, Ordering::Release, Ordering::Relaxed);
    }

    /// The only loop over this word. Acquire and release pair with each other: who sees a bad
    /// event here sees it in the shard it was recorded in before.
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
    fn of(generation: u64, streak: u32) -> Word {
        let generation = generation as u32 & ((1 << GENERATION_BITS) - 1);
        Word { generation, streak: streak.try_into().unwrap_or(u16::MAX), slack: 0, bucket: 0 }
    }

    fn is_of(self, generation: u64) -> bool {
        self.generation == Word::of(generation, 0).generation
    }

    fn pack(self) -> u64 {
        u64::from(self.generation) << 44
            | u64::from(self.streak) << STREAK_AT
            | u64::from(self.slack) << 16
            | u64::from(self.bucket)
    }

    fn unpack(word: u64) -> Word {
        Word {
            generation: (word >> 44) as u32,
            streak: (word >> STREAK_AT) as u16,
            slack: (word >> 16) as u16 & MAX_SLACK,
            bucket: word as u16,
        }
    }
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::*;

    fn bad(streak: &Streak, bucket: u32) -> Next {
        streak.bad(1, true, None, Some(bucket))
    }

    #[test]
    fn words_keep_what_they_are_given() {
        let word = Word { generation: 0xf_ffff, streak: 65_535, slack: 4_095, bucket: 65_535 };
        assert_eq!(Word::unpack(word.pack()), word);
        let word = Word { generation: 1, streak: 0, slack: 4_095, bucket: 0 };
        assert_eq!(Word::unpack(word.pack()), word);
    }

    #[test]
    fn a_granted_slack_is_counted_down_within_its_bucket() {
        let streak = Streak::new(1);
        let Next::Judge(judging) = bad(&streak, 5) else { panic!("no slack yet") };
        streak.grant(judging, 3);
        assert_eq!(bad(&streak, 5), Next::Wait);
        assert_eq!(bad(&streak, 5), Next::Wait);
        assert!(matches!(bad(&streak, 5), Next::Judge(Judging { streak: 4, .. })));
        let Next::Judge(judging) = bad(&streak, 6) else { panic!("a new bucket") };
        streak.grant(judging, 100);
        assert_eq!(bad(&streak, 6), Next::Wait);
        assert!(matches!(bad(&streak, 7), Next::Judge(_)), "the slack was that of bucket 6");
    }

    #[test]
    fn a_grant_is_void_after_another_bad_event() {
        let streak = Streak::new(1);
        let Next::Judge(judging) = bad(&streak, 5) else { panic!("no slack yet") };
        assert!(matches!(bad(&streak, 5), Next::Judge(_)));
        streak.grant(judging, 100);
        assert!(matches!(bad(&streak, 5), Next::Judge(_)));
    }

    #[test]
    fn the_consecutive_rule_is_asked_at_its_threshold() {
        let streak = Streak::new(1);
        assert_eq!(streak.bad(1, true, Some(2), None), Next::Wait);
        streak.end(1);
        assert_eq!(streak.bad(1, true, Some(2), None), Next::Wait);
        assert!(matches!(streak.bad(1, true, Some(2), None), Next::Judge(_)));
        assert_eq!(streak.get(), 2);
    }

    #[test]
    fn b3_a_result_of_another_generation_changes_nothing() {
        let streak = Streak::new(2);
        assert_eq!(streak.bad(1, true, Some(1), None), Next::Stale);
        assert_eq!(streak.get(), 0);
        assert_eq!(streak.bad(2, true, Some(9), None), Next::Wait);
        streak.end(1);
        assert_eq!(streak.get(), 1, "a stale success does not end the streak");
    }
}
