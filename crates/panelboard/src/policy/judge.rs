//! What a result asks of the policies that make further attempts.

use panelboard_core::retry::Setback;

use crate::{Classify, Error, Outcome};

/// What stands in the way of a result that its caller can use, if anything does.
///
/// The classifier judges what the callee said, and is the same that a breaker may have; what is our
/// own is judged here, so that no classifier can take a refusal for a failure.
pub(crate) fn judge<T, E>(
    classify: &impl Classify<T, E>,
    result: Result<T, Error<E>>,
) -> (Result<T, Error<E>>, Option<Setback>) {
    let said = match result {
        Ok(value) => Ok(value),
        Err(Error::Inner(error)) => Err(error),
        Err(Error::TimedOut) => {
            return (Err(Error::TimedOut), Some(Setback::Failed { hint: None }));
        }
        Err(refusal) => {
            let retry_after = refusal.retry_after();
            return (Err(refusal), Some(Setback::Refused { retry_after }));
        }
    };
    let setback = match classify.classify(&said) {
        Outcome::Failure { retry_after, .. } | Outcome::Pushback { retry_after, .. } => {
            Some(Setback::Failed { hint: retry_after })
        }
        Outcome::Success | Outcome::Neutral => None,
    };
    (said.map_err(Error::Inner), setback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, OkOrErr};
    use std::time::Duration;

    fn judged(result: &Result<u32, Error<&'static str>>) -> Option<Setback> {
        let (same, setback) = judge(&OkOrErr, result.clone());
        assert_eq!(same, *result, "it comes back as it was");
        setback
    }

    #[test]
    fn failures_of_the_callee_and_refusals_of_ours_are_told_apart() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(judged(&Ok(1)), None);
        assert_eq!(judged(&Err(Error::Inner("no"))), Some(Setback::Failed { hint: None }));
        assert_eq!(judged(&Err(Error::TimedOut)), Some(Setback::Failed { hint: None }));
        for refusal in [Error::BulkheadFull, Error::LimitReached, Error::DeadlineExceeded] {
            assert_eq!(judged(&Err(refusal)), Some(Setback::Refused { retry_after: None }));
        }
        let limited = Error::RateLimited { retry_after: Duration::from_secs(1) };
        assert_eq!(judged(&Err(limited)), Some(Setback::Refused { retry_after: second }));
    }

    #[test]
    fn a_classifier_judges_what_the_callee_said() {
        let second = Some(Duration::from_secs(1));
        let classify = |result: &Result<u32, &str>| match result {
            Ok(503) => Outcome::failure(Kind::ServerError),
            Ok(429) => Outcome::pushback(second),
            Err("not found") => Outcome::Success,
            _ => Outcome::Neutral,
        };
        let judged = |result| judge(&classify, result).1;
        assert_eq!(judged(Ok(200)), None);
        assert_eq!(judged(Ok(503)), Some(Setback::Failed { hint: None }));
        assert_eq!(judged(Ok(429)), Some(Setback::Failed { hint: second }));
        assert_eq!(judged(Err(Error::Inner("not found"))), None);
    }
}
