use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{Answer, Fallback, FallbackFuture, Standby};
use crate::Error;
use crate::policy::Lift;
use crate::policy::flat::Around;

/// Answers when a service has no answer; see [`fallback`](super).
///
/// # Examples
/// ```
/// use panelboard::policy::fallback::{Fallback, FallbackLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let down = service_fn(|()| async { Err("no route") });
/// let service = FallbackLayer::new(Fallback::value("nobody")).layer(down);
/// assert_eq!(service.oneshot(()).await, Ok("nobody"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FallbackLayer<A> {
    fallback: Fallback<A>,
}

/// A service with a fallback; see [`fallback`](super).
///
/// It stands in for failed calls. A service that fails in `poll_ready` is broken for good, and says
/// so to its caller.
#[derive(Clone, Debug)]
pub struct FallbackService<S, A> {
    inner: S,
    fallback: Fallback<A>,
}

// ===== impl FallbackLayer =====

impl<A> FallbackLayer<A> {
    /// A layer with this fallback.
    pub fn new(fallback: Fallback<A>) -> FallbackLayer<A> {
        FallbackLayer { fallback }
    }
}

impl<S, A: Clone> Around<S> for FallbackLayer<A> {
    type Service = FallbackService<S, A>;

    fn around(&self, inner: S) -> Self::Service {
        FallbackService::new(self.fallback.clone(), inner)
    }
}

impl<S, A: Clone> Layer<S> for FallbackLayer<A> {
    type Service = FallbackService<Lift<S>, A>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl FallbackService =====

impl<S, A> FallbackService<S, A> {
    /// Around a service that already has the policies' error.
    pub fn new(fallback: Fallback<A>, inner: S) -> FallbackService<S, A> {
        FallbackService { inner, fallback }
    }
}

impl<S, A, Request, E> Service<Request> for FallbackService<S, A>
where
    S: Service<Request, Error = Error<E>>,
    A: Answer<Request>,
    A::Standby: Standby<S::Response, E>,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = FallbackFuture<S::Future, A::Standby>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let standby = self.fallback.stand_by(&request);
        FallbackFuture::new(self.inner.call(request), standby)
    }
}
