use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{Arrived, Bulkhead, BulkheadFuture, come};
use crate::Error;
use crate::policy::Lift;
use crate::policy::flat::Around;

/// Bounds how many calls of a service are under way; see [`bulkhead`](super).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::{Error, policy::bulkhead::Bulkhead};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let bulkhead = Bulkhead::new(1).unwrap();
/// let service = bulkhead.layer().layer(service_fn(|()| async { Ok::<_, std::io::Error>(()) }));
/// let place = bulkhead.try_enter().unwrap();
/// assert!(matches!(service.clone().oneshot(()).await, Err(Error::BulkheadFull)));
/// drop(place);
/// assert!(service.oneshot(()).await.is_ok());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BulkheadLayer {
    bulkhead: Bulkhead,
}

/// A service of whose calls only so many are under way; see [`bulkhead`](super).
///
/// A call goes in, takes its place in the queue or is refused in `call`, so the order of calls is
/// the order of the queue. Clones count together.
#[derive(Clone, Debug)]
pub struct BulkheadService<S> {
    inner: S,
    bulkhead: Option<Bulkhead>,
}

// ===== impl BulkheadLayer =====

impl BulkheadLayer {
    /// A layer with this bulkhead.
    pub fn new(bulkhead: Bulkhead) -> BulkheadLayer {
        BulkheadLayer { bulkhead }
    }
}

impl<S> Around<S> for BulkheadLayer {
    type Service = BulkheadService<S>;

    fn around(&self, inner: S) -> Self::Service {
        BulkheadService::new(self.bulkhead.clone(), inner)
    }
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = BulkheadService<Lift<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl BulkheadService =====

impl<S> BulkheadService<S> {
    /// Around a service that already has the policies' error. Without a bulkhead, only passes on.
    pub fn new(bulkhead: impl Into<Option<Bulkhead>>, inner: S) -> BulkheadService<S> {
        BulkheadService { inner, bulkhead: bulkhead.into() }
    }
}

impl<S, Request, E> Service<Request> for BulkheadService<S>
where
    S: Service<Request, Error = Error<E>> + Clone,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = BulkheadFuture<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some(bulkhead) = &self.bulkhead else {
            return BulkheadFuture::called(self.inner.call(request), None);
        };
        match come(Arc::clone(&bulkhead.line), None) {
            Ok(Arrived::In(seat)) => BulkheadFuture::called(self.inner.call(request), Some(seat)),
            Ok(Arrived::Waits(waiting)) => {
                // The service that is ready waits with the call; its clone may not be.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                BulkheadFuture::waiting(waiting, ready, request)
            }
            Err(_) => BulkheadFuture::refused(),
        }
    }
}
