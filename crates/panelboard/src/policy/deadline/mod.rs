//! Deadline: the time by which the whole call must be over.
//!
//! A [`Deadline`] is a point in time that policies further in can ask for: a retry that would have
//! to wait past it gives up at once, and returns the error it has.
//!
//! # How it gets there
//! It travels with the poll, not with the request: a future that has a deadline sets it for its
//! thread while it is being polled, and puts back what was there before. So
//! [`Deadline::current`] answers within all that the future polls, under `select!` and `join!` as
//! well, on any runtime or none, and no request type has to carry it. Where deadlines nest, the
//! nearer one holds. See ADR 4.
//!
//! What is spawned is polled by itself and has no deadline, unless it is given one:
//! `tokio::spawn(deadline.scope(future))`.

#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod layer;
mod scope;

use std::time::Duration;

#[cfg(feature = "tower")]
pub use future::DeadlineFuture;
#[cfg(feature = "tower")]
pub use layer::{DeadlineLayer, DeadlineService};
#[cfg(feature = "tokio")]
pub use scope::Scoped;

use crate::{Clock, Tick};

/// A point in time, on a clock of its own, by which a call must be over.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::deadline::Deadline;
///
/// let deadline = Deadline::after(Duration::from_secs(2));
/// deadline.sync_scope(|| {
///     let left = Deadline::current().map(|deadline| deadline.remaining());
///     assert!(left.is_some_and(|left| left <= Duration::from_secs(2)));
/// });
/// assert!(Deadline::current().is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Deadline {
    at: Tick,
    by: By,
}

/// The clock it goes by.
#[derive(Clone, Debug)]
enum By {
    /// Tokio's, from this origin: a [`Clock`] of it would be allocated for each call.
    #[cfg(feature = "tokio")]
    Tokio(tokio::time::Instant),
    Clock(Clock),
}

impl By {
    fn now(&self) -> Tick {
        match self {
            #[cfg(feature = "tokio")]
            By::Tokio(origin) => Tick::ZERO.after(origin.elapsed()),
            By::Clock(clock) => clock.now(),
        }
    }
}

// ===== impl Deadline =====

impl Deadline {
    /// So long from now: by tokio's clock where there is one, else by
    /// [`Clock::precise`].
    pub fn after(budget: Duration) -> Deadline {
        #[cfg(feature = "tokio")]
        {
            #[expect(clippy::disallowed_methods, reason = "the clock that the timers follow")]
            let origin = tokio::time::Instant::now();
            Deadline { at: Tick::ZERO.after(budget), by: By::Tokio(origin) }
        }
        #[cfg(not(feature = "tokio"))]
        Deadline::after_on(Clock::precise(), budget)
    }

    /// So long from now by a clock of your choice.
    ///
    /// With [`DeadlineService`] and [`scope`](Self::scope) this had better be the clock that the
    /// timers follow, which is [`Clock::tokio`].
    pub fn after_on(clock: impl Into<Clock>, budget: Duration) -> Deadline {
        let by = By::Clock(clock.into());
        Deadline { at: by.now().after(budget), by }
    }

    /// The deadline of the call that is being polled, or that runs on this thread; the nearest one
    /// where there are several.
    pub fn current() -> Option<Deadline> {
        scope::current()
    }

    /// What is left; zero once it has passed.
    pub fn remaining(&self) -> Duration {
        self.at.until_from(self.by.now())
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Whether a wait of this length leaves any time at all for what is to come after it.
    pub fn fits(&self, wait: Duration) -> bool {
        wait < self.remaining()
    }

    /// The nearer of two.
    #[must_use]
    pub fn nearer(self, other: Deadline) -> Deadline {
        if other.is_nearer_than(&self) { other } else { self }
    }

    fn is_nearer_than(&self, other: &Deadline) -> bool {
        #[cfg(feature = "tokio")]
        if let (Some(this), Some(other)) = (self.instant(), other.instant()) {
            return this < other;
        }
        // Their clocks may differ in origin, so what is compared is the time left.
        self.remaining() < other.remaining()
    }

    /// The same point in time for tokio's timers, if it goes by their clock: read once, not again.
    #[cfg(feature = "tokio")]
    fn instant(&self) -> Option<tokio::time::Instant> {
        match self.by {
            By::Tokio(origin) => origin.checked_add(self.at.since(Tick::ZERO)),
            By::Clock(_) => None,
        }
    }

    /// Runs `call` with this deadline, or the nearer one that is already there.
    ///
    /// Nothing is stopped when it passes: nobody can stop a thread from outside. What asks for it,
    /// such as a retry, will begin nothing new.
    ///
    /// # Panics
    /// When `call` does.
    pub fn sync_scope<T>(&self, call: impl FnOnce() -> T) -> T {
        let _entered = scope::enter(self);
        call()
    }

    /// The future with this deadline, or the nearer one that is already there.
    ///
    /// It is not ended when the deadline passes; that is what [`DeadlineFuture`] does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use panelboard::policy::deadline::Deadline;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let deadline = Deadline::after(Duration::from_secs(2));
    /// let left = deadline.scope(async { Deadline::current().map(|deadline| deadline.remaining()) });
    /// assert!(left.await.is_some_and(|left| left <= Duration::from_secs(2)));
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub fn scope<F>(self, future: F) -> Scoped<F> {
        Scoped::new(self, future)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn left() -> Option<Duration> {
        Deadline::current().map(|deadline| deadline.remaining())
    }

    #[test]
    fn the_nearer_of_nested_deadlines_holds_and_what_was_there_comes_back() {
        let (near, far) = (ManualClock::new(), ManualClock::new());
        // Clocks with origins far apart.
        far.advance(secs(1_000));
        let near = Deadline::after_on(near, secs(1));
        let far = Deadline::after_on(far, secs(9));
        near.sync_scope(|| {
            assert_eq!(left(), Some(secs(1)));
            far.sync_scope(|| assert_eq!(left(), Some(secs(1)), "a later one changes nothing"));
        });
        far.sync_scope(|| {
            near.sync_scope(|| assert_eq!(left(), Some(secs(1))));
            assert_eq!(left(), Some(secs(9)));
        });
        assert_eq!(left(), None);
    }

    #[test]
    fn a_panic_takes_its_deadline_with_it() {
        let deadline = Deadline::after_on(ManualClock::new(), secs(1));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            deadline.sync_scope(|| panic!("callee"));
        }));
        assert!(panicked.is_err());
        assert_eq!(left(), None);
    }

    #[test]
    fn a_wait_fits_if_it_ends_before_the_deadline() {
        let clock = ManualClock::new();
        let deadline = Deadline::after_on(clock.clone(), secs(3));
        clock.advance(secs(1));
        assert_eq!(deadline.remaining(), secs(2));
        assert!(deadline.fits(Duration::from_millis(1_999)));
        assert!(!deadline.fits(secs(2)), "no time would be left for the call itself");
        clock.advance(secs(5));
        assert!(deadline.has_passed());
        assert!(!deadline.fits(Duration::ZERO));
        let never = Deadline::after_on(clock, Duration::MAX);
        assert!(never.fits(secs(1_000_000)), "it saturates");
    }
}
