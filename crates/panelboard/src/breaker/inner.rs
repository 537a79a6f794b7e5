//! How a call is let through or refused without the lock, and where it turns off to it.

use std::sync::Arc;
use std::time::Duration;

use panelboard_core::state::Role;
use panelboard_core::{State, Tick, Ticket};

use super::gate::Home;
use super::keep::Keep;
use super::visit::Visit;
use crate::claim::Claim;
use crate::clock::Clock;
use crate::error::Rejected;
use crate::face::{Door, Face, FaceCell};
use crate::hot::HotCell;
use crate::shard::{Shard, Shards};
use crate::streak::Streak;
use crate::sync::atomic::AtomicU64;
use crate::{Name, Settings};

/// A breaker, behind its handles.
pub(crate) struct Inner {
    pub(super) face: FaceCell,
    pub(super) hot: HotCell,
    pub(super) streak: Streak,
    /// The generation in which what is weighed behind the lock is at its best, or 0: a window over
    /// calls is full of successes, a score is at its floor. Then one more success changes nothing
    /// there, and need not take the lock.
    pub(super) clean: AtomicU64,
    pub(super) shards: Shards,
    pub(super) clock: Clock,
    pub(super) name: Name,
    pub(super) home: Arc<Home>,
    pub(super) cold: Keep,
}

// ===== impl Inner: a call comes =====

impl Inner {
    pub(super) fn new(
        name: Name,
        settings: Arc<Settings>,
        clock: Clock,
        seed: u64,
        home: Arc<Home>,
    ) -> Inner {
        let now = clock.now();
        let member = home.above.is_some();
        let state = State::new(seed, now);
        Inner {
            face: FaceCell::new(&state, &settings, member, now),
            hot: HotCell::new(&settings),
            streak: Streak::new(state.generation()),
            clean: AtomicU64::new(0),
            shards: Shards::new(member),
            clock,
            name,
            home,
            cold: Keep::new(settings, seed, now),
        }
    }

    /// From how long on a call is slow, if calls are timed.
    pub(crate) fn slow_after(&self) -> Option<Duration> {
        self.hot.slow_after()
    }

    /// How long a call may take, if that is bounded.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.hot.timeout()
    }

    #[inline]
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Lets a call through, or not. `lease` is how long it may hold a probe's slot, if its caller
    /// knows better than the settings.
    #[inline]
    pub(crate) fn admit(&self, lease: Option<Duration>) -> Result<Claim, Rejected> {
        let face = self.face.load();
        if self.passes(face) {
            self.shards.write(Shard::admitted);
            return Ok(Claim::voter(face.generation(), self.started(face)));
        }
        if face.door() == Door::Refuse
            && let Some(wait) = self.refuse(face)
        {
            return Err(self.rejected(face, wait));
        }
        self.admit_at_length(face, lease)
    }

    /// Lets a call through that ends on this thread, in the common case; refuses it, also in the
    /// common case; else says nothing.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its parts must stay in registers; measured")]
    pub(super) fn admit_here(&self) -> Option<Result<Visit<'_>, Rejected>> {
        let face = self.face.load();
        if face.is_plain() {
            return self.visit(face);
        }
        if face.refuses() {
            return self.refuse(face).map(|wait| Err(self.rejected(face, wait)));
        }
        if face.is_plainly_gated() && self.gate_is_open() {
            return self.visit(face);
        }
        None
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its parts must stay in registers; measured")]
    fn visit(&self, face: Face) -> Option<Result<Visit<'_>, Rejected>> {
        let shard = self.shards.own()?;
        shard.admitted();
        let started = self.started(face);
        Some(Ok(Visit { inner: Some(self), shard, face, started }))
    }

    /// Counts a refusal and says when to come back; `None` if the face no longer holds.
    ///
    /// What is returned fits into registers. A whole [`Rejected`] is then put together where it
    /// is wanted; passing it on from function to function costs more than deciding on it.
    pub(super) fn refuse(&self, face: Face) -> Option<u64> {
        let until = self.face.holds_until(face)?;
        let now = self.clock.now();
        if now >= until {
            return None;
        }
        self.shards.write(|shard| shard.rejected(face.reason()));
        Some(until.as_nanos() - now.as_nanos())
    }

    #[inline]
    pub(super) fn rejected(&self, face: Face, wait: u64) -> Rejected {
        Rejected::new(self.name.clone(), face.told(), wait)
    }

    #[cold]
    fn admit_at_length(&self, face: Face, lease: Option<Duration>) -> Result<Claim, Rejected> {
        if face.door() == Door::Bystander
            && self.face.holds_until(face).is_some_and(|until| self.clock.now() < until)
        {
            self.shards.write(Shard::admitted);
            let ticket = Ticket { generation: face.generation(), role: Role::Bystander };
            return Ok(Claim::new(ticket, self.started(face)));
        }
        if let Some(rejected) = self.refused_above(face) {
            self.shards.write(|shard| shard.rejected(rejected.reason()));
            return Err(rejected);
        }
        self.admit_by_the_lock(lease)
    }

    /// When a call that is let through now begins, if calls are timed.
    #[inline]
    pub(super) fn started(&self, face: Face) -> Option<Tick> {
        face.timed().then(|| self.clock.now())
    }
}
