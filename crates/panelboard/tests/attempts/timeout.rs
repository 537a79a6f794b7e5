use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;

use panelboard::policy::timeout::{TimeoutFuture, TimeoutLayer};
use panelboard::{CircuitBreaker, Clock, Error, Kind, Settings};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{dropped_at_each_poll, guarded, keeps_towers_contract, millis, secs};

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_its_timeout_and_not_before() {
    let layer = TimeoutLayer::new(secs(2));
    let work = |wait| {
        service_fn(move |()| async move {
            sleep(wait).await;
            Ok::<_, Infallible>(())
        })
    };
    assert_eq!(layer.layer(work(millis(1_999))).oneshot(()).await, Ok(()));
    assert_eq!(layer.layer(work(millis(2_001))).oneshot(()).await, Err(Error::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn the_callees_error_comes_through() {
    let failing = service_fn(|()| async { Err::<(), _>("no") });
    let service = TimeoutLayer::new(secs(2)).layer(failing);
    assert_eq!(service.oneshot(()).await, Err(Error::Inner("no")));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_towers_contract() {
    keeps_towers_contract(|mock| TimeoutLayer::new(secs(1)).layer(mock)).await;
}

/// An attempt that is given up ends with its error, although the future is still there.
#[tokio::test(start_paused = true)]
async fn what_took_too_long_is_gone_when_its_caller_is_told() {
    let breaker = guarded();
    let attempt = breaker.call_async(pending::<Result<(), Infallible>>());
    let mut attempt = pin!(TimeoutFuture::new(secs(1), attempt));
    assert_eq!((&mut attempt).await, Err(Error::TimedOut));
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.neutral, counters.in_flight()), (1, 0));
}

/// Its own setting ends the attempt first, and the attempt counts once.
#[tokio::test(start_paused = true)]
async fn a_breaker_with_a_timeout_of_its_own_counts_an_attempt_once() {
    for (own, layer) in [(1, 2), (2, 1)] {
        let settings = Settings::builder().timeout(secs(own)).build().unwrap();
        let breaker = CircuitBreaker::builder("both").settings(settings);
        let breaker = breaker.clock(Clock::tokio()).build();
        let attempt = TimeoutFuture::new(secs(layer), pending::<Result<(), Error<Infallible>>>());
        let classify = |result: &Result<(), Error<Infallible>>| match result {
            Err(Error::TimedOut) => panelboard::Outcome::failure(Kind::Timeout),
            _ => panelboard::Outcome::Success,
        };
        let result = breaker.call_async_classified(attempt, classify).await;
        assert_eq!(result.map_err(Error::flatten), Err(Error::TimedOut));
        let counters = breaker.snapshot().counters;
        assert_eq!(counters.failures[Kind::Timeout.index()], 1);
        assert_eq!((counters.admitted, counters.in_flight()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn b7_whenever_it_is_dropped_nothing_is_left_behind() {
    let breaker = guarded();
    let guard = breaker.clone();
    let call = || {
        let guard = guard.clone();
        TimeoutFuture::new(millis(35), async move {
            guard.call_async(pending::<Result<(), Infallible>>()).await
        })
    };
    let polls = dropped_at_each_poll(millis(10), call, |polls| {
        let counters = breaker.snapshot().counters;
        assert_eq!(counters.in_flight(), 0, "after {polls} polls");
    });
    assert_eq!(polls.await, 5, "the fifth finds the timeout passed");
}
