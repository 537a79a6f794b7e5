//! What a reload changes.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{Config, Gateway};

/// One difference between two configurations. Names only: no values, and so no secrets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Change {
    /// A switch of `[circuit_breaker]`.
    Switch(&'static str),
    /// What circuits without settings run on.
    Defaults,
    /// A circuit.
    Circuit(String, Edit),
    /// The address of the admin API: what only a restart changes.
    AdminAddress,
    /// The addresses of the gateway.
    Listeners,
    /// Its limits, or who is trusted.
    GatewayLimits,
    /// An upstream.
    Upstream(String, Edit),
    /// The routes, or their order.
    Routes,
    /// A fallback.
    Fallback(String, Edit),
}

/// What happened to something that has a name.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Edit {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Removed,
}

/// The differences between the running configuration and the next, in a stable order; empty if
/// they behave alike.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let (a, b) = (old.switches(), new.switches());
    let switches = [
        ("enabled", a.enabled != b.enabled),
        ("expose_health_endpoint", a.expose_health_endpoint != b.expose_health_endpoint),
        ("log_circuit_changes", a.log_circuit_changes != b.log_circuit_changes),
        ("metrics_enabled", a.metrics_enabled != b.metrics_enabled),
    ];
    changes.extend(switches.into_iter().filter(|(_, d)| *d).map(|(n, _)| Change::Switch(n)));
    if old.defaults() != new.defaults() {
        changes.push(Change::Defaults);
    }
    changes.extend(named(old.circuits(), new.circuits(), Change::Circuit));
    let (a, b) = (old.gateway(), new.gateway());
    if a.admin.listen != b.admin.listen {
        changes.push(Change::AdminAddress);
    }
    if a.listen != b.listen {
        changes.push(Change::Listeners);
    }
    if with_addresses_of(a.clone(), b) != *b {
        changes.push(Change::GatewayLimits);
    }
    changes.extend(named(old.upstreams(), new.upstreams(), Change::Upstream));
    if old.routes() != new.routes() {
        changes.push(Change::Routes);
    }
    changes.extend(named(old.fallbacks(), new.fallbacks(), Change::Fallback));
    changes
}

fn with_addresses_of(mut gateway: Gateway, other: &Gateway) -> Gateway {
    gateway.listen.clone_from(&other.listen);
    gateway.http2 = other.http2;
    gateway.admin.listen = other.admin.listen;
    gateway
}

fn named<T: PartialEq>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    change: impl Fn(String, Edit) -> Change,
) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for (name, now) in new {
        match old.get(name) {
            None => changes.push(change(name.clone(), Edit::Added)),
            Some(before) if before != now => changes.push(change(name.clone(), Edit::Changed)),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    changes.extend(gone.map(|name| change(name.clone(), Edit::Removed)));
    changes.sort();
    changes
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Switch(name) => write!(f, "{name} changed"),
            Change::Defaults => f.write_str("defaults changed"),
            Change::Circuit(name, edit) => write!(f, "circuit {name} {edit}"),
            Change::AdminAddress => {
                f.write_str("address of the admin API changed (this takes a restart)")
            }
            Change::Listeners => f.write_str("listeners changed"),
            Change::GatewayLimits => f.write_str("gateway limits changed"),
            Change::Upstream(name, edit) => write!(f, "upstream {name} {edit}"),
            Change::Routes => f.write_str("routes changed"),
            Change::Fallback(name, edit) => write!(f, "fallback {name} {edit}"),
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Edit::Added => "added",
            Edit::Changed => "changed",
            Edit::Removed => "removed",
        })
    }
}
