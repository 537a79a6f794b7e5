//! Rate limit: so many calls a period, and a burst at once.
//!
//! The algorithm is GCRA, as a pure function in [`panelboard_core::gcra`]; its whole state is one
//! atomic here. A call over the limit is refused and told when the next one conforms; or, if
//! [`max_wait`](RateLimit::max_wait) says so, it waits its turn.
//!
//! It stands outside of nearly everything else: retries of one call are not calls of a client, and
//! what it refuses is never evidence against the dependency.
//!
//! # Waiting
//! A call that waits has booked its place in the rate, so those behind it can be told exactly when
//! they may come. A call that is cancelled while it waits keeps that place: giving it back would let
//! two calls through at one time.

#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tokio")]
mod wait;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use panelboard_core::gcra::{Excess, Gcra, Grant};

#[cfg(feature = "tower")]
pub use future::RateLimitFuture;
#[cfg(feature = "tower")]
pub use layer::{RateLimitLayer, RateLimitService};
#[cfg(feature = "tokio")]
pub use wait::Acquire;

use crate::policy::deadline::Deadline;
use crate::{Clock, Error, SettingsError, Tick};

/// A rate limit: a cheap handle, to be cloned and shared. All clones count together.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::rate_limit::RateLimit;
///
/// // 100 a second, 10 of them at once.
/// let limit = RateLimit::new(100, Duration::from_secs(1), 10)?;
/// assert!(limit.try_acquire(10).is_ok());
/// let refused = limit.try_acquire(1).unwrap_err();
/// assert!(refused.retry_after() <= Duration::from_millis(10));
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct RateLimit {
    shared: Arc<Shared>,
    clock: Clock,
    max_wait: Duration,
}

struct Shared {
    gcra: Gcra,
    /// The theoretical arrival time.
    arrival: AtomicU64,
}

/// Room in a rate limit, of which it turns out later how much was needed. Dropping it leaves it as it
/// was taken.
#[derive(Clone)]
#[must_use = "without a correction, what was taken counts"]
pub struct Reservation {
    limit: RateLimit,
    taken: u32,
    granted: Tick,
}

/// The rate limit is used up.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::rate_limit::RateLimit;
///
/// let limit = RateLimit::new(1, Duration::from_secs(60), 1)?;
/// assert!(limit.try_acquire(1).is_ok());
/// let limited = limit.try_acquire(1).unwrap_err();
/// assert!(limited.retry_after() <= Duration::from_secs(60));
/// // More than the burst never conforms.
/// assert_eq!(limit.try_acquire(2).unwrap_err().retry_after(), Duration::MAX);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use = "a refused call must not be made"]
pub struct RateLimited {
    retry_after: Duration,
}

// ===== impl RateLimit =====

impl RateLimit {
    /// `calls` every `per`, of which `burst` may come at once after a pause. Nobody waits, unless
    /// [`max_wait`](Self::max_wait) is set.
    ///
    /// # Errors
    /// When `calls` or `burst` is 0, or `per / calls` is under 1 µs or over a day.
    pub fn new(calls: u32, per: Duration, burst: u32) -> Result<RateLimit, SettingsError> {
        let gcra = Gcra::new(calls, per, burst)?;
        let shared = Arc::new(Shared { gcra, arrival: AtomicU64::new(0) });
        Ok(RateLimit { shared, clock: Clock::precise(), max_wait: Duration::ZERO })
    }

    /// Lets a call wait up to so long until it conforms. Default: not at all.
    ///
    /// A call that has a [deadline](crate::policy::deadline) waits only if that leaves it time; else
    /// it is refused at once, and takes no place in the rate that others could use.
    ///
    /// It is a matter of this handle and its clones: others may wait longer, or not.
    #[must_use]
    pub fn max_wait(self, max_wait: Duration) -> RateLimit {
        RateLimit { max_wait, ..self }
    }

    /// Where its time comes from. Default: [`Clock::precise`], since what a call takes up of the
    /// period is often less than a step of the coarse clock. All handles must use the same.
    #[must_use]
    pub fn clock(self, clock: impl Into<Clock>) -> RateLimit {
        RateLimit { clock: clock.into(), ..self }
    }

    /// Takes room for so many calls now, or none.
    ///
    /// # Errors
    /// When they do not conform now. The limit is as it was.
    pub fn try_acquire(&self, calls: u32) -> Result<(), RateLimited> {
        self.take(calls, Duration::ZERO).map(|_| ())
    }

    /// Takes room for so many calls now, or none, where it is not known yet how many there will be:
    /// of tokens, say, of which an answer tells the number at its end.
    ///
    /// # Errors
    /// When they do not conform now. The limit is as it was.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use panelboard::policy::rate_limit::RateLimit;
    ///
    /// let tokens = RateLimit::new(1_000, Duration::from_secs(60), 1_000)?;
    /// let room = tokens.reserve(900).expect("there is room");
    /// assert!(tokens.reserve(200).is_err());
    /// room.correct(50);
    /// assert!(tokens.reserve(200).is_ok());
    /// # Ok::<(), panelboard::SettingsError>(())
    /// ```
    pub fn reserve(&self, calls: u32) -> Result<Reservation, RateLimited> {
        let Grant { next, .. } = self.grant(calls, Duration::ZERO)?;
        Ok(Reservation { limit: self.clone(), taken: calls, granted: next })
    }

    /// Takes room for so many calls, and waits until they conform, up to
    /// [`max_wait`](Self::max_wait).
    ///
    /// # Errors
    /// At once, when they would have to wait longer.
    ///
    /// # Panics
    /// When it has to wait outside of a Tokio runtime with its timer enabled.
    ///
    /// # Cancel safety
    /// Room is taken at the first poll. Dropped while it waits, it keeps what it took.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use panelboard::policy::rate_limit::RateLimit;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), panelboard::SettingsError> {
    /// let limit = RateLimit::new(1_000, Duration::from_secs(1), 1)?.max_wait(Duration::from_secs(1));
    /// for _ in 0..3 {
    ///     // The second and third wait for a millisecond.
    ///     limit.acquire(1).await.expect("a second is enough");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub fn acquire(&self, calls: u32) -> Acquire {
        Acquire::new(self.clone(), calls)
    }

    /// As `acquire`, but blocks the thread.
    ///
    /// # Errors
    /// At once, when they would have to wait longer than [`max_wait`](Self::max_wait).
    pub fn acquire_blocking(&self, calls: u32) -> Result<(), RateLimited> {
        let wait = self.take(calls, self.patience())?;
        if !wait.is_zero() {
            self.clock.sleep(wait);
        }
        Ok(())
    }

    /// Makes a call if it conforms, perhaps after a wait.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when it does not, [`Error::Inner`] when `call` fails.
    ///
    /// # Panics
    /// When `call` does.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>> {
        self.acquire_blocking(1)?;
        call().map_err(Error::Inner)
    }

    /// Calls that would conform now. For display: they may be gone when they are asked for.
    pub fn available(&self) -> u32 {
        // Relaxed: the word is all there is; nothing else is published with it.
        let arrival = Tick::from_nanos(self.shared.arrival.load(Ordering::Relaxed));
        self.shared.gcra.available(arrival, self.clock.now())
    }

    /// Calls that may come at once.
    pub fn burst(&self) -> u32 {
        self.shared.gcra.burst()
    }

    /// A [tower layer](RateLimitLayer) with this limit.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> RateLimitLayer {
        RateLimitLayer::new(self.clone())
    }

    /// How long the call that is being made here may wait.
    fn patience(&self) -> Duration {
        if self.max_wait.is_zero() {
            return Duration::ZERO;
        }
        // Less than what is left, so that there is some left for the call.
        let left =
            |deadline: Deadline| deadline.remaining().saturating_sub(Duration::from_nanos(1));
        Deadline::current().map_or(self.max_wait, |deadline| self.max_wait.min(left(deadline)))
    }

    /// Takes room for calls that are made after the wait that it returns.
    fn take(&self, calls: u32, patience: Duration) -> Result<Duration, RateLimited> {
        self.grant(calls, patience).map(|grant| grant.wait)
    }

    fn grant(&self, calls: u32, patience: Duration) -> Result<Grant, RateLimited> {
        let now = self.clock.now();
        self.shift(|gcra, arrival| {
            let grant = gcra.take(arrival, now, calls, patience)?;
            Ok((grant.next, grant))
        })
    }

    /// The one loop that moves the theoretical arrival time.
    fn shift<T>(
        &self,
        step: impl Fn(&Gcra, Tick) -> Result<(Tick, T), RateLimited>,
    ) -> Result<T, RateLimited> {
        let Shared { gcra, arrival } = &*self.shared;
        // Relaxed: the word is all there is; nothing else is published with it.
        let mut seen = arrival.load(Ordering::Relaxed);
        loop {
            let (next, out) = step(gcra, Tick::from_nanos(seen))?;
            let swap = (Ordering::Relaxed, Ordering::Relaxed);
            match arrival.compare_exchange_weak(seen, next.as_nanos(), swap.0, swap.1) {
                Ok(_) => return Ok(out),
                Err(other) => seen = other,
            }
        }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("interval", &self.shared.gcra.interval())
            .field("burst", &self.shared.gcra.burst())
            .field("max_wait", &self.max_wait)
            .finish_non_exhaustive()
    }
}

// ===== impl Reservation =====

impl Reservation {
    /// So many calls were made in the end. Of what was taken for others, as much is given back as has
    /// not come free meanwhile; if there were more, those who come next wait for it.
    pub fn correct(self, made: u32) {
        let now = self.limit.clock.now();
        let calls = (self.taken, made);
        // It never refuses.
        let _ = self
            .limit
            .shift(|gcra, arrival| Ok((gcra.correct(arrival, now, self.granted, calls), ())));
    }

    /// How many calls room was taken for.
    pub fn taken(&self) -> u32 {
        self.taken
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("taken", &self.taken).finish_non_exhaustive()
    }
}

// ===== impl RateLimited =====

impl RateLimited {
    /// When the calls conform; [`Duration::MAX`] if they never will, being more than the burst.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

impl From<Excess> for RateLimited {
    fn from(excess: Excess) -> RateLimited {
        let retry_after = match excess {
            Excess::For(wait) => wait,
            Excess::Forever => Duration::MAX,
        };
        RateLimited { retry_after }
    }
}

impl<E> From<RateLimited> for Error<E> {
    fn from(limited: RateLimited) -> Error<E> {
        Error::RateLimited { retry_after: limited.retry_after }
    }
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wait = crate::error::in_millis(self.retry_after);
        write!(f, "the rate limit is used up, retry after {wait:?}")
    }
}

impl std::error::Error for RateLimited {}
