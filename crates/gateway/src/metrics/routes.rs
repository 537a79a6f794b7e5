//! What the policies of routes did.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The counters of all routes.
#[derive(Default)]
pub(super) struct Routes {
    cache: Family<ResultLabel, Counter>,
    failed_open: Family<RouteLabel, Counter>,
    rejected: Family<ReasonLabel, Counter>,
    retries: Family<RouteLabel, Counter>,
    given_up: Family<ReasonLabel, Counter>,
    hedges: Family<ResultLabel, Counter>,
    not_hedged: Family<ReasonLabel, Counter>,
}

/// The counters of one route.
#[derive(Clone)]
pub(crate) struct RouteCounts {
    route: Arc<str>,
    all: Arc<Routes>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    route: String,
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ResultLabel {
    route: String,
    result: &'static str,
}

impl Routes {
    pub(super) fn register(registry: &mut Registry) -> Arc<Routes> {
        let all = Routes::default();
        registry.register(
            "gateway_cache",
            "Answers of a route that were stored, given out (hit, stale), or wanted but not there",
            all.cache.clone(),
        );
        registry.register(
            "gateway_failed_open",
            "Requests sent although every circuit of their route refused",
            all.failed_open.clone(),
        );
        registry.register(
            "gateway_rejected",
            "Requests refused by a policy of their route, by which",
            all.rejected.clone(),
        );
        registry.register(
            "gateway_retries",
            "Times that the upstreams of a route were asked again",
            all.retries.clone(),
        );
        registry.register(
            "gateway_retries_given_up",
            "Requests not sent again although they had failed, by what was in the way",
            all.given_up.clone(),
        );
        registry.register(
            "gateway_hedges",
            "Requests sent a second time before the first had an answer, by what came of the second",
            all.hedges.clone(),
        );
        registry.register(
            "gateway_hedges_given_up",
            "Requests without an answer after the delay of their route's hedge that were not sent a \
             second time, by what was in the way",
            all.not_hedged.clone(),
        );
        Arc::new(all)
    }
}

impl RouteCounts {
    pub(super) fn new(route: &str, all: &Arc<Routes>) -> RouteCounts {
        RouteCounts { route: Arc::from(route), all: Arc::clone(all) }
    }

    pub(crate) fn cache(&self, result: &'static str) {
        let labels = ResultLabel { route: self.route.to_string(), result };
        self.all.cache.get_or_create(&labels).inc();
    }

    pub(crate) fn failed_open(&self) {
        self.count(&self.all.failed_open);
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        self.count_for(&self.all.rejected, reason);
    }

    pub(crate) fn retry(&self) {
        self.count(&self.all.retries);
    }

    pub(crate) fn retry_given_up(&self, reason: &'static str) {
        self.count_for(&self.all.given_up, reason);
    }

    pub(crate) fn hedge(&self, result: &'static str) {
        let label = ResultLabel { route: self.route.to_string(), result };
        self.all.hedges.get_or_create(&label).inc();
    }

    pub(crate) fn hedge_given_up(&self, reason: &'static str) {
        self.count_for(&self.all.not_hedged, reason);
    }

    fn count(&self, family: &Family<RouteLabel, Counter>) {
        family.get_or_create(&RouteLabel { route: self.route.to_string() }).inc();
    }

    fn count_for(&self, family: &Family<ReasonLabel, Counter>, reason: &'static str) {
        family.get_or_create(&ReasonLabel { route: self.route.to_string(), reason }).inc();
    }
}
