use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{CircuitBreakerFuture, Keyed, Select};
use crate::policy::Lift;
use crate::policy::flat::Around;
use crate::{CircuitBreaker, Classify, Error, Family, OkOrErr};

/// Guards a service with a circuit breaker; see [`circuit_breaker`](super).
///
/// `B` says which breaker guards a request, `C` what its result says of the dependency.
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Error, Settings};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let settings = Settings::builder().failure_threshold(1).build().unwrap();
/// let breaker = CircuitBreaker::new("mail", settings);
/// let service = breaker.layer().layer(service_fn(|()| async { Err::<(), _>("no route") }));
/// assert_eq!(service.clone().oneshot(()).await, Err(Error::Inner("no route")));
/// assert!(matches!(service.oneshot(()).await, Err(Error::Rejected(_))));
/// # }
/// ```
#[derive(Copy, Clone, Debug)]
pub struct CircuitBreakerLayer<B = CircuitBreaker, C = OkOrErr> {
    breaker: B,
    classify: C,
}

/// A service that a circuit breaker guards; see [`circuit_breaker`](super). `L` is the
/// [`CircuitBreakerLayer`] it was made by.
#[derive(Copy, Clone, Debug)]
pub struct CircuitBreakerService<S, L = CircuitBreakerLayer> {
    inner: S,
    guard: L,
}

// ===== impl CircuitBreakerLayer =====

impl<B> CircuitBreakerLayer<B> {
    /// Guards each request with the breaker that `breaker` selects for it.
    pub fn new(breaker: B) -> CircuitBreakerLayer<B> {
        CircuitBreakerLayer { breaker, classify: OkOrErr }
    }
}

impl<K> CircuitBreakerLayer<Keyed<K>> {
    /// Guards each request with the breaker of `family` that `key` names. Parts of a key are set
    /// apart by `/`.
    ///
    /// # Examples
    /// ```
    /// use panelboard::policy::circuit_breaker::CircuitBreakerLayer;
    /// use panelboard::Registry;
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let registry = Registry::new();
    /// let layer = CircuitBreakerLayer::keyed(registry.keyed("llm"), |model: &String| model.clone());
    /// let service = layer.layer(service_fn(|_| async { Ok::<_, std::io::Error>("hello") }));
    /// service.oneshot("gpt-4o".to_owned()).await.unwrap();
    /// assert_eq!(registry.keyed("llm").breaker(&["gpt-4o"]).snapshot().counters.success, 1);
    /// # }
    /// ```
    pub fn keyed(family: Family, key: K) -> CircuitBreakerLayer<Keyed<K>> {
        CircuitBreakerLayer::new(Keyed::new(family, key))
    }
}

impl<B, C> CircuitBreakerLayer<B, C> {
    /// Judges results by `classify`. Default: [`OkOrErr`].
    pub fn classify<D>(self, classify: D) -> CircuitBreakerLayer<B, D> {
        CircuitBreakerLayer { breaker: self.breaker, classify }
    }
}

impl<S, B: Clone, C: Clone> Around<S> for CircuitBreakerLayer<B, C> {
    type Service = CircuitBreakerService<S, CircuitBreakerLayer<B, C>>;

    fn around(&self, inner: S) -> Self::Service {
        CircuitBreakerService::new(self.clone(), inner)
    }
}

impl<S, B: Clone, C: Clone> Layer<S> for CircuitBreakerLayer<B, C> {
    type Service = CircuitBreakerService<Lift<S>, CircuitBreakerLayer<B, C>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl CircuitBreakerService =====

impl<S, L> CircuitBreakerService<S, L> {
    /// Around a service that already has the policies' error.
    pub fn new(guard: L, inner: S) -> CircuitBreakerService<S, L> {
        CircuitBreakerService { inner, guard }
    }
}

impl<S, B, C, Request, E> Service<Request> for CircuitBreakerService<S, CircuitBreakerLayer<B, C>>
where
    S: Service<Request, Error = Error<E>>,
    B: Select<Request>,
    C: Classify<S::Response, E> + Clone,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = CircuitBreakerFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let classify = self.guard.classify.clone();
        let Some(breaker) = self.guard.breaker.select(&request) else {
            return CircuitBreakerFuture::unguarded(self.inner.call(request), classify);
        };
        match breaker.into_lent() {
            // Should the service panic, the permit is dropped on the way, which counts.
            Ok(permit) => CircuitBreakerFuture::guarded(permit, self.inner.call(request), classify),
            Err(rejected) => CircuitBreakerFuture::refused(rejected, classify),
        }
    }
}
