//! Why a guarded call has no result.

use std::fmt;
use std::time::Duration;

use crate::face::Told;
use crate::{Name, PhaseName, Reason, Unavailable};

/// A breaker refused a call: who, why, and when to come back.
///
/// Making one costs no allocation.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::{CircuitBreaker, Command, PhaseName, Settings};
///
/// let mail = CircuitBreaker::new("mail", Settings::default());
/// mail.command(Command::OpenFor(Duration::from_secs(60)));
/// let rejected = mail.try_acquire().unwrap_err();
/// assert_eq!((rejected.name().as_str(), rejected.phase()), ("mail", PhaseName::Open));
/// assert!(rejected.retry_after() > Duration::from_secs(55));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "a refused call must not be made"]
pub struct Rejected {
    name: Name,
    /// Phase, reason and generation.
    told: Told,
    /// In nanoseconds, for most refusals are never asked.
    retry_after: u64,
}

/// Why a guarded call has no result: the one error of breaker and policies alike.
///
/// All but [`Inner`](Error::Inner) and [`TimedOut`](Error::TimedOut) are refusals of ours. They say
/// nothing of the dependency, and no policy takes them for evidence against it.
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Error, Settings};
///
/// let mail = CircuitBreaker::new("mail", Settings::default());
/// match mail.call(|| Err::<(), _>("no route to host")) {
///     Ok(()) => println!("sent"),
///     Err(Error::Inner(error)) => println!("the server: {error}"),
///     Err(refusal) if refusal.is_refusal() => println!("not asked: {refusal}"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// The breaker refused it; the callee was not asked.
    Rejected(Rejected),
    /// One attempt took longer than its timeout.
    TimedOut,
    /// The deadline of the whole call has passed, or what is left of it would not be enough.
    DeadlineExceeded,
    /// The rate limit is used up.
    RateLimited {
        /// When the next call conforms.
        retry_after: Duration,
    },
    /// As many calls as the bulkhead allows are under way, and its queue is full or was left.
    BulkheadFull,
    /// As many calls as the adaptive limit allows now are under way.
    LimitReached,
    /// The callee failed.
    Inner(E),
}

// ===== impl Rejected =====

impl Rejected {
    #[inline]
    pub(crate) fn new(name: Name, told: Told, retry_after: u64) -> Rejected {
        Rejected { name, told, retry_after }
    }

    /// The breaker that refused.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The phase it was in.
    pub fn phase(&self) -> PhaseName {
        self.told.phase()
    }

    /// Why it refused.
    pub fn reason(&self) -> Reason {
        self.told.reason()
    }

    /// When it is worth coming back.
    pub fn retry_after(&self) -> Duration {
        Duration::from_nanos(self.retry_after)
    }

    /// The number of the phase it was in.
    pub fn generation(&self) -> u64 {
        self.told.generation()
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, reason) = (self.name.printable(), self.reason());
        let wait = in_millis(self.retry_after());
        write!(f, "circuit `{name}` refused the call ({reason}), retry after {wait:?}")
    }
}

#[expect(clippy::missing_fields_in_debug, reason = "`told` is unpacked")]
impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("name", &self.name)
            .field("phase", &self.phase())
            .field("reason", &self.reason())
            .field("retry_after", &self.retry_after())
            .field("generation", &self.generation())
            .finish()
    }
}

impl std::error::Error for Rejected {}

// ===== impl Error =====

impl<E> Error<E> {
    /// The callee's own error, if that is what it is.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Error::Inner(error) => Some(error),
            _ => None,
        }
    }

    /// The callee's own error, if that is what it is.
    ///
    /// ```
    /// use panelboard::Error;
    ///
    /// assert_eq!(Error::Inner("not found").inner(), Some(&"not found"));
    /// assert_eq!(Error::<&str>::TimedOut.inner(), None);
    /// ```
    pub fn inner(&self) -> Option<&E> {
        match self {
            Error::Inner(error) => Some(error),
            _ => None,
        }
    }

    /// The callee's own error, or one made of what breaker and policies say themselves.
    pub fn into_inner_or(self) -> E
    where
        E: From<Unavailable>,
    {
        self.try_into_inner().unwrap_or_else(E::from)
    }

    /// The callee's own error.
    ///
    /// # Errors
    /// What breaker and policies say themselves, if there is none.
    pub fn try_into_inner(self) -> Result<E, Unavailable> {
        match self {
            Error::Inner(error) => Ok(error),
            Error::Rejected(rejected) => Err(Error::Rejected(rejected)),
            Error::TimedOut => Err(Error::TimedOut),
            Error::DeadlineExceeded => Err(Error::DeadlineExceeded),
            Error::RateLimited { retry_after } => Err(Error::RateLimited { retry_after }),
            Error::BulkheadFull => Err(Error::BulkheadFull),
            Error::LimitReached => Err(Error::LimitReached),
        }
    }

    /// The breaker's refusal, if that is what it is.
    pub fn rejected(&self) -> Option<&Rejected> {
        match self {
            Error::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }

    /// Whether a breaker or policy refused the call, so that the callee was not asked, or not to
    /// the end.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Error::Inner(_) | Error::TimedOut)
    }

    /// When it is worth coming back, if a refusal knows.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Rejected(rejected) => Some(rejected.retry_after()),
            Error::RateLimited { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The same error of ours around another of the callee.
    pub fn map_inner<F>(self, map: impl FnOnce(E) -> F) -> Error<F> {
        match self {
            Error::Inner(error) => Error::Inner(map(error)),
            Error::Rejected(rejected) => Error::Rejected(rejected),
            Error::TimedOut => Error::TimedOut,
            Error::DeadlineExceeded => Error::DeadlineExceeded,
            Error::RateLimited { retry_after } => Error::RateLimited { retry_after },
            Error::BulkheadFull => Error::BulkheadFull,
            Error::LimitReached => Error::LimitReached,
        }
    }
}

impl<E> Error<Error<E>> {
    /// What two guards around each other say, as one.
    pub fn flatten(self) -> Error<E> {
        match self {
            Error::Inner(error) => error,
            Error::Rejected(rejected) => Error::Rejected(rejected),
            Error::TimedOut => Error::TimedOut,
            Error::DeadlineExceeded => Error::DeadlineExceeded,
            Error::RateLimited { retry_after } => Error::RateLimited { retry_after },
            Error::BulkheadFull => Error::BulkheadFull,
            Error::LimitReached => Error::LimitReached,
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
            Error::DeadlineExceeded => f.write_str("the deadline of the call has passed"),
            Error::RateLimited { retry_after } => {
                write!(f, "the rate limit is used up, retry after {:?}", in_millis(*retry_after))
            }
            Error::BulkheadFull => f.write_str("too many calls are under way (bulkhead)"),
            Error::LimitReached => f.write_str("too many calls are under way (adaptive limit)"),
            Error::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Displayed as the inner error itself, so its own source comes next.
            Error::Inner(error) => error.source(),
            _ => None,
        }
    }
}

/// A wait for people to read: in whole milliseconds, rounded up, since who comes earlier is refused
/// again.
pub(crate) fn in_millis(wait: Duration) -> Duration {
    let over = wait.subsec_nanos() % 1_000_000;
    match over {
        0 => wait,
        over => wait.saturating_add(Duration::from_nanos(u64::from(1_000_000 - over))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_milliseconds_that_suffice() {
        let text = |nanos| {
            let late: Unavailable = Error::RateLimited { retry_after: Duration::from_nanos(nanos) };
            late.to_string()
        };
        assert_eq!(text(1_783_724_349), "the rate limit is used up, retry after 1.784s");
        assert_eq!(text(247_000_000), "the rate limit is used up, retry after 247ms");
        assert_eq!(text(1), "the rate limit is used up, retry after 1ms");
        assert_eq!(in_millis(Duration::MAX), Duration::MAX);
    }
}
