//! The bus under every interleaving; how to run it stands in `breaker/loom.rs`.

use std::sync::Arc;
use std::time::SystemTime;

use loom::thread;

use super::{Bus, Lagged, Subscription, What};

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn publish(bus: &Bus, times: u32) {
    for _ in 0..times {
        bus.push("loom".into(), SystemTime::UNIX_EPOCH, What::Reconfigured);
        bus.announce();
    }
}

/// What is read until the event with this number: sequence numbers, and how many were missed.
fn read_until(subscription: &mut Subscription, last: u64) -> (Vec<u64>, u64) {
    let (mut seen, mut missed) = (Vec::new(), 0);
    while seen.last() != Some(&last) {
        match subscription.next_blocking() {
            Ok(event) => seen.push(event.sequence),
            Err(Lagged(n)) => missed += n,
        }
    }
    (seen, missed)
}

/// A reader that blocks sleeps through nothing, whoever publishes meanwhile.
#[test]
fn a_blocked_reader_wakes_for_every_event() {
    explore(|| {
        let bus = Bus::with_capacity(4);
        let mut all = bus.subscribe();
        let threads = [(); 2].map(|()| {
            let bus = Arc::clone(&bus);
            thread::spawn(move || publish(&bus, 1))
        });
        assert_eq!(read_until(&mut all, 2), (vec![1, 2], 0));
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(all.try_next().unwrap().is_none());
    });
}

/// Who subscribes while events come misses none that come after.
#[test]
fn a_subscription_begins_where_it_says() {
    explore(|| {
        let bus = Bus::with_capacity(4);
        let publisher = Arc::clone(&bus);
        let thread = thread::spawn(move || publish(&publisher, 2));
        let before = bus.last();
        let mut subscription = bus.subscribe();
        thread.join().unwrap();
        let mut next = bus.last() + 1;
        let mut seen = Vec::new();
        while let Some(event) = subscription.try_next().unwrap() {
            seen.push(event.sequence);
        }
        for sequence in seen.iter().rev() {
            next -= 1;
            assert_eq!(*sequence, next, "without gaps, to the end");
        }
        assert!(next > before, "and nothing from before");
    });
}

/// However far a reader lags, what it reads and what it is told it missed add up, in order.
#[test]
fn what_is_read_and_what_is_missed_add_up() {
    explore(|| {
        let bus = Bus::with_capacity(1);
        let mut slow = bus.subscribe();
        let publisher = Arc::clone(&bus);
        let thread = thread::spawn(move || publish(&publisher, 3));
        let (seen, missed) = read_until(&mut slow, 3);
        assert!(seen.is_sorted());
        assert_eq!(seen.len() as u64 + missed, 3);
        thread.join().unwrap();
    });
}
