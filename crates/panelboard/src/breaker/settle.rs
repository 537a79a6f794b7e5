//! How a call ends that was let through without the lock.

use std::time::Duration;

use panelboard_core::rules::Bad;
use panelboard_core::{Kind, OpenDependency, Outcome, Speed, Tick};

use super::inner::Inner;
use crate::claim::Claim;
use crate::face::Face;
use crate::hot::Hot;
use crate::permit::ErrorDetail;
use crate::shard::{Frame, Shard};
use crate::sync::atomic::Ordering;

/// A bad event of a voter, as far as it still matters.
#[derive(Copy, Clone)]
pub(super) struct Charge {
    pub(super) generation: u64,
    pub(super) bad: Bad,
    /// Failures in a row up to this one, if it was counted for the consecutive rule.
    pub(super) streak: Option<u32>,
    /// What the server said, should this trip the breaker.
    pub(super) hint: Option<Duration>,
    pub(super) now: Tick,
}

/// How a voter's call ended, if its result is weighed without the lock.
#[derive(Copy, Clone)]
struct End {
    face: Face,
    generation: u64,
    now: Tick,
    failure: Option<Kind>,
    speed: Speed,
    /// Only if anybody asks.
    took: Option<Duration>,
}

// ===== impl End =====

impl End {
    #[inline]
    fn of(
        face: Face,
        hot: Hot,
        started: Option<Tick>,
        now: Tick,
        failure: Option<Kind>,
        speed: Speed,
    ) -> End {
        let (generation, took) = (face.generation(), hot.took(started, now));
        End { face, generation, now, failure, speed, took }
    }
}

// ===== impl Inner: the common ends =====

impl Inner {
    /// Counts and weighs the end of a call.
    #[inline]
    pub(crate) fn settle(&self, claim: Claim, outcome: Outcome, detail: Option<&ErrorDetail>) {
        let face = self.face.load();
        if face.weighs(claim)
            && let Some(shard) = self.shards.own()
        {
            match outcome {
                Outcome::Success => return self.succeed(face, claim.started(), shard),
                Outcome::Failure { kind, retry_after: None }
                    if detail.is_none() && face.counts_plainly() =>
                {
                    return self.fail(face, shard, kind.code());
                }
                _ => {}
            }
        }
        self.settle_at_length(face, claim, outcome, detail);
    }

    /// What nearly every call comes to: a voter's success that needs only be counted.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of the common path; measured")]
    pub(super) fn succeed(&self, face: Face, started: Option<Tick>, shard: &Shard) {
        if !face.counts_plainly() {
            return self.succeed_otherwise(face, started, shard);
        }
        match face.windowed() {
            true => shard.success_in(face.stamp(), || self.hot.width(), self.clock.now()),
            false => shard.success(),
        }
        self.streak.end(face.generation());
    }

    /// The same where calls are timed, or something behind the lock looks at them.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call here costs a fifth of it; measured")]
    fn succeed_otherwise(&self, face: Face, started: Option<Tick>, shard: &Shard) {
        let generation = face.generation();
        let now = if face.dates_successes() { self.clock.now() } else { Tick::ZERO };
        let speed = self.hot.speed(started, now);
        if face.weighs_behind_the_lock() {
            // Acquire: pairs with the release when the lock's holder found nothing there. An untimed
            // call leaves the window of speeds as it is.
            let clean = self.clean.load(Ordering::Acquire) == generation;
            if !clean || speed == Speed::Slow {
                return self.settle_in_order(Claim::voter(generation, started), None, speed, now);
            }
            if face.windowed() {
                return self.succeed_at_length(face, started, now);
            }
            shard.success();
            return self.streak.end(generation);
        }
        // What is timed and not weighed behind the lock counts in a window here.
        if speed == Speed::Slow || self.hot.load().adds_up() {
            return self.succeed_at_length(face, started, now);
        }
        shard.success_in(face.stamp(), || self.hot.width(), now);
        if speed == Speed::Fast {
            shard.fast();
        }
        self.streak.end(generation);
    }

    /// A success of which there is more to count than that and how fast it was.
    #[inline(never)]
    fn succeed_at_length(&self, face: Face, started: Option<Tick>, now: Tick) {
        let (hot, speed) = (self.hot.load(), self.hot.speed(started, now));
        self.count_success(End::of(face, hot, started, now, None, speed));
    }

    fn count_success(&self, end: End) {
        if end.speed == Speed::Slow {
            return self.settle_bad(end, None, None);
        }
        self.shards.write(|shard| self.count_end(shard, end));
        self.streak.end(end.generation);
    }

    /// A voter's failure that needs only be counted, and of which nothing but its kind is known: by
    /// its code, for that fits into a register.
    ///
    /// Whatever is not common leaves by a last call, so that little need be kept over it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call here costs a quarter of it; measured")]
    pub(super) fn fail(&self, face: Face, shard: &Shard, code: u8) {
        let now = self.clock.now();
        let (hot, place) = (self.hot.load(), Kind::index_of(code));
        if hot.involves(place) {
            return self.fail_otherwise(face, code);
        }
        if !shard.failure_in(face.windowed().then(|| face.stamp()), now, (code, place)) {
            return self.fail_anew(face, now, code);
        }
        let slack = !face.windowed() || shard.had_slack(self.hot.version());
        if hot.asked_from().is_some() || !slack || !self.streak.is_run(shard.last_run()) {
            self.weigh_failure(face, now, hot, shard);
        }
    }

    /// A failure that is perhaps none, or of which more than shard and streak want to hear.
    #[cold]
    fn fail_otherwise(&self, face: Face, code: u8) {
        let claim = Claim::voter(face.generation(), None);
        self.settle_at_length(face, claim, Outcome::failure(Kind::from_code(code)), None);
    }

    /// The first failure of this thread, or the first in a bucket.
    #[cold]
    fn fail_anew(&self, face: Face, now: Tick, code: u8) {
        let failure = Some(Kind::from_code(code));
        let end = End::of(face, self.hot.load(), None, now, failure, Speed::Unjudged);
        self.settle_bad(end, None, None);
    }

    /// Holds the failure just counted against slack and streak.
    #[inline(never)]
    fn weigh_failure(&self, face: Face, now: Tick, hot: Hot, shard: &Shard) {
        let bad = Bad { failure: true, slow: false };
        let generation = face.generation();
        let charge = Charge { generation, bad, streak: None, hint: None, now };
        if let Some(charge) = self.hold_against(shard, hot, face.windowed(), charge) {
            self.judge(charge);
        }
    }

    #[inline]
    fn frame_of(&self, face: Face) -> Frame {
        Frame { stamp: face.stamp(), width: self.hot.width() }
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
            Outcome::Neutral => self.settle_neutral(claim),
            Outcome::Pushback { .. } => self.settle_by_the_lock(claim, outcome, detail),
        }
    }

    fn settle_success(&self, hot: Hot, face: Face, claim: Claim) {
        let now = if face.dates_successes() { self.clock.now() } else { Tick::ZERO };
        let speed = self.hot.speed(claim.started(), now);
        if hot.weighs_behind_the_lock() {
            // Acquire: pairs with the release when the lock's holder found nothing there.
            let clean = self.clean.load(Ordering::Acquire) == claim.generation();
            // An untimed call leaves the window of speeds as it is.
            if !clean || speed == Speed::Slow {
                return self.settle_in_order(claim, None, speed, now);
            }
        }
        self.count_success(End::of(face, hot, claim.started(), now, None, speed));
    }

    fn settle_failure(
        &self,
        hot: Hot,
        face: Face,
        claim: Claim,
        (kind, hint): (Kind, Option<Duration>),
        detail: Option<&ErrorDetail>,
    ) {
        let told_more = hint.is_some() || detail.is_some();
        if hot.throttled() || (hot.weighs_behind_the_lock() && told_more) {
            let outcome = Outcome::Failure { kind, retry_after: hint };
            return self.settle_by_the_lock(claim, outcome, detail);
        }
        let now = self.clock.now();
        let speed = self.hot.speed(claim.started(), now);
        if hot.weighs_behind_the_lock() {
            return self.settle_in_order(claim, Some(kind), speed, now);
        }
        let end = End::of(face, hot, claim.started(), now, Some(kind), speed);
        if let Some(detail) = detail {
            self.remember(kind, detail, now);
        }
        self.settle_bad(end, hint, detail);
    }

    /// A neutral end counts in no rule, unless it was slow.
    fn settle_neutral(&self, claim: Claim) {
        if claim.started().is_some() {
            let speed = self.hot.speed(claim.started(), self.clock.now());
            if speed == Speed::Slow {
                return self.settle_by_the_lock(claim, Outcome::Neutral, None);
            }
        }
        self.shards.write(Shard::neutral);
    }

    /// Counts and charges a failure or a slow call on whatever shard this thread writes.
    fn settle_bad(&self, end: End, hint: Option<Duration>, detail: Option<&ErrorDetail>) {
        let hot = self.hot.load();
        let charge = self.shards.write(|shard| {
            let charge = self.count_bad(shard, hot, end);
            if let Some(kind) = end.failure
                && detail.is_none()
            {
                shard.remember(kind, end.now);
            }
            charge
        });
        if end.failure.is_none() {
            self.streak.end(end.generation);
        }
        if let Some(charge) = charge {
            self.judge(Charge { hint, ..charge });
        }
    }

    /// Counts a failure or a slow call; says what to judge, if a rule might fire.
    #[inline]
    fn count_bad(&self, shard: &Shard, hot: Hot, end: End) -> Option<Charge> {
        let in_turn = self.count_end(shard, end);
        let End { face, generation, now, failure, speed, .. } = end;
        let bad = Bad { failure: failure.is_some(), slow: speed == Speed::Slow };
        let charge = Charge { generation, bad, streak: None, hint: None, now };
        self.hold_against(shard, hot, face.windowed() && in_turn, charge)
    }

    /// Counts the end of a call and its speed; says whether they came in turn.
    #[inline]
    fn count_end(&self, shard: &Shard, end: End) -> bool {
        let End { face, now, failure, speed, took, .. } = end;
        let frame = face.windowed().then(|| self.frame_of(face));
        let in_turn = shard.end(frame, now, failure);
        if speed != Speed::Unjudged
            && let Some(frame) = frame
        {
            shard.speed(frame, now, speed == Speed::Slow);
            if let Some(took) = took {
                shard.took(frame, now, took);
            }
        }
        if speed == Speed::Slow {
            shard.slow();
        }
        in_turn
    }

    /// Holds what was just counted in this shard against the slack, if it counts in a window, and
    /// against the streak; gives it back if one of the rules might fire.
    #[inline]
    pub(super) fn hold_against(
        &self,
        shard: &Shard,
        hot: Hot,
        windowed: bool,
        charge: Charge,
    ) -> Option<Charge> {
        let failure = charge.bad.failure;
        let mut judge = windowed && {
            let version = self.hot.version();
            !(if failure { shard.had_slack(version) } else { shard.spend(version) })
        };
        let mut streak = None;
        if failure {
            match hot.asked_from() {
                Some(threshold) => {
                    let count = self.streak.count(charge.generation)?;
                    judge |= count >= threshold.into();
                    streak = Some(count);
                }
                None if self.streak.is_run(shard.last_run()) => {}
                None => self.begin_run(shard, charge.generation)?,
            }
        }
        judge.then_some(Charge { streak, ..charge })
    }

    /// The failure just counted in this shard may be the first of its run there; `None` if the phase
    /// is over.
    #[cold]
    fn begin_run(&self, shard: &Shard, generation: u64) -> Option<()> {
        let run = self.streak.run(generation)?;
        if shard.last_run() != run {
            shard.begin_run(run);
        }
        Some(())
    }

    #[cold]
    fn judge(&self, charge: Charge) {
        self.locked(|inner, cold, log| inner.judge_with(cold, charge, log));
    }
}
