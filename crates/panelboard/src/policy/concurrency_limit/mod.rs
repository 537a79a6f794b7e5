//! Adaptive concurrency limit: as many calls at once as the dependency can take without queueing.
//!
//! A [`bulkhead`](super::bulkhead) needs a number that somebody has to know; this finds it, from
//! the latency of calls that succeed. It grows while it is what holds calls back and no queue
//! shows, shrinks by a tenth at most in a window that shows one, and by a quarter at once when a
//! call times out or is pushed back. The algorithm is TCP Vegas, as plain values in
//! [`panelboard_core::concurrency`], where it is said why.
//!
//! Calls above the limit are refused, not queued: it is queues that it is there to avoid. Put a
//! bulkhead with a queue outside of it for bursts. What it refuses is never evidence against the
//! dependency, and what others refused further in is no sign of load to it.
//!
//! # Cost
//! Letting a call through is one word; its end takes a short lock, to add the latency to a window.

#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod layer;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use panelboard_core::concurrency::{Bounds, Ended, Limit, Sign};

#[cfg(feature = "tower")]
pub use future::ConcurrencyLimitFuture;
#[cfg(feature = "tower")]
pub use layer::{ConcurrencyLimitLayer, ConcurrencyLimitService};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, lock};
use crate::{Classify, Clock, Error, Kind, OkOrErr, Outcome, SettingsError, Tick};

/// An adaptive concurrency limit: a cheap handle, to be cloned and shared. All clones count
/// together.
///
/// # Examples
/// ```
/// use panelboard::Outcome;
/// use panelboard::policy::concurrency_limit::ConcurrencyLimit;
///
/// // Between 1 and 100; at first 10.
/// let limit = ConcurrencyLimit::new(1, 10, 100)?;
/// let permit = limit.try_acquire().unwrap();
/// permit.record(Outcome::Success);
/// assert_eq!((limit.limit(), limit.in_flight()), (10, 0));
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct ConcurrencyLimit {
    shared: Arc<Shared>,
}

/// What all handles share.
pub(crate) struct Shared {
    bounds: Bounds,
    clock: Clock,
    in_flight: AtomicU64,
    /// The limit, as the state below has it; read without its lock.
    limit: AtomicU64,
    state: Mutex<Limit>,
}

/// The right to make one call, given back when it is dropped.
///
/// Record what came of the call; one that is dropped says nothing of the load.
///
/// # Examples
/// ```
/// use panelboard::policy::concurrency_limit::ConcurrencyLimit;
/// use panelboard::{Kind, Outcome};
///
/// let limit = ConcurrencyLimit::default();
/// let permit = limit.try_acquire().unwrap();
/// // What times out is a sign of too much load.
/// permit.record(Outcome::failure(Kind::Timeout));
/// assert!(limit.limit() < 20);
/// ```
#[must_use = "a permit that is dropped is free again"]
#[derive(Debug)]
pub struct ConcurrencyPermit(Slot<Arc<Shared>>);

/// As many calls as the limit allows now are under way.
///
/// # Examples
/// ```
/// use panelboard::{Error, policy::concurrency_limit::ConcurrencyLimit};
///
/// let limit = ConcurrencyLimit::new(1, 1, 1)?;
/// let permit = limit.try_acquire().unwrap();
/// let full: Error<std::io::Error> = limit.try_acquire().unwrap_err().into();
/// assert!(matches!(full, Error::LimitReached));
/// # drop(permit);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use = "a refused call must not be made"]
pub struct LimitReached;

/// A call in flight.
pub(crate) struct Slot<L: Deref<Target = Shared>> {
    shared: L,
    started: Tick,
    sign: Sign,
}

// ===== impl ConcurrencyLimit =====

impl ConcurrencyLimit {
    /// Between `min` and `max`, at first `initial`.
    ///
    /// # Errors
    /// Unless 1 ≤ `min` ≤ `initial` ≤ `max` ≤ 1,000,000.
    pub fn new(min: u32, initial: u32, max: u32) -> Result<ConcurrencyLimit, SettingsError> {
        Bounds::new(min, initial, max)
            .map(|bounds| ConcurrencyLimit::with_bounds(bounds, Clock::precise()))
    }

    fn with_bounds(bounds: Bounds, clock: Clock) -> ConcurrencyLimit {
        let state = Limit::new(bounds, clock.now());
        let shared = Shared {
            bounds,
            clock,
            in_flight: AtomicU64::new(0),
            limit: AtomicU64::new(u64::from(state.limit())),
            state: Mutex::new(state),
        };
        ConcurrencyLimit { shared: Arc::new(shared) }
    }

    /// The same bounds on another clock, begun anew. Default: [`Clock::precise`], since latencies
    /// are often less than a step of the coarse clock.
    #[must_use]
    pub fn clock(self, clock: impl Into<Clock>) -> ConcurrencyLimit {
        ConcurrencyLimit::with_bounds(self.shared.bounds, clock.into())
    }

    /// Asks to make one call.
    ///
    /// # Errors
    /// When as many as the limit allows are under way.
    pub fn try_acquire(&self) -> Result<ConcurrencyPermit, LimitReached> {
        Slot::take(Arc::clone(&self.shared)).map(ConcurrencyPermit)
    }

    /// Makes a call within the limit: `Ok` counts as success, `Err` as a failure that says nothing
    /// of the load.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when there are too many already, [`Error::Inner`] when `call` fails.
    ///
    /// # Panics
    /// When `call` does; it counts for nothing.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>> {
        self.call_classified(call, OkOrErr)
    }

    /// As [`call`](Self::call), but `classify` says what the result means.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Panics
    /// When `call` or `classify` does; it counts for nothing.
    #[expect(clippy::needless_pass_by_value, reason = "closures are handed over, not lent")]
    pub fn call_classified<T, E>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
        classify: impl Classify<T, E>,
    ) -> Result<T, Error<E>> {
        let slot = self.slot()?;
        let result = call();
        slot.record(classify.classify(&result));
        result.map_err(Error::Inner)
    }

    /// A permit that is held no longer than this handle.
    pub(crate) fn slot(&self) -> Result<Slot<&Shared>, LimitReached> {
        Slot::take(&*self.shared)
    }

    #[cfg(feature = "tower")]
    pub(crate) fn bounds(&self) -> Bounds {
        self.shared.bounds
    }

    /// Calls that may be under way now.
    pub fn limit(&self) -> u32 {
        // Acquire: pairs with the release when a call's end moved the limit.
        self.shared.limit.load(Ordering::Acquire) as u32
    }

    /// Calls under way.
    pub fn in_flight(&self) -> u32 {
        // Acquire: pairs with the release of a call's end.
        self.shared.in_flight.load(Ordering::Acquire) as u32
    }

    /// The latency without a queue, once it is known.
    pub fn base_latency(&self) -> Option<Duration> {
        lock(&self.shared.state).base()
    }

    /// The limit never falls below.
    pub fn min(&self) -> u32 {
        self.shared.bounds.min()
    }

    /// The limit never rises above.
    pub fn max(&self) -> u32 {
        self.shared.bounds.max()
    }

    /// A [tower layer](ConcurrencyLimitLayer) with this limit.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> ConcurrencyLimitLayer {
        ConcurrencyLimitLayer::new(self.clone())
    }
}

impl Default for ConcurrencyLimit {
    /// Between 1 and 200, at first 20.
    fn default() -> ConcurrencyLimit {
        ConcurrencyLimit::with_bounds(Bounds::default(), Clock::precise())
    }
}

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimit")
            .field("bounds", &self.shared.bounds)
            .field("limit", &self.limit())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

// ===== impl ConcurrencyPermit =====

impl ConcurrencyPermit {
    /// Gives it back, and says what came of the call. A success counts with its latency; a timeout,
    /// a pushback, and a failure of kind `overloaded` or `rate_limited` are overload; the rest says
    /// nothing of the load.
    pub fn record(self, outcome: Outcome) {
        self.0.record(outcome);
    }
}

/// What an outcome says of the load.
fn sign(outcome: Outcome) -> Sign {
    match outcome {
        Outcome::Success => Sign::Served,
        Outcome::Pushback { .. } => Sign::Overloaded,
        Outcome::Failure { kind: Kind::Timeout | Kind::Overloaded | Kind::RateLimited, .. } => {
            Sign::Overloaded
        }
        Outcome::Failure { .. } | Outcome::Neutral => Sign::Nothing,
    }
}

// ===== impl Slot =====

impl<L: Deref<Target = Shared>> Slot<L> {
    fn take(shared: L) -> Result<Slot<L>, LimitReached> {
        // Acquire: pairs with the release when a call's end moved the limit.
        let limit = shared.limit.load(Ordering::Acquire);
        let one_more = |in_flight: u64| (in_flight < limit).then_some(in_flight + 1);
        // Release, acquire: the count of one call's end is seen by the next one's beginning.
        let taken = shared.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        if taken.is_err() {
            return Err(LimitReached);
        }
        let started = shared.clock.now();
        Ok(Slot { shared, started, sign: Sign::Nothing })
    }

    pub(crate) fn record(mut self, outcome: Outcome) {
        self.sign = sign(outcome);
    }
}

impl<L: Deref<Target = Shared>> Drop for Slot<L> {
    fn drop(&mut self) {
        let Shared { clock, in_flight, limit, state, .. } = &*self.shared;
        // Release: pairs with the acquire of the next call's beginning.
        let in_flight = in_flight.fetch_sub(1, Ordering::AcqRel) as u32;
        let now = clock.now();
        let mut state = lock(state);
        let before = state.limit();
        state.end(Ended { started: self.started, in_flight, sign: self.sign }, now);
        if state.limit() != before {
            // Release: pairs with the acquire of those that read the limit. Under the lock, so that
            // the word follows the state.
            limit.store(u64::from(state.limit()), Ordering::Release);
        }
    }
}

impl<L: Deref<Target = Shared>> fmt::Debug for Slot<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("started", &self.started).finish_non_exhaustive()
    }
}

// ===== impl LimitReached =====

impl<E> From<LimitReached> for Error<E> {
    fn from(LimitReached: LimitReached) -> Error<E> {
        Error::LimitReached
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many calls are under way (adaptive limit)")
    }
}

impl std::error::Error for LimitReached {}
