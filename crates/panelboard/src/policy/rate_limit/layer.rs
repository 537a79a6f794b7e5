use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::{RateLimit, RateLimitFuture};
use crate::Error;
use crate::policy::Lift;
use crate::policy::flat::Around;

/// Limits the rate of a service's calls; see [`rate_limit`](super).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::{Error, policy::rate_limit::RateLimit};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let limit = RateLimit::new(1, Duration::from_secs(60), 1).unwrap();
/// let service = limit.layer().layer(service_fn(|()| async { Ok::<_, std::io::Error>(()) }));
/// assert!(service.clone().oneshot(()).await.is_ok());
/// assert!(matches!(service.oneshot(()).await, Err(Error::RateLimited { .. })));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limit: RateLimit,
}

/// A service with a limit to the rate of its calls; see [`rate_limit`](super).
///
/// The limit is asked in `call`. Clones count together.
#[derive(Clone, Debug)]
pub struct RateLimitService<S> {
    inner: S,
    limit: Option<RateLimit>,
}

// ===== impl RateLimitLayer =====

impl RateLimitLayer {
    /// A layer with this limit.
    pub fn new(limit: RateLimit) -> RateLimitLayer {
        RateLimitLayer { limit }
    }
}

impl<S> Around<S> for RateLimitLayer {
    type Service = RateLimitService<S>;

    fn around(&self, inner: S) -> Self::Service {
        RateLimitService::new(self.limit.clone(), inner)
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimitService<Lift<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl RateLimitService =====

impl<S> RateLimitService<S> {
    /// Around a service that already has the policies' error. Without a limit, only passes on.
    pub fn new(limit: impl Into<Option<RateLimit>>, inner: S) -> RateLimitService<S> {
        RateLimitService { inner, limit: limit.into() }
    }
}

impl<S, Request, E> Service<Request> for RateLimitService<S>
where
    S: Service<Request, Error = Error<E>> + Clone,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = RateLimitFuture<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let wait = match &self.limit {
            Some(limit) => limit.take(1, limit.patience()),
            None => Ok(Duration::ZERO),
        };
        match wait {
            Ok(Duration::ZERO) => RateLimitFuture::called(self.inner.call(request)),
            Ok(wait) => {
                // The service that is ready waits with the call; its clone may not be.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                RateLimitFuture::waiting(wait, ready, request)
            }
            Err(limited) => RateLimitFuture::refused(limited),
        }
    }
}
