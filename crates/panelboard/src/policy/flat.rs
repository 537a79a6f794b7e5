//! A policy around another one.

use tower_layer::Layer;

/// A policy's layer, for a service that another policy guards already.
///
/// A layer by itself goes around any service, and cannot tell whose its errors are: a bulkhead that
/// is full would be a failure to a breaker outside of it, and to a retry a reason to try again.
/// With this the two share one [`Error`](crate::Error), and each knows the other's refusals for what
/// they are. On a service that has another error it does not compile.
///
/// All policies around one dependency are better put together by a
/// [`Stack`](crate::policy::stack::Stack), which also knows the order.
///
/// # Examples
/// ```
/// use panelboard::policy::{Flat, bulkhead::Bulkhead};
/// use panelboard::{CircuitBreaker, Error, Settings};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), panelboard::SettingsError> {
/// let breaker = CircuitBreaker::new("users", Settings::builder().failure_threshold(1).build()?);
/// let bulkhead = Bulkhead::new(1)?;
/// let service = ServiceBuilder::new()
///     .layer(Flat(breaker.layer()))
///     .layer(bulkhead.layer())
///     .service(service_fn(|id: u32| async move { Ok::<_, std::io::Error>(id) }));
///
/// let place = bulkhead.try_enter().unwrap();
/// assert!(matches!(service.clone().oneshot(7).await, Err(Error::BulkheadFull)));
/// drop(place);
/// // That was no failure of the users' service.
/// assert_eq!(service.oneshot(7).await.unwrap(), 7);
/// # Ok(())
/// # }
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Flat<L>(pub L);

/// A layer of ours. Nobody else can name it.
pub trait Around<S> {
    /// The service around `S`.
    type Service;

    /// Around a service that already has the policies' error.
    #[doc(hidden)]
    fn around(&self, inner: S) -> Self::Service;
}

impl<S, L: Around<S>> Layer<S> for Flat<L> {
    type Service = L::Service;

    fn layer(&self, inner: S) -> L::Service {
        self.0.around(inner)
    }
}
