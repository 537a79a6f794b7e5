//! What is counted, for Prometheus.
//!
//! Circuits are not counted twice: at a scrape their snapshots are read, by the collector in
//! `circuits`. Only what the gateway alone knows is counted here.

mod circuits;
mod plain;
mod probes;
mod routes;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use panelboard::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

pub(crate) use self::probes::ProbeCounts;
use self::probes::Probes;
pub(crate) use self::routes::RouteCounts;
use self::routes::Routes;
use crate::proxy::End;

/// Bounds of the call duration histogram, in seconds: from a cache to a slow model.
const BOUNDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// What the gateway counts.
pub(crate) struct Metrics {
    registry: prometheus_client::registry::Registry,
    requests: Family<RequestLabels, Counter>,
    fallbacks: Family<NameLabel, Counter>,
    tunnels: Family<TunnelLabels, Gauge>,
    tunnels_ended: Family<TunnelEndLabels, Counter>,
    durations: Family<CircuitLabel, Histogram, fn() -> Histogram>,
    routes: Arc<Routes>,
    probes: Probes,
    first_tokens: Family<CircuitLabel, Histogram, fn() -> Histogram>,
    tokens: Family<TokenLabels, Counter>,
    reload_successful: Gauge<i64>,
    reloaded_at: Gauge<f64, AtomicU64>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct NameLabel {
    name: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CircuitLabel {
    circuit: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TunnelLabels {
    route: String,
    circuit: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TunnelEndLabels {
    route: String,
    circuit: String,
    end: &'static str,
}

/// An upgraded connection, counted as open until it is dropped.
pub(crate) struct OpenTunnel {
    open: Gauge,
    ended: Family<TunnelEndLabels, Counter>,
    labels: TunnelLabels,
}

impl OpenTunnel {
    /// It has ended in this way.
    pub(crate) fn ended(self, end: End) {
        let TunnelLabels { route, circuit } = self.labels.clone();
        let labels = TunnelEndLabels { route, circuit, end: end.name() };
        self.ended.get_or_create(&labels).inc();
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.open.dec();
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TokenLabels {
    upstream: String,
    direction: &'static str,
}

/// The tokens that one upstream has taken and given.
#[derive(Clone)]
pub(crate) struct TokenCounts {
    input: Counter,
    output: Counter,
}

impl TokenCounts {
    pub(crate) fn add(&self, input: Option<u64>, output: Option<u64>) {
        self.input.inc_by(input.unwrap_or(0));
        self.output.inc_by(output.unwrap_or(0));
    }
}

/// How long the calls of one circuit took.
#[derive(Clone)]
pub(crate) struct CallTimes(Arc<Histogram>);

impl CallTimes {
    pub(crate) fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

impl Metrics {
    pub(crate) fn new(circuits: Registry) -> Metrics {
        let mut registry = prometheus_client::registry::Registry::with_prefix("panelboard");
        let requests = Family::default();
        let fallbacks = Family::default();
        let tunnels = Family::default();
        let tunnels_ended = Family::default();
        let durations: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BOUNDS));
        let routes = Routes::register(&mut registry);
        let probes = probes::register(&mut registry);
        let first_tokens: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BOUNDS));
        let tokens = Family::default();
        let reload_successful = Gauge::default();
        let reloaded_at = Gauge::default();
        registry.register(
            "gateway_requests",
            "Requests answered, by route (empty for none) and status",
            Family::clone(&requests),
        );
        registry.register(
            "fallbacks",
            "Answers given in the upstream's place, by the fallback's name",
            Family::clone(&fallbacks),
        );
        registry.register(
            "gateway_tunnels",
            "Upgraded connections (WebSocket and others) that are open, by route and circuit",
            Family::clone(&tunnels),
        );
        registry.register(
            "gateway_tunnels_ended",
            "Upgraded connections that have ended, by route, circuit and how",
            Family::clone(&tunnels_ended),
        );
        registry.register(
            "circuit_call_duration_seconds",
            "How long guarded calls took, to the end of the answer",
            Family::clone(&durations),
        );
        registry.register(
            "gateway_first_token_seconds",
            "How long streams of LLM upstreams took to bring their first token",
            Family::clone(&first_tokens),
        );
        registry.register(
            "gateway_tokens",
            "Tokens of prompts (input) and answers (output), as LLM upstreams tell them",
            Family::clone(&tokens),
        );
        registry.register(
            "config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded",
            Gauge::clone(&reload_successful),
        );
        registry.register(
            "config_last_reload_success_timestamp_seconds",
            "When a configuration was last loaded with success",
            Gauge::clone(&reloaded_at),
        );
        registry.register(
            "build",
            "The running version",
            prometheus_client::metrics::info::Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_collector(Box::new(circuits::Circuits::new(circuits)));
        Metrics {
            registry,
            requests,
            fallbacks,
            tunnels,
            tunnels_ended,
            durations,
            routes,
            probes,
            first_tokens,
            tokens,
            reload_successful,
            reloaded_at,
        }
    }

    pub(crate) fn call_times(&self, circuit: &str) -> CallTimes {
        let label = CircuitLabel { circuit: circuit.to_owned() };
        CallTimes(Arc::new(self.durations.get_or_create_owned(&label)))
    }

    /// The counters of one route's policies.
    pub(crate) fn route(&self, name: &str) -> RouteCounts {
        RouteCounts::new(name, &self.routes)
    }

    /// The counters of one upstream's probes.
    pub(crate) fn probes(&self, upstream: &str) -> ProbeCounts {
        ProbeCounts::new(upstream, &self.probes)
    }

    pub(crate) fn first_tokens(&self, circuit: &str) -> CallTimes {
        let label = CircuitLabel { circuit: circuit.to_owned() };
        CallTimes(Arc::new(self.first_tokens.get_or_create_owned(&label)))
    }

    pub(crate) fn tokens(&self, upstream: &str) -> TokenCounts {
        let count = |direction| {
            let upstream = upstream.to_owned();
            self.tokens.get_or_create_owned(&TokenLabels { upstream, direction })
        };
        TokenCounts { input: count("input"), output: count("output") }
    }

    /// A circuit is no longer configured. Calls under way still have theirs to observe with.
    pub(crate) fn forget(&self, circuit: &str) {
        let label = CircuitLabel { circuit: circuit.to_owned() };
        self.durations.remove(&label);
        self.first_tokens.remove(&label);
    }

    pub(crate) fn count_request(&self, route: &str, status: StatusCode) {
        let labels = RequestLabels { route: route.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn count_fallback(&self, name: &str) {
        self.fallbacks.get_or_create(&NameLabel { name: name.to_owned() }).inc();
    }

    /// Takes note of an upgraded connection.
    pub(crate) fn tunnel(&self, route: &str, circuit: &str) -> OpenTunnel {
        let labels = TunnelLabels { route: route.to_owned(), circuit: circuit.to_owned() };
        let open = self.tunnels.get_or_create_owned(&labels);
        open.inc();
        OpenTunnel { open, ended: Family::clone(&self.tunnels_ended), labels }
    }

    /// Takes note of an attempt to load the configuration.
    #[expect(clippy::disallowed_methods, reason = "a timestamp metric is by the wall clock")]
    pub(crate) fn reloaded(&self, successful: bool) {
        self.reload_successful.set(successful.into());
        if successful {
            let now = std::time::SystemTime::now();
            let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            self.reloaded_at.set(since.as_secs_f64());
        }
    }

    /// The text exposition format (`OpenMetrics`).
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// The text format before that.
    pub(crate) fn plain_text(&self) -> String {
        plain::plain(&self.text())
    }
}
