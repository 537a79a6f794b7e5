use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use panelboard::policy::bulkhead::{Bulkhead, BulkheadFull};
use panelboard::policy::deadline::Deadline;
use panelboard::{Clock, Error, ManualClock, Tick};
use tokio::time::{advance, timeout};
use tower::{Layer, Service, ServiceExt};
use tower_test::{assert_request_eq, mock};

use crate::support::{Slow, cancel_at_every_poll, millis, poll_once, secs};

fn bulkhead(max_concurrent: u32, max_queue: u32) -> Bulkhead {
    Bulkhead::with_queue(max_concurrent, max_queue, secs(1)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_services_own_and_a_queued_call_keeps_it() {
    let bulkhead = bulkhead(1, 1);
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(bulkhead.layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(2);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let mut first = Box::pin(service.call(1));
    assert!(poll_once(first.as_mut()).await.is_pending());
    let (_, first_sender) = handle.next_request().await.unwrap();
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))), "a full bulkhead is ready");
    let mut queued = Box::pin(service.call(2));
    assert!(poll_once(queued.as_mut()).await.is_pending());
    // Not ready any more, but the call in the queue took its readiness along.
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    assert!(matches!(service.call(3).await, Err(Error::BulkheadFull)));
    first_sender.send_response(10);
    assert_eq!(first.await.unwrap(), 10);
    assert!(poll_once(queued.as_mut()).await.is_pending());
    assert_request_eq!(handle, 2).send_response(20);
    assert_eq!(queued.await.unwrap(), 20);
    assert_eq!((bulkhead.running(), bulkhead.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_let_in_in_order() {
    let bulkhead = bulkhead(1, 3);
    let place = bulkhead.try_enter().unwrap();
    let mut waits: Vec<_> = (0..3).map(|_| Box::pin(bulkhead.enter())).collect();
    for wait in &mut waits {
        assert!(poll_once(wait.as_mut()).await.is_pending());
    }
    assert_eq!(bulkhead.queued(), 3);
    assert_eq!(bulkhead.enter().await.unwrap_err(), BulkheadFull);
    drop(place);
    // It is the first one's place now, though it has not been polled since.
    assert_eq!((bulkhead.running(), bulkhead.queued()), (1, 2));
    assert!(bulkhead.try_enter().is_err(), "nobody overtakes");
    // The second gives up; the third is next.
    drop(waits.remove(1));
    let first = waits.remove(0).await.unwrap();
    let mut third = waits.remove(0);
    assert!(poll_once(third.as_mut()).await.is_pending());
    drop(first);
    assert!(poll_once(third.as_mut()).await.is_ready());
    assert_eq!((bulkhead.running(), bulkhead.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_max_wait() {
    let bulkhead = bulkhead(1, 1);
    let place = bulkhead.try_enter().unwrap();
    let clock = Clock::tokio();
    assert_eq!(bulkhead.enter().await.unwrap_err(), BulkheadFull);
    assert_eq!(clock.now(), Tick::ZERO.after(secs(1)));
    assert_eq!(bulkhead.queued(), 0);
    // One that is let in at the last moment is in.
    let mut wait = pin!(bulkhead.enter());
    assert!(poll_once(wait.as_mut()).await.is_pending());
    advance(secs(1)).await;
    drop(place);
    assert!(wait.await.is_ok());
}

/// A place that was handed to one who no longer wants it goes on to the next.
#[tokio::test(start_paused = true)]
async fn a_place_is_not_lost_with_whom_it_was_handed_to() {
    let bulkhead = bulkhead(1, 2);
    let place = bulkhead.try_enter().unwrap();
    let mut first = Box::pin(bulkhead.enter());
    let mut second = Box::pin(bulkhead.enter());
    assert!(poll_once(first.as_mut()).await.is_pending());
    assert!(poll_once(second.as_mut()).await.is_pending());
    drop(place);
    drop(first);
    assert!(timeout(millis(1), second).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn cancelled_at_any_poll_it_leaves_nothing_behind() {
    let bulkhead = bulkhead(1, 1);
    let slow = Slow::new(3);
    let mut service = bulkhead.layer().layer(slow.clone());
    let mut context = Context::from_waker(Waker::noop());
    // At once, and out of the queue.
    for queued in [false, true] {
        let mut held = None;
        let make = || {
            held = queued.then(|| bulkhead.try_enter().unwrap());
            assert!(service.poll_ready(&mut context).is_ready());
            let call = service.call(Ok(1));
            let held = held.take();
            async move {
                let mut call = pin!(call);
                if let Some(held) = held {
                    assert!(poll_once(call.as_mut()).await.is_pending());
                    tokio::task::yield_now().await;
                    drop(held);
                }
                call.await
            }
        };
        let polls = cancel_at_every_poll(millis(1), make, |polls| {
            let counts = (bulkhead.running(), bulkhead.queued(), slow.in_flight());
            assert_eq!(counts, (0, 0, 0), "after {polls} polls");
        });
        assert_eq!(polls.await, if queued { 5 } else { 4 });
    }
    // Dropped while it stands in the queue, with the room still full.
    let held = bulkhead.try_enter().unwrap();
    for polls in 0..3 {
        assert!(service.poll_ready(&mut context).is_ready());
        let mut call = Box::pin(service.call(Ok(1)));
        for _ in 0..polls {
            assert!(poll_once(call.as_mut()).await.is_pending());
        }
        assert_eq!((bulkhead.running(), bulkhead.queued()), (1, 1));
        drop(call);
        assert_eq!((bulkhead.running(), bulkhead.queued()), (1, 0));
    }
    drop(held);
    assert_eq!(bulkhead.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_the_place_back() {
    let bulkhead = bulkhead(1, 0);
    let service = bulkhead.layer().layer(tower::service_fn(|fails: bool| async move {
        assert!(!fails, "out of order");
        Ok::<_, ()>(())
    }));
    assert!(tokio::spawn(service.clone().oneshot(true)).await.unwrap_err().is_panic());
    assert_eq!(bulkhead.running(), 0);
    assert_eq!(service.oneshot(false).await, Ok(()));
    let panicked = std::panic::catch_unwind(|| bulkhead.call(|| -> Result<(), ()> { panic!() }));
    assert!(panicked.is_err());
    assert_eq!(bulkhead.running(), 0);
}

#[test]
fn threads_and_tasks_share_one_bulkhead() {
    let bulkhead = Bulkhead::with_queue(3, 64, secs(60)).unwrap();
    let (inside, most, start) = (AtomicU32::new(0), AtomicU32::new(0), Barrier::new(9));
    let visit = || {
        most.fetch_max(inside.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
        std::thread::yield_now();
        inside.fetch_sub(1, Ordering::AcqRel);
        Ok::<_, ()>(())
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..2_000 {
                    bulkhead.call(visit).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            start.wait();
            runtime.unwrap().block_on(async {
                for _ in 0..2_000 {
                    let _place = bulkhead.enter().await.unwrap();
                    visit().unwrap();
                }
            });
        });
    });
    assert!(most.into_inner() <= 3);
    assert_eq!((bulkhead.running(), bulkhead.queued()), (0, 0));
}

#[test]
fn a_thread_that_waits_in_vain_leaves_the_queue() {
    let bulkhead = Bulkhead::with_queue(1, 1, millis(1)).unwrap();
    let _place = bulkhead.try_enter().unwrap();
    assert_eq!(bulkhead.call(|| Ok::<_, ()>(())), Err(Error::BulkheadFull));
    assert_eq!((bulkhead.running(), bulkhead.queued()), (1, 0));
}

/// A thread does not wait for a place past the deadline of its call. Nothing here waits in truth: the
/// deadline has passed by its own clock.
#[test]
fn a_thread_waits_no_longer_than_its_deadline() {
    let bulkhead = Bulkhead::with_queue(1, 1, secs(3_600)).unwrap();
    let place = bulkhead.try_enter().unwrap();
    let clock = ManualClock::new();
    let deadline = Deadline::after_on(clock.clone(), secs(1));
    clock.advance(secs(1));
    deadline.sync_scope(|| {
        assert_eq!(bulkhead.call(|| Ok::<_, ()>(1)), Err(Error::BulkheadFull));
        assert!(bulkhead.enter_blocking().is_err());
    });
    assert_eq!((bulkhead.running(), bulkhead.queued()), (1, 0));
    drop(place);
    deadline.sync_scope(|| assert!(bulkhead.enter_blocking().is_ok(), "this is no wait"));
}
