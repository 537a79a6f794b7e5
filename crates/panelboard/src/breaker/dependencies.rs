//! What this breaker depends on, and what is therefore not its fault.

use std::sync::Arc;

use panelboard_core::{End, OpenDependency, Reason, Verdict};

use super::cold::Cold;
use super::inner::Inner;
use crate::claim::Claim;
use crate::face::Door;
use crate::sync::counted::Counted;

/// Those a breaker depends on, directly or not: asking them leads no further, so it always ends.
pub(crate) type Dependencies = Arc<[Counted<Inner>]>;

impl Inner {
    /// Replaces what it depends on.
    pub(crate) fn depend_on(&self, dependencies: Dependencies) {
        // One of a million that depends on nothing stays as small as it is.
        if dependencies.is_empty() && self.dependencies().is_none() {
            return;
        }
        let new = (!dependencies.is_empty()).then_some(dependencies);
        let old = self.locked(|inner, cold, _| {
            let old = std::mem::replace(&mut cold.dependencies, new);
            inner.show_settings(cold);
            old
        });
        // They may be the last references to other breakers, so not under this one's lock.
        drop(old);
    }

    /// What it depends on, directly or not.
    pub(crate) fn dependencies(&self) -> Option<Dependencies> {
        self.cold.peek(|cold| cold.dependencies.clone())
    }

    /// Whether a dependency is open, and for how long. To be asked while nothing is held: it may
    /// take the dependencies' locks.
    #[cold]
    pub(super) fn open_dependency(&self) -> Option<OpenDependency> {
        let dependencies = self.dependencies()?;
        let open = dependencies.iter().filter_map(|dependency| dependency.is_open());
        open.reduce(OpenDependency::and)
    }

    /// Whether it is open as a dependency of others. Nearly always its face tells.
    pub(super) fn is_open(&self) -> Option<OpenDependency> {
        let face = self.face.load();
        if face.door() == Door::Voter {
            return None;
        }
        if face.door() == Door::Refuse
            && face.reason() != Reason::Paced
            && let Some(until) = self.face.holds_until(face)
        {
            let now = self.clock.now();
            if now < until {
                return Some(OpenDependency { wait: Some(until.until_from(now)) });
            }
        }
        self.locked(|inner, Cold { settings, state, .. }, log| {
            let now = inner.clock.now();
            state.look(settings, now, log);
            OpenDependency::of(state, settings, now)
        })
    }

    /// A call failed while a dependency was open: it says nothing.
    #[cold]
    pub(super) fn excuse(&self, claim: Claim) {
        let ticket = claim.ticket();
        let above = self.locked(|inner, cold, log| {
            let above = self.take_back(cold, claim);
            let End { outcome, speed, .. } = End::EXCUSED;
            let now = inner.clock.now();
            let verdict = cold.state.settle(&cold.settings, now, ticket, (outcome, speed), log);
            cold.count_probe(ticket, outcome, false, verdict);
            inner.shards.write(|shard| match verdict {
                Verdict::Late => shard.late(),
                _ => shard.excused(),
            });
            above
        });
        if let Some((parent, from_parent)) = above {
            parent.settle(from_parent, End::EXCUSED.outcome, None);
        }
    }
}
