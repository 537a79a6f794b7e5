//! A breaker of a family asks its parent, too.
//!
//! While the parent is closed that costs one load of its face. While it is not, a call goes by the
//! lock: an open parent refuses it, a half-open one lends it one of its own probe slots, and what
//! comes of the call is given back to both.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};
use std::time::Duration;

use panelboard_core::rollup::Children;
use panelboard_core::state::Role;
use panelboard_core::{Cause, Change, Command, Mode, PhaseName, Tick, Transition};

use super::cold::{Cold, Passed};
use super::inner::Inner;
use crate::claim::Claim;
use crate::error::Rejected;
use crate::event::Bus;
use crate::face::{Door, Face};
use crate::snapshot::Keys;
use crate::sync::counted::Counted;

/// Where a breaker belongs; the breakers of a family share it.
pub(crate) struct Home {
    /// Where it publishes what happens to it.
    pub(crate) bus: Arc<Bus>,
    /// What a breaker of a family knows of it.
    pub(crate) above: Option<Above>,
}

pub(crate) struct Above {
    pub(crate) parent: Counted<Inner>,
    pub(crate) family: Weak<dyn Members>,
}

/// The breakers of a family, as far as one of them or their parent needs to know.
pub(crate) trait Members: Send + Sync + UnwindSafe + RefUnwindSafe {
    /// One of them has opened. Called with nothing held.
    fn child_opened(&self, now: Tick);

    /// Their parent has closed, and this is the number of that phase. Called with nothing held.
    fn parent_closed(&self, generation: u64);

    /// How they are doing.
    fn keys(&self) -> Keys;
}

/// A probe of the parent's that a call of the child's holds.
pub(super) struct Lent {
    claim: Claim,
    from_parent: Claim,
}

// ===== impl Inner: a call of a child's =====

impl Inner {
    /// Whether the parent, if there is one, lets calls through to a closed child.
    #[inline]
    pub(super) fn gate_is_open(&self) -> bool {
        self.home.above.as_ref().is_none_or(Above::lets_all_through)
    }

    /// Whether a call that this face would let through as a voter may pass the gate.
    #[inline]
    pub(super) fn passes(&self, face: Face) -> bool {
        face.door() == Door::Voter || face.is_gated() && self.gate_is_open()
    }

    /// The parent's refusal, if it is known without a lock.
    pub(super) fn refused_above(&self, face: Face) -> Option<Rejected> {
        let above = self.home.above.as_ref().filter(|_| face.is_gated())?;
        let parents = above.parent.face.load();
        let wait = (parents.door() == Door::Refuse).then(|| above.parent.refuse(parents))??;
        Some(above.parent.rejected(parents, wait))
    }

    /// Asks the parent for a call that this breaker itself lets through, as `claim`. Says under
    /// which claim the call goes: another one if it holds a probe of the parent's.
    pub(super) fn ask_above(
        &self,
        claim: Claim,
        mode: Mode,
        lease: Option<Duration>,
    ) -> Result<Claim, Rejected> {
        let Some(above) = self.home.above.as_ref().filter(|_| mode == Mode::Auto) else {
            return Ok(claim);
        };
        if above.lets_all_through() {
            return Ok(claim);
        }
        match above.parent.lend_probe(lease)? {
            Some(from_parent) => Ok(self.cold.lock().lend(claim, from_parent)),
            None => Ok(claim),
        }
    }

    /// Lets a call of a child's through, or not. If as a probe, it is this breaker's call as well;
    /// else it is counted by the child alone.
    fn lend_probe(&self, lease: Option<Duration>) -> Result<Option<Claim>, Rejected> {
        let face = self.face.load();
        if face.door() == Door::Refuse
            && let Some(wait) = self.refuse(face)
        {
            return Err(self.rejected(face, wait));
        }
        let Passed { ticket, would_reject, .. } = self.decide(lease)?;
        let probes = matches!(ticket.role, Role::Probe(_));
        self.shards.write(|shard| {
            if probes {
                shard.admitted();
            }
            if would_reject {
                shard.would_reject();
            }
        });
        Ok(probes.then(|| Claim::new(ticket, self.started(self.face.load()))))
    }

    /// The parent, and its probe that this call holds, if it does.
    pub(super) fn lent<'c>(
        &self,
        cold: &'c mut Cold,
        claim: Claim,
    ) -> Option<(&Inner, &'c mut Claim)> {
        let above = self.home.above.as_ref()?;
        let mut lent = cold.rare.as_mut()?.lent.iter_mut();
        let lent = lent.find(|lent| lent.claim.is_same_call(claim))?;
        Some((&above.parent, &mut lent.from_parent))
    }

    /// The call has ended: what it holds of the parent's is to be settled.
    pub(super) fn take_back(&self, cold: &mut Cold, claim: Claim) -> Option<(&Inner, Claim)> {
        let (parent, from_parent) = self.lent(cold, claim)?;
        let from_parent = *from_parent;
        if let Some(rare) = &mut cold.rare {
            rare.lent.retain(|lent| !lent.claim.is_same_call(claim));
        }
        Some((parent, from_parent))
    }
}

impl Cold {
    /// Notes that a call holds a probe of the parent's.
    fn lend(&mut self, claim: Claim, from_parent: Claim) -> Claim {
        let rare = self.rare();
        rare.lends = rare.lends % Claim::MOST_MARKS + 1;
        let claim = claim.marked(rare.lends);
        // Of earlier rounds of the parent's nobody wants to know; so forgotten calls do not pile up.
        rare.lent.retain(|lent| lent.from_parent.generation() == from_parent.generation());
        rare.lent.push(Lent { claim, from_parent });
        claim
    }
}

impl Above {
    #[inline]
    fn lets_all_through(&self) -> bool {
        let face = self.parent.face.load();
        matches!(face.door(), Door::Voter | Door::Bystander) || face.only_throttles()
    }
}

impl Inner {
    pub(crate) fn bus(&self) -> &Arc<Bus> {
        &self.home.bus
    }

    /// Tells a parent of its family.
    pub(crate) fn adopt(&self, family: Weak<dyn Members>) {
        self.cold.lock().rare().family = Some(family);
    }

    /// Tells the families that this breaker is a member or the parent of. With nothing held.
    pub(super) fn report(&self, log: &[Change]) {
        // What was ordered is no evidence against what the family shares.
        let opens = |change: &Change| change.opens() && change.cause() != Some(Cause::Ordered);
        if log.iter().any(opens)
            && let Some(family) = self.home.above.as_ref().and_then(|above| above.family.upgrade())
        {
            family.child_opened(self.clock.now());
        }
        let closed = log.iter().rev().find_map(|change| match change {
            Change::Phase(transition) => Some(transition),
            Change::Mode(_) => None,
        });
        if let Some(Transition { to: PhaseName::Closed, generation, .. }) = closed
            && let Some(family) = self.family()
        {
            family.parent_closed(*generation);
        }
    }

    /// The family that it is the parent of.
    pub(super) fn family(&self) -> Option<Arc<dyn Members>> {
        self.cold.peek(|cold| cold.rare.as_ref()?.family.clone())?.upgrade()
    }

    /// Opens a parent most of whose busy children are open, as counted in this phase of its own.
    /// `well` is whether any call to one of them has succeeded in that phase.
    pub(crate) fn roll_up(&self, children: Children, generation: u64, well: bool) {
        self.look();
        self.locked(|inner, cold, log| {
            if cold.state.generation() != generation {
                return;
            }
            inner.note_successes(cold);
            if well {
                cold.state.note_success();
            }
            let command = Command::RollUp(children);
            cold.state.command(&cold.settings, inner.clock.now(), command, log);
        });
    }
}
