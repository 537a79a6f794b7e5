use std::task::{Context, Poll, Waker};

use panelboard::policy::concurrency_limit::{
    ConcurrencyLimit, ConcurrencyLimitService, LimitReached,
};
use panelboard::{Clock, Error, Kind, ManualClock, OkOrErr, Outcome};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};

use crate::support::{Slow, cancel_at_every_poll, millis, poll_once};

#[tokio::test(start_paused = true)]
async fn readiness_is_the_services_own() {
    let limit = ConcurrencyLimit::new(1, 1, 10).unwrap();
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(limit.layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(2);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let mut first = Box::pin(service.call(1));
    assert!(poll_once(first.as_mut()).await.is_pending());
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))), "at its limit it is ready");
    assert!(matches!(service.call(2).await, Err(Error::LimitReached)));
    assert_request_eq!(handle, 1).send_response(10);
    assert_eq!(first.await.unwrap(), 10);
    let third = service.call(3);
    assert_request_eq!(handle, 3).send_response(30);
    assert_eq!(third.await.unwrap(), 30);
}

#[test]
fn outcomes_say_what_they_say_of_the_load() {
    let clock = ManualClock::new();
    let limit = ConcurrencyLimit::new(1, 100, 200).unwrap().clock(clock.clone());
    let end = |outcome| {
        let permit = limit.try_acquire().unwrap();
        clock.advance(millis(10));
        permit.record(outcome);
        limit.limit()
    };
    for nothing in
        [Outcome::Neutral, Outcome::failure(Kind::Connect), Outcome::failure(Kind::OTHER)]
    {
        assert_eq!(end(nothing), 100);
    }
    drop(limit.try_acquire());
    assert_eq!(limit.limit(), 100);
    assert_eq!(end(Outcome::failure(Kind::Timeout)), 75);
    assert_eq!(end(Outcome::pushback(None)), 57);
    assert_eq!(end(Outcome::failure(Kind::Overloaded)), 43);
    assert_eq!(end(Outcome::failure(Kind::RateLimited)), 33);
    assert_eq!(limit.base_latency(), None);
    for _ in 0..20 {
        assert_eq!(end(Outcome::Success), 33, "it was not what held calls back");
    }
    assert_eq!(limit.base_latency(), Some(millis(10)));
    assert_eq!((limit.min(), limit.max(), limit.in_flight()), (1, 200, 0));
}

#[test]
fn it_grows_while_it_is_used_and_calls_are_quick() {
    let clock = ManualClock::new();
    let limit = ConcurrencyLimit::new(1, 4, 50).unwrap().clock(clock.clone());
    for _ in 0..200 {
        let permits: Vec<_> = std::iter::from_fn(|| limit.try_acquire().ok()).collect();
        assert_eq!(limit.in_flight(), limit.limit());
        assert_eq!(limit.call(|| Ok::<_, ()>(())), Err(Error::LimitReached));
        clock.advance(millis(20));
        for permit in permits {
            permit.record(Outcome::Success);
        }
    }
    assert_eq!(limit.limit(), 50);
}

#[test]
fn sync_calls_are_judged_by_their_classifier() {
    let limit = ConcurrencyLimit::new(1, 100, 200).unwrap().clock(ManualClock::new());
    let busy = |result: &Result<(), &str>| match result {
        Err("busy") => Outcome::pushback(None),
        _ => Outcome::Success,
    };
    assert_eq!(limit.call(|| Err::<(), _>("busy")), Err(Error::Inner("busy")));
    assert_eq!(limit.limit(), 100);
    assert_eq!(limit.call_classified(|| Err("busy"), busy), Err(Error::Inner("busy")));
    assert_eq!(limit.limit(), 75);
    let panicked = std::panic::catch_unwind(|| limit.call(|| -> Result<(), ()> { panic!() }));
    assert!(panicked.is_err());
    assert_eq!((limit.in_flight(), limit.limit()), (0, 75));
    assert_eq!(LimitReached.to_string(), "too many calls are under way (adaptive limit)");
}

/// A timeout further in is overload; what another policy refused is not.
#[tokio::test(start_paused = true)]
async fn errors_of_other_policies_are_told_apart() {
    let limit = ConcurrencyLimit::new(1, 100, 200).unwrap().clock(Clock::tokio());
    let inner = service_fn(|error: Error<()>| async move { Err::<(), _>(error) });
    let service = ConcurrencyLimitService::new(limit.clone(), OkOrErr, inner);
    for error in [Error::BulkheadFull, Error::DeadlineExceeded, Error::Inner(())] {
        assert_eq!(service.clone().oneshot(error.clone()).await, Err(error));
        assert_eq!(limit.limit(), 100);
    }
    assert_eq!(service.oneshot(Error::TimedOut).await, Err(Error::TimedOut));
    assert_eq!((limit.limit(), limit.in_flight()), (75, 0));
}

#[tokio::test(start_paused = true)]
async fn cancelled_at_any_poll_it_leaves_nothing_behind() {
    let limit = ConcurrencyLimit::new(1, 2, 2).unwrap().clock(Clock::tokio());
    let slow = Slow::new(3);
    let mut service = limit.layer().layer(slow.clone());
    let mut context = Context::from_waker(Waker::noop());
    let make = || {
        assert!(service.poll_ready(&mut context).is_ready());
        service.call(Ok(1))
    };
    let polls = cancel_at_every_poll(millis(1), make, |polls| {
        assert_eq!((limit.in_flight(), slow.in_flight()), (0, 0), "after {polls} polls");
    });
    assert_eq!(polls.await, 4);
    assert_eq!(limit.limit(), 2);
}

#[test]
fn threads_together_never_exceed_it() {
    let limit = ConcurrencyLimit::new(3, 3, 3).unwrap();
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let _ = limit.call(|| {
                        use std::sync::atomic::Ordering;
                        assert!(inside.fetch_add(1, Ordering::AcqRel) < 3);
                        inside.fetch_sub(1, Ordering::AcqRel);
                        Ok::<_, ()>(())
                    });
                }
            });
        }
    });
    assert_eq!(limit.in_flight(), 0);
}
