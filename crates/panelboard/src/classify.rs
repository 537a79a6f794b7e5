//! What a result says of the dependency.

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
pub trait Classify<T, E> {
    /// What this result says.
    fn classify(&self, result: &Result<T, E>) -> Outcome;
}

impl<T, E, F: Fn(&Result<T, E>) -> Outcome> Classify<T, E> for F {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self(result)
    }
}

/// `Ok` is a success, `Err` a failure that nobody named.
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
