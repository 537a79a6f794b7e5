//! Async calls: timeout, slowness while running, cancellation, panics. Time is paused.

use std::future::{pending, ready};
use std::pin::pin;
use std::time::Duration;

use panelboard::{
    CircuitBreaker, Clock, Error, Kind, Outcome, PhaseName, Reason, Settings, SettingsBuilder,
};
use tokio::time::{advance, sleep, timeout};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn breaker(settings: SettingsBuilder) -> CircuitBreaker {
    CircuitBreaker::builder("async")
        .settings(settings.build().unwrap())
        .clock(Clock::tokio())
        .build()
}

async fn after(wait: Duration, result: Result<u32, &'static str>) -> Result<u32, &'static str> {
    sleep(wait).await;
    result
}

#[tokio::test(start_paused = true)]
async fn results_come_through_and_count() {
    let breaker = breaker(Settings::builder());
    assert_eq!(breaker.call_async(after(secs(1), Ok(7))).await, Ok(7));
    assert_eq!(breaker.call_async(ready(Err::<(), _>("no"))).await, Err(Error::Inner("no")));
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.success, counters.failure(), counters.in_flight()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_its_timeout_is_a_failure_of_that_kind() {
    let breaker = breaker(Settings::builder().timeout(secs(2)).failure_threshold(2));
    assert_eq!(breaker.call_async(after(secs(1), Ok(1))).await, Ok(1));
    for _ in 0..2 {
        let slow = breaker.call_async(pending::<Result<(), &str>>());
        assert_eq!(slow.await, Err(Error::TimedOut));
    }
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.phase, PhaseName::Open);
    assert_eq!(snapshot.counters.failures[Kind::Timeout.index()], 2);
    match breaker.call_async(ready(Ok::<_, ()>(()))).await {
        Err(Error::Rejected(rejected)) => assert_eq!(rejected.reason(), Reason::Open),
        other => panic!("{other:?}"),
    }
}

/// A call that is never idle leaves nothing to the timer of what its task may do in one poll.
#[tokio::test(start_paused = true)]
async fn a_call_that_uses_up_the_budget_of_its_task_times_out_all_the_same() {
    let breaker = breaker(Settings::builder().timeout(secs(2)).slow_call_duration(secs(1)));
    let busy = async {
        for _ in 0..100_000 {
            tokio::task::consume_budget().await;
        }
        Ok::<_, ()>("went on")
    };
    let time = tokio::spawn(async {
        for _ in 0..4 {
            advance(secs(1)).await;
        }
    });
    assert_eq!(breaker.call_async(busy).await, Err(Error::TimedOut));
    time.await.unwrap();
    assert_eq!(breaker.snapshot().counters.failures[Kind::Timeout.index()], 1);
}

/// The earlier of the two bounds is waited for first, whichever that is.
#[tokio::test(start_paused = true)]
async fn a_timeout_may_be_shorter_than_the_slow_bound() {
    let breaker = breaker(Settings::builder().timeout(secs(2)).slow_call_duration(secs(60)));
    let mut call = pin!(breaker.call_async(pending::<Result<(), &str>>()));
    assert!(timeout(Duration::from_millis(1_999), &mut call).await.is_err(), "not before");
    let ended = timeout(Duration::from_millis(2), &mut call).await;
    assert_eq!(ended, Ok(Err(Error::TimedOut)));
    assert_eq!(breaker.snapshot().counters.slow, 0);
}

#[tokio::test(start_paused = true)]
async fn a_running_call_counts_as_slow_when_it_passes_the_bound() {
    let settings = Settings::builder().slow_call_duration(secs(1)).min_calls(2).timeout(secs(30));
    let breaker = breaker(settings);
    let calls = [0, 1].map(|_| {
        let breaker = breaker.clone();
        tokio::spawn(async move { breaker.call_async(after(secs(20), Ok(1))).await })
    });
    sleep(Duration::from_millis(999)).await;
    assert_eq!(breaker.snapshot().tally.slow, 0);
    sleep(Duration::from_millis(2)).await;
    // Both still run, and the breaker has opened on them.
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.phase, PhaseName::Open);
    assert_eq!((snapshot.counters.slow, snapshot.counters.in_flight()), (2, 2));
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(1));
    }
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.slow, counters.late, counters.in_flight()), (2, 2, 0), "slow only once");
}

/// B-7, T5: a caller that gives up says nothing of the dependency; past the slow bound it does.
#[tokio::test(start_paused = true)]
async fn b7_cancellation_is_neutral_but_slow_past_the_bound() {
    let breaker = breaker(Settings::builder().slow_call_duration(secs(5)).failure_threshold(1));
    let _ = timeout(secs(1), breaker.call_async(pending::<Result<(), ()>>())).await;
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.counters.neutral, snapshot.counters.failure()), (1, 0));
    assert_eq!((snapshot.tally.slow, snapshot.streak), (0, 0));
    let _ = timeout(secs(6), breaker.call_async(pending::<Result<(), ()>>())).await;
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.counters.neutral, 2);
    assert_eq!((snapshot.tally.slow, snapshot.counters.slow), (1, 1));
    assert_eq!(snapshot.phase, PhaseName::Closed);
}

/// T5: also before the call started.
#[tokio::test(start_paused = true)]
async fn b7_a_future_that_is_never_polled_asks_for_nothing() {
    let breaker = breaker(Settings::builder());
    drop(breaker.call_async(ready(Ok::<_, ()>(()))));
    assert_eq!(breaker.snapshot().counters.admitted, 0);
}

#[tokio::test(start_paused = true)]
async fn b7_a_cancelled_probe_gives_its_slot_back() {
    let breaker = breaker(Settings::builder().failure_threshold(1).success_threshold(1));
    breaker.call_async(ready(Err::<(), _>(()))).await.unwrap_err();
    let wait = breaker.snapshot().opens_for.unwrap();
    advance(wait).await;
    let _ = timeout(secs(1), breaker.call_async(pending::<Result<(), ()>>())).await;
    assert_eq!(breaker.snapshot().probes.unwrap().in_flight, 0);
    assert_eq!(breaker.call_async(ready(Ok::<_, ()>(1))).await, Ok(1));
    assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
}

/// B-7, T4: a panic is a failure, goes on to the caller, and frees a probe's slot.
#[tokio::test(start_paused = true)]
async fn b7_a_panic_counts_and_goes_on() {
    let breaker = breaker(Settings::builder().failure_threshold(1));
    let guarded = breaker.clone();
    let task = tokio::spawn(async move {
        let call = async {
            sleep(secs(1)).await;
            panic!("out of order")
        };
        guarded.call_async::<_, (), ()>(call).await
    });
    assert!(task.await.unwrap_err().is_panic());
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.counters.failures[Kind::Panic.index()], 1);
    assert_eq!(snapshot.phase, PhaseName::Open);
}

/// An executor may drop a future long after it panicked; it still counts as a panic.
#[tokio::test(start_paused = true)]
async fn b7_a_panic_counts_even_if_the_future_is_dropped_later() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::task::{Context, Waker};
    let breaker = breaker(Settings::builder());
    let call = async { panic!("out of order") };
    let mut future = Box::pin(breaker.call_async::<_, (), ()>(call));
    let mut context = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
    assert!(polled.is_err());
    drop(future);
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.failures[Kind::Panic.index()], counters.neutral), (1, 0));
}

/// B-7, T5: a call that is dropped because something beside it panicked was cancelled; its own
/// callee did not panic.
#[tokio::test(start_paused = true)]
async fn b7_a_panic_beside_a_call_cancels_it() {
    let breaker = breaker(Settings::builder().failure_threshold(1));
    let guarded = breaker.clone();
    let task = tokio::spawn(async move {
        let call = guarded.call_async(pending::<Result<(), ()>>());
        let beside = async {
            sleep(secs(1)).await;
            panic!("out of order")
        };
        tokio::join!(call, beside)
    });
    assert!(task.await.unwrap_err().is_panic());
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.counters.neutral, snapshot.counters.failure()), (1, 0));
    assert_eq!(snapshot.phase, PhaseName::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_decides_what_counts() {
    let breaker = breaker(Settings::builder().failure_threshold(1));
    let classify = |result: &Result<u32, &str>| match result {
        Ok(_) | Err("not found") => Outcome::Success,
        Err("slow down") => Outcome::pushback(Some(secs(9))),
        Err(_) => Outcome::failure(Kind::ServerError),
    };
    let call = |error| breaker.call_async_classified(ready(Err(error)), classify);
    assert_eq!(call("not found").await, Err(Error::Inner("not found")));
    assert_eq!(breaker.snapshot().counters.success, 1);
    assert_eq!(call("slow down").await, Err(Error::Inner("slow down")));
    match call("not found").await {
        Err(Error::Rejected(rejected)) => {
            assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::Paced, secs(9)));
        }
        other => panic!("{other:?}"),
    }
}

/// The future works on any executor as long as nothing is to be timed.
#[test]
fn no_runtime_is_needed_without_bounds() {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    let breaker = CircuitBreaker::new("plain", Settings::default());
    let mut polls = 0;
    let call = std::future::poll_fn(|cx| {
        polls += 1;
        if polls < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok::<_, ()>(polls))
    });
    let mut future = pin!(breaker.call_async(call));
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    assert!(future.as_mut().poll(&mut context).is_pending());
    assert!(matches!(future.as_mut().poll(&mut context), Poll::Ready(Ok(3))));
}

/// Found slow at the bound, their time in the end is what tightens, as with calls that block.
#[tokio::test(start_paused = true)]
async fn calls_that_are_slow_on_average_tighten_an_adaptive_threshold() {
    let by_time = Settings::builder().adaptive(true).slow_call_duration(secs(1));
    for settings in [by_time.window(secs(60)), by_time.window(20_u32)] {
        let breaker = breaker(settings.failure_threshold(5));
        for _ in 0..4 {
            assert_eq!(breaker.call_async(ready(Ok::<_, ()>(1))).await, Ok(1));
        }
        assert_eq!(breaker.call_async(after(secs(10), Ok(1))).await, Ok(1));
        let seen = breaker.snapshot();
        assert_eq!((seen.counters.slow, seen.tally.timed, seen.tally.slow), (1, 5, 1));
        assert_eq!(seen.tally.mean_latency(), Some(secs(2)));
        assert_eq!(seen.thresholds.streak, Some(4));
    }
}
