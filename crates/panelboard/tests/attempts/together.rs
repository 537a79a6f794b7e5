//! The policies in their order: deadline, retry or hedge, breaker, timeout.

use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use panelboard::policy::deadline::{Deadline, DeadlineService};
use panelboard::policy::hedge::{Hedge, HedgeService, HedgeSettings};
use panelboard::policy::retry::{GiveUp, Retry, RetryService, RetrySettings};
use panelboard::policy::timeout::TimeoutFuture;
use panelboard::{CircuitBreaker, Clock, Error, Kind, Outcome, PhaseName, Tick};
use tokio::time::sleep;
use tower::{Service, ServiceExt, service_fn};

use crate::support::{dropped_at_each_poll, guarded, millis, secs};

type Answer = Result<u32, Error<&'static str>>;

/// An attempt of a second at most, and a breaker that counts what takes longer.
fn attempt<F>(
    breaker: &CircuitBreaker,
    call: impl Fn() -> F + Clone,
) -> impl Service<(), Response = u32, Error = Error<&'static str>> + Clone
where
    F: Future<Output = Answer>,
{
    let breaker = breaker.clone();
    service_fn(move |()| {
        let (breaker, call) = (breaker.clone(), call());
        async move {
            let classify = |result: &Answer| match result {
                Ok(_) => Outcome::Success,
                Err(Error::TimedOut) => Outcome::failure(Kind::Timeout),
                Err(_) => Outcome::failure(Kind::OTHER),
            };
            let attempt = TimeoutFuture::new(secs(1), call);
            breaker.call_async_classified(attempt, classify).await.map_err(Error::flatten)
        }
    })
}

fn retry() -> Retry {
    let settings = RetrySettings::builder().max_attempts(9).build().unwrap();
    Retry::builder(settings).seed(1).build()
}

/// Attempts time out until the breaker opens. It stays open for longer than there is time, so that
/// is the end, well before the deadline.
#[tokio::test(start_paused = true)]
async fn a_hanging_dependency_costs_two_attempts() {
    let (breaker, retry, clock) = (guarded(), retry(), Clock::tokio());
    let attempts = attempt(&breaker, pending::<Answer>);
    let service = DeadlineService::new(secs(5), RetryService::new(retry.clone(), attempts));
    let result = service.oneshot(()).await;
    assert!(result.unwrap_err().rejected().is_some());
    assert!(clock.now().since(Tick::ZERO) < secs(3));
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.phase, PhaseName::Open);
    assert_eq!(snapshot.counters.failures[Kind::Timeout.index()], 2);
    assert_eq!((retry.stats().attempts(), retry.stats().given_up(GiveUp::Deadline)), (3, 1));
}

/// With time enough, the retry comes back as a probe.
#[tokio::test(start_paused = true)]
async fn a_dependency_that_heals_answers_within_the_deadline() {
    let (breaker, retry, clock) = (guarded(), retry(), Clock::tokio());
    let attempts = attempt(&breaker, move || {
        let healthy = clock.now() > Tick::ZERO.after(secs(4));
        async move { if healthy { Ok(7) } else { pending().await } }
    });
    let service = DeadlineService::new(secs(30), RetryService::new(retry.clone(), attempts));
    assert_eq!(service.oneshot(()).await, Ok(7));
    assert_eq!(breaker.snapshot().phase, PhaseName::HalfOpen);
    assert_eq!((retry.stats().attempts(), retry.stats().recovered()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn b7_whenever_the_whole_is_dropped_nothing_is_left_behind() {
    let breaker = guarded();
    let slow = attempt(&breaker, || async {
        sleep(millis(70)).await;
        Err(Error::Inner("no"))
    });
    let hedge = Hedge::new(HedgeSettings::after(millis(30)).unwrap());
    let hedged = DeadlineService::new(millis(200), HedgeService::new(hedge, slow.clone()));
    let retried = DeadlineService::new(millis(200), RetryService::new(retry(), slow));
    let check = |polls: usize| {
        assert_eq!(breaker.snapshot().counters.in_flight(), 0, "after {polls} polls");
        assert!(Deadline::current().is_none());
        breaker.command(panelboard::Command::Reset);
    };
    let polls = dropped_at_each_poll(millis(10), || hedged.clone().oneshot(()), check).await;
    assert!(polls > 7);
    let polls = dropped_at_each_poll(millis(10), || retried.clone().oneshot(()), check).await;
    assert!(polls > 14, "at least two attempts");
}

/// B-7, B-10: a panic in the callee goes on to whoever polls, and what was lent comes back.
#[tokio::test(start_paused = true)]
async fn b7_a_panic_goes_on_and_leaves_nothing_behind() {
    let breaker = guarded();
    let attempts = attempt(&breaker, || async { panic!("callee") });
    let hedge = Hedge::new(HedgeSettings::after(millis(30)).unwrap());
    let mut hedged = DeadlineService::new(secs(1), HedgeService::new(hedge, attempts.clone()));
    let mut retried = DeadlineService::new(secs(1), RetryService::new(retry(), attempts));
    let mut context = Context::from_waker(Waker::noop());
    let mut call = pin!(hedged.call(()));
    assert!(catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context))).is_err());
    let mut call = pin!(retried.call(()));
    assert!(catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context))).is_err());
    assert!(Deadline::current().is_none());
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.failures[Kind::Panic.index()], counters.in_flight()), (2, 0));
}

/// User code may use the policy that calls it: nothing is held meanwhile.
#[test]
fn b10_a_classifier_may_use_the_policy_that_calls_it() {
    thread_local! {
        static POLICY: Cell<Option<Retry>> = const { Cell::new(None) };
    }
    let inner = retry();
    POLICY.set(Some(inner.clone()));
    let outer = Retry::builder(RetrySettings::default())
        .budget(inner.budget().cloned())
        .classify(|_: &Result<u32, &str>| {
            let policy = POLICY.take().expect("put there");
            assert_eq!(policy.call(|| Ok::<_, ()>(1)), Ok(1));
            POLICY.set(Some(policy));
            Outcome::Success
        })
        .build();
    assert_eq!(outer.call(|| Ok(7)), Ok(7));
    assert_eq!(inner.stats().calls(), 1);
}

/// What is sent between threads must be able to.
#[test]
fn futures_may_be_sent() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let service = service_fn(|()| ready(Ok::<u32, Error<&'static str>>(1)));
    let hedge = Hedge::new(HedgeSettings::after(millis(30)).unwrap());
    let mut service = HedgeService::new(hedge, RetryService::new(retry(), service));
    let future = sent(service.call(()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(future).poll(&mut context).is_ready());
}
