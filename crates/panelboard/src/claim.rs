//! What a call takes along from its admission to its end.

use std::num::NonZeroU64;

use panelboard_core::round::PROBE_BITS;
use panelboard_core::state::Role;
use panelboard_core::{Tick, Ticket};

/// In when a call began: it is a probe that has been found slow. No clock runs for 292 years.
const PROBE_SLOW: u64 = 1 << 63;

/// What a breaker needs to know of a call when it ends, in two registers: under which generation
/// it was let through and as what, and when it began, if calls are timed.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Claim {
    ticket: u64,
    /// One more than the tick, so that none costs no room.
    started: Option<NonZeroU64>,
}

// The ticket, from the lowest bit: role (2), probe (22), generation (40). A breaker that changes
// phase a million million times is not to be.
const VOTER: u64 = 0;
const PROBE: u64 = 1;
const BYSTANDER: u64 = 2;
/// A voter that was found slow while it ran: it is weighed by the lock alone.
const FOUND_SLOW: u64 = 3;
const ROLE: u64 = 0b11;
const PROBE_AT: u32 = 2;
const PROBE_MASK: u64 = (1 << PROBE_BITS) - 1;
pub(crate) const GENERATION_AT: u32 = PROBE_AT + PROBE_BITS;

impl Claim {
    #[inline]
    pub(crate) fn voter(generation: u64, started: Option<Tick>) -> Claim {
        Claim { ticket: generation << GENERATION_AT | VOTER, started: None }.begun(started)
    }

    pub(crate) fn new(ticket: Ticket, started: Option<Tick>) -> Claim {
        let role = match ticket.role {
            Role::Voter => VOTER,
            Role::Probe(probe) => PROBE | (u64::from(probe) & PROBE_MASK) << PROBE_AT,
            Role::Bystander => BYSTANDER,
        };
        Claim { ticket: ticket.generation << GENERATION_AT | role, started: None }.begun(started)
    }

    /// How many marks there are.
    pub(crate) const MOST_MARKS: u32 = PROBE_MASK as u32;

    /// The claim of a voter, told from others of its generation by a mark from 1 up; it is weighed
    /// by the lock alone. A probe's has its number.
    pub(crate) fn marked(self, mark: u32) -> Claim {
        match self.ticket & ROLE {
            VOTER => Claim { ticket: self.ticket | u64::from(mark) << PROBE_AT, ..self },
            _ => self,
        }
    }

    /// Whether both are the claim of one call, provided it is a marked voter's or a probe's.
    pub(crate) fn is_same_call(self, other: Claim) -> bool {
        let call = |claim: Claim| match claim.ticket & ROLE == FOUND_SLOW {
            true => claim.ticket & !ROLE,
            false => claim.ticket,
        };
        call(self) == call(other)
    }

    #[inline]
    fn begun(self, started: Option<Tick>) -> Claim {
        let started =
            started.and_then(|tick| NonZeroU64::new(tick.as_nanos().min(PROBE_SLOW - 2) + 1));
        Claim { started, ..self }
    }

    #[inline]
    pub(crate) fn generation(self) -> u64 {
        self.ticket >> GENERATION_AT
    }

    /// Whether it is a voter of the generation that stands in the upper bits of a face.
    #[inline]
    pub(crate) fn is_voter_of(self, face: u64) -> bool {
        // A voter's lower bits are zero.
        self.ticket == face >> GENERATION_AT << GENERATION_AT
    }

    pub(crate) fn is_probe(self) -> bool {
        self.ticket & ROLE == PROBE
    }

    /// Whether it is a probe of its breaker's, or may hold one of the parent's.
    pub(crate) fn holds_a_slot(self) -> bool {
        self.is_probe() || self.ticket & PROBE_MASK << PROBE_AT != 0
    }

    pub(crate) fn ticket(self) -> Ticket {
        let role = match self.ticket & ROLE {
            VOTER | FOUND_SLOW => Role::Voter,
            PROBE => Role::Probe((self.ticket >> PROBE_AT & PROBE_MASK) as u32),
            _ => Role::Bystander,
        };
        Ticket { generation: self.generation(), role }
    }

    #[inline]
    pub(crate) fn started(self) -> Option<Tick> {
        self.started.map(|tick| Tick::from_nanos((tick.get() & !PROBE_SLOW) - 1))
    }

    /// This call has been found slow, and its end will not be; says whether it was timed until now.
    /// Of a voter it is still known when it began, and of a probe, which may weigh while closed (the
    /// one that tries a used-up quota): it matters how long it takes in the end.
    pub(crate) fn find_slow(&mut self) -> bool {
        let timed = self.started.is_some() && !self.was_found_slow();
        match self.ticket & ROLE {
            VOTER if timed => self.ticket |= FOUND_SLOW,
            FOUND_SLOW => {}
            PROBE => self.started = self.started.map(|tick| tick | PROBE_SLOW),
            _ => self.started = None,
        }
        timed
    }

    pub(crate) fn was_found_slow(self) -> bool {
        match self.ticket & ROLE {
            PROBE => self.started.is_some_and(|tick| tick.get() & PROBE_SLOW != 0),
            role => role == FOUND_SLOW,
        }
    }
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::*;

    #[test]
    fn claims_keep_what_they_are_given() {
        for role in [Role::Voter, Role::Bystander, Role::Probe(0), Role::Probe(4_194_303)] {
            for generation in [1, (1 << 40) - 1] {
                let ticket = Ticket { generation, role };
                let mut claim = Claim::new(ticket, Some(Tick::ZERO));
                assert_eq!(claim.ticket(), ticket);
                let face = generation << GENERATION_AT | 0xff_ffff;
                assert_eq!(claim.is_voter_of(face), role == Role::Voter);
                assert!(!claim.is_voter_of(face ^ 1 << GENERATION_AT));
                assert_eq!(claim.started(), Some(Tick::ZERO));
                assert!(claim.find_slow() && !claim.find_slow());
                assert_eq!((claim.ticket(), claim.is_voter_of(face)), (ticket, false));
                let kept = claim.started().is_some();
                assert_eq!((kept, claim.was_found_slow()), (role != Role::Bystander, kept));
                let marked = Claim::new(ticket, Some(Tick::ZERO)).marked(9);
                let mut slow = marked;
                assert!(slow.find_slow() && slow.is_same_call(marked));
            }
        }
        assert_eq!(Claim::voter(7, None).ticket(), Ticket { generation: 7, role: Role::Voter });
    }
}
