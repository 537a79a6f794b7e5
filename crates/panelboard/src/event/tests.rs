use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::SystemTime;

use super::{Bus, Lagged, What};
use crate::{CircuitBreaker, Command, PhaseName, Settings};

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

/// A waker that runs what it is told to.
struct Acts<F>(F, AtomicU32);

impl<F: Fn() + Send + Sync> Wake for Acts<F> {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0();
    }
}

fn acts<F: Fn() + Send + Sync + 'static>(act: F) -> (Arc<Acts<F>>, Waker) {
    let acts = Arc::new(Acts(act, AtomicU32::new(0)));
    (Arc::clone(&acts), Waker::from(acts))
}

#[test]
fn a_subscriber_is_woken_once_by_the_waker_it_left_last() {
    let bus = Bus::new();
    let ((stale, old), (fresh, new)) = (acts(|| ()), acts(|| ()));
    let mut subscription = bus.subscribe();
    {
        let mut next = pin!(subscription.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(&old)).is_pending());
        assert!(next.as_mut().poll(&mut Context::from_waker(&new)).is_pending());
        bus.announce();
        assert!(next.as_mut().poll(&mut Context::from_waker(&new)).is_pending(), "for nothing");
        push(&bus, "news");
        push(&bus, "more");
        let Poll::Ready(event) = next.as_mut().poll(&mut Context::from_waker(&new)) else {
            panic!("there is an event")
        };
        assert_eq!(event.unwrap().sequence, 1);
    }
    assert_eq!((stale.1.load(Ordering::Relaxed), fresh.1.load(Ordering::Relaxed)), (0, 2));
    drop((old, new));
    assert_eq!((Arc::strong_count(&stale), Arc::strong_count(&fresh)), (1, 1));
}

#[test]
fn who_stops_waiting_leaves_no_waker_behind() {
    let bus = Bus::new();
    let (quiet, waker) = acts(|| ());
    let mut subscription = bus.subscribe();
    {
        let mut next = pin!(subscription.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(Arc::strong_count(&quiet), 3);
    }
    assert_eq!(Arc::strong_count(&quiet), 2);
    push(&bus, "news");
    assert_eq!(quiet.1.load(Ordering::Relaxed), 0);
    assert_eq!(subscription.try_next().unwrap().unwrap().sequence, 1, "and no event is lost");
}

/// B-10: whoever is woken may do anything to the breaker and its bus, there and then.
#[test]
fn b10_a_waker_may_make_events_and_wait_for_more() {
    let breaker = CircuitBreaker::new("b10", Settings::default());
    let other = breaker.clone();
    let (nosy, waker) = acts(move || {
        let mut events = other.subscribe();
        let mut next = pin!(events.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        other.command(Command::Reset);
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    });
    let mut events = breaker.subscribe();
    let mut next = pin!(events.next());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    breaker.command(Command::Trip);
    assert_eq!(nosy.1.load(Ordering::Relaxed), 1);
    assert_eq!(breaker.phase(), PhaseName::Closed, "reset by the waker");
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

/// B-7: the others are woken all the same, and breaker and bus go on.
#[test]
fn b7_a_waker_that_panics_leaves_nothing_stuck() {
    let breaker =
        CircuitBreaker::new("b7", Settings::builder().failure_threshold(1).build().unwrap());
    let (_, bad) = acts(|| panic!("woken"));
    let (good, waker) = acts(|| ());
    let (mut first, mut second) = (breaker.subscribe(), breaker.subscribe());
    let (mut first, mut second) = (pin!(first.next()), pin!(second.next()));
    let mut wait = |bad: &Waker, good: &Waker| {
        let first = first.as_mut().poll(&mut Context::from_waker(bad));
        let second = second.as_mut().poll(&mut Context::from_waker(good));
        (first.is_ready(), second.is_ready())
    };
    assert_eq!(wait(&bad, &waker), (false, false));
    let failing = || breaker.call(|| Err::<(), _>("no"));
    assert_eq!(failing().unwrap_err().to_string(), "no", "no call fails because of it");
    assert_eq!(good.1.load(Ordering::Relaxed), 1);
    assert_eq!(wait(&bad, &waker), (true, true));
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.phase, snapshot.counters.in_flight()), (PhaseName::Open, 0));
    assert_eq!(snapshot.counters.failure(), 1);
}

/// B-7: one panic at a time: a second one would end the process.
#[test]
fn b7_a_waker_that_panics_while_a_call_unwinds_is_ignored() {
    let breaker =
        CircuitBreaker::new("b7", Settings::builder().failure_threshold(1).build().unwrap());
    let (_, bad) = acts(|| panic!("woken"));
    let mut events = breaker.subscribe();
    let mut next = pin!(events.next());
    assert!(next.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
    let call = || breaker.call(|| -> Result<(), ()> { panic!("callee") });
    let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"callee"));
    assert_eq!(breaker.phase(), PhaseName::Open);
}
