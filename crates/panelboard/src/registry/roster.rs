//! Who belongs to a family: the locked half, which grows, shrinks and is reconfigured.

use std::sync::Arc;

use panelboard_core::catalog::KeyRule;
use panelboard_core::machine::Counters;
use panelboard_core::{Catalog, Settings, Tick};

use super::index::Index;
use crate::CircuitBreaker;
use crate::sync::counted::Counted;

/// The members of a family, and what new ones run on.
pub(super) struct Roster {
    pub(super) catalog: Arc<Catalog>,
    /// The different settings that members run on, so that they share them. As many as there are
    /// rules, and one.
    settings: Vec<Arc<Settings>>,
    /// By the hash of their key, in no order.
    members: Vec<(u64, CircuitBreaker)>,
    /// Where the search for somebody to evict goes on.
    hand: usize,
    /// How many were evicted, and what they had counted.
    evicted: (u64, Counters),
}

/// Whom a search for somebody to evict may take.
pub(super) struct Search<'a> {
    pub(super) index: &'a Index,
    pub(super) idle: std::time::Duration,
    pub(super) now: Tick,
}

// ===== impl Roster =====

impl Roster {
    pub(super) fn new(catalog: Arc<Catalog>) -> Roster {
        Roster {
            catalog,
            settings: Vec::new(),
            members: Vec::new(),
            hand: 0,
            evicted: Default::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn evicted(&self) -> (u64, Counters) {
        self.evicted
    }

    pub(super) fn add(&mut self, hash: u64, breaker: CircuitBreaker) {
        self.members.push((hash, breaker));
    }

    /// From now on new members run on these.
    pub(super) fn reconfigure(&mut self, catalog: &Arc<Catalog>) {
        self.catalog = Arc::clone(catalog);
        self.settings.clear();
    }

    /// The settings of a key (by its parts, joined as they are), shared with whoever has the same;
    /// those of the family for `None`.
    pub(super) fn settings(
        &mut self,
        family: &str,
        key: Option<&str>,
        rules: &[KeyRule],
    ) -> Arc<Settings> {
        let settings = match key {
            Some(key) => self.catalog.key_settings_or(family, key, rules),
            None => self.catalog.settings(family),
        };
        if let Some(known) = self.settings.iter().find(|known| ***known == settings) {
            return Arc::clone(known);
        }
        let settings = Arc::new(settings);
        self.settings.push(Arc::clone(&settings));
        settings
    }

    /// Looks at so many members and evicts those that are idle, clean and held by nobody, but no
    /// more than `most`. Says how many it evicted.
    pub(super) fn evict(&mut self, looks: usize, most: usize, search: &Search<'_>) -> usize {
        let mut evicted = 0;
        for _ in 0..looks.min(self.members.len()) {
            if evicted == most {
                break;
            }
            if self.hand >= self.members.len() {
                self.hand = 0;
            }
            if self.evict_at_hand(search) {
                evicted += 1;
            } else {
                self.hand += 1;
            }
        }
        // What is left free after a crowd has gone.
        if self.members.capacity() / 4 > self.members.len() {
            self.members.shrink_to(self.members.len() * 2);
        }
        evicted
    }

    fn evict_at_hand(&mut self, search: &Search<'_>) -> bool {
        let (hash, breaker) = &self.members[self.hand];
        let idle = search.index.idle_for(*hash, search.now) > search.idle;
        if !idle || Counted::strong_count(&breaker.inner) > 1 || !breaker.inner.is_clean(search.now)
        {
            return false;
        }
        let (hash, breaker) = self.members.swap_remove(self.hand);
        let back = match Counted::try_unwrap(breaker.inner) {
            // Nobody has it, and from now on nobody finds it; so this is its last word.
            Ok(inner) if inner.is_clean(search.now) => {
                search.index.remove(hash);
                self.evicted.0 += 1;
                self.evicted.1.add(&inner.totals());
                return true;
            }
            // Somebody has used it since it was looked at, and let go of it already.
            Ok(inner) => {
                let breaker = CircuitBreaker { inner: Counted::new(inner) };
                search.index.insert(hash, &breaker, search.now);
                breaker
            }
            // Somebody has just looked it up.
            Err(inner) => CircuitBreaker { inner },
        };
        self.members.push((hash, back));
        false
    }
}
