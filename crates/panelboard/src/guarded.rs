//! What `#[guarded]` expands to.

#[cfg(feature = "tokio")]
use crate::breaker::GuardedCall;
use crate::{CircuitBreaker, Classify, Error, Outcome, Unavailable};

/// Guards a function or method by a circuit breaker.
///
/// The body runs when the breaker lets it through, and its result is the outcome: `Ok` a success,
/// `Err` a failure. Callers see the same signature, attributes and documentation. It costs what
/// [`call`](crate::CircuitBreaker::call) costs, or [`call_async`](crate::CircuitBreaker::call_async)
/// for an `async fn` (feature `tokio`); nothing is boxed.
///
/// ```
/// use panelboard::{Error, Unavailable, guarded};
///
/// # #[derive(Debug, PartialEq)] struct User(String);
/// #[derive(Debug)]
/// enum AuthError {
///     WrongPassword,
///     Unavailable(Unavailable),
/// }
///
/// impl From<Unavailable> for AuthError {
///     fn from(unavailable: Unavailable) -> AuthError {
///         AuthError::Unavailable(unavailable)
///     }
/// }
///
/// #[guarded("auth")]
/// async fn login(name: &str) -> Result<User, AuthError> {
///     // … asks the authentication service …
///     # if name.is_empty() { return Err(AuthError::WrongPassword) }
///     Ok(User(name.to_owned()))
/// }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// assert_eq!(login("ada").await.unwrap(), User("ada".into()));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Arguments
/// First the name of the circuit, a string; it is looked up once, in
/// [`Registry::global`](crate::Registry::global). Then, in any order:
///
/// | argument | meaning |
/// | --- | --- |
/// | `breaker = self.breaker` | this [`CircuitBreaker`](crate::CircuitBreaker) instead of one by name. It is borrowed, or cloned if it is reached through what the body takes along (`&mut self`, `self`, an argument by value) |
/// | `registry = REGISTRY` | the [`Registry`](crate::Registry) to look in. Evaluated once, at the first call |
/// | `settings = SETTINGS` | the [`Settings`](crate::Settings) of a circuit that configuration does not name, as in [`breaker_with`](crate::Registry::breaker_with). Evaluated once, at the first call |
/// | `key = [provider, model]` | a [`Family`](crate::Family): one breaker for each key. Evaluated at each call; a key of one part needs no brackets; parts are `AsRef<str>` |
/// | `classify = judge` | what results mean, a [`Classify`](crate::Classify): a function of `&Result<T, E>`, or a closure |
/// | `fallback = cached` | what to return instead of an error, see below |
/// | `crate = path` | where this library is, if not at `::panelboard` |
///
/// # Errors
/// What the function returns when the breaker refuses, or when an async call takes longer than
/// `timeout`, depends on what it declares:
///
/// - `Result<T, E>`: `E` made `From` [`Unavailable`](crate::Unavailable). `anyhow::Error` and
///   `Box<dyn Error + Send + Sync>` are, as are enums with a variant for it.
/// - `Result<T, panelboard::Error<E>>`: the [`Error`](crate::Error) itself. The body returns
///   `Result<T, E>`. This is recognised by its spelling: a type written `Error<E>`, whatever stands
///   before the `::`, and not behind an alias of `Result`.
/// - either, with `fallback`: what the fallback returns. It is called with the `Error<E>` and no
///   lock or permit held, for refusals and failures alike: one that wants to replace refusals only
///   returns the callee's own error as it came. A closure may use arguments that are references or
///   `Copy`. An async one is written `fallback = cached.await`, or as an `async` closure.
///
/// ```
/// use panelboard::{Error, guarded};
///
/// #[guarded("prices", fallback = |error| yesterday(product, error))]
/// fn price(product: &str) -> Result<u32, String> {
///     Err(format!("no price for {product}"))
/// }
///
/// fn yesterday(product: &str, error: Error<String>) -> Result<u32, String> {
///     match error {
///         Error::Inner(error) if product.is_empty() => Err(error),
///         _ => Ok(42),
///     }
/// }
/// assert_eq!(price("tea"), Ok(42));
/// assert_eq!(price(""), Err("no price for ".into()));
/// ```
///
/// # Panics
/// When the function does; the panic counts as a failure. And when what stands in the arguments does:
/// a key is made before any breaker is asked, so that counts for nothing.
///
/// # Cancel safety
/// That of [`call_async`](crate::CircuitBreaker::call_async): the breaker is asked at the first
/// poll, and dropping the future abandons the call.
///
/// # Limits
/// - `timeout` is not enforced for sync functions, as in [`call`](crate::CircuitBreaker::call).
/// - A breaker that was looked up is kept for good. If a later configuration drops its circuit and
///   another brings it back, this function still uses the old breaker.
/// - A generic function has one breaker, not one for each type.
/// - Under `#[async_trait]` methods are no async functions any more; guard one that they call.
#[doc(inline)]
pub use panelboard_macros::guarded;

/// A `Result`, whatever its name.
///
/// ```compile_fail,E0277
/// type Answer = std::ops::ControlFlow<()>;
///
/// #[panelboard::guarded("a")]
/// fn answer() -> Answer {
///     Answer::Continue(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a guarded function returns a `Result`, not a `{Self}`",
    label = "not a `Result`"
)]
pub trait ResultType {
    /// What there is if all went well.
    type Ok;
    /// What there is if not.
    type Err;
}

impl<T, E> ResultType for Result<T, E> {
    type Ok = T;
    type Err = E;
}

/// Shorthand for the result of a call whose body returns an `R`.
type Guarded<R> = Result<<R as ResultType>::Ok, Error<<R as ResultType>::Err>>;

/// An error that can say that the call was refused or took too long.
///
/// ```compile_fail,E0277
/// #[panelboard::guarded("a")]
/// fn answer() -> Result<(), std::fmt::Error> {
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say that its circuit refused the call",
    label = "what is this function to return when its circuit is open?",
    note = "implement `From<panelboard::Unavailable>` for `{Self}`",
    note = "or return `Result<_, panelboard::Error<{Self}>>`, or say `fallback = …`",
    note = "an `Error<E>` of ours is recognised where it is written out, not behind an alias"
)]
pub trait SaysUnavailable {
    /// The error that says so.
    fn unavailable(why: Unavailable) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Unavailable>> SaysUnavailable for E {
    fn unavailable(why: Unavailable) -> E {
        E::from(why)
    }
}

/// Makes the call.
#[inline]
pub fn call<R: ResultType, F: FnOnce() -> Result<R::Ok, R::Err>>(
    breaker: &CircuitBreaker,
    body: F,
    classify: impl Classify<R::Ok, R::Err>,
) -> Guarded<R> {
    breaker.call_classified(body, classify)
}

/// Makes the async call.
#[cfg(feature = "tokio")]
#[inline]
pub fn call_async<R, F, C>(breaker: &CircuitBreaker, body: F, classify: C) -> GuardedCall<'_, F, C>
where
    R: ResultType,
    F: Future<Output = Result<R::Ok, R::Err>>,
    C: Classify<R::Ok, R::Err>,
{
    breaker.call_async_classified(body, classify)
}

/// Says what a classifier that is a closure is given.
#[inline]
pub fn classifier<R: ResultType, F: Fn(&Result<R::Ok, R::Err>) -> Outcome>(classify: F) -> F {
    classify
}

/// The error of the function itself, instead of ours.
#[inline]
pub fn settle<T, E: SaysUnavailable>(result: Result<T, Error<E>>) -> Result<T, E> {
    result.map_err(|error| error.try_into_inner().unwrap_or_else(E::unavailable))
}

/// Says what a fallback that is a closure is given.
#[inline]
pub fn fall_back<E, R>(error: Error<E>, fallback: impl FnOnce(Error<E>) -> R) -> R {
    fallback(error)
}

/// One part of a key.
#[inline]
pub fn part(part: &(impl AsRef<str> + ?Sized)) -> &str {
    part.as_ref()
}

/// Says what a block returns, and is never called.
#[cold]
pub fn never<R>() -> R {
    unreachable!("only its type is of use")
}
