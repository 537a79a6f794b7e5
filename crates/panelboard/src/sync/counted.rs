//! Counted references, from std or modelled for loom.
//!
//! Eviction stands on two operations on one counter: taking a reference from a weak one (unless the
//! count is zero) and taking the value out (if the count is one). Whichever comes first, the other
//! finds out.

#[cfg(not(panelboard_loom))]
pub(crate) use std::sync::{Arc as Counted, Weak as Loose};

#[cfg(panelboard_loom)]
pub(crate) use models::{Counted, Loose};

/// The same, with a counter that loom knows of. Orderings are those of std.
#[cfg(panelboard_loom)]
mod models {
    use std::fmt;
    use std::ops::Deref;
    use std::sync::{Arc, Weak};

    use crate::sync::atomic::{AtomicUsize, Ordering};

    pub(crate) struct Counted<T> {
        count: Arc<AtomicUsize>,
        /// `None` once the reference has been given up.
        value: Option<Arc<T>>,
    }

    pub(crate) struct Loose<T> {
        count: Arc<AtomicUsize>,
        value: Weak<T>,
    }

    impl<T> Counted<T> {
        pub(crate) fn new(value: T) -> Counted<T> {
            Counted { count: Arc::new(AtomicUsize::new(1)), value: Some(Arc::new(value)) }
        }

        pub(crate) fn downgrade(this: &Counted<T>) -> Loose<T> {
            let value = this.value.as_ref().map(Arc::downgrade).unwrap();
            Loose { count: Arc::clone(&this.count), value }
        }

        pub(crate) fn ptr_eq(this: &Counted<T>, other: &Counted<T>) -> bool {
            Arc::ptr_eq(&this.count, &other.count)
        }

        pub(crate) fn strong_count(this: &Counted<T>) -> usize {
            this.count.load(Ordering::Relaxed)
        }

        pub(crate) fn try_unwrap(mut this: Counted<T>) -> Result<T, Counted<T>> {
            let taken = this.count.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_err() {
                return Err(this);
            }
            let Some(Ok(value)) = this.value.take().map(Arc::try_unwrap) else {
                panic!("the counter says that this was the only reference");
            };
            Ok(value)
        }
    }

    impl<T> Clone for Counted<T> {
        fn clone(&self) -> Counted<T> {
            self.count.fetch_add(1, Ordering::Relaxed);
            Counted { count: Arc::clone(&self.count), value: self.value.clone() }
        }
    }

    impl<T> Drop for Counted<T> {
        fn drop(&mut self) {
            if self.value.is_some() {
                self.count.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    impl<T> Deref for Counted<T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.value.as_ref().unwrap()
        }
    }

    impl<T: fmt::Debug> fmt::Debug for Counted<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (**self).fmt(f)
        }
    }

    impl<T> Loose<T> {
        pub(crate) fn upgrade(&self) -> Option<Counted<T>> {
            let mut count = self.count.load(Ordering::Relaxed);
            loop {
                if count == 0 {
                    return None;
                }
                let more = count + 1;
                match self.count.compare_exchange(count, more, Ordering::Acquire, Ordering::Relaxed)
                {
                    Ok(_) => {
                        let value = self.value.upgrade();
                        return Some(Counted { count: Arc::clone(&self.count), value });
                    }
                    Err(now) => count = now,
                }
            }
        }
    }
}
