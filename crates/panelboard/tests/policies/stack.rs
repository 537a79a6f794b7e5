use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::concurrency_limit::ConcurrencyLimit;
use panelboard::policy::fallback::Fallback;
use panelboard::policy::hedge::{Hedge, HedgeSettings};
use panelboard::policy::rate_limit::RateLimit;
use panelboard::policy::retry::{Retry, RetrySettings};
use panelboard::policy::stack::{Finding, Severity, Stack};
use panelboard::{CircuitBreaker, Clock, Error, Kind, ManualClock, Outcome, PhaseName, Settings};
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

use crate::support::{Said, Slow, cancel_at_every_poll, millis, poll_once, secs};

fn breaker(failure_threshold: u32) -> CircuitBreaker {
    let settings = Settings::builder().failure_threshold(failure_threshold).min_calls(1_000);
    CircuitBreaker::builder("stacked")
        .settings(settings.recovery_timeout(secs(60)).window(secs(60)).build().unwrap())
        .clock(Clock::tokio())
        .build()
}

fn retry(attempts: u32) -> Retry {
    let settings = RetrySettings::builder().max_attempts(attempts).base_delay(millis(10));
    Retry::builder(settings.max_delay(millis(10)).build().unwrap()).seed(1).build()
}

fn rate_limit(burst: u32) -> RateLimit {
    RateLimit::new(1, secs(1), burst).unwrap().clock(Clock::tokio())
}

fn limit(n: u32) -> ConcurrencyLimit {
    ConcurrencyLimit::new(1, n, n).unwrap().clock(Clock::tokio())
}

/// Whatever order the builder is told of them in: the rate limit is outside of the retry, the
/// breaker inside, and the fallback outside of all.
#[tokio::test(start_paused = true)]
async fn the_order_is_canonical_whatever_order_they_come_in() {
    let (first, second) = (breaker(100), breaker(100));
    let stacks = [
        Stack::builder("in")
            .fallback(Fallback::value(7))
            .rate_limit(rate_limit(2))
            .retry(retry(3))
            .circuit_breaker(first.clone())
            .timeout(secs(1))
            .build()
            .unwrap(),
        Stack::builder("out")
            .timeout(secs(1))
            .circuit_breaker(second.clone())
            .retry(retry(3))
            .rate_limit(rate_limit(2))
            .fallback(Fallback::value(7))
            .build()
            .unwrap(),
    ];
    for (stack, breaker) in stacks.iter().zip([first, second]) {
        let slow = Slow::new(0);
        let service = stack.layer().layer(slow.clone());
        for _ in 0..3 {
            assert_eq!(
                service.clone().oneshot(Err("no")).await,
                Ok(7),
                "the fallback is outermost"
            );
        }
        assert_eq!(slow.made(), 6, "two calls within the rate, of three attempts each");
        assert_eq!(breaker.snapshot().counters.failure(), 6, "the breaker sees each attempt");
        assert_eq!(stack.rate_limit().unwrap().available(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_breaker_sees_the_attempts_timeout_and_the_deadline_ends_it_all() {
    let breaker = breaker(100);
    let stack = Stack::builder("timed")
        .deadline(secs(5))
        .retry(retry(10))
        .circuit_breaker(breaker.clone())
        .timeout(secs(2))
        .build()
        .unwrap();
    assert_eq!(stack.warnings().len(), 1, "{:?}", stack.warnings());
    assert!(stack.warnings()[0].text().starts_with("10 attempts of 2s"));
    let call = stack.call_async(std::future::pending::<Result<(), ()>>);
    let result = timeout(millis(5_001), call).await.expect("the deadline holds");
    assert_eq!(result, Err(Error::DeadlineExceeded));
    let counters = breaker.snapshot().counters;
    // The third was under way: what its caller gives up is neutral.
    assert_eq!(counters.failures[Kind::Timeout.index()], 2);
    assert_eq!((counters.neutral, counters.in_flight()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_an_inner_policy_refuses_no_outer_one_holds_against_the_dependency() {
    let (breaker, bulkhead, limit) = (breaker(1), Bulkhead::new(2).unwrap(), limit(1));
    let stack = Stack::builder("refusing")
        .bulkhead(bulkhead.clone())
        .concurrency_limit(limit.clone())
        .circuit_breaker(breaker.clone())
        .build()
        .unwrap();
    let call = || stack.call_async(|| async { Ok::<_, ()>(1) });
    let permit = limit.try_acquire().unwrap();
    assert_eq!(call().await, Err(Error::LimitReached));
    let places = [bulkhead.try_enter().unwrap(), bulkhead.try_enter().unwrap()];
    assert_eq!(call().await, Err(Error::BulkheadFull));
    drop((permit, places));
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.admitted, counters.failure()), (0, 0));
    assert_eq!(call().await, Ok(1));
    stack.call(|| Err::<(), _>("no")).unwrap_err();
    assert!(call().await.unwrap_err().rejected().is_some());
    assert_eq!((limit.limit(), limit.in_flight(), bulkhead.running()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_takes_the_place_of_a_retry() {
    let hedge = Hedge::new(HedgeSettings::after(millis(10)).unwrap());
    let (breaker, calls) = (breaker(100), AtomicU32::new(0));
    let stack = Stack::builder("hedged")
        .circuit_breaker(breaker.clone())
        .hedge(hedge.clone())
        .deadline(secs(1))
        .build()
        .unwrap();
    let answer = stack.call_async(|| async {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            std::future::pending::<()>().await;
        }
        Ok::<_, ()>(calls.load(Ordering::Relaxed))
    });
    assert_eq!(answer.await, Ok(2));
    assert_eq!(stack.attempts().stats().wins(), 1);
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.success, counters.neutral, counters.in_flight()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_services_own() {
    let stack = Stack::builder("ready")
        .rate_limit(rate_limit(1).max_wait(secs(5)))
        .deadline(secs(60))
        .retry(retry(2))
        .bulkhead(Bulkhead::with_queue(1, 1, secs(1)).unwrap())
        .concurrency_limit(limit(1))
        .circuit_breaker(breaker(5))
        .timeout(secs(2))
        .build()
        .unwrap();
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(stack.layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(9);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let first = service.call(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    // The second waits for its turn in the rate.
    let second = service.call(2);
    let answers = async {
        let (request, respond) = handle.next_request().await.unwrap();
        assert_eq!(request, 1);
        respond.send_error("out of order");
        // It is tried again on a service that has been asked whether it is ready.
        for expected in [1, 2] {
            let (request, respond) = handle.next_request().await.unwrap();
            assert_eq!(request, expected);
            respond.send_response(request * 10);
        }
    };
    let (first, second, ()) = tokio::join!(first, second, answers);
    assert_eq!((first.unwrap(), second.unwrap()), (10, 20));
}

#[tokio::test(start_paused = true)]
async fn it_composes_with_other_layers_and_moves_between_threads() {
    let stack = Stack::builder("composed").circuit_breaker(breaker(5)).build().unwrap();
    let service = ServiceBuilder::new()
        .map_request(|n: u32| Ok::<u32, &'static str>(n))
        .layer(stack.layer())
        .service(Slow::new(1));
    let task = tokio::spawn(service.oneshot(3));
    assert_eq!(task.await.unwrap(), Ok(3));
    let spawned = stack.clone();
    let task = tokio::spawn(async move {
        let name = String::from("owned");
        spawned.call_async(|| async { Ok::<_, &str>(name.len()) }).await
    });
    assert_eq!(task.await.unwrap(), Ok(5));
    assert_eq!(stack.circuit_breaker().unwrap().snapshot().counters.success, 2);
}

#[test]
fn what_can_never_do_anything_is_not_built() {
    let error = Stack::builder("users")
        .deadline(secs(1))
        .timeout(secs(5))
        .hedge(Hedge::new(HedgeSettings::after(secs(6)).unwrap()))
        .bulkhead(Bulkhead::new(1).unwrap())
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "stack `users`: timeout is 5s, but the deadline of the whole call is 1s: no attempt can \
         time out; hedge.delay is 6s, but an attempt ends after 5s: no call is ever hedged"
    );
    let severities: Vec<_> = error.findings().iter().map(Finding::severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Error, Severity::Warning]);
}

#[test]
fn calls_that_block_go_through_the_same_policies() {
    let clock = ManualClock::new();
    let settings = Settings::builder().failure_threshold(4).build().unwrap();
    let breaker = CircuitBreaker::builder("sync").settings(settings).clock(clock.clone()).build();
    let stack = Stack::builder("sync")
        .fallback(Fallback::value(0).when(|error: &Error<&str>| error.is_refusal()))
        .rate_limit(RateLimit::new(1, secs(1), 5).unwrap().clock(clock.clone()).max_wait(secs(1)))
        .retry(Retry::builder(RetrySettings::default()).sleeper(|_| ()).build())
        .bulkhead(Bulkhead::new(1).unwrap())
        .concurrency_limit(ConcurrencyLimit::default().clock(clock.clone()))
        .circuit_breaker(breaker.clone())
        .build()
        .unwrap();
    let attempts = Cell::new(0);
    let call = |fails: u32| {
        attempts.set(0);
        stack.call(|| {
            attempts.set(attempts.get() + 1);
            assert_eq!(stack.bulkhead().unwrap().running(), 1);
            assert_eq!(stack.concurrency_limit().unwrap().in_flight(), 1);
            if attempts.get() <= fails { Err("no") } else { Ok(attempts.get()) }
        })
    };
    assert_eq!(call(0), Ok(1));
    assert_eq!(call(2), Ok(3), "tried again");
    assert_eq!(call(9), Err(Error::Inner("no")), "the fallback is for refusals only");
    assert_eq!(attempts.get(), 3);
    assert_eq!((call(9), attempts.get()), (Ok(0), 1), "the first failure opens the breaker");
    assert_eq!(breaker.phase(), PhaseName::Open);
    assert_eq!((call(0), attempts.get()), (Ok(0), 0), "refused, so it falls back");
    // The burst is used up: the sixth call waits, by the clock.
    let before = clock.now();
    assert_eq!(call(0), Ok(0));
    assert_eq!(clock.now().since(before), secs(1));
    assert_eq!(stack.bulkhead().unwrap().running(), 0);
    assert_eq!(stack.concurrency_limit().unwrap().in_flight(), 0);
}

#[test]
fn no_attempt_that_blocks_begins_after_the_deadline() {
    let stack = Stack::builder("late")
        .deadline(millis(1))
        .bulkhead(Bulkhead::with_queue(1, 1, secs(60)).unwrap())
        .build()
        .unwrap();
    assert_eq!(stack.warnings().len(), 1);
    let place = stack.bulkhead().unwrap().try_enter().unwrap();
    let never = || -> Result<(), ()> { unreachable!("it has no place") };
    assert_eq!(stack.call(never), Err(Error::DeadlineExceeded));
    drop(place);
    assert_eq!(stack.bulkhead().unwrap().queued(), 0);
}

#[test]
fn a_fallback_that_takes_time_is_waited_for() {
    let stack = Stack::builder("waits")
        .fallback(Fallback::function_async(|_: Error<&str>| async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let sending = std::thread::spawn(move || sender.send(9).unwrap());
            let answer = receiver.await.unwrap();
            sending.join().unwrap();
            Ok(answer)
        }))
        .build()
        .unwrap();
    assert_eq!(stack.call(|| Err("no")), Ok(9));
}

/// A panic anywhere gives everything back.
#[tokio::test(start_paused = true)]
async fn panics_leave_nothing_behind() {
    let stack = Stack::builder("panics")
        .bulkhead(Bulkhead::new(1).unwrap())
        .concurrency_limit(limit(1))
        .circuit_breaker(breaker(100))
        .classify(|result: &Result<u32, &str>| -> Outcome {
            assert!(result.is_ok(), "no idea");
            Outcome::Success
        })
        .build()
        .unwrap();
    let left = || {
        let in_flight = stack.circuit_breaker().unwrap().snapshot().counters.in_flight();
        (
            stack.bulkhead().unwrap().running(),
            stack.concurrency_limit().unwrap().in_flight(),
            in_flight,
        )
    };
    for said in ["callee", "classifier"] {
        let spawned = stack.clone();
        let task = tokio::spawn(async move {
            let call = move || async move {
                assert_ne!(said, "callee");
                Err::<u32, _>("no")
            };
            spawned.call_async(call).await
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(left(), (0, 0, 0));
        let blocking = || stack.call(|| if said == "callee" { panic!() } else { Err("no") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(blocking)).is_err());
        assert_eq!(left(), (0, 0, 0));
    }
    assert_eq!(stack.call_async(|| async { Ok(1) }).await, Ok(1));
}

/// B-7: at whatever poll a stacked call is dropped, every place, permit and slot comes back.
#[tokio::test(start_paused = true)]
async fn b7_cancelled_at_any_poll_it_leaves_nothing_behind() {
    let (breaker, slow) = (breaker(1_000), Slow::new(2));
    let bulkhead = Bulkhead::with_queue(2, 2, secs(60)).unwrap();
    let limit = limit(3);
    let builder = || {
        Stack::builder("all")
            .rate_limit(RateLimit::new(1_000, secs(1), 1_000).unwrap().clock(Clock::tokio()))
            .deadline(secs(30))
            .bulkhead(bulkhead.clone())
            .concurrency_limit(limit.clone())
            .circuit_breaker(breaker.clone())
            .timeout(secs(5))
    };
    let left = |polls: usize| {
        let counters = breaker.snapshot().counters;
        assert_eq!(counters.in_flight(), 0, "after {polls} polls");
        assert_eq!((bulkhead.running(), bulkhead.queued()), (0, 0), "after {polls} polls");
        assert_eq!((limit.in_flight(), slow.in_flight()), (0, 0), "after {polls} polls");
    };
    let mut context = Context::from_waker(Waker::noop());
    let said: Said = Err("no");

    let chain = Fallback::service(slow.clone()).or(Fallback::value(7));
    let chained = builder().retry(retry(3)).fallback(chain).build().unwrap();
    let mut service = chained.layer().layer(slow.clone());
    let make = || {
        assert!(service.poll_ready(&mut context).is_ready());
        service.call(said)
    };
    assert!(cancel_at_every_poll(millis(1), make, left).await > 9, "three attempts and a fallback");

    let delay = HedgeSettings::after(millis(1)).unwrap();
    let hedged = builder().hedge(Hedge::builder(delay).budget(None).build()).build().unwrap();
    let mut service = hedged.layer().layer(slow.clone());
    let make = || {
        assert!(service.poll_ready(&mut context).is_ready());
        service.call(Ok(1))
    };
    assert!(cancel_at_every_poll(millis(1), make, left).await >= 3);
    assert!(hedged.attempts().stats().hedges() > 0);

    let retried = builder().retry(retry(3)).build().unwrap();
    // A function, whose services are made for each call, and one that has to queue.
    let make = || {
        retried.call_async(|| async {
            sleep(millis(3)).await;
            said
        })
    };
    assert!(cancel_at_every_poll(millis(1), make, left).await > 9);
    let places = [bulkhead.try_enter().unwrap(), bulkhead.try_enter().unwrap()];
    let mut queued = Box::pin(retried.call_async(|| async { said }));
    assert!(poll_once(queued.as_mut()).await.is_pending());
    assert_eq!(bulkhead.queued(), 1);
    drop(queued);
    drop(places);
    left(1);
}

/// Clones of a stack, its layers and its services share every count.
#[tokio::test(start_paused = true)]
async fn clones_share_every_count() {
    let stack = Stack::builder("shared").rate_limit(rate_limit(2)).build().unwrap();
    let made = Arc::new(AtomicU32::new(0));
    let counting = service_fn(|()| {
        made.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, ()>(()) }
    });
    stack.layer().layer(counting).oneshot(()).await.unwrap();
    stack.clone().layer().layer(counting).oneshot(()).await.unwrap();
    assert!(stack.call_async(|| async { Ok::<_, ()>(()) }).await.is_err());
    assert_eq!(made.load(Ordering::Relaxed), 2);
    assert_eq!(stack.name().as_str(), "shared");
    assert_eq!(Duration::ZERO, stack.bulkhead().map_or(Duration::ZERO, Bulkhead::max_wait));
}
