//! How often a call is made: once, again after failures, or a second time meanwhile.

use panelboard_core::stack::Plan;

use crate::policy::hedge::{Hedge, HedgeService};
use crate::policy::retry::{Retry, RetryService};
use crate::{Classify, Error};

/// How often a call is made: what stands between deadline and bulkhead. Sealed: it is [`Once`],
/// [`Retry`] or [`Hedge`].
pub trait Attempts<S>: Planned {
    /// The service around `S`.
    type Service;

    /// Puts itself around a service that already has the policies' error.
    fn around(&self, inner: S) -> Self::Service;
}

/// The same for calls that block. A hedge is not among them: a thread that waits cannot be
/// overtaken by itself. Sealed, too.
pub trait BlockingAttempts<T, E>: Planned {
    /// Makes the call as often as it should be.
    ///
    /// # Errors
    /// The last error of `call`.
    fn run(&self, call: impl FnMut() -> Result<T, Error<E>>) -> Result<T, Error<E>>;
}

/// What building a stack has to know of it. Nobody else can name it, so what it is a part of can grow.
pub trait Planned {
    #[doc(hidden)]
    fn plan(&self, plan: &mut Plan);
}

/// Each call is made once.
#[derive(Copy, Clone, Debug, Default)]
pub struct Once;

impl<S> Attempts<S> for Once {
    type Service = S;

    fn around(&self, inner: S) -> S {
        inner
    }
}

impl<T, E> BlockingAttempts<T, E> for Once {
    fn run(&self, mut call: impl FnMut() -> Result<T, Error<E>>) -> Result<T, Error<E>> {
        call()
    }
}

impl<S, Q, C> Attempts<S> for Retry<Q, C> {
    type Service = RetryService<S, Retry<Q, C>>;

    fn around(&self, inner: S) -> Self::Service {
        RetryService::new(self.clone(), inner)
    }
}

impl<T, E, Q, C: Classify<T, E>> BlockingAttempts<T, E> for Retry<Q, C> {
    fn run(&self, call: impl FnMut() -> Result<T, Error<E>>) -> Result<T, Error<E>> {
        self.call_guarded(call)
    }
}

impl<S, Q, C> Attempts<S> for Hedge<Q, C> {
    type Service = HedgeService<S, Hedge<Q, C>>;

    fn around(&self, inner: S) -> Self::Service {
        HedgeService::new(self.clone(), inner)
    }
}

impl Planned for Once {
    fn plan(&self, _: &mut Plan) {}
}

impl<Q, C> Planned for Retry<Q, C> {
    fn plan(&self, plan: &mut Plan) {
        plan.retry = Some(self.settings());
    }
}

impl<Q, C> Planned for Hedge<Q, C> {
    fn plan(&self, plan: &mut Plan) {
        plan.hedge = Some(self.settings());
    }
}
