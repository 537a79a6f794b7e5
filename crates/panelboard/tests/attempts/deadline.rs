use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use panelboard::Error;
use panelboard::policy::deadline::{Deadline, DeadlineFuture, DeadlineLayer};
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{guarded, keeps_towers_contract, millis, secs};

fn left() -> Option<Duration> {
    Deadline::current().map(|deadline| deadline.remaining())
}

async fn left_after(wait: Duration) -> Option<Duration> {
    sleep(wait).await;
    left()
}

async fn asked() -> Result<Option<Duration>, Infallible> {
    Ok(left_after(millis(300)).await)
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_knows_of_it_meanwhile() {
    let layer = DeadlineLayer::new(secs(1));
    let service = layer.layer(service_fn(|()| asked()));
    assert_eq!(service.oneshot(()).await, Ok(Some(millis(700))));
    let stuck = layer.layer(service_fn(|()| pending::<Result<(), Infallible>>()));
    assert_eq!(stuck.oneshot(()).await, Err(Error::DeadlineExceeded));
    assert_eq!(left(), None, "it does not outlive its call");
}

#[tokio::test(start_paused = true)]
async fn the_nearer_of_nested_deadlines_holds() {
    for (outer, inner) in [(secs(1), secs(9)), (secs(9), secs(1))] {
        let service = DeadlineLayer::new(inner).layer(service_fn(|()| asked()));
        let call = DeadlineFuture::new(Deadline::after(outer), service.oneshot(()));
        assert_eq!(call.await, Ok(Some(millis(700))));
    }
}

/// Calls that are polled in turns by one task keep their own deadlines apart.
#[tokio::test(start_paused = true)]
async fn calls_beside_each_other_have_their_own_deadlines() {
    let call = |budget| Deadline::after(budget).scope(left_after(millis(500)));
    let (one, none, two) = tokio::join!(call(secs(1)), left_after(millis(500)), call(secs(2)));
    assert_eq!((one, none, two), (Some(millis(500)), None, Some(millis(1_500))));
    let first = tokio::select! {
        left = call(secs(3)) => left,
        left = left_after(secs(9)) => left,
    };
    assert_eq!(first, Some(millis(2_500)));
}

#[tokio::test(start_paused = true)]
async fn a_spawned_task_has_the_deadline_that_it_is_given() {
    let deadline = Deadline::after(secs(1));
    let (without, with) = deadline
        .clone()
        .scope(async move {
            let without = tokio::spawn(left_after(millis(1)));
            let with = tokio::spawn(deadline.scope(left_after(millis(1))));
            (without.await.unwrap(), with.await.unwrap())
        })
        .await;
    assert_eq!((without, with), (None, Some(millis(999))));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_after_the_deadline() {
    let calls = Arc::new(AtomicU32::new(0));
    let service = service_fn({
        let calls = calls.clone();
        move |()| {
            calls.fetch_add(1, Ordering::AcqRel);
            async { Ok::<_, Infallible>(()) }
        }
    });
    let service = DeadlineLayer::new(secs(9)).layer(service);
    let late = Deadline::after(secs(1)).scope(async {
        advance(secs(1)).await;
        service.oneshot(()).await
    });
    assert_eq!(late.await, Err(Error::DeadlineExceeded));
    assert_eq!(calls.load(Ordering::Acquire), 0);
}

/// A deadline that passes further out says nothing of the dependency.
#[tokio::test(start_paused = true)]
async fn a_breaker_inside_sees_a_cancelled_call() {
    let breaker = guarded();
    let service = service_fn({
        let breaker = breaker.clone();
        move |()| {
            let breaker = breaker.clone();
            async move { breaker.call_async(pending::<Result<(), Infallible>>()).await }
        }
    });
    let service = DeadlineLayer::new(secs(1)).layer(service);
    let mut call = std::pin::pin!(service.oneshot(()));
    let result = (&mut call).await.map_err(Error::flatten);
    assert_eq!(result, Err(Error::DeadlineExceeded));
    // The permit came back with the error, although the future is still there.
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.neutral, counters.in_flight()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_towers_contract() {
    keeps_towers_contract(|mock| DeadlineLayer::new(secs(1)).layer(mock)).await;
}
