//! What the tests of several policies need.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::allow_attributes, reason = "an `expect` would fail where all of it is used")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use panelboard::Error;
use tokio::time::advance;
use tower::Service;

/// Polls that no call of a test needs.
const MANY: usize = 1_000;

/// Makes a call and drops it before its first poll; makes another and drops it after the first; and
/// so on until one is ready. `check` looks after each drop. Time is paused, and passes by `step`
/// between polls.
///
/// Returns how many polls the call needed.
pub(crate) async fn cancel_at_every_poll<F: Future>(
    step: Duration,
    mut make: impl FnMut() -> F,
    mut check: impl FnMut(usize),
) -> usize {
    for polls in 0..MANY {
        let mut call = Box::pin(make());
        let mut ready = false;
        for _ in 0..polls {
            ready = poll_once(call.as_mut()).await.is_ready();
            if ready {
                break;
            }
            advance(step).await;
        }
        drop(call);
        check(polls);
        if ready {
            return polls;
        }
    }
    panic!("not ready after {MANY} polls");
}

/// One poll with the waker of the task that asks.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// A service whose calls are pending a few times, and that knows how many are under way.
///
/// The request is what comes of the call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slow {
    /// How often a call is pending.
    pub(crate) pending: u32,
    pub(crate) counts: Arc<Counts>,
    ready: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) made: AtomicU32,
    pub(crate) in_flight: AtomicU32,
}

impl Slow {
    pub(crate) fn new(pending: u32) -> Slow {
        Slow { pending, ..Slow::default() }
    }

    pub(crate) fn made(&self) -> u32 {
        self.counts.made.load(Ordering::Relaxed)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.counts.in_flight.load(Ordering::Relaxed)
    }
}

pub(crate) type Said = Result<u32, &'static str>;

impl Service<Said> for Slow {
    type Response = u32;
    type Error = &'static str;
    type Future = SlowCall;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, said: Said) -> SlowCall {
        assert!(std::mem::take(&mut self.ready), "called without having been ready");
        self.counts.made.fetch_add(1, Ordering::Relaxed);
        self.counts.in_flight.fetch_add(1, Ordering::Relaxed);
        SlowCall { pending: self.pending, said, counts: Arc::clone(&self.counts) }
    }
}

/// A call of [`Slow`].
#[derive(Debug)]
pub(crate) struct SlowCall {
    pending: u32,
    said: Said,
    counts: Arc<Counts>,
}

impl Future for SlowCall {
    type Output = Said;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Said> {
        match self.pending.checked_sub(1) {
            Some(left) => {
                self.pending = left;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(self.said),
        }
    }
}

impl Drop for SlowCall {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A result, as the policies have it.
pub(crate) type Guarded = Result<u32, Error<&'static str>>;

pub(crate) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
