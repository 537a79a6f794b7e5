use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll, Waker};

use panelboard::policy::circuit_breaker::CircuitBreakerLayer;
use panelboard::policy::{Lift, circuit_breaker::CircuitBreakerService};
use panelboard::{
    CircuitBreaker, Clock, Command, Error, Kind, Outcome, PhaseName, Reason, Registry, Settings,
    SettingsBuilder,
};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};

use crate::support::{Slow, cancel_at_every_poll, millis, poll_once, secs};

fn breaker(settings: SettingsBuilder) -> CircuitBreaker {
    CircuitBreaker::builder("tower")
        .settings(settings.build().unwrap())
        .clock(Clock::tokio())
        .build()
}

fn lenient() -> SettingsBuilder {
    Settings::builder().failure_threshold(None)
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_services_own() {
    let breaker = breaker(lenient());
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(breaker.layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending(), "the service is not");
    handle.allow(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let mut call = Box::pin(service.call(7));
    assert_request_eq!(handle, 7).send_response(8);
    assert_eq!((&mut call).await.unwrap(), 8);
    // An open breaker refuses in `call`, not by not being ready.
    breaker.command(Command::OpenFor(secs(60)));
    handle.allow(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let refused = service.call(7).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(rejected) if rejected.reason() == Reason::Open));
    // What was kept ready for the refused call serves the next one.
    breaker.command(Command::Reset);
    let call = Box::pin(service.call(9));
    assert_request_eq!(handle, 9).send_response(10);
    assert_eq!(call.await.unwrap(), 10);
}

#[tokio::test(start_paused = true)]
async fn results_count_and_trip() {
    let breaker = breaker(Settings::builder().failure_threshold(2));
    let service = breaker.layer().layer(Slow::new(1));
    assert_eq!(service.clone().oneshot(Ok(1)).await, Ok(1));
    for _ in 0..2 {
        assert_eq!(service.clone().oneshot(Err("no")).await, Err(Error::Inner("no")));
    }
    assert_eq!(breaker.phase(), PhaseName::Open);
    assert!(matches!(service.oneshot(Ok(1)).await, Err(Error::Rejected(_))));
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.success, counters.failure(), counters.in_flight()), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn timeout_and_slow_bound_are_those_of_async_calls() {
    let settings = lenient().timeout(secs(2)).slow_call_duration(secs(1));
    let breaker = breaker(settings);
    let service = breaker.layer().layer(service_fn(|wait| async move {
        sleep(wait).await;
        Ok::<_, &str>(())
    }));
    let mut call = Box::pin(service.clone().oneshot(secs(60)));
    assert!(poll_once(call.as_mut()).await.is_pending());
    advance(millis(1_001)).await;
    assert!(poll_once(call.as_mut()).await.is_pending());
    assert_eq!(breaker.snapshot().counters.slow, 1, "slow while it runs");
    assert_eq!(call.await, Err(Error::TimedOut));
    assert_eq!(breaker.snapshot().counters.failures[Kind::Timeout.index()], 1);
    assert_eq!(service.oneshot(millis(5)).await, Ok(()));
    assert_eq!(breaker.snapshot().counters.slow, 1);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_judges_what_the_service_said() {
    let breaker = breaker(Settings::builder().failure_threshold(1));
    let layer = breaker.layer().classify(|result: &Result<u32, &str>| match result {
        Ok(429) => Outcome::pushback(Some(secs(9))),
        Ok(_) | Err("not found") => Outcome::Success,
        Err(_) => Outcome::failure(Kind::ServerError),
    });
    let service = layer.layer(Slow::new(0));
    assert_eq!(service.clone().oneshot(Err("not found")).await, Err(Error::Inner("not found")));
    assert_eq!(service.clone().oneshot(Ok(429)).await, Ok(429));
    let paced = service.oneshot(Ok(1)).await.unwrap_err();
    assert_eq!(paced.retry_after(), Some(secs(9)));
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.success, counters.pushback, counters.failure()), (1, 1, 0));
}

/// What our own policies refuse further in says nothing of the dependency; a timeout does.
#[tokio::test(start_paused = true)]
async fn refusals_further_in_are_neutral() {
    let breaker = breaker(Settings::builder().failure_threshold(1));
    let inner = service_fn(|error: Error<&'static str>| async move { Err::<(), _>(error) });
    let service = CircuitBreakerService::new(breaker.layer(), inner);
    for error in [
        Error::BulkheadFull,
        Error::LimitReached,
        Error::DeadlineExceeded,
        Error::RateLimited { retry_after: secs(1) },
    ] {
        assert_eq!(service.clone().oneshot(error.clone()).await, Err(error));
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.counters.neutral, snapshot.phase), (4, PhaseName::Closed));
    assert_eq!(service.oneshot(Error::TimedOut).await, Err(Error::TimedOut));
    assert_eq!(breaker.snapshot().counters.failures[Kind::Timeout.index()], 1);
    assert_eq!(breaker.phase(), PhaseName::Open);
}

#[tokio::test(start_paused = true)]
async fn each_request_may_have_its_breaker() {
    let registry = Registry::new();
    let family = registry.keyed("llm");
    let layer = CircuitBreakerLayer::keyed(family.clone(), |said: &Result<u32, &str>| match said {
        Ok(n) => format!("model-{n}"),
        Err(_) => "broken".to_owned(),
    });
    let service = layer.layer(Slow::new(0));
    for _ in 0..5 {
        service.clone().oneshot(Err("no")).await.unwrap_err();
    }
    assert_eq!(family.breaker(&["broken"]).phase(), PhaseName::Open);
    assert_eq!(service.oneshot(Ok(1)).await, Ok(1));
    assert_eq!(family.breaker(&["model-1"]).snapshot().counters.success, 1);

    let (even, odd) = (CircuitBreaker::new("even", Settings::default()), breaker(lenient()));
    let by_parity = CircuitBreakerLayer::new({
        let (even, odd) = (even.clone(), odd.clone());
        move |said: &Result<u32, &'static str>| match said {
            Ok(n) if n % 2 == 0 => even.clone(),
            _ => odd.clone(),
        }
    });
    by_parity.layer(Slow::new(0)).oneshot(Ok(4)).await.unwrap();
    assert_eq!((even.snapshot().counters.success, odd.snapshot().counters.success), (1, 0));
    let unguarded = CircuitBreakerLayer::new(None::<CircuitBreaker>);
    assert_eq!(unguarded.layer(Slow::new(0)).oneshot(Ok(4)).await, Ok(4));
}

/// B-7: at whatever poll a call is dropped, nothing stays behind, and nothing is held against the
/// dependency; also while half-open, where a lost slot would stick.
#[tokio::test(start_paused = true)]
async fn b7_cancelled_at_any_poll_it_leaves_nothing_behind() {
    let breaker = breaker(Settings::builder().failure_threshold(1).success_threshold(100));
    let slow = Slow::new(3);
    let mut service = breaker.layer().layer(slow.clone());
    let mut context = Context::from_waker(Waker::noop());
    for half_open in [false, true] {
        if half_open {
            breaker.command(Command::Trip);
            advance(breaker.snapshot().opens_for.unwrap()).await;
        }
        let make = || {
            assert!(service.poll_ready(&mut context).is_ready());
            service.call(Ok(1))
        };
        let polls = cancel_at_every_poll(millis(1), make, |polls| {
            let snapshot = breaker.snapshot();
            assert_eq!(snapshot.counters.in_flight(), 0, "after {polls} polls");
            assert_eq!(snapshot.counters.failure(), 0);
            assert_eq!(snapshot.probes.map_or(0, |probes| probes.in_flight), 0);
            assert_eq!(slow.in_flight(), 0);
        });
        assert_eq!(polls.await, 4);
    }
    let counters = breaker.snapshot().counters;
    assert_eq!((counters.neutral, counters.success), (8, 2));
}

/// B-7: a panic counts wherever it comes from.
#[tokio::test(start_paused = true)]
async fn b7_panics_of_service_call_and_classifier_count() {
    let panics =
        |breaker: &CircuitBreaker| breaker.snapshot().counters.failures[Kind::Panic.index()];
    let breaker = breaker(lenient());
    let mut eager = breaker.layer().layer(service_fn(|()| -> std::future::Ready<Result<(), ()>> {
        panic!("while the call is made")
    }));
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| drop(eager.call(()))));
    assert!(made.is_err());
    assert_eq!(panics(&breaker), 1);
    let lazy = breaker.layer().layer(service_fn(|fails: bool| async move {
        assert!(!fails, "while it runs");
        Ok::<_, ()>(())
    }));
    let task = tokio::spawn(lazy.oneshot(true));
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(panics(&breaker), 2);
    let classify = |_: &Result<u32, &str>| -> Outcome { panic!("in the classifier") };
    let judged = breaker.layer().classify(classify).layer(Slow::new(0));
    assert!(tokio::spawn(judged.oneshot(Ok(1))).await.unwrap_err().is_panic());
    assert_eq!(panics(&breaker), 3);
    assert_eq!(breaker.snapshot().counters.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn layers_compose() {
    let breaker = breaker(lenient());
    let service = tower::ServiceBuilder::new()
        .layer(breaker.layer())
        .service(Lift::new(Slow::new(0)))
        .map_err(Error::flatten);
    assert_eq!(service.oneshot(Err("no")).await, Err(Error::Inner("no")));
    assert_eq!(breaker.snapshot().counters.failure(), 1);
}
