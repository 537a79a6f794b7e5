//! What a result says of the dependency.
//!
//! [`OkOrErr`] takes every `Err` for a failure. That is rarely the whole truth: a row that is not
//! there, a name that is taken or a request that makes no sense is an answer, and a dependency that
//! gives it works. If such answers counted as failures, one caller's mistakes would open the circuit
//! for all. So there are classifiers that know the errors of particular crates:
//!
//! | classifier | of | feature |
//! | --- | --- | --- |
//! | [`Io`] | [`std::io::Error`] | – |
#![cfg_attr(feature = "http", doc = "| [`Http`] | `http::Response`, `http::StatusCode` | `http` |")]
#![cfg_attr(feature = "http", doc = "| [`Grpc`] | `http::Response` of a gRPC server | `http` |")]
#![cfg_attr(
    feature = "reqwest",
    doc = "| [`Reqwest`], [`ReqwestBody`] | `reqwest::Response`, `reqwest::Error` | `reqwest` |"
)]
#![cfg_attr(feature = "sqlx", doc = "| [`Sqlx`] | `sqlx::Error` | `sqlx` |")]
#![cfg_attr(feature = "redis", doc = "| [`Redis`] | `redis::RedisError` | `redis` |")]
//!
//! They share these rules. What shows that the dependency did its job is a *success*, be it an error
//! for the caller. What failed before it was asked (a query that cannot be encoded, a pool that we
//! have closed) is *neutral*. What it did not or could not do is a *failure*, by its kind.
//!
//! Each has a function that judges a single error, to be used in classifiers of your own:
//!
//! ```
//! use panelboard::classify::Io;
//! use panelboard::{Outcome, guarded};
//!
//! // The file is not always there, but a full disk is a failure.
//! #[guarded("spool", classify = Io)]
//! fn spool(text: &str) -> Result<(), panelboard::Error<std::io::Error>> {
//!     std::fs::write("/nonexistent/spool", text)
//! }
//! assert!(spool("x").is_err());
//! let breaker = panelboard::Registry::global().breaker("spool");
//! assert_eq!(breaker.snapshot().counters.success, 1);
//!
//! // The same, but for its timeouts.
//! let judge = |result: &std::io::Result<()>| match result {
//!     Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Outcome::Neutral,
//!     Err(error) => Io::error(error),
//!     Ok(()) => Outcome::Success,
//! };
//! breaker.call_classified(|| Ok(()), judge)?;
//! # Ok::<(), panelboard::Error<std::io::Error>>(())
//! ```

#[cfg(feature = "http")]
mod grpc;
#[cfg(feature = "http")]
mod hint;
#[cfg(feature = "http")]
mod http;
mod io;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "http")]
mod reset;
#[cfg(feature = "sqlx")]
mod sqlx;

#[cfg(feature = "http")]
pub use grpc::Grpc;
#[cfg(feature = "http")]
pub use hint::{retry_after, retry_hint};
#[cfg(feature = "http")]
pub use http::Http;
pub use io::Io;
#[cfg(feature = "redis")]
pub use redis::Redis;
#[cfg(feature = "reqwest")]
pub use reqwest::{Reqwest, ReqwestBody};
#[cfg(feature = "http")]
pub use reset::rate_limit_reset;
#[cfg(feature = "sqlx")]
pub use sqlx::Sqlx;

use crate::{Kind, Outcome};

/// Decides what a result says of the dependency.
///
/// Any `Fn(&Result<T, E>) -> Outcome` will do. It runs when no lock is held, and if it panics the
/// call counts as a failure of kind `panic`.
///
/// ```
/// use panelboard::{CircuitBreaker, Kind, Outcome, Settings};
///
/// let breaker = CircuitBreaker::new("users", Settings::default());
/// let found: Result<Option<u32>, _> = breaker.call_classified(
///     || Err("not found"),
///     |result: &Result<_, &str>| match result {
///         Err("not found") => Outcome::Success,
///         Ok(_) => Outcome::Success,
///         Err(_) => Outcome::failure(Kind::ServerError),
///     },
/// );
/// assert!(found.is_err());
/// assert_eq!(breaker.snapshot().counters.success, 1);
/// ```
///
/// ```compile_fail,E0277
/// use panelboard::{CircuitBreaker, Settings, classify::Io};
///
/// // Says what an `io::Error` means, and not what a `String` does.
/// let breaker = CircuitBreaker::new("users", Settings::default());
/// let _ = breaker.call_classified(|| Err::<(), _>(String::from("lost")), Io);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what a `Result<{T}, {E}>` means",
    label = "no classifier of a `Result<{T}, {E}>`",
    note = "a classifier is a `Fn(&Result<T, E>) -> panelboard::Outcome`, or of `panelboard::classify`",
    note = "a closure says what it is given: `|result: &Result<_, _>| …`"
)]
pub trait Classify<T, E> {
    /// What this result says.
    fn classify(&self, result: &Result<T, E>) -> Outcome;
}

#[diagnostic::do_not_recommend]
impl<T, E, F: Fn(&Result<T, E>) -> Outcome> Classify<T, E> for F {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self(result)
    }
}

/// `Ok` is a success, `Err` a failure that nobody named.
///
/// # Examples
/// ```
/// use panelboard::{Classify, Kind, OkOrErr, Outcome};
///
/// assert_eq!(OkOrErr.classify(&Ok::<_, &str>(1)), Outcome::Success);
/// assert_eq!(OkOrErr.classify(&Err::<u32, _>("no")), Outcome::failure(Kind::OTHER));
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct OkOrErr;

impl<T, E> Classify<T, E> for OkOrErr {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::failure(Kind::OTHER),
        }
    }
}
