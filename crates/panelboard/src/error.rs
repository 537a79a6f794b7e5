//! Why a guarded call has no result.

use std::fmt;
use std::time::Duration;

use crate::{Name, PhaseName, Reason};

/// A breaker refused a call: who, why, and when to come back.
///
/// Making one costs no allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a refused call must not be made"]
pub struct Rejected {
    pub(crate) name: Name,
    pub(crate) phase: PhaseName,
    pub(crate) reason: Reason,
    pub(crate) retry_after: Duration,
    pub(crate) generation: u64,
}

/// Why a guarded call has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error<E> {
    /// The breaker refused it; the callee was not asked.
    Rejected(Rejected),
    /// The callee took longer than `timeout`.
    TimedOut,
    /// The callee failed.
    Inner(E),
}

// ===== impl Rejected =====

impl Rejected {
    /// The breaker that refused.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The phase it was in.
    pub fn phase(&self) -> PhaseName {
        self.phase
    }

    /// Why it refused.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When it is worth coming back.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// The number of the phase it was in.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rejected { name, reason, retry_after, .. } = self;
        write!(f, "circuit `{name}` refused the call ({reason}), retry after {retry_after:?}")
    }
}

impl std::error::Error for Rejected {}

// ===== impl Error =====

impl<E> Error<E> {
    /// The callee's own error, if that is what it is.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Error::Inner(error) => Some(error),
            Error::Rejected(_) | Error::TimedOut => None,
        }
    }

    /// The refusal, if that is what it is.
    pub fn rejected(&self) -> Option<&Rejected> {
        match self {
            Error::Rejected(rejected) => Some(rejected),
            Error::TimedOut | Error::Inner(_) => None,
        }
    }
}

impl<E> From<Rejected> for Error<E> {
    fn from(rejected: Rejected) -> Error<E> {
        Error::Rejected(rejected)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Rejected(rejected) => rejected.fmt(f),
            Error::TimedOut => f.write_str("the call took longer than its timeout"),
            Error::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Rejected(_) | Error::TimedOut => None,
            // Displayed as the inner error itself, so its own source comes next.
            Error::Inner(error) => error.source(),
        }
    }
}
