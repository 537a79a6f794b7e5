use tower_layer::Layer;

use super::{Attempts, Stack};
use crate::CircuitBreaker;
use crate::OkOrErr;
use crate::policy::Lift;
use crate::policy::bulkhead::BulkheadService;
use crate::policy::circuit_breaker::{CircuitBreakerLayer, CircuitBreakerService};
use crate::policy::concurrency_limit::ConcurrencyLimitService;
use crate::policy::deadline::DeadlineService;
use crate::policy::fallback::{FallbackService, NoFallback};
use crate::policy::rate_limit::RateLimitService;
use crate::policy::stack::Once;
use crate::policy::timeout::TimeoutService;

/// What guards one attempt at a service: bulkhead, concurrency limit, breaker, timeout.
pub type Guarded<S, C = OkOrErr> = BulkheadService<
    ConcurrencyLimitService<
        CircuitBreakerService<
            TimeoutService<Lift<S>>,
            CircuitBreakerLayer<Option<CircuitBreaker>, C>,
        >,
        C,
    >,
>;

/// A service with a stack around it.
///
/// # Examples
/// A field that holds one:
/// ```
/// use panelboard::policy::retry::{Retry, RetrySettings};
/// use panelboard::policy::stack::{Stack, StackError, Stacked};
/// use tower::Layer;
///
/// struct Users<S> {
///     service: Stacked<S, Retry>,
/// }
///
/// fn users<S: Clone>(service: S) -> Result<Users<S>, StackError> {
///     let stack = Stack::builder("users").retry(Retry::new(RetrySettings::default())).build()?;
///     Ok(Users { service: stack.layer().layer(service) })
/// }
/// # let users = users(()).unwrap();
/// # drop(users.service);
/// ```
pub type Stacked<S, R = Once, C = OkOrErr, F = NoFallback> =
    FallbackService<RateLimitService<DeadlineService<<R as Attempts<Guarded<S, C>>>::Service>>, F>;

/// Puts a [`Stack`] around services.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::stack::Stack;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stack = Stack::builder("users").timeout(Duration::from_secs(2)).build()?;
/// let service = ServiceBuilder::new()
///     .layer(stack.layer())
///     .service_fn(|id: u32| async move { Ok::<_, std::io::Error>(id) });
/// assert_eq!(service.oneshot(7).await?, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StackLayer<R = Once, C = OkOrErr, F = NoFallback> {
    stack: Stack<R, C, F>,
}

impl<R, C, F> StackLayer<R, C, F> {
    pub(super) fn new(stack: Stack<R, C, F>) -> StackLayer<R, C, F> {
        StackLayer { stack }
    }
}

impl<S, R, C, F> Layer<S> for StackLayer<R, C, F>
where
    R: Attempts<Guarded<S, C>>,
    C: Clone,
    F: Clone,
{
    type Service = Stacked<S, R, C, F>;

    fn layer(&self, inner: S) -> Self::Service {
        self.stack.around(inner)
    }
}

impl<R, C: Clone, F: Clone> Stack<R, C, F> {
    /// The services, from the inside out.
    pub(super) fn around<S>(&self, inner: S) -> Stacked<S, R, C, F>
    where
        R: Attempts<Guarded<S, C>>,
    {
        let policies = &*self.policies;
        let attempt = TimeoutService::new(policies.plain.timeout, Lift::new(inner));
        let breaker = CircuitBreakerLayer::new(policies.plain.circuit_breaker.clone())
            .classify(policies.classify.clone());
        let guarded = CircuitBreakerService::new(breaker, attempt);
        let (limit, classify) =
            (policies.plain.concurrency_limit.clone(), policies.classify.clone());
        let limited = ConcurrencyLimitService::new(limit, classify, guarded);
        let bounded = BulkheadService::new(policies.plain.bulkhead.clone(), limited);
        let attempts = policies.attempts.around(bounded);
        let timed = DeadlineService::new(policies.plain.deadline, attempts);
        let paced = RateLimitService::new(policies.plain.rate_limit.clone(), timed);
        FallbackService::new(policies.fallback.clone(), paced)
    }
}
