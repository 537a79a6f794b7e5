//! The file as a whole.

use super::circuit::PRESETS;
use super::gateway::FILE;
use super::{
    CheckKeys, CircuitKeys, FallbackKeys, GatewayKeys, RouteKeys, SettingsKeys, UpstreamKeys,
};
use crate::context::{At, Named};
use crate::describe::{Keys, Table, keys};
use crate::kinds::{Each, Environments, Flag, Many, Nested};

/// The file as a whole.
pub(crate) const ROOT: &Table = RootKeys::TABLE;

/// Sections that other versions know: alerts, fleet state, telemetry.
pub(crate) const LATER: [&str; 3] = ["alerts", "fleet", "telemetry"];

keys! {
    /// The file as a whole. In a file that is somebody's larger configuration, other sections are
    /// left alone.
    pub(crate) struct RootKeys = "root" in "" {
        /// Circuit breakers.
        circuit_breaker: SwitchKeys = Nested::<SwitchKeys>::HERE,
            optional "all circuits on defaults";
        /// The gateway's listeners and limits.
        gateway: GatewayKeys = Nested::<GatewayKeys>::HERE, optional "defaults";
        /// What is kept of what happens.
        events: EventsKeys = Nested::<EventsKeys>::HERE, optional "in memory only";
        /// Where requests can go.
        upstreams: Vec<Named<UpstreamKeys>> = Many::<UpstreamKeys>::of("an upstream", 10_000),
            optional "none";
        /// Which requests go where. The first route that matches takes the request.
        routes: Vec<At<RouteKeys>> = Each::<RouteKeys>::HERE, optional "none";
        /// What to say when nothing is left. Those built in need not be listed: `data_analysis`,
        /// `rag_retrieval`, `code_review`, `visualization` and `default`.
        fallbacks: Vec<Named<FallbackKeys>> = Many::<FallbackKeys>::of("a fallback", 10_000),
            optional "the built-in ones";
        /// What `panelboard check` looks for besides.
        check: CheckKeys = Nested::<CheckKeys>::HERE, optional "defaults";
        /// What else holds in one environment, by its name: any part of this file, which `--env` or
        /// `PANELBOARD_ENV` lays over the rest. Tables are joined, lists and values replaced.
        env: () = Environments, optional "none";
    }
}

keys! {
    /// What is kept of what happens. The last 10,000 events are always kept in memory.
    pub(crate) struct EventsKeys = "events" in "events" {
        /// A file to which a line of JSON is added for each event. At 10 MiB it is moved aside; five
        /// such files are kept. A relative path starts at the configuration file.
        file: String = FILE, optional "none";
    }
}

keys! {
    /// Switches, and the circuits themselves.
    pub(crate) struct SwitchKeys = "circuit_breaker" in "circuit_breaker" {
        /// `false` lets every call of every circuit through.
        enabled: bool = Flag, default "true";
        /// Whether the health document is served on the main listener, too.
        expose_health_endpoint: bool = Flag, default "true";
        /// Whether transitions are logged.
        log_circuit_changes: bool = Flag, default "true";
        /// Whether metrics are exported.
        metrics_enabled: bool = Flag, default "true";
        /// What every circuit starts from.
        defaults: DefaultsKeys = Nested::<DefaultsKeys>::HERE, optional "the built-in defaults";
        /// The circuits that have settings of their own, by name.
        circuits: Vec<Named<CircuitKeys>> = Many::<CircuitKeys>::of("a circuit", 10_000),
            optional "none";
    }
}

keys! {
    /// What every circuit starts from.
    pub(crate) struct DefaultsKeys = "defaults" in "circuit_breaker.defaults" {
        with settings: SettingsKeys;

        /// A preset for every circuit; the other keys of this table win.
        preset: &'static str = PRESETS, optional "none";
    }
}
