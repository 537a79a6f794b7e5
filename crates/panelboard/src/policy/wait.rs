//! Waking a thread that waits.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Wakes this thread where it is parked.
pub(crate) fn unparker() -> Waker {
    Waker::from(Arc::new(Unpark(std::thread::current())))
}
