use std::task::{Context, Poll, Waker};
use std::time::Duration;

use panelboard::policy::deadline::Deadline;
use panelboard::policy::rate_limit::RateLimit;
use panelboard::{Clock, Error, ManualClock, Tick};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};
use tower_test::{assert_request_eq, mock};

use crate::support::{Slow, cancel_at_every_poll, millis, poll_once, secs};

/// Ten a second, on Tokio's clock.
fn limit(burst: u32) -> RateLimit {
    RateLimit::new(10, secs(1), burst).unwrap().clock(Clock::tokio())
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_services_own_and_a_call_that_waits_keeps_it() {
    let limit = limit(1).max_wait(millis(100));
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(limit.layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(2);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let first = service.call(1);
    assert_request_eq!(handle, 1).send_response(10);
    assert_eq!(first.await.unwrap(), 10);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let mut waits = Box::pin(service.call(2));
    assert!(poll_once(waits.as_mut()).await.is_pending());
    handle.allow(0);
    assert!(service.poll_ready().is_pending(), "its readiness waits with the call");
    handle.allow(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let refused = service.call(3).await.unwrap_err();
    assert!(matches!(refused, Error::RateLimited { retry_after } if retry_after == millis(200)));
    advance(millis(101)).await;
    assert!(poll_once(waits.as_mut()).await.is_pending());
    assert_request_eq!(handle, 2).send_response(20);
    assert_eq!(waits.await.unwrap(), 20);
}

#[tokio::test(start_paused = true)]
async fn clones_count_together_and_wait_as_they_like() {
    let hasty = limit(2);
    let patient = hasty.clone().max_wait(secs(1));
    assert!(hasty.try_acquire(2).is_ok());
    let refused = hasty.try_acquire(1).unwrap_err();
    assert_eq!(refused.retry_after(), millis(100));
    assert_eq!(refused.to_string(), "the rate limit is used up, retry after 100ms");
    let clock = Clock::tokio();
    for n in 1..=3 {
        patient.acquire(1).await.unwrap();
        assert_eq!(clock.now().since(Tick::ZERO).as_millis() / 10, n * 10);
    }
    assert_eq!(hasty.acquire(3).await.unwrap_err().retry_after(), Duration::MAX);
    assert_eq!(hasty.available(), 0);
    advance(secs(9)).await;
    assert_eq!(hasty.available(), 2);
}

#[test]
fn threads_wait_by_the_clock() {
    let clock = ManualClock::new();
    clock.advance(secs(100));
    let limit = RateLimit::new(10, secs(1), 1).unwrap().clock(clock.clone()).max_wait(secs(1));
    for _ in 0..5 {
        assert_eq!(limit.call(|| Ok::<_, ()>(1)), Ok(1));
    }
    assert_eq!(clock.now().since(Tick::ZERO), millis(100_400));
    let hasty = limit.clone().max_wait(Duration::ZERO);
    let refused = Error::RateLimited { retry_after: millis(100) };
    assert_eq!(hasty.call(|| Ok::<_, ()>(1)), Err(refused));
}

#[test]
fn threads_together_take_no_more_than_there_is() {
    let limit = RateLimit::new(1, secs(3_600), 1_000).unwrap().clock(ManualClock::new());
    let taken: usize = std::thread::scope(|scope| {
        let take = || (0..1_000).filter(|_| limit.try_acquire(1).is_ok()).count();
        let threads = [(); 4].map(|()| scope.spawn(take));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 1_000);
}

/// What a cancelled call has booked stays booked, and nothing else stays behind.
#[tokio::test(start_paused = true)]
async fn cancelled_at_any_poll_it_keeps_its_place_in_the_rate_alone() {
    let limit = RateLimit::new(10, secs(1), 1).unwrap().clock(Clock::tokio()).max_wait(secs(60));
    let slow = Slow::new(3);
    let mut service = limit.layer().layer(slow.clone());
    let mut context = Context::from_waker(Waker::noop());
    let clock = Clock::tokio();
    let make = || {
        assert!(service.poll_ready(&mut context).is_ready());
        service.call(Ok(1))
    };
    let polls = cancel_at_every_poll(millis(10), make, |_| assert_eq!(slow.in_flight(), 0)).await;
    assert!(polls > 4, "it waited, too: {polls}");
    // Each call has taken its tenth of a second, made or not.
    let calls = polls as u32 + 1;
    let gone = clock.now().since(Tick::ZERO);
    let refused = limit.clone().max_wait(Duration::ZERO).try_acquire(1).unwrap_err();
    let expected = (millis(100) * calls).saturating_sub(gone);
    assert!(refused.retry_after().abs_diff(expected) <= millis(polls as u64), "{refused:?}");
    // A place that is taken at the first poll is not taken by a future that had none.
    let before = limit.available();
    drop(limit.acquire(1));
    assert_eq!(limit.available(), before);
    assert_eq!(service.ready().await.unwrap().call(Err("no")).await, Err(Error::Inner("no")));
}

/// A call that could not be made in time is told so at once, and leaves its place to others.
#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_deadline_leaves_time() {
    let limit = limit(1).max_wait(secs(60));
    let slow = Slow::new(0);
    let service = limit.layer().layer(slow.clone());
    assert_eq!(service.clone().oneshot(Ok(1)).await, Ok(1));
    let refused = Err(Error::RateLimited { retry_after: millis(100) });
    let deadline = || Deadline::after(millis(100));
    assert_eq!(deadline().scope(service.clone().oneshot(Ok(1))).await, refused);
    assert!(deadline().scope(limit.acquire(1)).await.is_err());
    assert!(deadline().sync_scope(|| limit.acquire_blocking(1)).is_err());
    // Nothing was booked, so the next one that has time waits no longer.
    let deadline = Deadline::after(millis(101));
    assert_eq!(deadline.scope(service.oneshot(Ok(1))).await, Ok(1));
    assert_eq!(slow.made(), 2);
}

/// What a call has booked is a time, whenever it is first polled.
#[tokio::test(start_paused = true)]
async fn a_wait_begins_when_its_place_is_booked() {
    let mut service = limit(1).max_wait(secs(1)).layer().layer(Slow::new(0));
    assert_eq!(service.ready().await.unwrap().call(Ok(1)).await, Ok(1));
    let mut waits = Box::pin(service.ready().await.unwrap().call(Ok(2)));
    advance(millis(100)).await;
    assert!(poll_once(waits.as_mut()).await.is_ready(), "a tenth of a second has passed");
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_not_made() {
    let slow = Slow::new(0);
    let service = limit(1).layer().layer(slow.clone());
    assert_eq!(service.clone().oneshot(Ok(1)).await, Ok(1));
    assert!(service.oneshot(Ok(1)).await.unwrap_err().is_refusal());
    assert_eq!(slow.made(), 1);
}
