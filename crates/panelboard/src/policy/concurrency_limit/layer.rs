use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{ConcurrencyLimit, ConcurrencyLimitFuture, Slot};
use crate::policy::Lift;
use crate::policy::flat::Around;
use crate::{Classify, Error, OkOrErr};

/// Bounds how many calls of a service are under way, by what it can take; see
/// [`concurrency_limit`](super).
///
/// # Examples
/// ```
/// use panelboard::{Error, policy::concurrency_limit::ConcurrencyLimit};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let limit = ConcurrencyLimit::new(1, 1, 100).unwrap();
/// let service = limit.layer().layer(service_fn(|()| async { Ok::<_, std::io::Error>(()) }));
/// let permit = limit.try_acquire().unwrap();
/// assert!(matches!(service.clone().oneshot(()).await, Err(Error::LimitReached)));
/// drop(permit);
/// assert!(service.oneshot(()).await.is_ok());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ConcurrencyLimitLayer<C = OkOrErr> {
    limit: ConcurrencyLimit,
    classify: C,
}

/// A service of whose calls only as many are under way as it can take; see
/// [`concurrency_limit`](super). Clones count together.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimitService<S, C = OkOrErr> {
    inner: S,
    limit: Option<ConcurrencyLimit>,
    classify: C,
}

// ===== impl ConcurrencyLimitLayer =====

impl ConcurrencyLimitLayer {
    /// A layer with this limit.
    pub fn new(limit: ConcurrencyLimit) -> ConcurrencyLimitLayer {
        ConcurrencyLimitLayer { limit, classify: OkOrErr }
    }
}

impl<C> ConcurrencyLimitLayer<C> {
    /// Judges results by `classify`. Default: [`OkOrErr`].
    pub fn classify<D>(self, classify: D) -> ConcurrencyLimitLayer<D> {
        ConcurrencyLimitLayer { limit: self.limit, classify }
    }
}

impl<S, C: Clone> Around<S> for ConcurrencyLimitLayer<C> {
    type Service = ConcurrencyLimitService<S, C>;

    fn around(&self, inner: S) -> Self::Service {
        ConcurrencyLimitService::new(self.limit.clone(), self.classify.clone(), inner)
    }
}

impl<S, C: Clone> Layer<S> for ConcurrencyLimitLayer<C> {
    type Service = ConcurrencyLimitService<Lift<S>, C>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl ConcurrencyLimitService =====

impl<S, C> ConcurrencyLimitService<S, C> {
    /// Around a service that already has the policies' error. Without a limit, only passes on.
    pub fn new(
        limit: impl Into<Option<ConcurrencyLimit>>,
        classify: C,
        inner: S,
    ) -> ConcurrencyLimitService<S, C> {
        ConcurrencyLimitService { inner, limit: limit.into(), classify }
    }
}

impl<S, C, Request, E> Service<Request> for ConcurrencyLimitService<S, C>
where
    S: Service<Request, Error = Error<E>>,
    C: Classify<S::Response, E> + Clone,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = ConcurrencyLimitFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let classify = self.classify.clone();
        let Some(limit) = &self.limit else {
            return ConcurrencyLimitFuture::called(self.inner.call(request), None, classify);
        };
        match Slot::take(limit.shared.clone()) {
            Ok(slot) => {
                ConcurrencyLimitFuture::called(self.inner.call(request), Some(slot), classify)
            }
            Err(_) => ConcurrencyLimitFuture::refused(classify),
        }
    }
}
