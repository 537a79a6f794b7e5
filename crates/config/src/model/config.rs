//! The whole.

use std::collections::BTreeMap;
use std::path::Path;

use panelboard_core::{Catalog, DependsOn, Settings};

use super::{Checks, Circuit, Fallback, Gateway, Origins, Route, RouteFallback, Upstream};
use crate::check::{Input, check};

/// A checked configuration. Whatever reads it need not check again: every name it mentions
/// exists, every number is in its range.
///
/// Two are equal when they behave alike, wherever their settings were said.
#[derive(Clone, Debug)]
pub struct Config {
    parts: Parts,
    catalog: Catalog,
}

/// The switches of `[circuit_breaker]`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches, as in the file")]
pub struct Switches {
    /// `false` lets every call through.
    pub enabled: bool,
    /// Whether the health document is served on the main listener, too.
    pub expose_health_endpoint: bool,
    /// Whether transitions are logged.
    pub log_circuit_changes: bool,
    /// Whether metrics are exported.
    pub metrics_enabled: bool,
}

/// What a [`Config`] is made from.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) switches: Switches,
    pub(crate) defaults: Settings,
    pub(crate) default_origins: Origins,
    pub(crate) circuits: BTreeMap<String, Circuit>,
    pub(crate) depends_on: DependsOn,
    pub(crate) gateway: Gateway,
    pub(crate) upstreams: BTreeMap<String, Upstream>,
    pub(crate) routes: Vec<Route>,
    pub(crate) fallbacks: BTreeMap<String, Fallback>,
    pub(crate) checks: Checks,
}

impl Config {
    pub(crate) fn new(parts: Parts) -> Config {
        let settings = |(name, circuit): (&String, &Circuit)| (name.clone(), circuit.settings);
        let keys = |(name, circuit): (&String, &Circuit)| (name.clone(), circuit.keys.clone());
        let catalog = Catalog {
            enabled: parts.switches.enabled,
            defaults: parts.defaults,
            circuits: parts.circuits.iter().map(settings).collect(),
            keys: parts.circuits.iter().filter(|(_, c)| !c.keys.is_empty()).map(keys).collect(),
            depends_on: parts.depends_on.clone(),
        };
        Config { parts, catalog }
    }

    /// The same, with relative paths of files starting at this directory.
    #[must_use]
    pub(crate) fn with_files_at(mut self, directory: &Path) -> Config {
        for listener in &mut self.parts.gateway.listen {
            listener.tls.iter_mut().for_each(|tls| tls.start_at(directory));
        }
        for upstream in self.parts.upstreams.values_mut() {
            upstream.tls.start_at(directory);
        }
        self
    }

    /// The switches of `[circuit_breaker]`.
    pub fn switches(&self) -> Switches {
        self.parts.switches
    }

    /// What a circuit that is not configured runs on.
    pub fn defaults(&self) -> &Settings {
        &self.parts.defaults
    }

    /// Where the [`Config::defaults`] were said.
    pub fn default_origins(&self) -> &Origins {
        &self.parts.default_origins
    }

    /// Every configured circuit, and those of upstreams whose routes name none.
    pub fn circuits(&self) -> &BTreeMap<String, Circuit> {
        &self.parts.circuits
    }

    /// The circuit of this name, if it is configured.
    pub fn circuit(&self, name: &str) -> Option<&Circuit> {
        self.parts.circuits.get(name)
    }

    /// What the circuit of this name runs on, configured or not, with the one switch applied.
    pub fn settings(&self, name: &str) -> Settings {
        self.catalog.settings(name)
    }

    /// How the gateway listens, and what it bears.
    pub fn gateway(&self) -> &Gateway {
        &self.parts.gateway
    }

    /// Where requests can go.
    pub fn upstreams(&self) -> &BTreeMap<String, Upstream> {
        &self.parts.upstreams
    }

    /// Which requests go where, in the order in which they are asked.
    pub fn routes(&self) -> &[Route] {
        &self.parts.routes
    }

    /// Every fallback, built in or configured.
    pub fn fallbacks(&self) -> &BTreeMap<String, Fallback> {
        &self.parts.fallbacks
    }

    /// What `panelboard check` looks for.
    pub fn checks(&self) -> &Checks {
        &self.parts.checks
    }

    /// What to answer when nothing is left of `route`, whose `circuit` refused or failed; `None`
    /// for an error in the API's own shape.
    pub fn fallback_for(&self, route: &Route, circuit: &str) -> Option<(&str, &Fallback)> {
        let name = match &route.fallback {
            RouteFallback::ApiError => return None,
            RouteFallback::Named(name) => name,
            RouteFallback::Circuit => self
                .circuit(circuit)
                .and_then(|circuit| circuit.fallback.as_deref())
                .unwrap_or("default"),
        };
        self.parts.fallbacks.get_key_value(name).map(|(name, fallback)| (name.as_str(), fallback))
    }
}

impl AsRef<Catalog> for Config {
    fn as_ref(&self) -> &Catalog {
        &self.catalog
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        let (a, b) = (&self.parts, &other.parts);
        a.switches == b.switches
            && a.defaults == b.defaults
            && a.circuits == b.circuits
            && a.gateway == b.gateway
            && a.upstreams == b.upstreams
            && a.routes == b.routes
            && a.fallbacks == b.fallbacks
    }
}

impl Eq for Config {}

impl Default for Config {
    /// What runs without any configuration.
    fn default() -> Config {
        let checked = check(Input::new());
        checked.config.unwrap_or_else(|| unreachable!("nothing said, nothing wrong"))
    }
}
