//! A bounded ring of events, and cursors into it.
//!
//! Publishing never waits and never runs user code: a subscriber that is slower than the ring
//! learns how many events it missed. Keeping and distributing are the same ring, so a page that
//! lists past events and a stream that follows new ones cannot disagree.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use super::{Event, What};
use crate::Name;
use crate::sync::{Condvar, Mutex, MutexGuard, lock};

/// Events kept unless said otherwise.
const CAPACITY: usize = 10_000;

/// Where breakers publish what happened to them.
pub struct Bus {
    capacity: usize,
    ring: Mutex<Ring>,
    /// For those that block; the others leave a waker in the ring.
    news: Condvar,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    last: u64,
    /// Whoever found nothing to read, by a number of their own.
    waiting: Vec<(u64, Waker)>,
    next_number: u64,
}

/// A place in the stream of events.
///
/// # Cancel safety
/// [`Subscription::next`] may be dropped at any point; no event is lost by it.
///
/// # Examples
/// ```
/// use panelboard::event::What;
/// use panelboard::{CircuitBreaker, Command, PhaseName, Settings};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let mail = CircuitBreaker::new("mail", Settings::default());
/// let mut events = mail.subscribe();
/// mail.command(Command::Trip);
/// let event = events.next().await.unwrap();
/// assert!(matches!(event.what, What::Transition { to: PhaseName::Open, .. }));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Subscription {
    bus: Arc<Bus>,
    seen: u64,
}

/// What [`Subscription::next`] waits in.
struct Next<'a> {
    subscription: &'a mut Subscription,
    /// Under which its waker is kept, if it has left one.
    number: Option<u64>,
}

/// So many events were dropped before the subscriber came to read them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Lagged(pub u64);

// ===== impl Bus =====

impl Bus {
    /// A bus that keeps the last 10,000 events.
    pub fn new() -> Arc<Bus> {
        Bus::with_capacity(CAPACITY)
    }

    /// A bus that keeps the last `capacity` events, at least one.
    pub fn with_capacity(capacity: usize) -> Arc<Bus> {
        let capacity = capacity.max(1);
        Arc::new(Bus { capacity, ring: Mutex::default(), news: Condvar::new() })
    }

    /// Adds an event. Wakes nobody: that is for [`Bus::announce`], when no lock is held.
    pub(crate) fn push(&self, circuit: Name, at: SystemTime, what: What) {
        let mut ring = self.ring();
        ring.last += 1;
        let sequence = ring.last;
        if ring.events.len() == self.capacity {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(Event { sequence, circuit, at, what }));
    }

    /// Wakes whoever waits for events. Their wakers are foreign code, so the caller holds nothing,
    /// and neither do we: a waker may read from this bus, or make events on it.
    ///
    /// A waker that panics keeps no other from being woken, and is heard of by the panic hook alone:
    /// who makes events is in the middle of something, and would lose the slot that a call was just
    /// lent, or the result of one, to a stranger's fault.
    pub(crate) fn announce(&self) {
        let waiting = std::mem::take(&mut self.ring().waiting);
        self.news.notify_all();
        for (_, waker) in waiting {
            drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
    }

    /// Follows the events from now on.
    pub fn subscribe(self: &Arc<Bus>) -> Subscription {
        self.subscribe_after(self.last())
    }

    /// Follows the events after the one with this sequence number, past ones included.
    pub fn subscribe_after(self: &Arc<Bus>, sequence: u64) -> Subscription {
        Subscription { bus: Arc::clone(self), seen: sequence }
    }

    /// The sequence number of the newest event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.ring().last
    }

    /// Up to `limit` kept events after this sequence number, oldest first.
    pub fn after(&self, sequence: u64, limit: usize) -> Vec<Arc<Event>> {
        let ring = self.ring();
        let from = ring.index_after(sequence);
        ring.events.iter().skip(from).take(limit).cloned().collect()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        lock(&self.ring)
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("last", &self.last()).finish_non_exhaustive()
    }
}

impl Ring {
    /// Sequence number of the event before the oldest kept one.
    fn forgotten(&self) -> u64 {
        self.last - self.events.len() as u64
    }

    fn index_after(&self, sequence: u64) -> usize {
        usize::try_from(sequence.saturating_sub(self.forgotten())).unwrap_or(usize::MAX)
    }

    /// The event after those seen, which then is one of them.
    fn read(&self, seen: &mut u64) -> Result<Option<Arc<Event>>, Lagged> {
        let missed = self.forgotten().saturating_sub(*seen);
        if missed > 0 {
            *seen += missed;
            return Err(Lagged(missed));
        }
        let next = self.events.get(self.index_after(*seen)).cloned();
        *seen += u64::from(next.is_some());
        Ok(next)
    }

    /// Keeps a waker under this number, or a new one; returns the one that was there.
    fn wait(&mut self, number: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let number = *number.get_or_insert_with(|| {
            self.next_number += 1;
            self.next_number
        });
        match self.waiting.iter_mut().find(|(other, _)| *other == number) {
            Some((_, kept)) => Some(std::mem::replace(kept, waker)),
            None => {
                self.waiting.push((number, waker));
                None
            }
        }
    }

    fn forget(&mut self, number: u64) -> Option<Waker> {
        let at = self.waiting.iter().position(|(other, _)| *other == number)?;
        Some(self.waiting.remove(at).1)
    }
}

// ===== impl Subscription =====

impl Subscription {
    /// The next event, if there is one.
    ///
    /// # Errors
    /// [`Lagged`] when events were dropped before they could be read; reading goes on with the
    /// oldest one kept.
    pub fn try_next(&mut self) -> Result<Option<Arc<Event>>, Lagged> {
        self.bus.ring().read(&mut self.seen)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`Lagged`], as [`try_next`](Self::try_next).
    pub async fn next(&mut self) -> Result<Arc<Event>, Lagged> {
        Next { subscription: self, number: None }.await
    }

    /// Blocks the thread until the next event.
    ///
    /// # Errors
    /// [`Lagged`], as [`try_next`](Self::try_next).
    pub fn next_blocking(&mut self) -> Result<Arc<Event>, Lagged> {
        let mut ring = self.bus.ring();
        loop {
            if let Some(event) = ring.read(&mut self.seen)? {
                return Ok(event);
            }
            ring = self.bus.news.wait(ring).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

// ===== impl Next =====

impl Future for Next<'_> {
    type Output = Result<Arc<Event>, Lagged>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Next { subscription: Subscription { bus, seen }, number } = &mut *self;
        if let Some(found) = bus.ring().read(seen).transpose() {
            return Poll::Ready(found);
        }
        // Wakers are foreign code: cloned before the lock, and an old one dropped after it.
        let waker = cx.waker().clone();
        let mut ring = bus.ring();
        // Looked at again, or an event between the two would be slept through.
        if let Some(found) = ring.read(seen).transpose() {
            drop(ring);
            return Poll::Ready(found);
        }
        let old = ring.wait(number, waker);
        drop(ring);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Next<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.subscription.bus.ring().forget(number);
            drop(waker);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events were dropped before they were read", self.0)
    }
}

impl std::error::Error for Lagged {}
