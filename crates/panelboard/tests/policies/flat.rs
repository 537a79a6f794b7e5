//! Policies put around each other one by one.

use panelboard::policy::Flat;
use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::concurrency_limit::ConcurrencyLimit;
use panelboard::policy::deadline::DeadlineLayer;
use panelboard::policy::fallback::Fallback;
use panelboard::policy::hedge::{Hedge, HedgeLayer, HedgeSettings};
use panelboard::policy::rate_limit::RateLimit;
use panelboard::policy::retry::{GiveUp, Retry, RetryLayer, RetrySettings};
use panelboard::policy::timeout::TimeoutLayer;
use panelboard::{CircuitBreaker, Clock, Error, PhaseName, Settings};
use tower::{ServiceBuilder, ServiceExt};
use tower_test::mock;

use crate::support::{Slow, millis, secs};

fn breaker() -> CircuitBreaker {
    let settings = Settings::builder().failure_threshold(1).recovery_timeout(secs(60)).ramp(None);
    CircuitBreaker::builder("flat")
        .settings(settings.build().unwrap())
        .clock(Clock::tokio())
        .build()
}

#[tokio::test(start_paused = true)]
async fn refusals_further_in_are_neither_failures_nor_tried_again() {
    let (breaker, bulkhead) = (breaker(), Bulkhead::new(1).unwrap());
    let retry = Retry::new(RetrySettings::default());
    let service = ServiceBuilder::new()
        .layer(Flat(RetryLayer::new(retry.clone())))
        .layer(Flat(breaker.layer()))
        .layer(bulkhead.layer())
        .service(Slow::new(0));
    let place = bulkhead.try_enter().unwrap();
    assert_eq!(service.clone().oneshot(Ok(1)).await, Err(Error::BulkheadFull));
    drop(place);
    assert_eq!((breaker.phase(), retry.stats().attempts()), (PhaseName::Closed, 1));
    assert_eq!(service.clone().oneshot(Ok(1)).await, Ok(1));
    // The failure opens the breaker, whose refusal ends the call.
    let refused = service.oneshot(Err("no")).await.unwrap_err();
    assert!(refused.rejected().is_some(), "{refused}");
    assert_eq!((retry.stats().attempts(), retry.stats().given_up(GiveUp::Refused)), (4, 2));
}

/// Every layer there is, one around the other, with one error for all.
#[tokio::test(start_paused = true)]
async fn every_layer_goes_around_every_other() {
    let hedge = Hedge::new(HedgeSettings::after(secs(1)).unwrap());
    let limit = ConcurrencyLimit::new(1, 9, 9).unwrap().clock(Clock::tokio());
    let rate = RateLimit::new(1, secs(1), 9).unwrap().clock(Clock::tokio());
    let layers = ServiceBuilder::new()
        .layer(Flat(Fallback::value(7).when_refused().layer()))
        .layer(Flat(rate.layer()))
        .layer(Flat(DeadlineLayer::new(secs(30))))
        .layer(Flat(RetryLayer::new(Retry::new(RetrySettings::default()))))
        .layer(Flat(HedgeLayer::new(hedge)))
        .layer(Flat(Bulkhead::new(9).unwrap().layer()))
        .layer(Flat(limit.layer()))
        .layer(Flat(breaker().layer()))
        .layer(TimeoutLayer::new(millis(100)))
        .into_inner();
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layers);
    handle.allow(1);
    assert!(matches!(service.poll_ready(), std::task::Poll::Ready(Ok(()))));
    let call = service.call(1);
    let answer = async {
        let (request, respond) = handle.next_request().await.unwrap();
        respond.send_response(request * 10);
    };
    let (result, ()) = tokio::join!(call, answer);
    assert_eq!(result.unwrap(), 10);
}
