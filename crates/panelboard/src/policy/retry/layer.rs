use std::mem;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{Retry, RetryFuture};
use crate::policy::flat::Around;
use crate::policy::{Lift, Repeat};
use crate::{Classify, Error};

/// Retries the calls of a service; see [`retry`](super).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::retry::{Retry, RetryLayer, RetrySettings};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), panelboard::SettingsError> {
/// let settings = RetrySettings::builder().base_delay(Duration::from_millis(1)).build()?;
/// let retry = Retry::new(settings);
/// let failing = service_fn(|_name: &str| async { Err::<(), _>("connection reset") });
/// let service = RetryLayer::new(retry.clone()).layer(failing);
/// assert!(service.oneshot("users").await.is_err());
/// assert_eq!(retry.stats().attempts(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RetryLayer<P = Retry> {
    policy: P,
}

/// A service whose calls are retried; see [`retry`](super).
///
/// It clones the service inside for each call that may be repeated. What was ready makes the first
/// attempt; before each further one it is asked again whether it is.
#[derive(Clone, Debug)]
pub struct RetryService<S, P = Retry> {
    inner: S,
    policy: P,
}

// ===== impl RetryLayer =====

impl<P> RetryLayer<P> {
    /// By this [`Retry`].
    pub fn new(policy: P) -> RetryLayer<P> {
        RetryLayer { policy }
    }
}

impl<S, P: Clone> Around<S> for RetryLayer<P> {
    type Service = RetryService<S, P>;

    fn around(&self, inner: S) -> Self::Service {
        RetryService::new(self.policy.clone(), inner)
    }
}

impl<S, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = RetryService<Lift<S>, P>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl RetryService =====

impl<S, P> RetryService<S, P> {
    /// Around a service that already has the policies' error.
    pub fn new(policy: P, inner: S) -> RetryService<S, P> {
        RetryService { inner, policy }
    }
}

impl<S, Request, E, Q, C> Service<Request> for RetryService<S, Retry<Q, C>>
where
    S: Service<Request, Error = Error<E>> + Clone,
    Q: Repeat<Request>,
    C: Classify<S::Response, E>,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = RetryFuture<S, Request, Retry<Q, C>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.policy.begin();
        let Some(copy) = self.policy.copy_for_after(1, &request) else {
            return RetryFuture::new(self.policy.clone(), self.inner.call(request), None);
        };
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        let call = ready.call(request);
        RetryFuture::new(self.policy.clone(), call, Some((ready, copy)))
    }
}

impl<Q, C> Retry<Q, C> {
    /// What the attempt after this one is made from, if there may be one.
    pub(super) fn copy_for_after<Request>(&self, attempt: u32, request: &Request) -> Option<Request>
    where
        Q: Repeat<Request>,
    {
        let more = attempt < self.shared.settings.max_attempts();
        more.then(|| self.shared.repeat.repeat(request)).flatten()
    }
}
