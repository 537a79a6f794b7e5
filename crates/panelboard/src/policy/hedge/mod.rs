//! Hedge: a call that takes long is made a second time, and the first answer wins.
//!
//! The second request goes out after a fixed delay, or after what most of the last calls took (a
//! percentile that is learned), unless
//!
//! - the request [must not be repeated](crate::policy::Repeat),
//! - the delay would leave no time before the [deadline](crate::policy::deadline),
//! - the [budget](crate::policy::retry_budget) is used up,
//! - the first has ended by then, also with an error: to try again after errors is
//!   [retry's](crate::policy::retry) business.
//!
//! While both are under way, the first usable answer is returned and the other call dropped. If one
//! of them fails, the other is waited for; if both do, the first call's error is returned.
//!
//! There is one hedge for a call. Dean and Barroso found that a second request takes almost all of
//! the tail away; further ones would mostly add load when the dependency is slow as a whole.
//!
//! # With a breaker
//! Hedge stands outside of it: both requests are asked for and counted. The one that is dropped was
//! cancelled, which is neutral (and slow, if it had passed the slow bound). If the breaker or
//! another policy refuses the second, the first goes on as if nothing had been tried.
//!
//! # What is learned
//! The time from the start of a call to its usable answer, whichever request gave it. When the
//! second did, the first is known to have taken longer than the delay only; since the delay is the
//! percentile itself, that is all the percentile depends on. Errors and dropped calls are not
//! counted: a dependency that fails fast is not a fast one.

mod builder;
mod future;
mod layer;
mod learned;
mod stats;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::HedgeBuilder;
pub use future::HedgeFuture;
pub use layer::{HedgeLayer, HedgeService};
pub use panelboard_core::hedge::HedgeSettings;
pub use stats::HedgeStats;

use learned::Learned;
use stats::Counters;

use crate::policy::deadline::Deadline;
use crate::policy::repeat::{Cloned, Repeat};
use crate::policy::retry_budget::RetryBudget;
use crate::{Clock, OkOrErr, Tick};

/// Makes calls that take long a second time: a cheap handle whose clones share budget, counters,
/// and what has been learned.
///
/// `Q` says [which requests may be repeated](crate::policy::Repeat), `C` what a result says of the
/// dependency ([`Classify`](crate::Classify)): failures and pushback are not usable, successes and
/// neutral results are.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::hedge::{Hedge, HedgeSettings};
///
/// let hedge = Hedge::new(HedgeSettings::after(Duration::from_millis(50))?);
/// assert_eq!(hedge.delay(), Some(Duration::from_millis(50)));
/// assert_eq!(hedge.stats().hedges(), 0);
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
pub struct Hedge<Q = Cloned, C = OkOrErr> {
    shared: Arc<Shared<Q, C>>,
}

struct Shared<Q, C> {
    settings: HedgeSettings,
    budget: Option<RetryBudget>,
    repeat: Q,
    classify: C,
    /// Tokio's, as the delay is waited for by its timer.
    clock: Clock,
    learned: Learned,
    counters: Counters,
}

// ===== impl Hedge =====

impl Hedge {
    /// Hedges every request, within the default budget.
    pub fn new(settings: HedgeSettings) -> Hedge {
        Hedge::builder(settings).build()
    }

    /// A policy that says more than when.
    pub fn builder(settings: HedgeSettings) -> HedgeBuilder {
        HedgeBuilder::new(settings)
    }
}

impl<Q, C> Hedge<Q, C> {
    /// When a call is made a second time.
    pub fn settings(&self) -> HedgeSettings {
        self.shared.settings
    }

    /// What pays for hedges, if anything limits them.
    pub fn budget(&self) -> Option<&RetryBudget> {
        self.shared.budget.as_ref()
    }

    /// What it has done so far.
    pub fn stats(&self) -> HedgeStats {
        self.shared.counters.read()
    }

    /// After how long a call is made a second time just now; `None` while that is being learned.
    pub fn delay(&self) -> Option<Duration> {
        self.shared.settings.delay(self.shared.learned.get())
    }

    /// Takes note of how long a usable answer took. The layer does that by itself; this is for those
    /// who make both requests on their own, and ask the policy only for its [`delay`](Hedge::delay).
    pub fn learn(&self, latency: Duration) {
        let Shared { settings, learned, .. } = &*self.shared;
        if settings.percentile().is_some() {
            learned.record(settings, latency);
        }
    }

    /// A call begins: it pays into the budget, whatever becomes of it.
    fn begin<Request>(&self, request: &Request) -> (Tick, Option<Request>)
    where
        Q: Repeat<Request>,
    {
        self.shared.counters.call();
        if let Some(budget) = &self.shared.budget {
            budget.deposit();
        }
        // While there is no delay to wait for, no copy is needed.
        let copy = self.delay().and_then(|_| self.shared.repeat.repeat(request));
        (self.shared.clock.now(), copy)
    }

    /// How long a call that began then is to be waited for before it is made a second time.
    fn wait(&self, began: Tick) -> Option<Duration> {
        let elapsed = self.shared.clock.now().since(began);
        let remaining = Deadline::current().map(|deadline| deadline.remaining());
        self.shared.settings.wait(self.shared.learned.get(), elapsed, remaining)
    }

    /// Whether a second request may be made now; it has been paid for if so.
    fn pay(&self) -> bool {
        let paid = self.shared.budget.as_ref().is_none_or(RetryBudget::withdraw);
        match paid {
            true => self.shared.counters.hedge(),
            false => self.shared.counters.budget_exhausted(),
        }
        paid
    }

    /// There is a usable answer.
    fn answered(&self, began: Tick, by_hedge: bool) {
        if by_hedge {
            self.shared.counters.win();
        }
        self.learn(self.shared.clock.now().since(began));
    }
}

impl<Q, C> Clone for Hedge<Q, C> {
    fn clone(&self) -> Hedge<Q, C> {
        Hedge { shared: Arc::clone(&self.shared) }
    }
}

impl<Q, C> fmt::Debug for Hedge<Q, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("settings", &self.shared.settings)
            .field("delay", &self.delay())
            .field("budget", &self.shared.budget)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
