//! Bulkhead: so many calls at once, so many more in a queue, the rest refused.
//!
//! Whoever waits is let in first come, first served, and nobody overtakes the queue. Who waits for
//! longer than `max_wait` leaves it. What a bulkhead refuses is never evidence against the
//! dependency.
//!
//! # Why not Tokio's semaphore
//! It is fair, too, and a good one. But waiting for it is a future without a name, which a tower
//! service would have to box; it cannot be waited for by a thread, so async and sync callers could
//! not share one bulkhead; and its queue has no bound. What decides here is
//! [`panelboard_core::bulkhead`]: one word while nobody waits, and a lock once somebody does.

#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod layer;
mod line;
#[cfg(feature = "tokio")]
mod wait;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use panelboard_core::bulkhead::Room;

#[cfg(feature = "tower")]
pub use future::BulkheadFuture;
#[cfg(feature = "tower")]
pub use layer::{BulkheadLayer, BulkheadService};
use line::{Came, Line};
#[cfg(feature = "tokio")]
pub use wait::Enter;

use crate::policy::deadline::Deadline;
use crate::policy::wait::unparker;
use crate::{Clock, Error, SettingsError};

/// A bulkhead: a cheap handle, to be cloned and shared. All clones count together, sync and async.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::Error;
/// use panelboard::policy::bulkhead::Bulkhead;
///
/// let bulkhead = Bulkhead::new(1)?;
/// let place = bulkhead.try_enter().unwrap();
/// assert_eq!(bulkhead.call(|| Ok::<_, ()>(1)), Err(Error::BulkheadFull));
/// drop(place);
/// assert_eq!(bulkhead.call(|| Ok::<_, ()>(1)), Ok(1));
///
/// // Ten at once, and up to a hundred that wait for no more than a second.
/// let patient = Bulkhead::with_queue(10, 100, Duration::from_secs(1))?;
/// assert_eq!(patient.max_concurrent(), 10);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct Bulkhead {
    line: Arc<Line>,
}

/// A place in a bulkhead, given back when it is dropped.
///
/// # Examples
/// ```
/// use panelboard::policy::bulkhead::Bulkhead;
///
/// let bulkhead = Bulkhead::new(1)?;
/// let place = bulkhead.try_enter().unwrap();
/// assert!(bulkhead.try_enter().is_err());
/// drop(place);
/// assert_eq!(bulkhead.running(), 0);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[must_use = "a place that is dropped is free again"]
#[derive(Debug)]
pub struct BulkheadPermit(#[expect(dead_code, reason = "held for its drop")] Seat<Arc<Line>>);

/// There was no place in the bulkhead, and none in its queue, or none came free in time.
///
/// # Examples
/// ```
/// use panelboard::{Error, policy::bulkhead::Bulkhead};
///
/// fn ask(bulkhead: &Bulkhead) -> Result<u32, Error<std::io::Error>> {
///     let _place = bulkhead.try_enter()?;
///     Ok(7)
/// }
/// let bulkhead = Bulkhead::new(1)?;
/// assert_eq!(ask(&bulkhead).unwrap(), 7);
/// let place = bulkhead.try_enter().unwrap();
/// assert!(matches!(ask(&bulkhead), Err(Error::BulkheadFull)));
/// # drop(place);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use = "a refused call must not be made"]
pub struct BulkheadFull;

/// A place in the room.
struct Seat<L: Deref<Target = Line>>(L);

/// A place in the queue, or in the room if it has been let in meanwhile.
struct Waiting<L: Deref<Target = Line>> {
    /// `None` once it is settled.
    line: Option<L>,
    number: u64,
}

/// A call that was not turned away.
enum Arrived<L: Deref<Target = Line>> {
    In(Seat<L>),
    Waits(Waiting<L>),
}

// ===== impl Bulkhead =====

impl Bulkhead {
    /// So many calls at once, and nobody waits.
    ///
    /// # Errors
    /// When `max_concurrent` is 0 or over a million.
    pub fn new(max_concurrent: u32) -> Result<Bulkhead, SettingsError> {
        Bulkhead::with_queue(max_concurrent, 0, Duration::ZERO)
    }

    /// So many calls at once, and so many more that wait, each for `max_wait` at most.
    ///
    /// # Errors
    /// When `max_concurrent` is 0, either number is over a million, or `max_wait` is under 1 ms or
    /// over a year.
    pub fn with_queue(
        max_concurrent: u32,
        max_queue: u32,
        max_wait: Duration,
    ) -> Result<Bulkhead, SettingsError> {
        let room = Room::new(max_concurrent, max_queue, max_wait)?;
        Ok(Bulkhead { line: Arc::new(Line::new(room)) })
    }

    /// Goes in if there is a place and nobody waits for it.
    ///
    /// # Errors
    /// When there is none.
    pub fn try_enter(&self) -> Result<BulkheadPermit, BulkheadFull> {
        match self.line.enter() {
            true => Ok(BulkheadPermit(Seat(Arc::clone(&self.line)))),
            false => Err(BulkheadFull),
        }
    }

    /// Goes in, or waits in the queue for up to `max_wait`.
    ///
    /// # Errors
    /// At once when the queue is full, and after `max_wait`.
    ///
    /// # Panics
    /// When it has to wait outside of a Tokio runtime with its timer enabled.
    ///
    /// # Cancel safety
    /// Its place in the queue is taken at the first poll. Dropping it gives back what it has.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use panelboard::policy::bulkhead::Bulkhead;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), panelboard::SettingsError> {
    /// let bulkhead = Bulkhead::with_queue(1, 10, Duration::from_secs(1))?;
    /// let place = bulkhead.enter().await.expect("there is room");
    /// assert_eq!(bulkhead.running(), 1);
    /// # drop(place);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub fn enter(&self) -> Enter {
        Enter::new(self.clone())
    }

    /// As `enter`, but blocks the thread; no longer than until the
    /// [deadline](crate::policy::deadline) of the call, if it has one.
    ///
    /// # Errors
    /// At once when the queue is full, and after `max_wait`.
    pub fn enter_blocking(&self) -> Result<BulkheadPermit, BulkheadFull> {
        enter_blocking(Arc::clone(&self.line)).map(BulkheadPermit)
    }

    /// Makes a call when there is a place, and blocks the thread for up to `max_wait` until there
    /// is; no longer than until the [deadline](crate::policy::deadline) of the call, if it has one.
    ///
    /// # Errors
    /// [`Error::BulkheadFull`] when there is none, [`Error::Inner`] when `call` fails.
    ///
    /// # Panics
    /// When `call` does; its place is free again.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>> {
        let _seat = self.sit()?;
        call().map_err(Error::Inner)
    }

    /// A place that is held no longer than this handle.
    pub(crate) fn sit(&self) -> Result<impl Sized, BulkheadFull> {
        enter_blocking(&*self.line)
    }

    #[cfg(feature = "tower")]
    pub(crate) fn room(&self) -> Room {
        self.line.room
    }

    /// Calls under way at most.
    pub fn max_concurrent(&self) -> u32 {
        self.line.room.max_concurrent()
    }

    /// Calls in the queue at most.
    pub fn max_queue(&self) -> u32 {
        self.line.room.max_queue()
    }

    /// How long a call waits at most.
    pub fn max_wait(&self) -> Duration {
        self.line.room.max_wait()
    }

    /// Calls under way.
    pub fn running(&self) -> u32 {
        self.line.occupancy().running
    }

    /// Calls in the queue.
    pub fn queued(&self) -> u32 {
        self.line.occupancy().queued
    }

    /// A [tower layer](BulkheadLayer) with this bulkhead.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> BulkheadLayer {
        BulkheadLayer::new(self.clone())
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("room", &self.line.room)
            .field("occupancy", &self.line.occupancy())
            .finish()
    }
}

// ===== impl Seat, Waiting =====

/// Goes in, or joins the queue.
fn come<L: Deref<Target = Line>>(
    line: L,
    waker: Option<Waker>,
) -> Result<Arrived<L>, BulkheadFull> {
    match line.come(waker) {
        Came::In => Ok(Arrived::In(Seat(line))),
        Came::Waits(number) => Ok(Arrived::Waits(Waiting { line: Some(line), number })),
        Came::Full => Err(BulkheadFull),
    }
}

/// Goes in, or blocks the thread for `max_wait`, or until the deadline if that is nearer.
fn enter_blocking<L: Deref<Target = Line>>(line: L) -> Result<Seat<L>, BulkheadFull> {
    if line.enter() {
        return Ok(Seat(line));
    }
    let max_wait = line.room.max_wait();
    let left = Deadline::current().map(|deadline| deadline.remaining());
    let max_wait = left.map_or(max_wait, |left| left.min(max_wait));
    let waker = unparker();
    let mut waiting = match come(line, Some(waker.clone()))? {
        Arrived::In(seat) => return Ok(seat),
        Arrived::Waits(waiting) => waiting,
    };
    let clock = Clock::precise();
    let end = clock.now().after(max_wait);
    loop {
        // A thread may be unparked by anybody, so being awake says nothing.
        if let Some(seat) = waiting.seat(&waker) {
            return Ok(seat);
        }
        let left = end.until_from(clock.now());
        if left.is_zero() {
            return Err(BulkheadFull);
        }
        std::thread::park_timeout(left);
    }
}

impl<L: Deref<Target = Line>> Waiting<L> {
    /// The place in the room, if it is there; else `waker` is woken when it is.
    fn seat(&mut self, waker: &Waker) -> Option<Seat<L>> {
        let is_in = self.line.as_ref().is_some_and(|line| line.is_in(self.number, waker));
        // Taken out, so that nothing is given up.
        if is_in { self.line.take().map(Seat) } else { None }
    }

    /// Leaves the queue, or the room if it has been let in meanwhile.
    fn give_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.give_up(self.number);
        }
    }
}

impl<L: Deref<Target = Line>> Drop for Waiting<L> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<L: Deref<Target = Line>> Drop for Seat<L> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<L: Deref<Target = Line>> fmt::Debug for Seat<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

// ===== impl BulkheadFull =====

impl<E> From<BulkheadFull> for Error<E> {
    fn from(BulkheadFull: BulkheadFull) -> Error<E> {
        Error::BulkheadFull
    }
}

impl fmt::Display for BulkheadFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many calls are under way (bulkhead)")
    }
}

impl std::error::Error for BulkheadFull {}
