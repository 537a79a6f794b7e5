//! What health probes found.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The counters of all upstreams.
pub(super) type Probes = Family<ProbeLabel, Counter>;

/// The counters of one upstream.
#[derive(Clone)]
pub(crate) struct ProbeCounts {
    upstream: String,
    all: Probes,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct ProbeLabel {
    upstream: String,
    result: &'static str,
}

pub(super) fn register(registry: &mut Registry) -> Probes {
    let all = Probes::default();
    let help = "Health probes sent to an upstream, by what they found";
    registry.register("health_probes", help, all.clone());
    all
}

impl ProbeCounts {
    pub(super) fn new(upstream: &str, all: &Probes) -> ProbeCounts {
        ProbeCounts { upstream: upstream.to_owned(), all: all.clone() }
    }

    pub(crate) fn count(&self, result: &'static str) {
        self.all.get_or_create(&ProbeLabel { upstream: self.upstream.clone(), result }).inc();
    }
}
