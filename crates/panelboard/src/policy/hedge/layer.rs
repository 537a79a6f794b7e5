use std::mem;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{Hedge, HedgeFuture};
use crate::policy::flat::Around;
use crate::policy::{Lift, Repeat};
use crate::{Classify, Error};

/// Makes calls of a service that take long a second time; see [`hedge`](super).
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::time::Duration;
/// use panelboard::policy::hedge::{Hedge, HedgeLayer, HedgeSettings};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), panelboard::SettingsError> {
/// // The first request hangs, the second is answered.
/// let stuck = Cell::new(true);
/// let service = service_fn(|_name: &str| {
///     let stuck = stuck.replace(false);
///     async move {
///         if stuck {
///             std::future::pending::<()>().await;
///         }
///         Ok::<_, std::io::Error>("hello")
///     }
/// });
/// let hedge = Hedge::new(HedgeSettings::after(Duration::from_millis(5))?);
/// let answer = HedgeLayer::new(hedge.clone()).layer(service).oneshot("users").await;
/// assert_eq!(answer.unwrap(), "hello");
/// assert_eq!(hedge.stats().wins(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HedgeLayer<P = Hedge> {
    policy: P,
}

/// A service whose calls are hedged; see [`hedge`](super).
///
/// It clones the service inside for each call that may be made a second time. What was ready makes
/// the first request; before the second it is asked again whether it is.
#[derive(Clone, Debug)]
pub struct HedgeService<S, P = Hedge> {
    inner: S,
    policy: P,
}

// ===== impl HedgeLayer =====

impl<P> HedgeLayer<P> {
    /// By this [`Hedge`].
    pub fn new(policy: P) -> HedgeLayer<P> {
        HedgeLayer { policy }
    }
}

impl<S, P: Clone> Around<S> for HedgeLayer<P> {
    type Service = HedgeService<S, P>;

    fn around(&self, inner: S) -> Self::Service {
        HedgeService::new(self.policy.clone(), inner)
    }
}

impl<S, P: Clone> Layer<S> for HedgeLayer<P> {
    type Service = HedgeService<Lift<S>, P>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl HedgeService =====

impl<S, P> HedgeService<S, P> {
    /// Around a service that already has the policies' error.
    pub fn new(policy: P, inner: S) -> HedgeService<S, P> {
        HedgeService { inner, policy }
    }
}

impl<S, Request, E, Q, C> Service<Request> for HedgeService<S, Hedge<Q, C>>
where
    S: Service<Request, Error = Error<E>> + Clone,
    Q: Repeat<Request>,
    C: Classify<S::Response, E>,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = HedgeFuture<S, Request, Hedge<Q, C>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (began, copy) = self.policy.begin(&request);
        let Some(copy) = copy else {
            return HedgeFuture::new(self.policy.clone(), began, self.inner.call(request), None);
        };
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        let call = ready.call(request);
        HedgeFuture::new(self.policy.clone(), began, call, Some((ready, copy)))
    }
}
