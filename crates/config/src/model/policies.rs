//! What a route does besides sending a request on.

use std::time::Duration;

use http::{HeaderName, Method};
use panelboard_core::Kind;
use panelboard_core::hedge::HedgeSettings;
use panelboard_core::retry::RetrySettings;

/// What happens to a request when every circuit of its route refuses.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum WhenOpen {
    /// It gets the fallback.
    FailClosed,
    /// It goes through all the same.
    FailOpen,
    /// It waits until one lets it through, or to the route's deadline.
    Wait {
        /// How many may wait.
        max_waiting: u32,
    },
}

/// Which upstream of a route is asked first.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Balance {
    /// The first of the list: the others are its fallbacks.
    FirstAvailable,
    /// Each in turn.
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastPending,
}

/// When a request is sent again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteRetry {
    /// How often, and with what waits in between.
    pub settings: RetrySettings,
    /// After what.
    pub on: Vec<RetryOn>,
    /// Whether also requests that are not idempotent and may have reached an upstream.
    pub non_idempotent: bool,
}

/// When a request that has no answer yet is sent a second time.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RouteHedge {
    /// After how long.
    pub settings: HedgeSettings,
    /// Whether also requests that are not idempotent.
    pub non_idempotent: bool,
}

/// What a request may be sent again after.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum RetryOn {
    /// A failure of this kind.
    Failure(Kind),
    /// The upstream asked to slow down.
    Pushback,
    /// Every circuit refused.
    Refused,
}

/// So many requests a period.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteLimit {
    /// How many.
    pub rate: u32,
    /// In which time.
    pub per: Duration,
    /// How many at once after a pause.
    pub burst: u32,
    /// Who shares one limit.
    pub by: LimitBy,
    /// How many clients, or values of the header, are told apart.
    pub max_clients: u32,
}

/// Who shares a rate limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LimitBy {
    /// All requests of the route.
    Route,
    /// Those of one client's address; of IPv6, of one network of 64 bits.
    Client,
    /// Those with the same value of this header.
    Header(HeaderName),
}

/// So many requests at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteBulkhead {
    /// How many.
    pub max_concurrent: u32,
    /// How many more may wait.
    pub max_waiting: u32,
    /// For how long.
    pub max_wait: Duration,
}

/// Answers that are kept for when nothing else is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteCache {
    /// How long one is given out without asking an upstream.
    pub ttl: Duration,
    /// For how long after that one may stand in.
    pub stale_if_error: Duration,
    /// How many are kept.
    pub max_entries: u32,
    /// How large all of them may be together.
    pub max_bytes: u64,
    /// How large the body of one may be; not more than that.
    pub max_body: u64,
    /// Answers to which methods: `GET`, `POST`, or both.
    pub methods: Vec<Method>,
    /// Headers of the request that an answer depends on, whatever it says.
    pub vary: Vec<HeaderName>,
}

impl RetryOn {
    /// How many there are.
    pub(crate) const COUNT: usize = Kind::COUNT + 2;

    /// Every one, and its name in config.
    pub(crate) const ALL: [(&'static str, RetryOn); RetryOn::COUNT] = {
        let mut all = [("refused", RetryOn::Refused); RetryOn::COUNT];
        let mut i = 0;
        while i < Kind::COUNT {
            all[i] = (Kind::ALL[i].name(), RetryOn::Failure(Kind::ALL[i]));
            i += 1;
        }
        all[i] = ("pushback", RetryOn::Pushback);
        all
    };
}
