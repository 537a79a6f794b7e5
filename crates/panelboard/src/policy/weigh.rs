//! What a result that has passed other policies says of the dependency.

use crate::{Classify, Error, Kind, Outcome};

/// The outcome, and the result as it was. The classifier sees what the dependency itself said;
/// a timeout is a failure, and what one of our own policies refused says nothing.
pub(crate) fn weigh<T, E, C>(
    classify: &C,
    result: Result<T, Error<E>>,
) -> (Outcome, Result<T, Error<E>>)
where
    C: Classify<T, E>,
{
    let answer = match result {
        Ok(response) => Ok(response),
        Err(Error::Inner(error)) => Err(error),
        Err(Error::TimedOut) => return (Outcome::failure(Kind::Timeout), Err(Error::TimedOut)),
        Err(refusal) => return (Outcome::Neutral, Err(refusal)),
    };
    let outcome = classify.classify(&answer);
    (outcome, answer.map_err(Error::Inner))
}
