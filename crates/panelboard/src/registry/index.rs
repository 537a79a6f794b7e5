//! From the hash of a key to its breaker, without a lock.
//!
//! The index holds weak references. Whoever looks a breaker up takes a strong one from it, and
//! whoever evicts takes the breaker out if the one strong reference that the family holds is the
//! last: both are read-modify-writes of one counter, so one of the two finds that the other was
//! quicker. Thus a breaker that somebody holds is never evicted, and one that was evicted is found
//! by nobody.
//!
//! A key is known by its 64-bit hash alone, under a hasher that is seeded at random. Should two keys
//! ever share one, the breaker's name tells, and the later key shares the overflow breaker.

use panelboard_core::Tick;

use crate::CircuitBreaker;
use crate::breaker::Inner;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::counted::{Counted, Loose};

#[cfg(not(panelboard_loom))]
use lock_free::Map;
#[cfg(panelboard_loom)]
use models::Map;

/// Breakers by the hash of their key.
pub(super) struct Index {
    map: Map,
    /// How far the time of the last use may lie behind, so that a key that is looked up often is not
    /// written each time.
    granule: u64,
}

struct Member {
    breaker: Loose<Inner>,
    /// When it was last looked up, in nanoseconds.
    used: AtomicU64,
}

/// What a key costs in the index, and in the roster's list.
#[cfg(all(test, not(panelboard_loom)))]
pub(super) const ENTRY: usize = size_of::<(u64, Member)>() + size_of::<(u64, CircuitBreaker)>();

// ===== impl Index =====

impl Index {
    /// An index that knows when a key was last looked up to within `granule` nanoseconds.
    pub(super) fn new(granule: u64) -> Index {
        Index { map: Map::default(), granule }
    }

    /// The breaker under this hash, unless it is just being evicted.
    pub(super) fn get(&self, hash: u64, now: Tick) -> Option<CircuitBreaker> {
        self.map.with(hash, |member| {
            let inner = member.breaker.upgrade()?;
            let now = now.as_nanos();
            // Relaxed: a time is all that it says.
            if now.saturating_sub(member.used.load(Ordering::Relaxed)) > self.granule {
                member.used.store(now, Ordering::Relaxed);
            }
            Some(CircuitBreaker { inner })
        })?
    }

    pub(super) fn insert(&self, hash: u64, breaker: &CircuitBreaker, now: Tick) {
        let used = AtomicU64::new(now.as_nanos());
        self.map.insert(hash, Member { breaker: Counted::downgrade(&breaker.inner), used });
    }

    pub(super) fn remove(&self, hash: u64) {
        self.map.remove(hash);
    }

    /// For how long a key has not been looked up, at least.
    pub(super) fn idle_for(&self, hash: u64, now: Tick) -> std::time::Duration {
        let used = self.map.with(hash, |member| member.used.load(Ordering::Relaxed));
        now.since(Tick::from_nanos(used.unwrap_or(u64::MAX).saturating_add(self.granule)))
    }

    /// Every breaker.
    pub(super) fn breakers(&self) -> Vec<CircuitBreaker> {
        let mut all = Vec::new();
        self.map.each(|member| all.extend(member.breaker.upgrade()));
        all.into_iter().map(|inner| CircuitBreaker { inner }).collect()
    }
}

#[cfg(not(panelboard_loom))]
mod lock_free {
    use std::hash::{BuildHasherDefault, Hasher};

    use super::Member;

    /// What is hashed is a hash already.
    #[derive(Default)]
    pub(super) struct Same(u64);

    impl Hasher for Same {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, _: &[u8]) {
            unreachable!("keys are hashes");
        }

        fn write_u64(&mut self, hash: u64) {
            self.0 = hash;
        }
    }

    #[derive(Default)]
    pub(super) struct Map(papaya::HashMap<u64, Member, BuildHasherDefault<Same>>);

    impl Map {
        #[inline]
        pub(super) fn with<T>(&self, hash: u64, look: impl FnOnce(&Member) -> T) -> Option<T> {
            self.0.pin().get(&hash).map(look)
        }

        pub(super) fn insert(&self, hash: u64, member: Member) {
            self.0.pin().insert(hash, member);
        }

        pub(super) fn remove(&self, hash: u64) {
            self.0.pin().remove(&hash);
        }

        pub(super) fn each(&self, look: impl FnMut(&Member)) {
            self.0.pin().values().for_each(look);
        }
    }
}

/// loom cannot look into the lock-free map; what is modelled is what the family builds on it. In the
/// order of insertion, for loom wants to see the same each time.
#[cfg(panelboard_loom)]
mod models {
    use std::sync::Arc;

    use super::Member;
    use crate::sync::{Mutex, lock};

    pub(super) struct Map(Mutex<Vec<(u64, Arc<Member>)>>);

    impl Default for Map {
        fn default() -> Map {
            Map(Mutex::new(Vec::new()))
        }
    }

    impl Map {
        pub(super) fn with<T>(&self, hash: u64, look: impl FnOnce(&Member) -> T) -> Option<T> {
            let member = lock(&self.0).iter().find(|(key, _)| *key == hash).cloned();
            member.map(|(_, member)| look(&member))
        }

        pub(super) fn insert(&self, hash: u64, member: Member) {
            let mut map = lock(&self.0);
            map.retain(|(key, _)| *key != hash);
            map.push((hash, Arc::new(member)));
        }

        pub(super) fn remove(&self, hash: u64) {
            lock(&self.0).retain(|(key, _)| *key != hash);
        }

        pub(super) fn each(&self, look: impl FnMut(&Member)) {
            let members: Vec<_> = lock(&self.0).clone();
            members.iter().map(|(_, member)| &**member).for_each(look);
        }
    }
}
