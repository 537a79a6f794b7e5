//! What the tests of several policies use.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use panelboard::{CircuitBreaker, Clock, Settings};
use tokio::time::advance;
use tokio_test::task;
use tower::Service;
use tower_test::mock::{Handle, Mock, pair};

pub(crate) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

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

/// Drops a call after each number of polls that it can be polled, and checks what is left behind.
/// Between polls time moves on by `step`.
pub(crate) async fn dropped_at_each_poll<F: Future>(
    step: Duration,
    mut call: impl FnMut() -> F,
    mut left_behind: impl FnMut(usize),
) -> usize {
    for polls in 0.. {
        let mut ended = false;
        {
            let mut call: Pin<&mut F> = pin!(call());
            for _ in 0..polls {
                let polled = std::future::poll_fn(|cx: &mut Context<'_>| {
                    Poll::Ready(call.as_mut().poll(cx).is_ready())
                });
                if polled.await {
                    ended = true;
                    break;
                }
                advance(step).await;
            }
        }
        left_behind(polls);
        if ended {
            return polls;
        }
    }
    unreachable!("the range has no end")
}
