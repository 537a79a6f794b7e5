//! Routes.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use panelboard_core::Throttle;
use panelboard_core::retry_budget::BudgetSettings;

use super::pattern::{HostPattern, PathPattern};
use super::policies::{
    Balance, RouteBulkhead, RouteCache, RouteHedge, RouteLimit, RouteRetry, WhenOpen,
};
use super::upstream::TokenLimit;

/// Which requests go where. The first route that matches takes the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Its name, for logs and metrics; no other route has it.
    pub name: String,
    /// Which hosts; `None` for all.
    pub host: Option<HostPattern>,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; empty for all.
    pub methods: Vec<Method>,
    /// Which headers a request must have, with these values.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Where to, in this order; never empty, each is configured, none stands twice.
    pub upstreams: Vec<String>,
    /// The circuit that guards it; `None` for each upstream's own. See [`Route::circuit_for`].
    pub circuit: Option<String>,
    /// How long a request may take in all, over every upstream that is tried.
    pub deadline: Option<Duration>,
    /// What to answer when nothing is left.
    pub fallback: RouteFallback,
    /// Whether a request that is not idempotent and may have reached an upstream is sent to the
    /// next one all the same.
    pub failover_non_idempotent: bool,
    /// What is taken off the front of the path before the request goes on; without a slash at its
    /// end.
    pub strip_prefix: Option<String>,
    /// How large a request's body may be.
    pub max_body_bytes: Option<u64>,
    /// What happens when every circuit refuses.
    pub when_open: WhenOpen,
    /// Which upstream is asked first.
    pub balance: Balance,
    /// When a request is sent again.
    pub retry: Option<RouteRetry>,
    /// When a request that has no answer yet is sent a second time.
    pub hedge: Option<RouteHedge>,
    /// What pays for requests that are sent more than once.
    pub retry_budget: BudgetSettings,
    /// So many requests a period.
    pub rate_limit: Option<RouteLimit>,
    /// So many requests at once.
    pub bulkhead: Option<RouteBulkhead>,
    /// Refuses some requests while many fail.
    pub throttle: Option<Throttle>,
    /// Keeps good answers for when nothing else is left.
    pub cache: Option<RouteCache>,
    /// How many tokens requests on it may cost.
    pub token_limit: Option<TokenLimit>,
}

/// What to answer when nothing is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteFallback {
    /// What the circuit says, or else the fallback called `default`.
    Circuit,
    /// The fallback of this name, which exists.
    Named(String),
    /// An error in the API's own shape.
    ApiError,
}

impl Route {
    /// The circuit that guards requests to `upstream`: the route's, or the upstream's own, which
    /// has its name.
    pub fn circuit_for<'a>(&'a self, upstream: &'a str) -> &'a str {
        self.circuit.as_deref().unwrap_or(upstream)
    }

    /// Whether bodies that are not large are kept, so that they can be sent again or told from each
    /// other.
    pub fn keeps_bodies(&self) -> bool {
        self.retry.is_some()
            || self.hedge.is_some()
            || self.cache.as_ref().is_some_and(|cache| cache.methods.contains(&Method::POST))
    }

    /// Whether a request is taken. `host` is without its port, `path` without its query.
    pub fn matches(
        &self,
        host: Option<&str>,
        path: &str,
        method: &Method,
        headers: &HeaderMap,
    ) -> bool {
        self.path.matches(path)
            && (self.methods.is_empty() || self.methods.contains(method))
            && self.host.as_ref().is_none_or(|own| host.is_some_and(|host| own.matches(host)))
            && self
                .headers
                .iter()
                .all(|(name, value)| headers.get_all(name).iter().any(|v| v == value))
    }

    /// Whether every request that `other` would take is taken.
    pub(crate) fn covers(&self, other: &Route) -> bool {
        let hosts = match (&self.host, &other.host) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(ours), Some(theirs)) => ours.covers(theirs),
        };
        let methods = self.methods.is_empty()
            || !other.methods.is_empty()
                && other.methods.iter().all(|method| self.methods.contains(method));
        let headers = self.headers.iter().all(|header| other.headers.contains(header));
        hosts && methods && headers && self.path.covers(&other.path)
    }
}
