//! What a guarded call holds while it runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use panelboard_core::{Kind, Outcome};

use crate::breaker::Inner;
use crate::claim::Claim;
use crate::event::LastError;
use crate::sync::counted::Counted;

/// The right to make one guarded call.
///
/// Settle it with the call's outcome. Dropping it settles it too: as a failure of kind `panic`
/// while the thread unwinds from a panic, else as abandoned, which is neutral.
/// Either way a probe's slot comes back (invariant B-7).
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Kind, Rejected, Settings};
///
/// fn send(mail: &CircuitBreaker, reply: &str) -> Result<(), Rejected> {
///     let permit = mail.try_acquire()?;
///     match reply.as_bytes() {
///         [b'2', ..] => permit.success(),
///         [b'4', ..] => permit.failure(Kind::ServerError),
///         // Somebody else gave up: that says nothing.
///         _ => drop(permit),
///     }
///     Ok(())
/// }
/// let mail = CircuitBreaker::new("mail", Settings::default());
/// send(&mail, "250 OK")?;
/// send(&mail, "")?;
/// let counters = mail.snapshot().counters;
/// assert_eq!((counters.success, counters.neutral), (1, 1));
/// # Ok::<(), Rejected>(())
/// ```
#[must_use = "a permit that is dropped counts as an abandoned call"]
#[derive(Debug)]
pub struct Permit<'a>(Lent<&'a Inner>);

/// A [`Permit`] that keeps its breaker alive, for calls that outlive the borrow.
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Settings};
///
/// let permit = CircuitBreaker::new("render", Settings::default()).try_acquire_owned(None)?;
/// let job = std::thread::spawn(move || permit.success());
/// # job.join().unwrap();
/// # Ok::<(), panelboard::Rejected>(())
/// ```
#[must_use = "a permit that is dropped counts as an abandoned call"]
#[derive(Debug)]
pub struct OwnedPermit(Lent<Counted<Inner>>);

/// More about a failure than its kind, for "last errors". Keep secrets out of the message.
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, ErrorDetail, Kind, Outcome, Settings};
///
/// let render = CircuitBreaker::new("render", Settings::default());
/// let detail = ErrorDetail::new().status(503).message("no GPU left");
/// render.try_acquire()?.record_with(Outcome::failure(Kind::ResourceExhausted), &detail);
/// assert_eq!(render.snapshot().errors.len(), 1);
/// # Ok::<(), panelboard::Rejected>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ErrorDetail {
    status: Option<u16>,
    latency: Option<Duration>,
    message: Option<Arc<str>>,
    trace_id: Option<Arc<str>>,
}

/// What both sorts of permit are: a ticket, and whom to give it back to.
pub(crate) struct Lent<B: AsInner> {
    /// `None` once settled.
    breaker: Option<B>,
    claim: Claim,
}

pub(crate) trait AsInner {
    fn inner(&self) -> &Inner;
}

impl AsInner for &Inner {
    #[inline]
    fn inner(&self) -> &Inner {
        self
    }
}

impl AsInner for Counted<Inner> {
    #[inline]
    fn inner(&self) -> &Inner {
        self
    }
}

// ===== impl Lent =====

impl<B: AsInner> Lent<B> {
    #[inline]
    pub(crate) fn new(breaker: B, claim: Claim) -> Lent<B> {
        Lent { breaker: Some(breaker), claim }
    }

    /// Whom it is given back to, unless it has been.
    #[inline]
    pub(crate) fn breaker(&self) -> Option<&Inner> {
        self.breaker.as_ref().map(AsInner::inner)
    }

    #[inline]
    pub(crate) fn record(mut self, outcome: Outcome) {
        self.settle(outcome, None);
    }

    #[inline]
    fn settle(&mut self, outcome: Outcome, detail: Option<&ErrorDetail>) {
        if let Some(breaker) = self.breaker.take() {
            breaker.inner().settle(self.claim, outcome, detail);
        }
    }

    pub(crate) fn mark_slow(&mut self) {
        // It is found slow once.
        if self.claim.find_slow()
            && let Some(breaker) = &self.breaker
        {
            breaker.inner().mark_slow(self.claim);
        }
    }

    fn renew(&self, lease: Duration) {
        if self.claim.holds_a_slot()
            && let Some(breaker) = &self.breaker
        {
            breaker.inner().renew(self.claim, lease);
        }
    }

    #[cold]
    fn abandon(&mut self) {
        let panicked = std::thread::panicking();
        let outcome = if panicked { Outcome::failure(Kind::Panic) } else { Outcome::Neutral };
        self.settle(outcome, None);
    }
}

impl<B: AsInner> Drop for Lent<B> {
    #[inline]
    fn drop(&mut self) {
        if self.breaker.is_some() {
            self.abandon();
        }
    }
}

impl<B: AsInner> fmt::Debug for Lent<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("circuit", &self.breaker.as_ref().map(|breaker| breaker.inner().name()))
            .field("ticket", &self.claim.ticket())
            .finish_non_exhaustive()
    }
}

// ===== impl Permit, OwnedPermit =====

macro_rules! settles {
    ($permit:ty) => {
        impl $permit {
            /// The dependency did its job.
            #[inline]
            pub fn success(self) {
                self.record(Outcome::Success);
            }

            /// The dependency failed.
            #[inline]
            pub fn failure(self, kind: Kind) {
                self.record(Outcome::failure(kind));
            }

            /// The call says nothing of the dependency.
            #[inline]
            pub fn neutral(self) {
                self.record(Outcome::Neutral);
            }

            /// The dependency asked to slow down, and perhaps said for how long.
            #[inline]
            pub fn pushback(self, retry_after: Option<Duration>) {
                self.record(Outcome::pushback(retry_after));
            }

            /// Settles with any outcome.
            #[inline]
            pub fn record(self, outcome: Outcome) {
                self.0.record(outcome);
            }

            /// Settles with any outcome, and tells more about it if it is a failure.
            pub fn record_with(mut self, outcome: Outcome, detail: &ErrorDetail) {
                self.0.settle(outcome, Some(detail));
            }

            /// Counts the call as slow while it still runs; does nothing unless calls are timed.
            pub fn mark_slow(&mut self) {
                self.0.mark_slow();
            }

            /// From how long on the call is slow (`slow_call_duration`); `None` if calls are not
            /// timed. Whoever holds the permit of a call that may hang calls
            /// [`mark_slow`](Self::mark_slow) then, so that it counts before it ends.
            pub fn slow_after(&self) -> Option<Duration> {
                self.0.breaker()?.slow_after()
            }

            /// How long the call may take (`timeout`), if that is bounded. A permit does not bound
            /// it: that is for its holder to do, as `call_async` does.
            pub fn timeout(&self) -> Option<Duration> {
                self.0.breaker()?.timeout()
            }

            /// Says that the call, which takes long, makes progress: as a probe it may hold its slot
            /// for `lease` from now. Does nothing for other calls.
            pub fn renew(&self, lease: Duration) {
                self.0.renew(lease);
            }

            /// The number of the phase the call was let through in.
            pub fn generation(&self) -> u64 {
                self.0.claim.generation()
            }

            /// Whether the call is a probe.
            pub fn is_probe(&self) -> bool {
                self.0.claim.is_probe()
            }
        }
    };
}
settles!(Permit<'_>);
settles!(OwnedPermit);

impl<'a> Permit<'a> {
    #[inline]
    pub(crate) fn new(breaker: &'a Inner, claim: Claim) -> Permit<'a> {
        Permit(Lent::new(breaker, claim))
    }
}

impl OwnedPermit {
    #[cfg(all(test, not(panelboard_loom)))]
    pub(crate) fn ticket(&self) -> panelboard_core::Ticket {
        self.0.claim.ticket()
    }

    pub(crate) fn new(breaker: Counted<Inner>, claim: Claim) -> OwnedPermit {
        OwnedPermit(Lent::new(breaker, claim))
    }
}

// ===== impl ErrorDetail =====

impl ErrorDetail {
    /// Nothing more.
    pub fn new() -> ErrorDetail {
        ErrorDetail::default()
    }

    /// HTTP status or the like.
    pub fn status(mut self, status: u16) -> ErrorDetail {
        self.status = Some(status);
        self
    }

    /// How long the call took.
    pub fn latency(mut self, latency: Duration) -> ErrorDetail {
        self.latency = Some(latency);
        self
    }

    /// What there is to say, without secrets; cut to 200 bytes.
    pub fn message(mut self, message: impl AsRef<str>) -> ErrorDetail {
        let message = message.as_ref();
        let end = (0..=message.len().min(200)).rev().find(|at| message.is_char_boundary(*at));
        self.message = Some(message[..end.unwrap_or(0)].into());
        self
    }

    /// The trace the call belongs to.
    pub fn trace_id(mut self, trace: impl Into<Arc<str>>) -> ErrorDetail {
        self.trace_id = Some(trace.into());
        self
    }

    pub(crate) fn to_error(&self, at: std::time::SystemTime, kind: Kind) -> LastError {
        let ErrorDetail { status, latency, message, trace_id } = self.clone();
        LastError { at, kind, status, latency, message, trace_id }
    }
}
