//! A small number for each thread that uses a breaker, so that each writes counters of its own.
//!
//! The numbers are dense and handed on when a thread ends, so there are never more shards than
//! threads that were alive at the same time. A slot has one owner at a time, which is what makes
//! its shards single-writer: plain loads and stores instead of read-modify-write.

/// Slots with an owner of their own. Threads beyond share [`OVERFLOW`].
#[cfg(not(panelboard_loom))]
pub(crate) const OWNED: usize = 64;
#[cfg(panelboard_loom)]
pub(crate) const OWNED: usize = 3;

/// The slot of threads that found no slot of their own; a lock makes them take turns.
pub(crate) const OVERFLOW: usize = OWNED;

#[cfg(all(test, not(panelboard_loom)))]
pub(crate) use threads::pretend;
#[cfg(not(panelboard_loom))]
pub(crate) use threads::{current, own};

#[cfg(not(panelboard_loom))]
mod threads {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{OVERFLOW, OWNED};

    /// One bit for each owned slot that has an owner.
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    const _: () = assert!(OWNED == u64::BITS as usize);

    const UNKNOWN: usize = usize::MAX;

    thread_local! {
        // Apart from the guard: reading a cell without a destructor is a plain load.
        static SLOT: Cell<usize> = const { Cell::new(UNKNOWN) };
        static GUARD: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    /// Gives the slot back when its thread ends.
    struct Guard(usize);

    impl Drop for Guard {
        fn drop(&mut self) {
            // Other destructors of this thread may still use breakers; they share the overflow.
            SLOT.set(OVERFLOW);
            // Release: pairs with the acquire in `claim`, so the next owner sees what we wrote.
            TAKEN.fetch_and(!(1 << self.0), Ordering::Release);
        }
    }

    /// This thread's own slot, if it has one yet.
    #[inline]
    pub(crate) fn own() -> Option<usize> {
        let slot = SLOT.get();
        // Neither unknown nor shared.
        (slot < OWNED).then_some(slot)
    }

    /// This thread's slot.
    #[inline]
    pub(crate) fn current() -> usize {
        let slot = SLOT.get();
        if slot == UNKNOWN { claim() } else { slot }
    }

    /// Lets the rest of this thread's test write another slot's shards. Sound as long as only
    /// this thread uses the breaker.
    #[cfg(test)]
    pub(crate) fn pretend(slot: usize) {
        current();
        SLOT.set(slot);
    }

    #[cold]
    fn claim() -> usize {
        let mut taken = TAKEN.load(Ordering::Relaxed);
        let slot = loop {
            let free = taken.trailing_ones() as usize;
            if free == OWNED {
                break OVERFLOW;
            }
            let wanted = taken | 1 << free;
            // Acquire: pairs with the release in `Guard::drop`.
            match TAKEN.compare_exchange_weak(taken, wanted, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break free,
                Err(now) => taken = now,
            }
        };
        if slot == OVERFLOW {
            SLOT.set(OVERFLOW);
            return OVERFLOW;
        }
        SLOT.set(slot);
        // While the thread runs its destructors no guard can be kept; then this one is dropped
        // here, and the slot goes back at once.
        let guard = Guard(slot);
        let _ = GUARD.try_with(|place| place.set(Some(guard)));
        SLOT.get()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn slots_are_exclusive_while_held_and_come_back() {
            let mine = current();
            assert_eq!(current(), mine);
            let barrier = std::sync::Barrier::new(3);
            let held: Vec<usize> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            let slot = current();
                            barrier.wait();
                            slot
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let mut distinct = held.clone();
            distinct.push(mine);
            distinct.retain(|slot| *slot != OVERFLOW);
            let count = distinct.len();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), count, "{held:?} and {mine}");
        }

        #[test]
        fn more_threads_than_slots_share_the_overflow_and_leak_nothing() {
            for _ in 0..3 {
                let barrier = std::sync::Barrier::new(OWNED + 8);
                let held: Vec<usize> = std::thread::scope(|scope| {
                    let threads: Vec<_> = (0..OWNED + 8)
                        .map(|_| {
                            scope.spawn(|| {
                                let slot = current();
                                barrier.wait();
                                slot
                            })
                        })
                        .collect();
                    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
                });
                assert!(held.iter().filter(|slot| **slot == OVERFLOW).count() >= 8);
                wait_for_a_slot();
            }
        }

        /// Other tests have threads, too, but not for ever.
        fn wait_for_a_slot() {
            let one_of_its_own = || std::thread::spawn(current).join().unwrap() != OVERFLOW;
            assert!((0..100_000).any(|_| one_of_its_own()), "no slot has come back");
        }

        /// A breaker that is used while a thread's values are destroyed: before the slot is given
        /// back, after that, or by a thread that has had none.
        #[test]
        fn destructors_of_a_thread_share_nobodys_slot() {
            use std::sync::Mutex;
            static SEEN: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());
            struct Nosy(Cell<usize>);
            impl Drop for Nosy {
                fn drop(&mut self) {
                    SEEN.lock().unwrap().push((self.0.get(), current()));
                }
            }
            thread_local! {
                static BEFORE: Nosy = const { Nosy(Cell::new(UNKNOWN)) };
                static AFTER: Nosy = const { Nosy(Cell::new(UNKNOWN)) };
            }
            wait_for_a_slot();
            let run = |claims: bool| {
                std::thread::spawn(move || {
                    BEFORE.with(|_| ());
                    if claims {
                        let mine = current();
                        BEFORE.with(|nosy| nosy.0.set(mine));
                        AFTER.with(|nosy| nosy.0.set(mine));
                    }
                })
                .join()
                .unwrap();
                std::mem::take(&mut *SEEN.lock().unwrap())
            };
            let seen = run(true);
            assert_eq!(seen.len(), 2);
            assert!(seen.iter().all(|(mine, now)| now == mine || *now == OVERFLOW), "{seen:?}");
            // Whichever comes first, one of the two is destroyed after the slot was given back.
            assert!(seen.iter().any(|(_, now)| *now == OVERFLOW), "{seen:?}");
            assert_eq!(run(false).len(), 1);
            wait_for_a_slot();
        }
    }
}

#[cfg(panelboard_loom)]
pub(crate) use models::{crowd, current, own};

#[cfg(panelboard_loom)]
mod models {
    use loom::sync::atomic::{AtomicUsize, Ordering};

    use super::OVERFLOW;

    loom::lazy_static! {
        static ref NEXT: AtomicUsize = AtomicUsize::new(0);
    }
    loom::thread_local! {
        static SLOT: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn current() -> usize {
        SLOT.with(|slot| (*slot).min(OVERFLOW))
    }

    pub(crate) fn own() -> Option<usize> {
        let slot = current();
        (slot < OVERFLOW).then_some(slot)
    }

    /// From now on no thread finds a slot of its own.
    pub(crate) fn crowd() {
        NEXT.store(OVERFLOW, Ordering::Relaxed);
    }
}
