//! The end of an answer that has none.

use std::error::Error;
use std::fmt;

use crate::judge::Observed;

/// The upstream failed in the middle of its answer, so the client's connection ends abnormally.
#[derive(Debug)]
pub(crate) struct AnswerError(Observed);

impl AnswerError {
    pub(super) fn new(observed: Observed) -> AnswerError {
        AnswerError(observed)
    }

    /// What the upstream did.
    pub(crate) fn observed(&self) -> Observed {
        self.0
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the upstream failed: {}", self.0.words())
    }
}

impl Error for AnswerError {}
