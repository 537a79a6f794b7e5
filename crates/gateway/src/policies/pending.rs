//! How many requests are under way at an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Requests under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending(Arc<AtomicU32>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Pending);

// Relaxed throughout: the number publishes nothing but itself.
impl Pending {
    pub(crate) fn begin(&self) -> UnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
