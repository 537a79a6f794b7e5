//! A breaker of a family asks its parent, too.
//!
//! While the parent is closed that costs one load of its face. While it is not, a call goes by the
//! lock: an open parent refuses it, a half-open one lends it one of its own probe slots, and what
//! comes of the call is given back to both.

use std::panic::RefUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use panelboard_core::{Mode, Tick};

use super::cold::Cold;
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
pub(crate) trait Members: Send + Sync + RefUnwindSafe {
    /// One of them has opened. Called with nothing held.
    fn child_opened(&self, now: Tick);

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
        let from_parent = above.parent.admit(lease)?;
        if !from_parent.is_probe() {
            // It has closed just now, and then the call is none of its business.
            above.parent.settle(from_parent, panelboard_core::Outcome::Neutral, None);
            return Ok(claim);
        }
        Ok(self.cold.lock().lend(claim, from_parent))
    }

    /// The parent's probe that this call holds, if it does, and the parent.
    pub(super) fn lent(&self, cold: &Cold, claim: Claim) -> Option<(&Inner, Claim)> {
        let above = self.home.above.as_ref()?;
        let lent = cold.rare.as_ref()?.lent.iter().find(|lent| lent.claim.is_same_call(claim))?;
        Some((&above.parent, lent.from_parent))
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

    /// The call has ended.
    pub(super) fn take_back(&mut self, claim: Claim) {
        if let Some(rare) = &mut self.rare {
            rare.lent.retain(|lent| !lent.claim.is_same_call(claim));
        }
    }
}

impl Above {
    #[inline]
    fn lets_all_through(&self) -> bool {
        matches!(self.parent.face.load().door(), Door::Voter | Door::Bystander)
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

    /// Has the family reconsider whether the parent is to open.
    pub(super) fn report_opening(&self) {
        if let Some(family) = self.home.above.as_ref().and_then(|above| above.family.upgrade()) {
            family.child_opened(self.clock.now());
        }
    }
}
