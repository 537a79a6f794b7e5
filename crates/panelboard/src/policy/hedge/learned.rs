//! The percentile, between threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use panelboard_core::hedge::HedgeSettings;
use panelboard_core::latency::Latencies;

/// After so many calls the percentile is looked up anew: that goes over all buckets.
const LOOK_UP: u32 = 16;

/// No percentile yet.
const UNKNOWN: u64 = u64::MAX;

/// What the last calls took, and what follows from it.
#[derive(Debug)]
pub(super) struct Learned {
    latencies: Mutex<(Latencies, u32)>,
    /// In nanoseconds.
    percentile: AtomicU64,
}

impl Learned {
    pub(super) fn new() -> Learned {
        let latencies = Mutex::new((Latencies::new(), 0));
        Learned { latencies, percentile: AtomicU64::new(UNKNOWN) }
    }

    pub(super) fn get(&self) -> Option<Duration> {
        // Relaxed: nothing else is published with it.
        let nanos = self.percentile.load(Ordering::Relaxed);
        (nanos != UNKNOWN).then(|| Duration::from_nanos(nanos))
    }

    /// Takes note of a call, unless another thread is just doing so: a percentile needs a sample
    /// of the calls, not all of them, and no call should wait for it.
    pub(super) fn record(&self, settings: &HedgeSettings, latency: Duration) {
        let mut held = match self.latencies.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let (latencies, since) = &mut *held;
        latencies.record(latency);
        *since += 1;
        if *since >= LOOK_UP || self.get().is_none() {
            *since = 0;
            if let Some(percentile) = settings.learn(latencies) {
                let nanos = u64::try_from(percentile.as_nanos()).unwrap_or(UNKNOWN - 1);
                self.percentile.store(nanos, Ordering::Relaxed);
            }
        }
    }
}
