//! The circuit breaker.

#[cfg(feature = "tokio")]
mod call;
mod cold;
mod dependencies;
mod gate;
mod health;
mod inner;
mod keep;
#[cfg(all(test, panelboard_loom))]
mod loom;
mod settle;
#[cfg(all(test, not(panelboard_loom)))]
mod tests;
mod view;
mod visit;
mod weigh;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tokio")]
pub use call::GuardedCall;
#[cfg(feature = "tower")]
pub(crate) use call::{Guarded, Judge};
pub(crate) use gate::{Above, Home, Members};
pub(crate) use inner::Inner;

use crate::classify::{Classify, OkOrErr};
use crate::clock::Clock;
use crate::event::{Bus, Order, Subscription};
#[cfg(feature = "tower")]
use crate::permit::Lent;
use crate::permit::{OwnedPermit, Permit};
#[cfg(feature = "tower")]
use crate::policy::circuit_breaker::CircuitBreakerLayer;
use crate::sync::counted::Counted;
use crate::{Command, Error, Name, PhaseName, Rejected, Settings, Snapshot};

/// A circuit breaker: a cheap handle, to be cloned and shared between threads and tasks.
///
/// A call that is let through while closed takes no lock and, as long as nothing fails, writes
/// nothing that another thread reads often. Whether a call is let through never waits for another
/// call, a subscriber or the network: while half-open or paced it takes a lock that is held for no
/// more than a transition.
///
/// # Limits
/// It knows what its callers tell it, one process at a time. What a call did before it was
/// cancelled it cannot know; a failure that nobody reports does not exist; and two breakers for
/// one dependency see half of it each.
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Error, Settings};
///
/// let breaker = CircuitBreaker::new("auth", Settings::builder().failure_threshold(2).build()?);
/// for _ in 0..2 {
///     let _ = breaker.call(|| Err::<(), _>("connection refused"));
/// }
/// // The dependency is left alone now, and the caller knows when to come back.
/// match breaker.call(|| Ok::<_, &str>("welcome")) {
///     Err(Error::Rejected(rejected)) => assert!(rejected.retry_after().as_secs() >= 4),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    pub(crate) inner: Counted<Inner>,
}

/// Puts a breaker together that needs more than a name and settings.
#[must_use]
pub struct Builder {
    name: Name,
    settings: Arc<Settings>,
    clock: Clock,
    seed: Option<u64>,
    bus: Option<Arc<Bus>>,
    dependencies: Vec<CircuitBreaker>,
    home: Option<Arc<Home>>,
}

// ===== impl CircuitBreaker =====

impl CircuitBreaker {
    /// A closed breaker.
    pub fn new(name: impl Into<Name>, settings: Settings) -> CircuitBreaker {
        CircuitBreaker::builder(name).settings(settings).build()
    }

    /// A breaker with a clock, a bus or a seed of your choice.
    pub fn builder(name: impl Into<Name>) -> Builder {
        Builder {
            name: name.into(),
            settings: Arc::default(),
            clock: Clock::default(),
            seed: None,
            bus: None,
            dependencies: Vec::new(),
            home: None,
        }
    }

    /// Makes a call, if the breaker lets it through: `Ok` counts as success, `Err` as failure.
    ///
    /// A `timeout` in the settings is not enforced here: nobody can stop a thread from outside.
    /// A sync callee must keep its own, and return an error.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the breaker refuses, [`Error::Inner`] when `call` fails.
    ///
    /// # Panics
    /// When `call` does; the panic counts as a failure.
    #[inline]
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>> {
        self.call_classified(call, OkOrErr)
    }

    /// As [`call`](Self::call), but `classify` says what the result means.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Panics
    /// When `call` or `classify` does; either counts as a failure.
    #[inline]
    pub fn call_classified<T, E>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
        classify: impl Classify<T, E>,
    ) -> Result<T, Error<E>> {
        let visit = match self.inner.admit_here() {
            Some(visit) => visit?,
            None => return self.call_slowly(call, classify),
        };
        let result = call();
        visit.record(classify.classify(&result));
        result.map_err(Error::Inner)
    }

    #[cold]
    #[expect(clippy::needless_pass_by_value, reason = "closures are handed over, not lent")]
    fn call_slowly<T, E>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
        classify: impl Classify<T, E>,
    ) -> Result<T, Error<E>> {
        let permit = self.try_acquire()?;
        let result = call();
        permit.record(classify.classify(&result));
        result.map_err(Error::Inner)
    }

    /// Makes an async call, if the breaker lets it through. Nothing happens before the first
    /// poll; it is then that the breaker is asked.
    ///
    /// The call is bounded by `timeout`, and counts as slow as soon as it passes
    /// `slow_call_duration`. Either needs a Tokio runtime with its timer; without them any
    /// executor will do.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the breaker refuses, [`Error::TimedOut`] after `timeout`,
    /// [`Error::Inner`] when the call fails.
    ///
    /// # Panics
    /// When polling the call does; the panic counts as a failure.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the call: that is neutral (and slow, if it had passed the slow
    /// bound), and a probe's slot comes back.
    ///
    /// # Examples
    /// ```
    /// # use panelboard::{CircuitBreaker, Settings};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let breaker = CircuitBreaker::new("search", Settings::default());
    /// let hits = breaker.call_async(async { Ok::<_, std::io::Error>(3) }).await;
    /// assert_eq!(hits.unwrap(), 3);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "tokio")]
    #[inline]
    pub fn call_async<F, T, E>(&self, call: F) -> GuardedCall<'_, F, OkOrErr>
    where
        F: Future<Output = Result<T, E>>,
    {
        GuardedCall::new(&self.inner, call, OkOrErr)
    }

    /// As [`call_async`](Self::call_async), but `classify` says what the result means.
    #[cfg(feature = "tokio")]
    #[inline]
    pub fn call_async_classified<F, C, T, E>(&self, call: F, classify: C) -> GuardedCall<'_, F, C>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        GuardedCall::new(&self.inner, call, classify)
    }

    /// Asks to make one call.
    ///
    /// # Errors
    /// When the breaker refuses. That costs no allocation.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        let claim = self.inner.admit(None)?;
        Ok(Permit::new(&self.inner, claim))
    }

    /// Asks to make one call that may take up to `lease`.
    ///
    /// A probe holds its slot for that long instead of for `timeout` and 2 s, or 30 s without a
    /// timeout; after that the slot is lent again, and the probe's result has no vote.
    ///
    /// # Errors
    /// When the breaker refuses.
    pub fn try_acquire_for(&self, lease: Duration) -> Result<Permit<'_>, Rejected> {
        let claim = self.inner.admit(Some(lease))?;
        Ok(Permit::new(&self.inner, claim))
    }

    /// As [`try_acquire`](Self::try_acquire), for a call that outlives this borrow; `lease` as in
    /// [`try_acquire_for`](Self::try_acquire_for).
    ///
    /// # Errors
    /// When the breaker refuses.
    pub fn try_acquire_owned(&self, lease: Option<Duration>) -> Result<OwnedPermit, Rejected> {
        let claim = self.inner.admit(lease)?;
        Ok(OwnedPermit::new(Counted::clone(&self.inner), claim))
    }

    /// A permit that takes this handle along.
    #[cfg(feature = "tower")]
    #[inline]
    pub(crate) fn into_lent(self) -> Result<Lent<Counted<Inner>>, Rejected> {
        let claim = self.inner.admit(None)?;
        Ok(Lent::new(self.inner, claim))
    }

    /// A [tower layer](crate::policy::circuit_breaker) that guards a service with this breaker.
    #[cfg(feature = "tower")]
    pub fn layer(&self) -> CircuitBreakerLayer {
        CircuitBreakerLayer::new(self.clone())
    }

    /// The name.
    pub fn name(&self) -> &Name {
        self.inner.name()
    }

    /// What it runs on.
    pub fn settings(&self) -> Settings {
        self.inner.cold.peek(|cold| *cold.settings)
    }

    /// The phase as calls last found it. Costs one load; unlike a snapshot it does not notice that
    /// an open phase has meanwhile come to its end.
    pub fn phase(&self) -> PhaseName {
        self.inner.face.load().phase()
    }

    /// What it looks like now. Looking changes nothing that the breaker decides.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.snapshot()
    }

    /// What it is doing, why, and what happens next.
    pub fn explain(&self) -> String {
        self.snapshot().explain()
    }

    /// Follows what happens to it, and to all breakers on the same bus, from now on.
    pub fn subscribe(&self) -> Subscription {
        self.inner.bus().subscribe()
    }

    /// Orders something.
    pub fn command(&self, command: Command) {
        self.inner.command(command, None);
    }

    /// Orders something, and says who does it and why.
    pub fn command_by(&self, command: Command, order: &Order) {
        self.inner.command(command, Some(order));
    }

    /// Runs on other settings from now on. Phase, generation and streak are kept, and so is the
    /// window if it looks back just as far (invariant B-9). Calls under way are not touched.
    pub fn reconfigure(&self, settings: Settings) {
        self.inner.reconfigure(Arc::new(settings));
    }

    /// Replaces what it depends on: these, and none that depend on it in turn.
    pub(crate) fn depend_on(&self, dependencies: impl IntoIterator<Item = CircuitBreaker>) {
        self.inner.depend_on(dependencies.into_iter().map(|breaker| breaker.inner).collect());
    }

    /// What it depends on, directly or not.
    pub(crate) fn dependencies(&self) -> Vec<CircuitBreaker> {
        let all = self.inner.dependencies();
        let each = all.iter().flat_map(|all| all.iter());
        each.map(|inner| CircuitBreaker { inner: Counted::clone(inner) }).collect()
    }

    /// Notices what time alone has brought about, as any call or look would, so that it is
    /// published even if nobody comes.
    pub fn look(&self) {
        self.inner.look();
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CircuitBreaker").field(self.name()).finish()
    }
}

// ===== impl Builder =====

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Builder {
    /// What it runs on. Default: [`Settings::default`].
    pub fn settings(mut self, settings: Settings) -> Builder {
        self.settings = Arc::new(settings);
        self
    }

    /// Where its time comes from. Default: [`Clock::coarse`].
    pub fn clock(mut self, clock: impl Into<Clock>) -> Builder {
        self.clock = clock.into();
        self
    }

    /// What its jitter is drawn from. Default: a random number.
    pub fn seed(mut self, seed: u64) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// Where it publishes what happens to it. Default: a bus of its own.
    pub fn bus(mut self, bus: Arc<Bus>) -> Builder {
        self.bus = Some(bus);
        self
    }

    /// What it depends on: while one of these is open (or one that they depend on by now), its
    /// failures are excused and its recovery waits. Default: nothing.
    ///
    /// A breaker can depend only on breakers that are there already, so there are no circles.
    ///
    /// # Examples
    /// ```
    /// use panelboard::{CircuitBreaker, Command, Settings};
    ///
    /// let database = CircuitBreaker::new("database", Settings::default());
    /// let users = CircuitBreaker::builder("users").depends_on([&database]).build();
    /// database.command(Command::Trip);
    /// for _ in 0..100 {
    ///     let _ = users.call(|| Err::<(), _>("no connection to the database"));
    /// }
    /// assert_eq!(users.snapshot().counters.excused, 100);
    /// ```
    pub fn depends_on<'a>(
        mut self,
        dependencies: impl IntoIterator<Item = &'a CircuitBreaker>,
    ) -> Builder {
        for breaker in dependencies {
            for each in std::iter::once(breaker.clone()).chain(breaker.dependencies()) {
                if !self.dependencies.iter().any(|known| Counted::ptr_eq(&known.inner, &each.inner))
                {
                    self.dependencies.push(each);
                }
            }
        }
        self
    }

    /// As [`settings`](Self::settings), shared with other breakers.
    pub(crate) fn shared_settings(mut self, settings: Arc<Settings>) -> Builder {
        self.settings = settings;
        self
    }

    /// Where it belongs, its bus included.
    pub(crate) fn home(mut self, home: Arc<Home>) -> Builder {
        self.home = Some(home);
        self
    }

    /// The breaker.
    pub fn build(self) -> CircuitBreaker {
        let Builder { name, settings, clock, seed, bus, home, dependencies } = self;
        // std's hasher is keyed at random, once a process.
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(&*name));
        let home = home.unwrap_or_else(|| {
            let bus = bus.unwrap_or_else(|| Bus::with_capacity(100));
            Arc::new(Home { bus, above: None })
        });
        let inner = Counted::new(Inner::new(name, settings, clock, seed, home));
        let breaker = CircuitBreaker { inner };
        if !dependencies.is_empty() {
            breaker.depend_on(dependencies);
        }
        breaker
    }
}
