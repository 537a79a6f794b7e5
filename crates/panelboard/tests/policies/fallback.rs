use std::task::{Context, Poll, Waker};

use panelboard::policy::fallback::{Fallback, FallbackService};
use panelboard::{CircuitBreaker, Error, Settings};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};

use crate::support::{Said, Slow, cancel_at_every_poll, millis};

type Failed = Error<&'static str>;

#[tokio::test]
async fn readiness_is_the_services_own() {
    let layer = Fallback::value(0_u32).layer();
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let call = service.call(1);
    assert_request_eq!(handle, 1).send_error("out of order");
    assert_eq!(call.await.unwrap(), 0);
    handle.send_error("gone");
    assert!(matches!(service.poll_ready(), Poll::Ready(Err(_))), "a broken service says so");
}

/// A service that fails as its request says.
fn failing(error: Failed) -> std::future::Ready<Result<&'static str, Failed>> {
    std::future::ready(Err(error))
}

fn errors() -> [Failed; 4] {
    [Error::Inner("no"), Error::TimedOut, Error::BulkheadFull, Error::DeadlineExceeded]
}

#[tokio::test]
async fn by_default_it_is_for_every_error() {
    let service = FallbackService::new(Fallback::value("instead"), service_fn(failing));
    for error in errors() {
        assert_eq!(service.clone().oneshot(error).await, Ok("instead"));
    }
    let none = FallbackService::new(Fallback::default(), service_fn(failing));
    for error in errors() {
        assert_eq!(none.clone().oneshot(error.clone()).await, Err(error));
    }
}

#[tokio::test]
async fn it_may_be_for_some_errors_only() {
    let refused = Fallback::value("instead").when_refused();
    let service = FallbackService::new(refused, service_fn(failing));
    let answered = [false, false, true, true];
    for (error, answered) in errors().into_iter().zip(answered) {
        assert_eq!(service.clone().oneshot(error).await.is_ok(), answered);
    }
    let late = Fallback::value("late").when(|error: &Failed| *error == Error::TimedOut);
    let service = FallbackService::new(late, service_fn(failing));
    let answered = [false, true, false, false];
    for (error, answered) in errors().into_iter().zip(answered) {
        assert_eq!(service.clone().oneshot(error).await.is_ok(), answered);
    }
}

#[tokio::test]
async fn a_chain_is_tried_in_order() {
    let (first, second) = (Slow::new(1), Slow::new(2));
    let chain = Fallback::service(first.clone())
        .when(|error: &Failed| *error != Error::Inner("not you"))
        .or(Fallback::service(second.clone()))
        .or(Fallback::function_async(|error: Failed| async move {
            tokio::task::yield_now().await;
            if error == Error::Inner("no") { Ok(99) } else { Err(error) }
        }));
    // The request says what all of them answer, so the last one decides.
    let service = chain.layer().layer(Slow::new(0));
    let made = || (first.made(), second.made());
    assert_eq!(service.clone().oneshot(Ok(1)).await, Ok(1));
    assert_eq!(made(), (0, 0));
    assert_eq!(service.clone().oneshot(Err("no")).await, Ok(99));
    assert_eq!(made(), (1, 1));
    // The first one is passed over, and the last one's error comes through.
    assert_eq!(service.oneshot(Err("not you")).await, Err(Error::Inner("not you")));
    assert_eq!(made(), (1, 2));
}

/// What it answers with is nobody's success.
#[tokio::test]
async fn a_breaker_inside_sees_the_failure() {
    let breaker = CircuitBreaker::new("inside", Settings::default());
    let inner = breaker.layer().layer(Slow::new(0));
    let service = FallbackService::new(Fallback::value(7), inner);
    assert_eq!(service.oneshot(Err("no")).await, Ok(7));
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.success, counters.failure()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn cancelled_at_any_poll_it_leaves_nothing_behind() {
    let (slow, other) = (Slow::new(2), Slow::new(3));
    let chain = Fallback::service(other.clone()).or(Fallback::value(5));
    let mut service = chain.layer().layer(slow.clone());
    let mut context = Context::from_waker(Waker::noop());
    let said: Said = Err("no");
    let make = || {
        assert!(service.poll_ready(&mut context).is_ready());
        service.call(said)
    };
    let polls = cancel_at_every_poll(millis(1), make, |polls| {
        assert_eq!((slow.in_flight(), other.in_flight()), (0, 0), "after {polls} polls");
    });
    assert_eq!(polls.await, 6);
}

/// The call is gone when user code runs: what it held may be what that needs.
#[tokio::test]
async fn it_answers_when_the_call_is_gone() {
    let slow = Slow::new(1);
    let (asked, answered) = (slow.clone(), slow.clone());
    let fallback = Fallback::function(move |_: Failed| {
        assert_eq!(answered.in_flight(), 0, "when it answers");
        Ok(7)
    });
    let fallback = fallback.when(move |_: &Failed| {
        assert_eq!(asked.in_flight(), 0, "when it is asked");
        true
    });
    assert_eq!(fallback.layer().layer(slow).oneshot(Err("no")).await, Ok(7));
}

#[tokio::test]
async fn a_panic_in_a_fallback_is_the_callers() {
    let function = Fallback::function(|_: Error<&str>| -> Result<u32, _> { panic!("no idea") });
    let service = function.layer().layer(Slow::new(0));
    assert!(tokio::spawn(service.oneshot(Err("no"))).await.unwrap_err().is_panic());
}
