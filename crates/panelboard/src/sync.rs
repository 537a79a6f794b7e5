//! Atomics and locks, from std or from loom's model checker.
//!
//! Only acquire, release and read-modify-write orderings are used: loom cannot check `SeqCst`.

#[cfg(panelboard_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(panelboard_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

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
