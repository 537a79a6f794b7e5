use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::{Deadline, DeadlineFuture};
use crate::Error;
use crate::policy::Lift;
use crate::policy::flat::Around;

/// Gives each call a total of so much time; see [`deadline`](super).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::deadline::{Deadline, DeadlineLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = DeadlineLayer::new(Duration::from_secs(2)).layer(service_fn(|()| async {
///     // Whatever the call does can ask how much time is left.
///     Ok::<_, std::io::Error>(Deadline::current().is_some())
/// }));
/// assert!(service.oneshot(()).await.unwrap());
/// # }
/// ```
#[derive(Copy, Clone, Debug)]
pub struct DeadlineLayer {
    budget: Duration,
}

/// A service whose calls have a deadline; see [`deadline`](super).
///
/// The time begins with `call`, and all that the policies inside do is part of it: waits between
/// attempts, queues, attempts. A deadline that is already there holds if it is nearer.
#[derive(Copy, Clone, Debug)]
pub struct DeadlineService<S> {
    inner: S,
    budget: Option<Duration>,
}

// ===== impl DeadlineLayer =====

impl DeadlineLayer {
    /// So long for each call with all its attempts.
    pub fn new(budget: Duration) -> DeadlineLayer {
        DeadlineLayer { budget }
    }
}

impl<S> Around<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn around(&self, inner: S) -> Self::Service {
        DeadlineService::new(self.budget, inner)
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<Lift<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.around(Lift::new(inner))
    }
}

// ===== impl DeadlineService =====

impl<S> DeadlineService<S> {
    /// Around a service that already has the policies' error. Without a budget, only passes on.
    pub fn new(budget: impl Into<Option<Duration>>, inner: S) -> DeadlineService<S> {
        DeadlineService { inner, budget: budget.into() }
    }
}

impl<S, Request, E> Service<Request> for DeadlineService<S>
where
    S: Service<Request, Error = Error<E>>,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    fn call(&mut self, request: Request) -> Self::Future {
        let Some(budget) = self.budget else {
            return DeadlineFuture::free(self.inner.call(request));
        };
        let own = Deadline::after(budget);
        let deadline = match Deadline::current() {
            Some(current) if current.has_passed() => return DeadlineFuture::refused(),
            Some(current) => own.nearer(current),
            None => own,
        };
        // Services decide in `call` as well as when their future is polled.
        let call = deadline.sync_scope(|| self.inner.call(request));
        DeadlineFuture::new(deadline, call)
    }
}
