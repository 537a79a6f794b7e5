//! What one configuration comes down to: routes, upstreams and circuits, ready for requests.
//!
//! A request takes the runtime of the moment it arrives and keeps it to its end, so a reload
//! changes nothing under it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use panelboard::event::Subscription;
use panelboard::{CircuitBreaker, Family, Registry};
use panelboard_config::{Config, KeyPart, Route, Secrets, UpstreamKind};

use crate::front::Front;
use crate::llm::TokenLimit;
use crate::metrics::{CallTimes, Metrics, TokenCounts};
use crate::policies::Policies;
use crate::upstream::{Client, ClientError};

/// What one configuration comes down to.
pub(crate) struct Runtime {
    pub(crate) config: Config,
    routes: Vec<Arc<Plan>>,
    clients: BTreeMap<String, Arc<Client>>,
    fronts: BTreeMap<SocketAddr, Arc<Front>>,
}

/// A route with everything a request on it needs.
pub(crate) struct Plan {
    pub(crate) route: Route,
    /// The upstreams, in order.
    pub(crate) targets: Vec<Target>,
    /// Whether the body is read to find the model, and whether a stream is wanted.
    pub(crate) reads_body: bool,
    pub(crate) policies: Policies,
    /// How many tokens its requests may cost.
    pub(crate) tokens: Option<TokenLimit>,
}

/// One upstream of a route.
pub(crate) struct Target {
    pub(crate) client: Arc<Client>,
    /// The name of the circuit, or of the family of circuits.
    pub(crate) circuit: String,
    pub(crate) times: CallTimes,
    /// If it is a language model.
    pub(crate) llm: Option<LlmMetrics>,
    source: Source,
}

/// A circuit that recovers by what probes of an upstream find.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Guarded {
    circuit: String,
    /// Of a family: which part of the key is the upstream.
    part: Option<usize>,
    upstream: String,
}

impl Guarded {
    /// Its breakers, of a family those of this upstream.
    pub(crate) fn breakers(&self, registry: &Registry) -> Vec<CircuitBreaker> {
        let Some(family) = registry.family(&self.circuit) else {
            return registry.get(&self.circuit).into_iter().collect();
        };
        let own = |breaker: &CircuitBreaker| {
            let key = breaker.name().strip_prefix(&*self.circuit).and_then(|k| k.strip_prefix('/'));
            match self.part {
                // In names, a slash within a part is written so.
                Some(part) => key.is_some_and(|key| {
                    key.split('/').nth(part) == Some(&*self.upstream.replace('/', "%2F"))
                }),
                None => true,
            }
        };
        family.breakers().into_iter().filter(own).collect()
    }
}

/// What is measured of a language model besides.
pub(crate) struct LlmMetrics {
    pub(crate) first_tokens: CallTimes,
    pub(crate) tokens: TokenCounts,
}

/// Where the breaker of a request comes from.
enum Source {
    One { breaker: CircuitBreaker, header: Option<HeaderValue> },
    Keyed { family: Family, key: Vec<KeyPart> },
}

impl Runtime {
    /// Puts a configuration to work, circuits included. Upstreams that have not changed since
    /// `before` keep their connections.
    ///
    /// # Errors
    /// When an upstream cannot be served; then no circuit has been touched.
    pub(crate) fn new(
        config: Config,
        secrets: &Secrets,
        registry: &Registry,
        metrics: &Metrics,
        before: Option<&Runtime>,
    ) -> Result<Runtime, ClientError> {
        let mut clients = BTreeMap::new();
        for (name, upstream) in config.upstreams() {
            let secret = upstream.auth.as_ref().and_then(|auth| secrets.get(&auth.value));
            let known = before.and_then(|before| before.clients.get(name));
            let client = match known.filter(|client| client.serves(upstream, secret)) {
                Some(client) => Arc::clone(client),
                None => Arc::new(Client::new(name, upstream.clone(), secret)?),
            };
            clients.insert(name.clone(), client);
        }
        let mut fronts = BTreeMap::new();
        for listener in &config.gateway().listen {
            let known = before.and_then(|before| before.fronts.get(&listener.address));
            let front = match known.filter(|front| front.serves(listener)) {
                Some(front) => Arc::clone(front),
                None => Arc::new(
                    Front::new(listener)
                        .map_err(|error| ClientError::listener(listener.address, &error))?,
                ),
            };
            fronts.insert(listener.address, front);
        }
        // From here on nothing can fail, so circuits change only if routes do.
        registry.apply(&config);
        let routes = config
            .routes()
            .iter()
            .map(|route| {
                let known = before.and_then(|before| before.plan(&route.name));
                Arc::new(plan(route, &config, &clients, registry, metrics, known))
            })
            .collect();
        Ok(Runtime { config, routes, clients, fronts })
    }

    /// Looks whether certificates have changed.
    pub(crate) fn look_at_certificates(&self) {
        for client in self.clients.values() {
            client.look();
        }
        for front in self.fronts.values() {
            front.look();
        }
    }

    /// What the listener of this address meets its clients with.
    pub(crate) fn front(&self, address: SocketAddr) -> Option<&Arc<Front>> {
        self.fronts.get(&address)
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.clients.values()
    }

    /// The circuits that recover by what probes of this upstream find.
    pub(crate) fn guarded(&self, upstream: &str) -> Vec<Guarded> {
        let mut guarded = Vec::new();
        for plan in
            self.routes.iter().filter(|plan| plan.route.upstreams.iter().any(|u| u == upstream))
        {
            let name = plan.route.circuit_for(upstream);
            let Some(circuit) = self.config.circuit(name) else { continue };
            // It has one if nothing else than probed upstreams is behind it.
            if circuit.settings.health_check().is_none() {
                continue;
            }
            let part = circuit.key.iter().position(|part| *part == KeyPart::Upstream);
            let one = Guarded { circuit: name.to_owned(), part, upstream: upstream.to_owned() };
            if !guarded.contains(&one) {
                guarded.push(one);
            }
        }
        guarded
    }

    /// The route of this name.
    fn plan(&self, name: &str) -> Option<&Plan> {
        self.routes.iter().map(|plan| &**plan).find(|plan| plan.route.name == name)
    }

    /// The route that takes a request.
    pub(crate) fn route(
        &self,
        host: Option<&str>,
        head: &http::request::Parts,
    ) -> Option<&Arc<Plan>> {
        let path = head.uri.path();
        self.routes.iter().find(|plan| plan.route.matches(host, path, &head.method, &head.headers))
    }
}

fn plan(
    route: &Route,
    config: &Config,
    clients: &BTreeMap<String, Arc<Client>>,
    registry: &Registry,
    metrics: &Metrics,
    before: Option<&Plan>,
) -> Plan {
    let targets: Vec<Target> = route
        .upstreams
        .iter()
        .filter_map(|name| clients.get(name))
        .map(|client| {
            let circuit = route.circuit_for(client.name());
            Target {
                client: Arc::clone(client),
                circuit: circuit.to_owned(),
                times: metrics.call_times(circuit),
                llm: client.kind().is_llm().then(|| LlmMetrics {
                    first_tokens: metrics.first_tokens(circuit),
                    tokens: metrics.tokens(client.name()),
                }),
                source: Source::of(circuit, config, registry),
            }
        })
        .collect();
    let by_model = targets.iter().any(|target| match &target.source {
        Source::Keyed { key, .. } => key.contains(&KeyPart::Model),
        Source::One { .. } => false,
    });
    let asked_for = targets
        .iter()
        .any(|target| target.client.kind().is_llm() || target.client.renames_models());
    let counts = metrics.route(&route.name);
    let same_upstreams = before.is_some_and(|before| {
        let clients = |targets: &[Target]| -> Vec<_> {
            targets.iter().map(|target| Arc::as_ptr(&target.client)).collect()
        };
        clients(&before.targets) == clients(&targets)
    });
    let limited = route.token_limit.is_some()
        || targets.iter().any(|target| target.client.tokens().is_some());
    let reads_body = by_model || asked_for || limited;
    let tokens = tokens(route, before);
    let before = before.map(|plan| (&plan.route, &plan.policies));
    let policies = Policies::new(route, counts, before, same_upstreams);
    Plan { route: route.clone(), targets, reads_body, policies, tokens }
}

/// The limit of a route, which keeps its count over a reload if it is the same.
fn tokens(route: &Route, before: Option<&Plan>) -> Option<TokenLimit> {
    let configured = route.token_limit?;
    let known = before.and_then(|plan| plan.tokens.clone());
    known.filter(|limit| limit.is(configured)).or_else(|| TokenLimit::new(configured))
}

impl Plan {
    /// The API that clients of this route speak where the path does not tell: that of the first
    /// upstream that is a language model.
    pub(crate) fn kind(&self) -> UpstreamKind {
        let kinds = self.targets.iter().map(|target| target.client.kind());
        kinds.into_iter().find(|kind| kind.is_llm()).unwrap_or(UpstreamKind::Http)
    }
}

impl Source {
    fn of(name: &str, config: &Config, registry: &Registry) -> Source {
        match config.circuit(name) {
            Some(circuit) if circuit.is_family() => {
                let family = registry.keyed_up_to(name, circuit.max_keys as usize);
                // It may be one from before a reload.
                family.set_max_keys(circuit.max_keys as usize);
                Source::Keyed { family, key: circuit.key.clone() }
            }
            _ => {
                let breaker = registry.breaker(name);
                let header = HeaderValue::from_str(name).ok();
                Source::One { breaker, header }
            }
        }
    }
}

impl Target {
    /// What happens to circuits from now on.
    pub(crate) fn events(&self) -> Subscription {
        match &self.source {
            Source::One { breaker, .. } => breaker.subscribe(),
            Source::Keyed { family, .. } => family.parent().subscribe(),
        }
    }

    /// Takes note of how long a stream has taken to bring its first token.
    pub(crate) fn saw_first_token(&self, after: Duration) {
        if let Some(llm) = &self.llm {
            llm.first_tokens.observe(after);
        }
    }

    /// Whether this is its circuit, or one of the family.
    pub(crate) fn is_guarded_by(&self, circuit: &str) -> bool {
        let rest = circuit.strip_prefix(&*self.circuit);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The breaker for a request, and its name as a header.
    pub(crate) fn breaker(&self, model: Option<&str>) -> (CircuitBreaker, Option<HeaderValue>) {
        match &self.source {
            Source::One { breaker, header } => (breaker.clone(), header.clone()),
            Source::Keyed { family, key } => {
                let parts: Vec<&str> = key
                    .iter()
                    .map(|part| match part {
                        KeyPart::Upstream => self.client.name(),
                        // Requests that name no model share one circuit.
                        KeyPart::Model => model.unwrap_or("-"),
                    })
                    .collect();
                let breaker = family.breaker(&parts);
                let header = HeaderValue::from_str(breaker.name()).ok();
                (breaker, header)
            }
        }
    }
}
