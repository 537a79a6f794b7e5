//! What stands between one attempt and its breaker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use panelboard::{ErrorDetail, OwnedPermit};
use tokio::time::Instant;

use super::answer::now;
use crate::judge::Observed;
use crate::metrics::CallTimes;

/// A permit with what there is to tell of the call when it ends. Dropping it is the client going
/// away: neutral.
pub(crate) struct Guard {
    /// `None` for a call that the circuit did not let through.
    permit: Option<OwnedPermit>,
    started: Instant,
    /// When it is slow although it has not ended, unless it has been found so.
    slow_at: Option<Instant>,
    /// How long a probe may hold its slot without making progress.
    lease: Duration,
    trace: Option<Arc<str>>,
    times: CallTimes,
    /// What an event stream is sent last if it is cut.
    last_words: &'static str,
}

impl Guard {
    pub(crate) fn new(
        permit: Option<OwnedPermit>,
        lease: Duration,
        trace: Option<Arc<str>>,
        times: CallTimes,
    ) -> Guard {
        let started = now();
        let slow_at = permit
            .as_ref()
            .and_then(OwnedPermit::slow_after)
            .and_then(|after| started.checked_add(after));
        Guard { permit, started, slow_at, lease, trace, times, last_words: "" }
    }

    /// When it must be through, by the circuit's `timeout`.
    pub(crate) fn until(&self) -> Option<Instant> {
        let timeout = self.permit.as_ref().and_then(OwnedPermit::timeout)?;
        self.started.checked_add(timeout)
    }

    /// When it is slow although it has not ended.
    pub(crate) fn slow_at(&self) -> Option<Instant> {
        self.slow_at
    }

    /// It is slow, which counts now and not when it ends: an upstream that hangs would be given
    /// calls until the first of them times out.
    pub(crate) fn mark_slow(&mut self) {
        self.slow_at = None;
        if let Some(permit) = &mut self.permit {
            permit.mark_slow();
        }
    }

    /// Waits for a part of the call, and finds it slow meanwhile if it is.
    pub(crate) async fn watch<T>(&mut self, part: impl Future<Output = T>) -> T {
        let Some(slow_at) = self.slow_at else { return part.await };
        let mut part = std::pin::pin!(part);
        tokio::select! {
            biased;
            done = &mut part => return done,
            () = tokio::time::sleep_until(slow_at) => self.mark_slow(),
        }
        part.await
    }

    /// What an event stream is sent last if it is cut, in the shape of its API.
    pub(crate) fn with_last_words(mut self, words: &'static str) -> Guard {
        self.last_words = words;
        self
    }

    pub(crate) fn last_words(&self) -> Bytes {
        Bytes::from_static(self.last_words.as_bytes())
    }

    /// The answer came through.
    pub(crate) fn complete(self) {
        self.times.observe(self.started.elapsed());
        if let Some(permit) = self.permit {
            permit.success();
        }
    }

    /// Something else is to be said of it.
    pub(crate) fn settle(self, observed: Observed) {
        self.settle_because(observed, None);
    }

    /// The same, and somebody knows the cause.
    pub(crate) fn settle_because(self, observed: Observed, cause: Option<&str>) {
        let latency = self.started.elapsed();
        self.times.observe(latency);
        let Some(permit) = self.permit else { return };
        let words = observed.words();
        let mut detail = ErrorDetail::new().latency(latency);
        detail = match cause {
            Some(cause) => detail.message(format!("{words}: {cause}")),
            None => detail.message(words),
        };
        if let Some(status) = observed.status() {
            detail = detail.status(status.as_u16());
        }
        if let Some(trace) = self.trace {
            detail = detail.trace_id(trace);
        }
        permit.record_with(observed.verdict().outcome, &detail);
    }

    /// How long ago the attempt began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The answer is getting somewhere.
    pub(crate) fn renew(&self) {
        if let Some(permit) = &self.permit {
            permit.renew(self.lease);
        }
    }
}
