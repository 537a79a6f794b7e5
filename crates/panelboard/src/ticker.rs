//! A clock that is cheap to read because a thread of its own keeps it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use panelboard_core::Tick;

use crate::Clock;

/// How long the thread sleeps between two readings.
const STEP: Duration = Duration::from_millis(1);

/// The time as it was read last.
pub(crate) struct Ticker(AtomicU64);

/// The one that all handles share, while there are any.
static SHARED: Mutex<Weak<Ticker>> = Mutex::new(Weak::new());

impl Ticker {
    /// The shared one, started if need be; `None` if the system has no thread left for it.
    pub(crate) fn shared() -> Option<Arc<Ticker>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let source = Clock::precise();
        let ticker = Arc::new(Ticker(AtomicU64::new(source.now().as_nanos())));
        let handles = Arc::downgrade(&ticker);
        thread::Builder::new()
            .name("panelboard-ticker".into())
            .spawn(move || keep(&handles, &source))
            .ok()?;
        *shared = Arc::downgrade(&ticker);
        Some(ticker)
    }

    #[inline]
    pub(crate) fn now(&self) -> Tick {
        // Nothing else is read by it, so relaxed will do; and a thread that has read a time never
        // reads an earlier one of the same atomic.
        Tick::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Keeps the time until the last handle is gone.
#[expect(clippy::disallowed_methods, reason = "a thread whose work it is to sleep and tick")]
fn keep(handles: &Weak<Ticker>, source: &Clock) {
    while let Some(ticker) = handles.upgrade() {
        ticker.0.store(source.now().as_nanos(), Ordering::Relaxed);
        drop(ticker);
        thread::sleep(STEP);
    }
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::*;

    #[test]
    fn handles_share_one_thread_which_ends_with_them() {
        let ticker = Ticker::shared().unwrap();
        let again = Ticker::shared().unwrap();
        assert!(Arc::ptr_eq(&ticker, &again));
        let before = ticker.now();
        while ticker.now() == before {
            thread::yield_now();
        }
        assert!(ticker.now() > before && ticker.now() <= Clock::precise().now());
        let handle = Arc::downgrade(&ticker);
        drop((ticker, again));
        // Its thread may hold it for the moment of a reading.
        while handle.upgrade().is_some() {
            thread::yield_now();
        }
        assert!(Ticker::shared().is_some(), "it can be started again");
    }
}
