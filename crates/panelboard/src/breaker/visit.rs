//! A call that begins and ends on one thread.

use std::time::Duration;

use panelboard_core::{Kind, Outcome, Tick};

use super::inner::Inner;
use crate::claim::Claim;
use crate::face::Face;
use crate::shard::Shard;

// ===== impl Visit =====

/// A call that was let through and ends on the same thread, so that it need not look its shard up
/// again.
pub(super) struct Visit<'a> {
    /// `None` once settled.
    pub(super) inner: Option<&'a Inner>,
    pub(super) shard: &'a Shard,
    /// The face that let it through.
    pub(super) face: Face,
    pub(super) started: Option<Tick>,
}

impl Visit<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its parts must stay in registers; measured")]
    pub(super) fn record(mut self, outcome: Outcome) {
        let Some(inner) = self.inner.take() else { return };
        let same = inner.face.load() == self.face;
        match outcome {
            Outcome::Success if same => inner.succeed(self.face, self.started, self.shard),
            Outcome::Failure { kind, retry_after: None } if same && self.face.counts_plainly() => {
                inner.fail(self.face, self.shard, kind.code());
            }
            // Handed on in parts: handing on the whole would force it into memory on all ways.
            Outcome::Success => inner.settle_visit(self.claim(), None, None),
            Outcome::Failure { kind, retry_after } => {
                inner.settle_visit(self.claim(), Some(kind.code()), retry_after);
            }
            Outcome::Neutral => inner.settle_neutral_visit(self.claim()),
            Outcome::Pushback { retry_after, quota } => {
                inner.settle_pushback_visit(self.claim(), retry_after, quota);
            }
        }
    }

    #[inline]
    fn claim(&self) -> Claim {
        Claim::voter(self.face.generation(), self.started)
    }
}

#[cfg(feature = "tokio")]
impl Visit<'_> {
    /// Leaves the call to end later or elsewhere, by what it is then known by.
    pub(super) fn leave(mut self) -> Claim {
        self.inner = None;
        self.claim()
    }
}

impl Drop for Visit<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would force the visit into memory; measured")]
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.settle_panicked(self.claim());
        }
    }
}

/// Ends of visits that are not plain, or come under another face.
impl Inner {
    /// A visit that ended with a success, or a failure by the code of its kind.
    #[inline(never)]
    fn settle_visit(&self, claim: Claim, failure: Option<u8>, retry_after: Option<Duration>) {
        let outcome = match failure {
            None => Outcome::Success,
            Some(code) => Outcome::Failure { kind: Kind::from_code(code), retry_after },
        };
        self.settle(claim, outcome, None);
    }

    #[inline(never)]
    fn settle_neutral_visit(&self, claim: Claim) {
        self.settle(claim, Outcome::Neutral, None);
    }

    #[inline(never)]
    fn settle_pushback_visit(&self, claim: Claim, retry_after: Option<Duration>, quota: bool) {
        self.settle(claim, Outcome::Pushback { retry_after, quota }, None);
    }

    /// A visit ends by `record`, unless the call panicked.
    #[cold]
    fn settle_panicked(&self, claim: Claim) {
        self.settle(claim, Outcome::failure(Kind::Panic), None);
    }
}
