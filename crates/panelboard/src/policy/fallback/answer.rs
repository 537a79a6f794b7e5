//! What stands by while a call is made, and what it answers with.

use std::future::{Ready, ready};
use std::sync::Arc;

use super::FallbackFuture;
use crate::Error;

/// Stands by for the calls of a service.
pub trait Answer<Request> {
    /// What stands by for one call.
    type Standby;

    /// Stands by for the call with this request.
    fn stand_by(&self, request: &Request) -> Self::Standby;
}

/// Stands by for one call.
pub trait Standby<T, E> {
    /// The answer, to come.
    type Future: Future<Output = Result<T, Error<E>>>;

    /// Whether it is for this error.
    fn handles(&self, error: &Error<E>) -> bool;

    /// The answer in place of this error.
    fn answer(self, error: Error<E>) -> Self::Future;
}

/// No fallback: every error comes through.
#[derive(Copy, Clone, Debug, Default)]
pub struct NoFallback;

/// See [`Fallback::value`](super::Fallback::value).
#[derive(Debug)]
pub struct Value<T>(pub(super) Arc<T>);

/// See [`Fallback::function`](super::Fallback::function).
#[derive(Debug)]
pub struct Function<F>(pub(super) Arc<F>);

/// See [`Fallback::function_async`](super::Fallback::function_async).
#[derive(Debug)]
pub struct FunctionAsync<F>(pub(super) Arc<F>);

/// See [`Fallback::when`](super::Fallback::when).
#[derive(Debug)]
pub struct When<P, A> {
    pub(super) predicate: Arc<P>,
    pub(super) answer: A,
}

/// See [`Fallback::when_refused`](super::Fallback::when_refused).
#[derive(Clone, Debug)]
pub struct Refused<A>(pub(super) A);

/// See [`Fallback::or`](super::Fallback::or).
#[derive(Clone, Debug)]
pub struct Or<A, B>(pub(super) A, pub(super) B);

// ===== those that do not look at the request =====

macro_rules! stands_by_itself {
    ($answer:ident) => {
        impl<X> Clone for $answer<X> {
            fn clone(&self) -> Self {
                $answer(Arc::clone(&self.0))
            }
        }

        impl<X, Request> Answer<Request> for $answer<X> {
            type Standby = $answer<X>;

            fn stand_by(&self, _: &Request) -> $answer<X> {
                self.clone()
            }
        }
    };
}
stands_by_itself!(Value);
stands_by_itself!(Function);
stands_by_itself!(FunctionAsync);

impl<T: Clone, E> Standby<T, E> for Value<T> {
    type Future = Ready<Result<T, Error<E>>>;

    fn handles(&self, _: &Error<E>) -> bool {
        true
    }

    fn answer(self, _: Error<E>) -> Self::Future {
        ready(Ok(T::clone(&self.0)))
    }
}

impl<F, T, E> Standby<T, E> for Function<F>
where
    F: Fn(Error<E>) -> Result<T, Error<E>>,
{
    type Future = Ready<Result<T, Error<E>>>;

    fn handles(&self, _: &Error<E>) -> bool {
        true
    }

    fn answer(self, error: Error<E>) -> Self::Future {
        ready((self.0)(error))
    }
}

impl<F, Fut, T, E> Standby<T, E> for FunctionAsync<F>
where
    F: Fn(Error<E>) -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    type Future = Fut;

    fn handles(&self, _: &Error<E>) -> bool {
        true
    }

    fn answer(self, error: Error<E>) -> Fut {
        (self.0)(error)
    }
}

impl<Request> Answer<Request> for NoFallback {
    type Standby = NoFallback;

    fn stand_by(&self, _: &Request) -> NoFallback {
        NoFallback
    }
}

impl<T, E> Standby<T, E> for NoFallback {
    type Future = Ready<Result<T, Error<E>>>;

    fn handles(&self, _: &Error<E>) -> bool {
        false
    }

    fn answer(self, error: Error<E>) -> Self::Future {
        ready(Err(error))
    }
}

// ===== those made of others =====

impl<P, A: Clone> Clone for When<P, A> {
    fn clone(&self) -> Self {
        When { predicate: Arc::clone(&self.predicate), answer: self.answer.clone() }
    }
}

impl<P, A: Answer<Request>, Request> Answer<Request> for When<P, A> {
    type Standby = When<P, A::Standby>;

    fn stand_by(&self, request: &Request) -> Self::Standby {
        let answer = self.answer.stand_by(request);
        When { predicate: Arc::clone(&self.predicate), answer }
    }
}

impl<P, A, T, E> Standby<T, E> for When<P, A>
where
    P: Fn(&Error<E>) -> bool,
    A: Standby<T, E>,
{
    type Future = A::Future;

    fn handles(&self, error: &Error<E>) -> bool {
        (self.predicate)(error) && self.answer.handles(error)
    }

    fn answer(self, error: Error<E>) -> A::Future {
        self.answer.answer(error)
    }
}

impl<A: Answer<Request>, Request> Answer<Request> for Refused<A> {
    type Standby = Refused<A::Standby>;

    fn stand_by(&self, request: &Request) -> Self::Standby {
        Refused(self.0.stand_by(request))
    }
}

impl<A: Standby<T, E>, T, E> Standby<T, E> for Refused<A> {
    type Future = A::Future;

    fn handles(&self, error: &Error<E>) -> bool {
        error.is_refusal() && self.0.handles(error)
    }

    fn answer(self, error: Error<E>) -> A::Future {
        self.0.answer(error)
    }
}

impl<A: Answer<Request>, B: Answer<Request>, Request> Answer<Request> for Or<A, B> {
    type Standby = Or<A::Standby, B::Standby>;

    fn stand_by(&self, request: &Request) -> Self::Standby {
        Or(self.0.stand_by(request), self.1.stand_by(request))
    }
}

impl<A: Standby<T, E>, B: Standby<T, E>, T, E> Standby<T, E> for Or<A, B> {
    /// The second is to the first what a fallback is to a call.
    type Future = FallbackFuture<A::Future, B>;

    fn handles(&self, error: &Error<E>) -> bool {
        self.0.handles(error) || self.1.handles(error)
    }

    fn answer(self, error: Error<E>) -> Self::Future {
        let Or(first, second) = self;
        match first.handles(&error) {
            true => FallbackFuture::new(first.answer(error), second),
            false => FallbackFuture::answering(second.answer(error)),
        }
    }
}
