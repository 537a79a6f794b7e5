//! User code that panics, wherever policies run it: the panic goes on to whoever made the call, what
//! was lent comes back, and only what the callee did is held against it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::circuit_breaker::CircuitBreakerLayer;
use panelboard::policy::concurrency_limit::ConcurrencyLimit;
use panelboard::policy::deadline::Deadline;
use panelboard::policy::fallback::Fallback;
use panelboard::policy::hedge::{Hedge, HedgeService, HedgeSettings};
use panelboard::policy::rate_limit::RateLimit;
use panelboard::policy::retry::{Retry, RetryService, RetrySettings};
use panelboard::policy::stack::Stack;
use panelboard::{
    CircuitBreaker, Clock, Command, Error, Kind, Outcome, PhaseName, Registry, Settings,
};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Guarded, Slow, millis, poll_once, secs};

/// Where user code runs.
const PLACES: [&str; 5] = ["nowhere", "before a future", "in a future", "classifier", "fallback"];

/// The place where user code panics next, as an index of [`PLACES`].
#[derive(Clone, Default)]
struct Bomb(Arc<AtomicUsize>);

impl Bomb {
    fn put(&self, place: usize) {
        self.0.store(place, Ordering::Relaxed);
    }

    fn passes(&self, place: usize) {
        assert_ne!(self.0.load(Ordering::Relaxed), place, "as it happens");
    }
}

/// Whether a future panics before it is ready.
async fn panics<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(|_| false),
        Err(_) => Poll::Ready(true),
    })
    .await
}

fn breaker() -> CircuitBreaker {
    let settings = Settings::builder().failure_threshold(1_000).failure_rate(None);
    let settings = settings.recovery_timeout(secs(60)).success_threshold(2).ramp(None);
    CircuitBreaker::builder("panics")
        .settings(settings.build().unwrap())
        .clock(Clock::tokio())
        .build()
}

fn failed(breaker: &CircuitBreaker) -> u64 {
    breaker.snapshot().counters.failures[Kind::Panic.index()]
}

/// B-7: each face of a stack of everything, closed and half-open.
#[tokio::test(start_paused = true)]
async fn b7_wherever_user_code_panics_everything_comes_back() {
    let bomb = Bomb::default();
    let breaker = breaker();
    let rate_limit = RateLimit::new(1, secs(3_600), 1_000).unwrap().clock(Clock::tokio());
    let (classifier, fallback) = (bomb.clone(), bomb.clone());
    let stack = Stack::builder("panics")
        .fallback(Fallback::function(move |_: Error<&'static str>| {
            fallback.passes(4);
            Ok::<u32, Error<&'static str>>(7)
        }))
        .rate_limit(rate_limit.clone())
        .deadline(secs(30))
        .bulkhead(Bulkhead::with_queue(1, 1, secs(1)).unwrap())
        .concurrency_limit(ConcurrencyLimit::new(1, 1, 1).unwrap().clock(Clock::tokio()))
        .circuit_breaker(breaker.clone())
        .timeout(secs(5))
        .classify(move |result: &Result<u32, &'static str>| -> Outcome {
            classifier.passes(3);
            if result.is_ok() { Outcome::Success } else { Outcome::failure(Kind::OTHER) }
        })
        .build()
        .unwrap();
    let call = {
        let bomb = bomb.clone();
        move || {
            bomb.passes(1);
            let bomb = bomb.clone();
            async move {
                bomb.passes(2);
                Err::<u32, _>("no")
            }
        }
    };
    let made = call.clone();
    let service = stack.layer().layer(service_fn(move |()| made()));
    for half_open in [false, true] {
        for (place, name) in PLACES.iter().enumerate() {
            for face in ["sync", "async", "tower"] {
                breaker.command(Command::Reset);
                if half_open {
                    breaker.command(Command::Trip);
                    advance(secs(60)).await;
                }
                bomb.put(place);
                let (panicked, taken) = (failed(&breaker), rate_limit.available());
                let blocking = || {
                    bomb.passes(1);
                    bomb.passes(2);
                    Err("no")
                };
                let went_on = match face {
                    "sync" => catch_unwind(AssertUnwindSafe(|| stack.call(blocking))).is_err(),
                    "async" => panics(stack.call_async(&call)).await,
                    _ => panics(service.clone().oneshot(())).await,
                };
                let place_of = format!("{name}, {face}, half-open: {half_open}");
                assert_eq!(went_on, place > 0, "{place_of}");
                let counters = breaker.snapshot().counters;
                assert_eq!(counters.in_flight(), 0, "{place_of}");
                let counts = u64::from((1..4).contains(&place));
                assert_eq!(failed(&breaker) - panicked, counts, "{place_of}");
                let bulkhead = stack.bulkhead().unwrap();
                assert_eq!((bulkhead.running(), bulkhead.queued()), (0, 0), "{place_of}");
                assert_eq!(stack.concurrency_limit().unwrap().in_flight(), 0, "{place_of}");
                assert_eq!(taken - rate_limit.available(), 1, "the call was made: {place_of}");
                assert!(Deadline::current().is_none(), "{place_of}");
                // The probe has failed, whatever it was that failed.
                let phase = if half_open { PhaseName::Open } else { PhaseName::Closed };
                assert_eq!(breaker.phase(), phase, "{place_of}");
                bomb.put(0);
                breaker.command(Command::Reset);
                assert_eq!(stack.call_async(|| async { Ok(1) }).await, Ok(1), "{place_of}");
            }
        }
    }
}

/// The breaker that a request would have had is not known, so none counts it.
#[tokio::test]
async fn a_key_function_that_panics_leaves_its_family_as_it_was() {
    let registry = Registry::new();
    let family = registry.keyed("panics");
    let layer = CircuitBreakerLayer::keyed(family.clone(), |key: &&'static str| {
        assert!(!key.is_empty(), "no key");
        *key
    });
    let service = layer.layer(service_fn(|_: &'static str| async { Ok::<_, ()>(1) }));
    assert!(panics(async { service.clone().oneshot("").await }).await);
    assert_eq!(service.clone().oneshot("known").await, Ok(1));
    assert_eq!(family.breaker(&["known"]).snapshot().counters.success, 1);
}

/// Code that says whether and how to repeat a call runs while an attempt may be under way.
#[tokio::test(start_paused = true)]
async fn b7_copying_and_judging_attempts_may_panic() {
    let (breaker, bomb) = (breaker(), Bomb::default());
    let slow = Slow::new(3);
    let copy = {
        let bomb = bomb.clone();
        move |said: &Result<u32, &'static str>| {
            bomb.passes(1);
            Some(*said)
        }
    };
    let judge = {
        let bomb = bomb.clone();
        move |_: &Result<u32, &'static str>| -> Outcome {
            bomb.passes(2);
            Outcome::Success
        }
    };
    let attempts = breaker.layer().layer(slow.clone());
    let retry = Retry::builder(RetrySettings::default()).repeat(copy.clone());
    let retry = retry.classify(judge.clone()).seed(1).build();
    let retried = RetryService::new(retry, attempts.clone());
    let hedge = Hedge::builder(HedgeSettings::after(millis(1)).unwrap()).budget(None);
    let hedge = hedge.repeat(copy).classify(judge).build();
    let hedged = HedgeService::new(hedge, attempts);
    for place in [1, 2] {
        bomb.put(place);
        for hedges in [false, true] {
            let went_on = match hedges {
                true => panics(async { hedged.clone().oneshot(Ok(1)).await }).await,
                false => panics(async { retried.clone().oneshot(Ok(1)).await }).await,
            };
            assert!(went_on);
            let counters = breaker.snapshot().counters;
            assert_eq!((counters.in_flight(), slow.in_flight()), (0, 0), "{place}, {hedges}");
            assert_eq!(failed(&breaker), 0, "it is not the callee's");
        }
    }
    bomb.put(0);
    let answer: Guarded = hedged.oneshot(Ok(1)).await;
    assert_eq!(answer, Ok(1));
}

/// B-7: of two attempts under way, one panics: the other is cancelled, and not held to have failed.
#[tokio::test(start_paused = true)]
async fn b7_a_panic_in_one_of_two_attempts_cancels_the_other() {
    let breaker = breaker();
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let service = service_fn(move |()| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            assert!(first, "the second");
            Ok::<u32, &str>(1)
        }
    });
    let hedge = Hedge::builder(HedgeSettings::after(millis(1)).unwrap()).budget(None).build();
    let mut service = HedgeService::new(hedge, breaker.layer().layer(service));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    {
        let mut call = Box::pin(service.call(()));
        assert!(poll_once(call.as_mut()).await.is_pending());
        advance(millis(2)).await;
        assert!(panics(&mut call).await);
    }
    let counters = breaker.snapshot().counters;
    assert_eq!((failed(&breaker), counters.neutral, counters.in_flight()), (1, 1, 0));
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

/// B-7 to the compiler: what panics leave in order goes through `catch_unwind` without a word.
#[test]
fn b7_calls_are_made_within_catch_unwind_as_they_are() {
    let (registry, breaker) = (Registry::new(), breaker());
    let (family, bulkhead) = (registry.keyed("unwinds"), Bulkhead::new(1).unwrap());
    let (limit, rate) = (ConcurrencyLimit::new(1, 1, 10).unwrap(), RateLimit::new(9, secs(1), 9));
    let (rate, retry) = (rate.unwrap(), Retry::new(RetrySettings::default()));
    let stack = Stack::builder("unwinds").retry(retry.clone()).circuit_breaker(breaker.clone());
    let stack = stack.build().unwrap();
    let call = || Ok::<_, &str>(7);
    let all = catch_unwind(|| {
        [
            registry.breaker("unwinds").call(call),
            family.breaker(&["a"]).call(call),
            breaker.call(call),
            bulkhead.call(call),
            limit.call(call),
            rate.call(call),
            retry.call(call),
            stack.call(call),
        ]
    });
    assert_eq!(all.unwrap(), [const { Ok(7) }; 8]);
    let permit = breaker.try_acquire().unwrap();
    assert!(catch_unwind(|| permit.success()).is_ok());
}

/// B-7: between two attempts nothing is held, so there is nothing to come back but the deadline.
#[test]
fn b7_a_sleeper_that_panics_leaves_nothing_behind() {
    let breaker = breaker();
    let wakes = Arc::new(AtomicUsize::new(0));
    let sleeper = {
        let wakes = Arc::clone(&wakes);
        move |_| assert!(wakes.fetch_add(1, Ordering::Relaxed) > 0, "as it happens")
    };
    let limit = ConcurrencyLimit::new(1, 1, 10).unwrap();
    let stack = Stack::builder("sleeps")
        .deadline(secs(30))
        .retry(Retry::builder(RetrySettings::default()).seed(1).sleeper(sleeper).build())
        .bulkhead(Bulkhead::new(1).unwrap())
        .concurrency_limit(limit.clone())
        .circuit_breaker(breaker.clone())
        .build()
        .unwrap();
    let mut asked = 0;
    let mut call = || {
        stack.call(|| {
            asked += 1;
            if asked == 1 { Err("no") } else { Ok(7) }
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(&mut call)).is_err());
    assert!(Deadline::current().is_none(), "the deadline went with its call");
    assert_eq!((stack.bulkhead().unwrap().running(), limit.in_flight()), (0, 0));
    assert_eq!(stack.attempts().stats().retries(), 0, "it was never made");
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.failure(), counters.in_flight()), (1, 0), "the attempt before counts");
    assert_eq!(failed(&breaker), 0, "the panic was not the callee's");

    assert_eq!(call(), Ok(7), "and the next call finds everything in its place");
}
