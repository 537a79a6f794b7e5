//! Fallback: what to answer when a call has no result.
//!
//! It is the outermost policy. What it answers with is not the dependency's answer, so nothing
//! further in takes it for a success: breakers, retries and limits have already seen what came.
//!
//! # Which errors
//! All of them, by default: refusals, timeouts and the callee's own errors; a fallback stands in
//! when there is no answer, whatever the reason. Where some errors are answers, such as "not
//! found", say which ones it is for with [`Fallback::when`]; or take those alone that never reached
//! the callee ([`Fallback::when_refused`]). An error that it is not for comes through as it is.
//!
//! # What with
//! Always the same ([`Fallback::value`]), a function of the error, sync or async
//! ([`Fallback::function`], [`Fallback::function_async`]), another service asked with the same
//! request ([`Fallback::service`]); or one of these, and if that fails too the next
//! ([`Fallback::or`]). If none answers, the error of the last one that tried comes through.

mod answer;
mod future;
mod layer;
mod service;

use std::fmt;
use std::sync::Arc;

pub use answer::{Answer, Function, FunctionAsync, NoFallback, Or, Refused, Standby, Value, When};
pub use future::{FallbackFuture, TryCall};
pub use layer::{FallbackLayer, FallbackService};
pub use service::{Asked, AskedFuture, Asking};

use crate::Error;
use crate::policy::Lift;

/// What to answer when a call has no result: a cheap handle.
///
/// # Examples
/// ```
/// use panelboard::policy::fallback::Fallback;
/// use panelboard::Error;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cached = Fallback::function(|error: Error<&str>| match error {
///     Error::Inner("stale") => Err(error),
///     _ => Ok("from the cache"),
/// });
/// let service = cached.or(Fallback::value("sorry")).layer();
/// let service = service.layer(service_fn(|error: &'static str| async move { Err(error) }));
/// assert_eq!(service.clone().oneshot("down").await, Ok("from the cache"));
/// assert_eq!(service.oneshot("stale").await, Ok("sorry"));
/// # }
/// ```
#[derive(Clone)]
pub struct Fallback<A> {
    answer: A,
}

// ===== impl Fallback =====

impl<T: Clone> Fallback<Value<T>> {
    /// Always this.
    pub fn value(value: T) -> Fallback<Value<T>> {
        Fallback { answer: Value(Arc::new(value)) }
    }
}

impl<F> Fallback<Function<F>> {
    /// What `function` makes of the error. If it fails, its error takes the place of the first one.
    ///
    /// It runs when nothing is held. If it panics, so does the call.
    pub fn function<T, E>(function: F) -> Fallback<Function<F>>
    where
        F: Fn(Error<E>) -> Result<T, Error<E>>,
    {
        Fallback { answer: Function(Arc::new(function)) }
    }
}

impl<F> Fallback<FunctionAsync<F>> {
    /// As [`function`](Self::function), for one that takes time.
    ///
    /// Its time is its own: deadline and timeout stand further in.
    pub fn function_async<Fut, T, E>(function: F) -> Fallback<FunctionAsync<F>>
    where
        F: Fn(Error<E>) -> Fut,
        Fut: Future<Output = Result<T, Error<E>>>,
    {
        Fallback { answer: FunctionAsync(Arc::new(function)) }
    }
}

impl<S> Fallback<Asking<Lift<S>>> {
    /// Another service, asked with the same request. Service and request are cloned for each call,
    /// since the call takes its request along.
    pub fn service(service: S) -> Fallback<Asking<Lift<S>>> {
        Fallback { answer: Asking::new(Lift::new(service)) }
    }
}

impl<A> Fallback<A> {
    /// Only for errors that `predicate` holds for.
    pub fn when<P, E>(self, predicate: P) -> Fallback<When<P, A>>
    where
        P: Fn(&Error<E>) -> bool,
    {
        Fallback { answer: When { predicate: Arc::new(predicate), answer: self.answer } }
    }

    /// Only for [refusals](Error::is_refusal): the callee was not asked, or not to the end.
    pub fn when_refused(self) -> Fallback<Refused<A>> {
        Fallback { answer: Refused(self.answer) }
    }

    /// If this one is not for the error, or fails itself, then `next`.
    pub fn or<B>(self, next: Fallback<B>) -> Fallback<Or<A, B>> {
        Fallback { answer: Or(self.answer, next.answer) }
    }

    /// A [tower layer](FallbackLayer) with this fallback.
    pub fn layer(self) -> FallbackLayer<A> {
        FallbackLayer::new(self)
    }

    pub(crate) fn stand_by<Request>(&self, request: &Request) -> A::Standby
    where
        A: Answer<Request>,
    {
        self.answer.stand_by(request)
    }
}

impl Default for Fallback<NoFallback> {
    /// None: every error comes through.
    fn default() -> Fallback<NoFallback> {
        Fallback { answer: NoFallback }
    }
}

impl<A> fmt::Debug for Fallback<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}
