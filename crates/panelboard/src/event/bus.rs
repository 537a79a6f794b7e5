//! A bounded ring of events, and cursors into it.
//!
//! Publishing never waits and never runs user code: a subscriber that is slower than the ring
//! learns how many events it missed. Keeping and distributing are the same ring, so a page that
//! lists past events and a stream that follows new ones cannot disagree.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use event_listener::Event as Signal;

use super::{Event, What};
use crate::Name;

/// Events kept unless said otherwise.
const CAPACITY: usize = 10_000;

/// Where breakers publish what happened to them.
pub struct Bus {
    capacity: usize,
    ring: Mutex<Ring>,
    news: Signal,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    last: u64,
}

/// A place in the stream of events.
///
/// # Cancel safety
/// [`Subscription::next`] may be dropped at any point; no event is lost by it.
pub struct Subscription {
    bus: Arc<Bus>,
    seen: u64,
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
        Arc::new(Bus { capacity, ring: Mutex::default(), news: Signal::new() })
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

    /// Wakes whoever waits for events. Their wakers are foreign code, so the caller holds nothing.
    pub(crate) fn announce(&self) {
        self.news.notify(usize::MAX);
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
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
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
}

// ===== impl Subscription =====

impl Subscription {
    /// The next event, if there is one.
    ///
    /// # Errors
    /// [`Lagged`] when events were dropped before they could be read; reading goes on with the
    /// oldest one kept.
    pub fn try_next(&mut self) -> Result<Option<Arc<Event>>, Lagged> {
        let ring = self.bus.ring();
        let missed = ring.forgotten().saturating_sub(self.seen);
        if missed > 0 {
            self.seen += missed;
            return Err(Lagged(missed));
        }
        let next = ring.events.get(ring.index_after(self.seen)).cloned();
        self.seen += u64::from(next.is_some());
        Ok(next)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`Lagged`], as [`try_next`](Self::try_next).
    pub async fn next(&mut self) -> Result<Arc<Event>, Lagged> {
        loop {
            // Listening comes before looking, or an event between the two would be slept through.
            let news = self.bus.news.listen();
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            news.await;
        }
    }

    /// Blocks the thread until the next event.
    ///
    /// # Errors
    /// [`Lagged`], as [`try_next`](Self::try_next).
    pub fn next_blocking(&mut self) -> Result<Arc<Event>, Lagged> {
        use event_listener::Listener as _;
        loop {
            let news = self.bus.news.listen();
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            news.wait();
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

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::*;

    fn push(bus: &Bus, circuit: &'static str) {
        bus.push(circuit.into(), SystemTime::UNIX_EPOCH, What::Reconfigured);
        bus.announce();
    }

    #[test]
    fn a_subscriber_sees_every_event_in_order() {
        let bus = Bus::new();
        push(&bus, "before");
        let mut all = bus.subscribe_after(0);
        let mut new = bus.subscribe();
        push(&bus, "after");
        assert_eq!(&*all.try_next().unwrap().unwrap().circuit, "before");
        let event = all.try_next().unwrap().unwrap();
        assert_eq!((&*event.circuit, event.sequence), ("after", 2));
        assert_eq!(&*new.try_next().unwrap().unwrap().circuit, "after");
        assert!(new.try_next().unwrap().is_none());
    }

    #[test]
    fn a_slow_subscriber_is_told_how_much_it_missed() {
        let bus = Bus::with_capacity(3);
        let mut slow = bus.subscribe();
        for name in ["a", "b", "c", "d", "e"] {
            push(&bus, name);
        }
        assert_eq!(slow.try_next().unwrap_err(), Lagged(2));
        assert_eq!(&*slow.try_next().unwrap().unwrap().circuit, "c");
        assert_eq!(bus.after(0, 10).len(), 3);
        assert_eq!(bus.after(4, 10).len(), 1);
        assert_eq!(bus.after(99, 10).len(), 0);
    }

    #[test]
    fn a_blocked_subscriber_wakes_up() {
        let bus = Bus::new();
        let mut subscription = bus.subscribe();
        let reader = std::thread::spawn(move || subscription.next_blocking().unwrap().sequence);
        push(&bus, "news");
        assert_eq!(reader.join().unwrap(), 1);
    }
}
