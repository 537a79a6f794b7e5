//! What a breaker shows to calls that pass without a lock.
//!
//! The state machine is a plain value behind a short lock. Whenever it changes, its holder
//! publishes a face: one word that says how calls are to be treated, and until when that holds.
//! Nearly every call is answered from the face alone.

use panelboard_core::{Mode, PhaseName, Reason, Settings, State, Tick};

use crate::claim::{self, Claim};
use crate::hot::{Recorder, weighs_behind_the_lock};
use crate::sync::atomic::{AtomicU64, Ordering};

/// The published face.
///
/// Its time does not fit into the word, and must not be taken for that of another face. So there
/// are two places for it, used in turn: the one a face points to is overwritten only after
/// another face has been shown.
pub(crate) struct FaceCell {
    word: AtomicU64,
    until: [AtomicU64; 2],
}

/// How calls are treated, in one word.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Face(u64);

/// What a refused call is told of a face: phase, reason and generation, in the same word.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) struct Told(u64);

/// What a call that wants through is told.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    /// Come in: its result will be weighed.
    Voter = 0,
    /// Come in, for nobody is refused; as long as the face holds.
    Bystander = 1,
    /// Stay out, as long as the face holds.
    Refuse = 2,
    /// Ask the state machine.
    Ask = 3,
}

// The word, from the lowest bit: door (2), whether results are weighed without the lock (1),
// whether calls are timed (1), whether results go to a time window in the shards (1), whether they
// are held against something behind the lock (1), phase (2), reason (3), place of the time (1),
// whether voters pass by a gate (1), epoch of the window (11), generation (40) as in a claim.
const DOOR: u64 = 0b11;
const WEIGHS: u64 = 1 << 2;
const TIMED: u64 = 1 << 3;
const WINDOWED: u64 = 1 << 4;
const LOCKED: u64 = 1 << 5;
const PHASE_AT: u32 = 6;
const REASON_AT: u32 = 8;
const PLACE_AT: u32 = 11;
/// The door would be [`Door::Voter`], but the breaker's parent has a say, too.
const GATED: u64 = 1 << 12;
const EPOCH_AT: u32 = 13;
const EPOCH_BITS: u32 = claim::GENERATION_AT - EPOCH_AT;
/// How many epochs of a phase can be told apart.
pub(crate) const EPOCHS: u16 = 1 << EPOCH_BITS;
const _: () = assert!(Reason::ALL.len() <= 8 && PhaseName::ALL.len() <= 4);

// ===== impl FaceCell =====

impl FaceCell {
    /// `gated` is whether it has a parent.
    pub(crate) fn new(state: &State, settings: &Settings, gated: bool, now: Tick) -> FaceCell {
        let (face, until) = Face::of(state, settings, (0, gated), now);
        let until = until.as_nanos();
        FaceCell {
            word: AtomicU64::new(face.0),
            until: [AtomicU64::new(until), AtomicU64::new(until)],
        }
    }

    /// Shows the state to calls. The caller holds the lock, so faces appear in order.
    /// The epoch names the window; the flag says whether the breaker has a parent.
    pub(crate) fn publish(
        &self,
        state: &State,
        settings: &Settings,
        (epoch, gated): (u16, bool),
        now: Tick,
    ) {
        let (face, until) = Face::of(state, settings, (epoch, gated), now);
        let shown = Face(self.word.load(Ordering::Relaxed));
        let place = 1 - shown.place();
        // Release, both: pairs with the acquires in `holds_until`.
        self.until[place].store(until.as_nanos(), Ordering::Release);
        self.word.store(face.0 | (place as u64) << PLACE_AT, Ordering::Release);
    }

    #[inline]
    pub(crate) fn load(&self) -> Face {
        Face(self.word.load(Ordering::Acquire))
    }

    /// Until when this face holds; `None` if another has been shown meanwhile.
    #[inline]
    pub(crate) fn holds_until(&self, face: Face) -> Option<Tick> {
        let until = self.until[face.place()].load(Ordering::Acquire);
        // A time written for a later face is written after a face other than this one was shown;
        // so whoever reads that time no longer reads this face here.
        (self.load() == face).then_some(Tick::from_nanos(until))
    }
}

// ===== impl Face =====

impl Face {
    fn of(
        state: &State,
        settings: &Settings,
        (epoch, gated): (u16, bool),
        now: Tick,
    ) -> (Face, Tick) {
        let mode = state.mode(settings);
        let closed = state.phase() == PhaseName::Closed;
        let over = state.override_until().unwrap_or(Tick::MAX);
        let paced = state.pace().until(now);
        // Which calls may is then for the state machine to count or to draw.
        let some = state.admits_some(settings);
        let only_throttles = state.only_throttles(settings, now);
        let (door, reason, until) = match (mode, state.refuses_until(settings, now)) {
            (Mode::ForcedOpen, _) => match state.override_until() {
                Some(until) => (Door::Refuse, Reason::Forced, until),
                None => (Door::Ask, Reason::Forced, Tick::MAX),
            },
            (Mode::ForcedClosed, _) => (Door::Bystander, Reason::Forced, over),
            // When the open phase is over but calls are still paced, the phase changes all the
            // same; so the face holds no longer than the phase.
            (Mode::Auto, Some(open)) if paced.is_none() => (Door::Refuse, Reason::Open, open),
            (Mode::Auto, None) if closed && paced.is_some() => {
                (Door::Refuse, Reason::Paced, paced.unwrap_or(Tick::ZERO))
            }
            (Mode::Auto | Mode::Observe, None) if closed && paced.is_none() && !some => {
                (Door::Voter, Reason::Open, Tick::MAX)
            }
            (Mode::Auto | Mode::Observe, None) if closed && paced.is_none() && only_throttles => {
                (Door::Ask, Reason::Throttled, Tick::MAX)
            }
            (Mode::Auto | Mode::Observe, _) => (Door::Ask, Reason::Open, Tick::MAX),
        };
        // While an override lets the machine decide, its end may come before the phase's, and a
        // face that lets voters through never looks at the clock: such calls ask.
        let lapses = state.override_until().is_some() && mode.weighs();
        let lapses = lapses && (door == Door::Refuse || !settings.mode().weighs());
        let (door, reason) = if lapses { (Door::Ask, Reason::Open) } else { (door, reason) };
        // Nobody is refused while it only observes.
        let gated = gated && door == Door::Voter && mode == Mode::Auto;
        let door = if gated { Door::Ask } else { door };
        let weigh = closed && mode.weighs() && !lapses && !state.pace().is_escalated();
        let flag = |flag, on| if on { flag } else { 0 };
        let word = door as u64
            | flag(WEIGHS, weigh)
            | flag(GATED, gated)
            | flag(TIMED, settings.has_slow_rule())
            | flag(WINDOWED, Recorder::of(settings) == Recorder::Shards)
            | flag(LOCKED, weighs_behind_the_lock(settings))
            | (state.phase() as u64) << PHASE_AT
            | (reason.index() as u64) << REASON_AT
            | Face::stamp_of(state.generation(), epoch) << EPOCH_AT;
        (Face(word), until)
    }

    #[inline]
    pub(crate) fn door(self) -> Door {
        match self.0 & DOOR {
            0 => Door::Voter,
            1 => Door::Bystander,
            2 => Door::Refuse,
            _ => Door::Ask,
        }
    }

    /// Whether a call goes through as a voter unless the breaker's parent is against it.
    #[inline]
    pub(crate) fn is_gated(self) -> bool {
        self.0 & GATED != 0
    }

    /// Whether calls are let through but for what a throttle may draw. A family's parent is called
    /// through its keys, each of which has a throttle of its own.
    #[inline]
    pub(crate) fn only_throttles(self) -> bool {
        self.door() == Door::Ask && self.reason() == Reason::Throttled
    }

    /// Whether this call is a voter of this generation, and its result may be weighed without
    /// the lock.
    #[inline]
    pub(crate) fn weighs(self, claim: Claim) -> bool {
        self.0 & WEIGHS != 0 && claim.is_voter_of(self.0)
    }

    /// Whether results go to a time window in the shards.
    #[inline]
    pub(crate) fn windowed(self) -> bool {
        self.0 & WINDOWED != 0
    }

    /// Whether results are held against something behind the lock: a window over calls, or the
    /// score of the sequential rule.
    #[inline]
    pub(crate) fn weighs_behind_the_lock(self) -> bool {
        self.0 & LOCKED != 0
    }

    /// Whether it matters when a success ends.
    #[inline]
    pub(crate) fn dates_successes(self) -> bool {
        self.0 & (TIMED | WINDOWED) != 0
    }

    /// Whether calls are let in whose results are weighed without the lock, as long as this face is
    /// shown: what nearly every call meets.
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        self.0 & (DOOR | WEIGHS) == WEIGHS
    }

    /// Whether it is so unless the breaker's parent is against it.
    #[inline]
    pub(crate) fn is_plainly_gated(self) -> bool {
        self.0 & (GATED | WEIGHS) == GATED | WEIGHS
    }

    /// Whether all there is to a success is to count it in this thread's shard: calls are not timed,
    /// and nothing behind the lock looks at them. For a failure, the [settings](crate::hot::Hot) have
    /// a say as well.
    #[inline]
    pub(crate) fn counts_plainly(self) -> bool {
        self.0 & (TIMED | LOCKED) == 0
    }

    /// Whether calls are refused, as long as this face holds.
    #[inline]
    pub(crate) fn refuses(self) -> bool {
        self.0 & DOOR == Door::Refuse as u64
    }

    /// Whether calls are timed.
    #[inline]
    pub(crate) fn timed(self) -> bool {
        self.0 & TIMED != 0
    }

    /// Names the phase and its window: cells of another do not count.
    #[inline]
    pub(crate) fn stamp(self) -> u64 {
        self.0 >> EPOCH_AT
    }

    /// The stamp of a phase and an epoch. The epoch is cut to 11 bits: a thread would have to
    /// miss exactly 2,048 changes of the window within one phase to take its cells for current.
    pub(crate) fn stamp_of(generation: u64, epoch: u16) -> u64 {
        generation << EPOCH_BITS | u64::from(epoch % EPOCHS)
    }

    /// Whether a stamp was current before another was. Within a phase the epoch may have wrapped.
    pub(crate) fn stamp_precedes(stamp: u64, other: u64) -> bool {
        let epochs = u64::from(EPOCHS);
        let (phase, other_phase) = (stamp >> EPOCH_BITS, other >> EPOCH_BITS);
        let ahead = other.wrapping_sub(stamp) % epochs;
        phase < other_phase || phase == other_phase && (1..epochs / 2).contains(&ahead)
    }

    fn place(self) -> usize {
        (self.0 >> PLACE_AT) as usize & 1
    }

    #[inline]
    pub(crate) fn generation(self) -> u64 {
        self.0 >> claim::GENERATION_AT
    }

    pub(crate) fn phase(self) -> PhaseName {
        self.told().phase()
    }

    #[inline]
    pub(crate) fn reason(self) -> Reason {
        self.told().reason()
    }

    #[inline]
    pub(crate) fn told(self) -> Told {
        Told(self.0 & (0b11 << PHASE_AT | 0b111 << REASON_AT | u64::MAX << claim::GENERATION_AT))
    }
}

// ===== impl Told =====

impl Told {
    pub(crate) fn new(phase: PhaseName, reason: Reason, generation: u64) -> Told {
        let (phase, reason) = (phase as u64, reason.index() as u64);
        Told(phase << PHASE_AT | reason << REASON_AT | generation << claim::GENERATION_AT)
    }

    pub(crate) fn phase(self) -> PhaseName {
        PhaseName::ALL[(self.0 >> PHASE_AT) as usize & 0b11]
    }

    #[inline]
    pub(crate) fn reason(self) -> Reason {
        Reason::ALL[(self.0 >> REASON_AT) as usize & 0b111]
    }

    pub(crate) fn generation(self) -> u64 {
        self.0 >> claim::GENERATION_AT
    }
}
