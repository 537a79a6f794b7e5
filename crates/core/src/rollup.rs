//! Roll-up: when the breakers of a family, taken together, say that what they share has failed.
//!
//! A family has one breaker for each key and a parent above them. Each child judges its own key; the
//! parent opens when more than half of the children that are *busy* are open, and then refuses calls
//! to every key, new ones included. So an outage of what all keys share is met once, and not once
//! for each key that happens to be called next.

use crate::PhaseName;

/// Busy children below which nothing is concluded: one key's trouble is that key's.
pub const MIN_BUSY: u32 = 2;

/// How the children of a family are doing.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Children {
    /// Those with a call in their window, and the open ones.
    pub busy: u32,
    /// Those of them that are open.
    pub open: u32,
}

/// What there is to know of one child.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Child {
    /// Its phase.
    pub phase: PhaseName,
    /// Whether it entered that phase since the parent entered its own. A child that was open before
    /// the parent closed is what the parent has recovered from, and no reason to open again.
    pub is_news: bool,
    /// Whether a call has ended in its window.
    pub is_called: bool,
}

// ===== impl Children =====

impl Children {
    /// Counts one more child.
    ///
    /// An open one is busy whatever its window says, which is empty: it was called when it opened.
    /// One that was open before the parent closed counts as neither.
    pub fn count(&mut self, child: Child) {
        let open = child.phase == PhaseName::Open;
        let counts = if open { child.is_news } else { child.is_called };
        self.busy = self.busy.saturating_add(u32::from(counts));
        self.open = self.open.saturating_add(u32::from(open && counts));
    }

    /// Whether the parent is to open: more than half of the busy ones are open, and there are at
    /// least [`MIN_BUSY`].
    pub const fn most_are_open(self) -> bool {
        self.busy >= MIN_BUSY && self.open > self.busy / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_the_busy_ones_is_most_but_one_key_speaks_for_itself_only() {
        let most = |open, busy| Children { busy, open }.most_are_open();
        for (open, busy) in [(2, 2), (2, 3), (3, 4), (3, 5), (7, 12), (u32::MAX, u32::MAX)] {
            assert!(most(open, busy), "{open} of {busy}");
        }
        for (open, busy) in [(0, 0), (1, 1), (0, 2), (1, 2), (1, 3), (2, 4), (6, 12)] {
            assert!(!most(open, busy), "{open} of {busy}");
        }
    }

    #[test]
    fn idle_children_and_old_news_do_not_count() {
        let child = |phase, is_news, is_called| Child { phase, is_news, is_called };
        let counted = |one| {
            let mut children = Children::default();
            children.count(one);
            (children.open, children.busy)
        };
        assert_eq!(counted(child(PhaseName::Closed, true, false)), (0, 0), "idle");
        assert_eq!(counted(child(PhaseName::Closed, false, true)), (0, 1));
        assert_eq!(counted(child(PhaseName::HalfOpen, true, false)), (0, 0), "nobody probes it");
        assert_eq!(counted(child(PhaseName::Open, true, false)), (1, 1), "its window is empty");
        assert_eq!(counted(child(PhaseName::Open, false, true)), (0, 0), "from before");
    }
}
