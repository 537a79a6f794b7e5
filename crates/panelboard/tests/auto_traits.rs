//! What a handle may be used for, which follows from what is inside and so changes unnoticed.

use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};

use panelboard::event::{Bus, Event, Lagged, LastError, Order};
use panelboard::registry::FamilyOptions;
use panelboard::{
    CircuitBreaker, Clock, Error, ErrorDetail, Family, ManualClock, Name, OwnedPermit, Permit,
    Registry, Rejected, Settings, Snapshot, Subscription, TripRecord, Unavailable,
};

/// Shared between threads, and used on both sides of a panic that was caught.
fn is_free<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}

/// A future may be spawned.
#[cfg(feature = "tokio")]
fn is_send<T: Send>(_: &T) {}

#[test]
fn every_handle_may_be_sent_shared_and_used_after_a_panic() {
    is_free::<CircuitBreaker>();
    is_free::<panelboard::Builder>();
    is_free::<Permit<'static>>();
    is_free::<OwnedPermit>();
    is_free::<Registry>();
    is_free::<Family>();
    is_free::<FamilyOptions>();
    is_free::<Bus>();
    is_free::<Subscription>();
    is_free::<Clock>();
    is_free::<ManualClock>();
}

#[test]
fn every_value_may_be_sent_shared_and_used_after_a_panic() {
    is_free::<Event>();
    is_free::<Lagged>();
    is_free::<LastError>();
    is_free::<Order>();
    is_free::<TripRecord>();
    is_free::<Snapshot>();
    is_free::<ErrorDetail>();
    is_free::<Error<String>>();
    is_free::<Rejected>();
    is_free::<Unavailable>();
    is_free::<Name>();
    is_free::<Settings>();
}

#[cfg(feature = "tokio")]
#[test]
fn futures_of_guarded_calls_may_be_spawned() {
    let breaker = CircuitBreaker::new("spawned", Settings::default());
    is_send(&breaker.call_async(async { Ok::<_, ()>(1) }));
    let mut events = breaker.subscribe();
    is_send(&events.next());
}

/// A thread pool that catches panics need not assert that a breaker is as it should be.
#[test]
fn a_guarded_call_may_be_made_where_panics_are_caught() {
    let breaker = CircuitBreaker::new("pool", Settings::default());
    let job = || breaker.call(|| -> Result<(), ()> { panic!("job") });
    assert!(catch_unwind(job).is_err());
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.failure(), counters.in_flight()), (1, 0));
}
