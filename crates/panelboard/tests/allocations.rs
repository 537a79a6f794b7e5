//! Guarding a call allocates nothing once a thread has its counters.

use std::future::ready;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use allocation_counter::measure;
use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::concurrency_limit::ConcurrencyLimit;
use panelboard::policy::deadline::DeadlineService;
use panelboard::policy::fallback::Fallback;
use panelboard::policy::hedge::{Hedge, HedgeService, HedgeSettings};
use panelboard::policy::rate_limit::RateLimit;
use panelboard::policy::retry::{Retry, RetryService, RetrySettings};
use panelboard::policy::stack::Stack;
use panelboard::policy::timeout::TimeoutLayer;
use panelboard::{
    CircuitBreaker, Command, Kind, ManualClock, Outcome, Registry, Settings, SettingsBuilder,
};
use tower::{Layer, Service, service_fn};

fn allocations(settings: SettingsBuilder, work: impl Fn(&CircuitBreaker)) -> u64 {
    let breaker = CircuitBreaker::new("lean", settings.build().unwrap());
    // The first failure makes room for failures.
    for fails in [true, false] {
        let _ = breaker.call(|| if fails { Err(()) } else { Ok(()) });
    }
    work(&breaker);
    measure(|| {
        for _ in 0..1_000 {
            work(&breaker);
        }
    })
    .count_total
}

/// Rules that are at work, but out of reach.
fn lenient() -> SettingsBuilder {
    Settings::builder().failure_threshold(None).min_calls(1_000_000_000)
}

/// Every recorder, with and without a clock reading at the start.
fn variants() -> [SettingsBuilder; 6] {
    let slow = Duration::from_secs(3_600);
    [
        lenient(),
        lenient().failure_threshold(60_000).failure_rate(None),
        lenient().window(100_u32),
        lenient().slow_call_duration(slow),
        lenient().slow_call_duration(slow).adaptive(true),
        lenient().window(100_u32).slow_call_duration(slow),
    ]
}

#[test]
fn a_closed_breaker_allocates_nothing() {
    for settings in variants() {
        let count = allocations(settings, |breaker| {
            breaker.call(|| Ok::<_, ()>(1)).unwrap();
            breaker.call(|| Err::<(), _>(1)).unwrap_err();
            let neutral = |_: &Result<(), ()>| Outcome::Neutral;
            breaker.call_classified(|| Err(()), neutral).unwrap_err();
        });
        assert_eq!(count, 0, "{settings:?}");
    }
}

#[test]
fn permits_allocate_nothing() {
    for settings in variants() {
        let count = allocations(settings, |breaker| {
            breaker.try_acquire().unwrap().success();
            breaker.try_acquire().unwrap().failure(Kind::Timeout);
            breaker.try_acquire().unwrap().neutral();
            drop(breaker.try_acquire().unwrap());
            breaker.try_acquire_for(Duration::from_secs(1)).unwrap().success();
            breaker.try_acquire_owned(None).unwrap().success();
            breaker.try_acquire_owned(None).unwrap().failure(Kind::Timeout);
        });
        assert_eq!(count, 0, "{settings:?}");
    }
}

/// Not even a call that is slow, and asks the rules each time.
#[test]
fn a_slow_call_below_the_threshold_allocates_nothing() {
    let clock = ManualClock::new();
    let settings = lenient().min_calls(1_000_000_000).slow_call_duration(Duration::from_millis(1));
    let builder = CircuitBreaker::builder("lean").settings(settings.build().unwrap());
    let breaker = builder.clock(clock.clone()).build();
    let slow = || {
        let permit = breaker.try_acquire().unwrap();
        // Now and then into the next bucket, where all slack is void.
        clock.advance(Duration::from_millis(300));
        permit.success();
    };
    slow();
    assert_eq!(measure(|| (0..1_000).for_each(|_| slow())).count_total, 0);
    assert_eq!(breaker.snapshot().counters.slow, 1_001);
}

#[test]
fn a_refusal_allocates_nothing() {
    let breaker = CircuitBreaker::new("lean", Settings::default());
    breaker.command(Command::OpenFor(Duration::from_secs(3_600)));
    let refused = || {
        breaker.call(|| Ok::<_, ()>(1)).unwrap_err();
        assert!(breaker.try_acquire().is_err());
        assert!(breaker.try_acquire_owned(None).is_err());
        let call = pin!(breaker.call_async(ready(Ok::<_, ()>(1))));
        assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    };
    refused();
    let info = measure(|| {
        for _ in 0..1_000 {
            refused();
        }
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn an_async_call_allocates_nothing() {
    let settings = Settings::builder().timeout(Duration::from_secs(1));
    let settings = settings.failure_threshold(None).min_calls(1_000_000_000);
    let count = allocations(settings, |breaker| {
        for result in [Ok(1), Err(())] {
            let call = pin!(breaker.call_async(ready(result)));
            assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
    });
    assert_eq!(count, 0);
}

/// A known circuit is found again by its name without a copy of it.
#[test]
fn looking_a_breaker_up_allocates_nothing() {
    let registry = Registry::new();
    let _ = registry.breaker("lean");
    assert_eq!(
        measure(|| assert_eq!(registry.breaker("lean").name().as_str(), "lean")).count_total,
        0
    );
}

/// Nor one that has to wait, bounded by a timeout.
#[test]
fn a_pending_async_call_allocates_nothing() {
    let settings = Settings::builder().timeout(Duration::from_secs(60)).build().unwrap();
    let breaker = CircuitBreaker::new("lean", settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let pending_once = || {
            breaker.call_async(async {
                tokio::task::yield_now().await;
                Ok::<_, ()>(1)
            })
        };
        // Polled by hand, so that only the call is measured and not the runtime.
        let poll = || {
            let mut call = pin!(pending_once());
            let mut context = Context::from_waker(Waker::noop());
            assert!(call.as_mut().poll(&mut context).is_pending());
            assert!(call.as_mut().poll(&mut context).is_ready());
        };
        poll();
        assert_eq!(measure(poll).count_total, 0);
    });
}

/// A guarded function costs what the call costs.
#[cfg(feature = "macros")]
#[test]
fn a_guarded_function_allocates_nothing() {
    #[panelboard::guarded("lean")]
    fn sync(n: u32) -> Result<u32, panelboard::Error<()>> {
        if n.is_multiple_of(2) { Ok(n) } else { Err(()) }
    }

    #[panelboard::guarded("lean")]
    async fn asynchronous(n: u32) -> Result<u32, panelboard::Error<()>> {
        ready(if n.is_multiple_of(2) { Ok(n) } else { Err(()) }).await
    }

    let work = || {
        for n in 0..1_000 {
            let result = sync(n);
            let call = pin!(asynchronous(n));
            let mut context = Context::from_waker(Waker::noop());
            assert_eq!(call.poll(&mut context), std::task::Poll::Ready(result.clone()));
            assert_eq!(result.is_ok(), n.is_multiple_of(2), "let through, all of them");
        }
    };
    let lenient = Settings::builder().failure_threshold(None).failure_rate(None).build().unwrap();
    panelboard::Registry::global().breaker_with("lean", lenient);
    work();
    assert_eq!(measure(work).count_total, 0);
}

/// Nor do the policies about attempts, around an attempt that is answered at once.
#[test]
fn policies_allocate_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let (retry, hedge) = (
        Retry::new(RetrySettings::default()),
        Hedge::new(HedgeSettings::after(Duration::from_secs(1)).unwrap()),
    );
    let answer = |()| ready(Ok::<_, ()>(1));
    let attempt = TimeoutLayer::new(Duration::from_secs(1)).layer(service_fn(answer));
    let whole = Duration::from_secs(9);
    let mut retried = DeadlineService::new(whole, RetryService::new(retry, attempt));
    let mut hedged = DeadlineService::new(whole, HedgeService::new(hedge, attempt));
    let mut work = || {
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(retried.call(())).poll(&mut context).is_ready());
        assert!(pin!(hedged.call(())).poll(&mut context).is_ready());
    };
    work();
    let info = measure(|| (0..1_000).for_each(|_| work()));
    assert_eq!(info.count_total, 0);
}

/// A stack of policies, called as a tower service and as a function; none of its futures is boxed.
#[test]
fn a_stacked_call_allocates_nothing() {
    let second = Duration::from_secs(1);
    let stack = Stack::builder("lean")
        .rate_limit(RateLimit::new(1_000_000, second, 1_000_000).unwrap())
        .deadline(60 * second)
        .retry(Retry::new(RetrySettings::default()))
        .bulkhead(Bulkhead::with_queue(10, 10, second).unwrap())
        .concurrency_limit(ConcurrencyLimit::default())
        .circuit_breaker(CircuitBreaker::new("lean", Settings::default()))
        .timeout(second)
        .fallback(Fallback::value(0))
        .build()
        .unwrap();
    let mut service = stack.layer().layer(service_fn(|n: u32| async move {
        tokio::task::yield_now().await;
        Ok::<_, ()>(n)
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let mut context = Context::from_waker(Waker::noop());
    let mut by_service = || {
        assert!(service.poll_ready(&mut context).is_ready());
        let mut call = pin!(service.call(7));
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(call.as_mut().poll(&mut context).is_ready());
    };
    by_service();
    assert_eq!(measure(by_service).count_total, 0);
    let by_function = || {
        let call = pin!(stack.call_async(|| ready(Ok::<_, ()>(7))));
        assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    };
    by_function();
    assert_eq!(measure(by_function).count_total, 0);
    let blocking = || assert_eq!(stack.call(|| Ok::<_, ()>(7)), Ok(7));
    blocking();
    assert_eq!(measure(blocking).count_total, 0);
}

/// Nor does a call that has to queue: its place is in room that was made beforehand.
#[test]
fn a_call_in_the_queue_of_a_bulkhead_allocates_nothing() {
    let bulkhead = Bulkhead::with_queue(1, 10, Duration::from_secs(60)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let queue = || {
        let place = bulkhead.try_enter().unwrap();
        let mut wait = pin!(bulkhead.enter());
        let mut context = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        drop(place);
        assert!(wait.as_mut().poll(&mut context).is_ready());
    };
    queue();
    assert_eq!(measure(queue).count_total, 0);
}

/// Nor does finding the breaker of a known key, and calling through it: few calls or many.
#[test]
fn a_call_by_key_allocates_nothing() {
    let family = Registry::new().keyed("llm");
    let call = |calls: usize| {
        measure(|| {
            for _ in 0..calls {
                let model = family.breaker(&["openai", "gpt-4o/mini"]);
                model.call(|| Ok::<_, ()>(1)).unwrap();
            }
        })
        .count_total
    };
    assert!(call(1) > 0, "it is made");
    assert_eq!(call(5), 0);
    assert!(call(100) > 0, "it is called often, and gets shards");
    assert_eq!(call(1_000), 0);
}
