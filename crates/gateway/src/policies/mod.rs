//! What a route does besides sending a request on: the state of its policies.
//!
//! They outlive a reload as long as their settings stay the same, so that a change elsewhere in the
//! file gives nobody a fresh allowance.

mod balance;
pub(crate) mod cache;
mod digest;
mod limit;
mod pending;
mod shed;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use panelboard::Clock;
use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::hedge::Hedge;
use panelboard::policy::retry_budget::RetryBudget;
use panelboard_config::{Route, RouteBulkhead, WhenOpen};
use panelboard_core::backoff::mix;
use tokio::sync::Semaphore;

pub(crate) use self::balance::Turns;
use self::cache::Cache;
pub(crate) use self::limit::Limiter;
pub(crate) use self::pending::{Pending, UnderWay};
pub(crate) use self::shed::Shed;
use crate::metrics::RouteCounts;

/// The policies of one route.
pub(crate) struct Policies {
    pub(crate) counts: RouteCounts,
    /// Room to wait in until a circuit lets a request through.
    pub(crate) waiting: Option<Arc<Semaphore>>,
    /// After how long a request without an answer is sent a second time.
    pub(crate) hedge: Option<Hedge>,
    /// What pays for requests that are sent more than once, where some are.
    pub(crate) budget: Option<RetryBudget>,
    pub(crate) limit: Option<Arc<Limiter>>,
    pub(crate) shed: Option<Arc<Shed>>,
    pub(crate) bulkhead: Option<Bulkhead>,
    /// Good answers, for when nothing else is left.
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) turns: Turns,
    draws: AtomicU64,
}

impl Policies {
    /// What `route` asks for; of `before`, the route and its policies before a reload, whatever is
    /// still the same. `same_upstreams` says whether those before it are.
    pub(crate) fn new(
        route: &Route,
        counts: RouteCounts,
        before: Option<(&Route, &Policies)>,
        same_upstreams: bool,
    ) -> Policies {
        let before = Before(before);
        let waiting = match route.when_open {
            WhenOpen::Wait { max_waiting } => before
                .same(route, |route| &route.when_open)
                .map_or(Some(Arc::new(Semaphore::new(max_waiting as usize))), |known| {
                    known.waiting.clone()
                }),
            WhenOpen::FailClosed | WhenOpen::FailOpen => None,
        };
        let hedge = match before.same(route, |route| &route.hedge) {
            Some(known) => known.hedge.clone(),
            // It is the route's budget that pays.
            None => route.hedge.map(|hedge| Hedge::builder(hedge.settings).budget(None).build()),
        };
        let repeats = route.retry.is_some() || route.hedge.is_some();
        let budget = repeats.then(|| {
            let known = before.same(route, |route| &route.retry_budget);
            let known = known.and_then(|known| known.budget.clone());
            known.unwrap_or_else(|| RetryBudget::new(route.retry_budget))
        });
        let limit = match before.same(route, |route| &route.rate_limit) {
            Some(known) => known.limit.clone(),
            None => route.rate_limit.as_ref().and_then(Limiter::new).map(Arc::new),
        };
        let shed = match before.same(route, |route| &route.throttle) {
            Some(known) => known.shed.clone(),
            None => route.throttle.map(|throttle| Arc::new(Shed::new(throttle, seed()))),
        };
        let bulkhead = match before.same(route, |route| &route.bulkhead) {
            Some(known) => known.bulkhead.clone(),
            None => route.bulkhead.as_ref().and_then(bulkhead),
        };
        // What another upstream said, or to another request, is no answer.
        let cache = match before.same(route, |route| route).filter(|_| same_upstreams) {
            Some(known) => known.cache.clone(),
            None => {
                let settings = route.cache.clone();
                settings.map(|settings| Arc::new(Cache::new(settings, Clock::precise())))
            }
        };
        let (turns, draws) = (Turns::default(), AtomicU64::new(seed()));
        Policies { counts, waiting, hedge, budget, limit, shed, bulkhead, cache, turns, draws }
    }

    /// Whether a request may be sent once more; it has been paid for if so.
    pub(crate) fn pay(&self) -> bool {
        self.budget.as_ref().is_none_or(RetryBudget::withdraw)
    }

    /// A number drawn evenly.
    pub(crate) fn draw(&self) -> u64 {
        // Relaxed: each draw has another number, and that is all.
        mix(self.draws.fetch_add(1, Ordering::Relaxed))
    }
}

/// `None` for numbers that no bulkhead has, which configuration does not let through.
fn bulkhead(settings: &RouteBulkhead) -> Option<Bulkhead> {
    let RouteBulkhead { max_concurrent, max_waiting, max_wait } = *settings;
    Bulkhead::with_queue(max_concurrent, max_waiting, max_wait).ok()
}

/// Instances do not draw alike.
fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// The route before a reload, if there was one of its name, and its policies.
#[derive(Copy, Clone)]
struct Before<'a>(Option<(&'a Route, &'a Policies)>);

impl<'a> Before<'a> {
    /// The policies before, if this setting of the route is as it was.
    fn same<T: PartialEq>(
        self,
        route: &Route,
        setting: impl Fn(&Route) -> &T,
    ) -> Option<&'a Policies> {
        self.0.filter(|(old, _)| setting(old) == setting(route)).map(|(_, policies)| policies)
    }
}
