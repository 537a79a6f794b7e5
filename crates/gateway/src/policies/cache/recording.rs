//! An answer that is written down as it passes to its client.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;

use super::{Cache, Keys, Terms};
use crate::metrics::RouteCounts;

/// An answer that is written down as it passes. Unless it is finished, nothing comes of it.
pub(crate) struct Recording {
    pub(super) cache: Arc<Cache>,
    pub(super) keys: Keys,
    pub(super) head: HeaderMap,
    pub(super) terms: Terms,
    pub(super) body: Vec<u8>,
    pub(super) counts: RouteCounts,
}

impl Recording {
    /// Adds a piece of the body; `false` if there is no room for it.
    pub(crate) fn add(&mut self, data: &[u8]) -> bool {
        let added = data.len() as u64;
        let settings = &self.cache.settings;
        if self.body.len() as u64 + added > settings.max_body {
            return false;
        }
        // Relaxed: the number publishes nothing but itself.
        let before = self.cache.recorded.fetch_add(added, Ordering::Relaxed);
        if before.saturating_add(added) > settings.max_bytes {
            self.cache.recorded.fetch_sub(added, Ordering::Relaxed);
            return false;
        }
        self.body.extend_from_slice(data);
        true
    }

    /// The answer has come to its end, and is a good one.
    pub(crate) fn finish(mut self: Box<Self>) {
        let body = std::mem::take(&mut self.body);
        self.cache.recorded.fetch_sub(body.len() as u64, Ordering::Relaxed);
        // Of exactly its size, which is what is accounted for.
        let body = Bytes::from(body.into_boxed_slice());
        if self.cache.keep(&self.keys, std::mem::take(&mut self.head), &self.terms, body) {
            self.counts.cache("stored");
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.cache.recorded.fetch_sub(self.body.len() as u64, Ordering::Relaxed);
    }
}
