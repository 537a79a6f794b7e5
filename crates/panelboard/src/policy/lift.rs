//! From a service's own error to the one that all policies share.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::Error;

/// A service whose error is [`Error::Inner`] of another's.
///
/// Policies stand around services with the error [`Error<E>`], so that a stack of them has one
/// error type. The innermost of them stands around this.
///
/// # Examples
/// ```
/// use panelboard::policy::{Lift, bulkhead::{Bulkhead, BulkheadService}};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), panelboard::SettingsError> {
/// // What `Bulkhead::layer` does.
/// let inner = Lift::new(service_fn(|id: u32| async move { Ok::<_, std::io::Error>(id) }));
/// let service = BulkheadService::new(Bulkhead::new(20)?, inner);
/// assert_eq!(service.oneshot(7).await.unwrap(), 7);
/// # Ok(())
/// # }
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Lift<S> {
    inner: S,
}

impl<S> Lift<S> {
    /// Around this service.
    pub fn new(inner: S) -> Lift<S> {
        Lift { inner }
    }
}

impl<S, Request> Service<Request> for Lift<S>
where
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = LiftFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        LiftFuture { inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The future of [`Lift`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct LiftFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, T, E> Future for LiftFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_err(Error::Inner)
    }
}
