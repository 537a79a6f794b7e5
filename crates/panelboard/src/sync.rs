//! Atomics and locks, from std or from loom's model checker.
//!
//! Only acquire, release and read-modify-write orderings are used: loom cannot check `SeqCst`.

pub(crate) mod counted;

#[cfg(panelboard_loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(panelboard_loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

/// Locks, whatever happened to an earlier holder: nothing under our locks runs user code, so a
/// panic there cannot leave a value half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A value made when first needed. loom has no `OnceLock`, so there it is made at once.
#[derive(Debug)]
pub(crate) struct Lazy<T> {
    #[cfg(not(panelboard_loom))]
    cell: std::sync::OnceLock<T>,
    #[cfg(panelboard_loom)]
    value: T,
}

#[cfg(not(panelboard_loom))]
impl<T: Default> Lazy<T> {
    pub(crate) const fn new() -> Lazy<T> {
        Lazy { cell: std::sync::OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.cell.get()
    }

    pub(crate) fn get_or_make(&self) -> &T {
        self.cell.get_or_init(T::default)
    }
}

#[cfg(not(panelboard_loom))]
impl<T> Lazy<Box<T>> {
    /// Sets the value, if there is none yet.
    pub(crate) fn make(&self, value: T) {
        self.cell.get_or_init(|| Box::new(value));
    }
}

#[cfg(panelboard_loom)]
impl<T> Lazy<Box<T>> {
    /// There is one already.
    pub(crate) fn make(&self, _: T) {}
}

impl<T: Default> Default for Lazy<T> {
    fn default() -> Lazy<T> {
        Lazy::new()
    }
}

#[cfg(panelboard_loom)]
impl<T: Default> Lazy<T> {
    pub(crate) fn new() -> Lazy<T> {
        Lazy { value: T::default() }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        Some(&self.value)
    }

    pub(crate) fn get_or_make(&self) -> &T {
        &self.value
    }
}

/// loom's atomics, whose operations can be made to take turns at one word for all.
///
/// loom tries another order of two operations only if they touch the same object, and of the
/// accesses to an object it remembers the last one alone: that a thread reads a word before it
/// writes it hides from loom that another thread has read it before. As all operations touch the
/// word of turns, loom tries every order. It is relaxed, so it publishes nothing.
#[cfg(panelboard_loom)]
pub(crate) mod atomic {
    use std::cell::Cell;

    pub(crate) use loom::sync::atomic::Ordering;

    loom::lazy_static! {
        static ref TURN: loom::sync::atomic::AtomicUsize = loom::sync::atomic::AtomicUsize::new(0);
    }

    std::thread_local! {
        /// Whether turns are taken. All threads of a model run on one thread of the system.
        pub(crate) static TURNS: Cell<bool> = const { Cell::new(false) };
    }

    fn turn() {
        if TURNS.get() {
            TURN.fetch_add(0, Ordering::Relaxed);
        }
    }

    macro_rules! taking_turns {
        ($name:ident, $int:ty) => {
            #[derive(Debug, Default)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            #[expect(dead_code, reason = "not every atomic is used in every way")]
            impl $name {
                pub(crate) fn new(value: $int) -> $name {
                    $name(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $int {
                    turn();
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $int, order: Ordering) {
                    turn();
                    self.0.store(value, order);
                }

                pub(crate) fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                    turn();
                    self.0.fetch_add(value, order)
                }

                pub(crate) fn fetch_sub(&self, value: $int, order: Ordering) -> $int {
                    turn();
                    self.0.fetch_sub(value, order)
                }

                pub(crate) fn swap(&self, value: $int, order: Ordering) -> $int {
                    turn();
                    self.0.swap(value, order)
                }

                pub(crate) fn fetch_max(&self, value: $int, order: Ordering) -> $int {
                    turn();
                    self.0.fetch_max(value, order)
                }

                pub(crate) fn fetch_update(
                    &self,
                    success: Ordering,
                    failure: Ordering,
                    next: impl FnMut($int) -> Option<$int>,
                ) -> Result<$int, $int> {
                    turn();
                    self.0.fetch_update(success, failure, next)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    current: $int,
                    new: $int,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$int, $int> {
                    turn();
                    self.0.compare_exchange(current, new, success, failure)
                }

                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $int,
                    new: $int,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$int, $int> {
                    turn();
                    self.0.compare_exchange_weak(current, new, success, failure)
                }
            }
        };
    }
    taking_turns!(AtomicU64, u64);
    taking_turns!(AtomicUsize, usize);
}
