use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::TimeoutFuture;
use crate::Error;
use crate::policy::Lift;
use crate::policy::flat::Around;

/// Bounds each call of a service in time; see [`timeout`](super).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::{Error, policy::timeout::TimeoutLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let stuck = service_fn(|()| std::future::pending::<Result<(), std::io::Error>>());
/// let service = TimeoutLayer::new(Duration::from_millis(5)).layer(stuck);
/// assert!(matches!(service.oneshot(()).await, Err(Error::TimedOut)));
/// # }
/// ```
#[derive(Copy, Clone, Debug)]
pub struct TimeoutLayer {
    timeout: Duration,
}

/// A service whose calls end after so long; see [`timeout`](super).
///
/// The time begins with `call`: waiting for the service to be ready is not part of the attempt.
#[derive(Copy, Clone, Debug)]
pub struct TimeoutService<S> {
    inner: S,
    timeout: Option<Duration>,
}

// ===== impl TimeoutLayer =====

impl TimeoutLayer {
    /// So long for each attempt. Zero leaves time only for what is ready at once.
    pub fn new(timeout: Duration) -> TimeoutLayer {
        TimeoutLayer { timeout }
    }
}

impl<S> Around<S> for TimeoutLayer {
    type Service = TimeoutService<S>;

    fn around(&self, inner: S) -> Self::Service {
        TimeoutService::new(self.timeout, inner)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = TimeoutService<Lift<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl TimeoutService =====

impl<S> TimeoutService<S> {
    /// Around a service that already has the policies' error. Without a timeout, only passes on.
    pub fn new(timeout: impl Into<Option<Duration>>, inner: S) -> TimeoutService<S> {
        TimeoutService { inner, timeout: timeout.into() }
    }
}

impl<S, Request, E> Service<Request> for TimeoutService<S>
where
    S: Service<Request, Error = Error<E>>,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    fn call(&mut self, request: Request) -> Self::Future {
        let call = self.inner.call(request);
        match self.timeout {
            Some(timeout) => TimeoutFuture::new(timeout, call),
            None => TimeoutFuture::free(call),
        }
    }
}
