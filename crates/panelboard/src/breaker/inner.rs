//! The paths of a guarded call that take no lock, and where they turn off to the ones that do.

use panelboard_core::rules::Bad;
use panelboard_core::state::Role;
use panelboard_core::window::cell;
use panelboard_core::{Kind, OpenDependency, Outcome, Speed, State, Tick, Ticket};

use super::gate::Home;
use super::keep::Keep;
use crate::claim::Claim;
use crate::clock::Clock;
use crate::error::Rejected;
use crate::face::{Door, Face, FaceCell};
use crate::hot::{Hot, HotCell, Recorder};
use crate::permit::ErrorDetail;
use crate::shard::{Frame, Shard, Shards};
use crate::streak::{Judging, Next, Streak};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::{Name, Settings};

use std::sync::Arc;
use std::time::Duration;

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

/// A bad event of a voter, as far as it still matters.
#[derive(Copy, Clone)]
pub(super) struct Charge {
    pub(super) generation: u64,
    pub(super) bad: Bad,
    /// What the server said, should this trip the breaker.
    pub(super) hint: Option<Duration>,
    pub(super) now: Tick,
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
        match face.door() {
            Door::Voter => {
                let shard = self.shards.own()?;
                shard.admitted();
                let claim = Claim::voter(face.generation(), self.started(face));
                Some(Ok(Visit { inner: Some(self), shard, claim }))
            }
            Door::Refuse => self.refuse(face).map(|wait| Err(self.rejected(face, wait))),
            Door::Ask if self.passes(face) => {
                let shard = self.shards.own()?;
                shard.admitted();
                let claim = Claim::voter(face.generation(), self.started(face));
                Some(Ok(Visit { inner: Some(self), shard, claim }))
            }
            Door::Bystander | Door::Ask => None,
        }
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
        Rejected {
            name: self.name.clone(),
            phase: face.phase(),
            reason: face.reason(),
            retry_after: Duration::from_nanos(wait),
            generation: face.generation(),
        }
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

// ===== impl Inner: a call ends =====

impl Inner {
    /// Counts and weighs the end of a call.
    #[inline]
    pub(crate) fn settle(&self, claim: Claim, outcome: Outcome, detail: Option<&ErrorDetail>) {
        let face = self.face.load();
        if outcome == Outcome::Success
            && face.weighs_plainly(claim)
            && let Some(shard) = self.shards.own()
        {
            return self.settle_plainly(face, claim, shard);
        }
        self.settle_at_length(face, claim, outcome, detail);
    }

    /// What nearly every call comes to: closed, succeeded, untimed.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of the common path; measured")]
    fn settle_plainly(&self, face: Face, claim: Claim, shard: &Shard) {
        shard.success_in(face.stamp(), || self.hot.width(), self.clock.now());
        self.streak.end(claim.generation());
    }

    /// The same for a failure of which nothing but its kind is known.
    fn settle_failure_plainly(&self, face: Face, claim: Claim, shard: &Shard, kind: Kind) {
        let hot = self.hot.load();
        if hot.may_not_count(kind) {
            return self.settle_at_length(face, claim, Outcome::failure(kind), None);
        }
        let (now, width) = (self.clock.now(), self.hot.width());
        let bucket = shard.failure_in(Frame { stamp: face.stamp(), width }, now, kind);
        let generation = claim.generation();
        let next = self.streak.bad(generation, true, hot.asked_from(), Some(bucket));
        if let Next::Judge(judging) = next {
            let bad = Bad { failure: true, slow: false };
            self.judge(Charge { generation, bad, hint: None, now }, judging);
        }
    }

    /// A visit ends by `record`, unless the call panicked.
    #[cold]
    fn settle_panicked(&self, claim: Claim) {
        self.settle(claim, Outcome::failure(Kind::Panic), None);
    }

    fn settle_at_length(
        &self,
        face: Face,
        claim: Claim,
        outcome: Outcome,
        detail: Option<&ErrorDetail>,
    ) {
        let hot = self.hot.load();
        let outcome = hot.regard(outcome);
        if hot.depends() && OpenDependency::excuses(outcome) && self.open_dependency().is_some() {
            return self.excuse(claim);
        }
        if !face.weighs(claim) {
            return self.settle_by_the_lock(claim, outcome, detail);
        }
        match outcome {
            Outcome::Success => self.settle_success(hot, face, claim),
            Outcome::Failure { kind, retry_after } => {
                self.settle_failure(hot, face, claim, (kind, retry_after), detail);
            }
            Outcome::Neutral => self.settle_neutral(hot, claim),
            Outcome::Pushback { .. } => self.settle_by_the_lock(claim, outcome, detail),
        }
    }

    fn settle_success(&self, hot: Hot, face: Face, claim: Claim) {
        let generation = claim.generation();
        let recorder = hot.recorder();
        let now = match hot.timed() || recorder == Recorder::Shards {
            true => self.clock.now(),
            false => Tick::ZERO,
        };
        let speed = self.hot.speed(hot, claim.started(), now);
        if hot.weighs_behind_the_lock() {
            // Acquire: pairs with the release when the lock's holder found nothing there.
            let clean = self.clean.load(Ordering::Acquire) == generation;
            // An untimed call leaves the window of speeds as it is.
            if !clean || speed == Speed::Slow {
                return self.settle_by_the_lock(claim, Outcome::Success, None);
            }
        }
        self.shards.write(|shard| {
            shard.success();
            self.count_end(shard, (hot, face), now, None, speed);
        });
        if hot.adds_up() {
            self.add_up((hot, face), claim, now);
        }
        self.streak.end(generation);
        if speed == Speed::Slow {
            let bad = Bad { failure: false, slow: true };
            self.charge(hot, Charge { generation, bad, hint: None, now });
        }
    }

    fn settle_failure(
        &self,
        hot: Hot,
        face: Face,
        claim: Claim,
        (kind, hint): (Kind, Option<Duration>),
        detail: Option<&ErrorDetail>,
    ) {
        if hot.weighs_behind_the_lock() || hot.throttled() {
            let outcome = Outcome::Failure { kind, retry_after: hint };
            return self.settle_by_the_lock(claim, outcome, detail);
        }
        let now = self.clock.now();
        let speed = self.hot.speed(hot, claim.started(), now);
        self.shards.write(|shard| {
            shard.failure(kind);
            if detail.is_none() {
                shard.remember(kind, now);
            }
            self.count_end(shard, (hot, face), now, Some(kind), speed);
        });
        if hot.adds_up() {
            self.add_up((hot, face), claim, now);
        }
        if let Some(detail) = detail {
            self.remember(kind, detail, now);
        }
        let bad = Bad { failure: true, slow: speed == Speed::Slow };
        self.charge(hot, Charge { generation: claim.generation(), bad, hint, now });
    }

    /// Counts the end of a call and its speed in this thread's part of the window.
    #[inline]
    fn count_end(
        &self,
        shard: &Shard,
        (hot, face): (Hot, Face),
        now: Tick,
        failure: Option<Kind>,
        speed: Speed,
    ) {
        if hot.recorder() == Recorder::Shards {
            let frame = Frame { stamp: face.stamp(), width: self.hot.width() };
            shard.end(frame, now, failure);
            if speed != Speed::Unjudged {
                shard.speed(frame, now, speed == Speed::Slow);
            }
        }
        if speed == Speed::Slow {
            shard.slow();
        }
    }

    /// Adds up how long a call took whose speed was counted. Apart, for few ask.
    #[cold]
    fn add_up(&self, (hot, face): (Hot, Face), claim: Claim, now: Tick) {
        if let Some(took) = hot.took(claim.started(), now)
            && hot.recorder() == Recorder::Shards
        {
            let frame = Frame { stamp: face.stamp(), width: self.hot.width() };
            self.shards.write(|shard| shard.took(frame, now, took));
        }
    }

    /// A neutral end counts in no rule, unless it was slow.
    fn settle_neutral(&self, hot: Hot, claim: Claim) {
        if claim.started().is_some() {
            let speed = self.hot.speed(hot, claim.started(), self.clock.now());
            if speed == Speed::Slow {
                return self.settle_by_the_lock(claim, Outcome::Neutral, None);
            }
        }
        self.shards.write(Shard::neutral);
    }

    /// Holds a bad event against the streak, and asks the rules if one of them might fire.
    #[inline]
    fn charge(&self, hot: Hot, charge: Charge) {
        if let Next::Judge(judging) = self.hold_against(hot, charge) {
            self.judge(charge, judging);
        }
    }

    #[inline]
    pub(super) fn hold_against(&self, hot: Hot, charge: Charge) -> Next {
        let Charge { generation, bad, now, .. } = charge;
        let windowed = hot.recorder() == Recorder::Shards;
        let bucket = windowed.then(|| cell::number(now, self.hot.width()));
        self.streak.bad(generation, bad.failure, hot.asked_from(), bucket)
    }

    #[cold]
    fn judge(&self, charge: Charge, judging: Judging) {
        self.locked(|inner, cold, log| inner.judge_with(cold, charge, judging, log));
    }
}

// ===== impl Visit =====

/// A call that was let through and ends on the same thread, so that it need not look its shard up
/// again.
pub(super) struct Visit<'a> {
    /// `None` once settled.
    inner: Option<&'a Inner>,
    shard: &'a Shard,
    claim: Claim,
}

impl Visit<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its parts must stay in registers; measured")]
    pub(super) fn record(mut self, outcome: Outcome) {
        let Some(inner) = self.inner.take() else { return };
        let face = inner.face.load();
        if outcome == Outcome::Success && face.weighs_plainly(self.claim) {
            inner.settle_plainly(face, self.claim, self.shard);
        } else if let Outcome::Failure { kind, retry_after: None } = outcome
            && face.weighs_plainly(self.claim)
        {
            inner.settle_failure_plainly(face, self.claim, self.shard, kind);
        } else {
            inner.settle_at_length(face, self.claim, outcome, None);
        }
    }
}

impl Drop for Visit<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would force the visit into memory; measured")]
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.settle_panicked(self.claim);
        }
    }
}
