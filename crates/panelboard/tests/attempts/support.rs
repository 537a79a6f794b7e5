//! What the tests of several policies use.

use panelboard::{CircuitBreaker, Clock, Settings};
use tokio_test::task;
use tower::Service;
use tower_test::mock::{Handle, Mock, pair};

pub(crate) use crate::shared::{cancel_at_every_poll as dropped_at_each_poll, millis, secs};

/// A breaker on tokio's clock that opens on the second failure in a row.
pub(crate) fn guarded() -> CircuitBreaker {
    let settings = Settings::builder().failure_threshold(2).failure_rate(None).build().unwrap();
    CircuitBreaker::builder("guarded").settings(settings).clock(Clock::tokio()).seed(1).build()
}

/// tower's contract, as far as one call shows it: readiness is the inner service's, and it is the
/// service that said so that is called.
///
/// `Mock` panics when it is called without having said that it is ready.
pub(crate) async fn keeps_towers_contract<S, F>(layer: impl FnOnce(Mock<u32, u32>) -> S)
where
    S: Service<u32, Response = u32, Future = F> + Clone,
    S::Error: std::fmt::Debug,
    F: Future<Output = Result<u32, S::Error>>,
{
    let (mock, mut handle): (_, Handle<u32, u32>) = pair();
    let mut service = layer(mock);
    handle.allow(0);
    let mut ready = task::spawn(());
    let mut ask = |service: &mut S| ready.enter(|cx, _| service.poll_ready(cx).is_ready());
    assert!(!ask(&mut service), "not ready while the inner service is not");
    handle.allow(1);
    assert!(ask(&mut service), "ready as soon as the inner service is");
    // The service that is ready is the one that makes the call, whatever has been cloned.
    let _clone = service.clone();
    let call = service.call(7);
    let answer = async {
        let (request, respond) = handle.next_request().await.unwrap();
        assert_eq!(request, 7);
        respond.send_response(14);
    };
    let (result, ()) = tokio::join!(call, answer);
    assert_eq!(result.unwrap(), 14);
    assert!(!ask(&mut service), "and is not ready for the next");
}
