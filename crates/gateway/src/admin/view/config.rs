//! The configuration, and what is wrong with one. Of secrets only where they are.

use std::collections::BTreeMap;

use panelboard_config::{
    Circuit, Config, Diagnostic, Diagnostics, KeyPart, Location, Medium, Role, Route, Severity,
    Switches, Upstream,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::circuit::{Setting, settings};

/// What the gateway runs on, as far as it concerns circuits and where requests go.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Running {
    /// The file; `null` for the built-in defaults.
    path: Option<String>,
    /// The switches of `[circuit_breaker]`.
    switches: BTreeMap<&'static str, bool>,
    circuits: BTreeMap<String, CircuitConfig>,
    upstreams: BTreeMap<String, UpstreamConfig>,
    /// In the order in which they are asked.
    routes: Vec<RouteConfig>,
    fallbacks: Vec<String>,
    gateway: GatewayConfig,
    /// What circuits were told through this API, by their names.
    #[schema(value_type = BTreeMap<String, Object>)]
    told: BTreeMap<String, serde_json::Value>,
}

/// A circuit.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct CircuitConfig {
    settings: BTreeMap<&'static str, Setting>,
    /// Of a family: what its key is made of.
    key: Vec<&'static str>,
    /// Of a family: the patterns of keys that have settings of their own.
    patterns: Vec<String>,
    max_keys: u32,
    fallback: Option<String>,
    depends_on: Vec<String>,
}

/// An upstream.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct UpstreamConfig {
    url: String,
    kind: &'static str,
    /// The header that carries its credential, and where that is.
    credential: Option<Credential>,
    models: BTreeMap<String, String>,
}

/// Where a credential goes, and comes from.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Credential {
    header: String,
    secret: String,
}

/// A route.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct RouteConfig {
    name: String,
    upstreams: Vec<String>,
    /// The circuit of each upstream.
    circuits: Vec<String>,
    deadline_seconds: Option<f64>,
}

/// Listeners.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct GatewayConfig {
    listen: Vec<String>,
    admin: String,
    allowed_hosts: Vec<String>,
    /// Who may use this API, by name, and as what.
    tokens: BTreeMap<String, &'static str>,
    token_file: Option<String>,
    public_metrics: bool,
    audit_file: Option<String>,
}

/// What was found in a configuration.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Findings {
    /// Whether it could be put to work: there are no errors.
    pub(crate) valid: bool,
    errors: usize,
    warnings: usize,
    notes: usize,
    diagnostics: Vec<Finding>,
    /// What it would change of what is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changes: Option<Vec<String>>,
}

/// One finding.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Finding {
    code: &'static str,
    severity: &'static str,
    message: String,
    /// What would be accepted, or what to do.
    help: Option<String>,
    /// Where the documentation explains it.
    docs: String,
    location: Option<Position>,
    related: Vec<Position>,
}

/// A place in a text.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Position {
    /// The file, variable or option.
    source: String,
    medium: &'static str,
    label: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

impl Running {
    pub(crate) fn of(
        config: &Config,
        path: Option<String>,
        told: BTreeMap<String, serde_json::Value>,
    ) -> Running {
        let Switches { enabled, expose_health_endpoint, log_circuit_changes, metrics_enabled } =
            config.switches();
        let circuit = |(name, circuit): (&String, &Circuit)| {
            (name.clone(), CircuitConfig::of(name, circuit, config))
        };
        let upstream =
            |(name, upstream): (&String, &Upstream)| (name.clone(), UpstreamConfig::of(upstream));
        Running {
            path,
            switches: BTreeMap::from([
                ("enabled", enabled),
                ("expose_health_endpoint", expose_health_endpoint),
                ("log_circuit_changes", log_circuit_changes),
                ("metrics_enabled", metrics_enabled),
            ]),
            circuits: config.circuits().iter().map(circuit).collect(),
            upstreams: config.upstreams().iter().map(upstream).collect(),
            routes: config.routes().iter().map(RouteConfig::of).collect(),
            fallbacks: config.fallbacks().keys().cloned().collect(),
            gateway: GatewayConfig::of(config),
            told,
        }
    }
}

impl CircuitConfig {
    fn of(name: &str, circuit: &Circuit, config: &Config) -> CircuitConfig {
        CircuitConfig {
            settings: settings(name, config).unwrap_or_default(),
            key: circuit.key.iter().copied().map(KeyPart::name).collect(),
            patterns: circuit.keys.iter().map(|rule| rule.pattern.clone()).collect(),
            max_keys: circuit.max_keys,
            fallback: circuit.fallback.clone(),
            depends_on: circuit.depends_on.clone(),
        }
    }
}

impl UpstreamConfig {
    fn of(upstream: &Upstream) -> UpstreamConfig {
        UpstreamConfig {
            url: upstream.url.to_string(),
            kind: upstream.kind.name(),
            credential: upstream.auth.as_ref().map(|auth| Credential {
                header: auth.header.to_string(),
                secret: auth.value.to_string(),
            }),
            models: upstream.models.clone(),
        }
    }
}

impl RouteConfig {
    fn of(route: &Route) -> RouteConfig {
        let circuit = |upstream: &String| route.circuit_for(upstream).to_owned();
        RouteConfig {
            name: route.name.clone(),
            upstreams: route.upstreams.clone(),
            circuits: route.upstreams.iter().map(circuit).collect(),
            deadline_seconds: route.deadline.map(super::seconds),
        }
    }
}

impl GatewayConfig {
    fn of(config: &Config) -> GatewayConfig {
        let gateway = config.gateway();
        let admin = &gateway.admin;
        let path = |path: &std::path::PathBuf| path.display().to_string();
        let token = |token: &panelboard_config::Token| (token.name.clone(), Role::name(token.role));
        GatewayConfig {
            listen: gateway.listen.iter().map(|listener| listener.address.to_string()).collect(),
            admin: admin.listen.to_string(),
            allowed_hosts: admin.allowed_hosts.clone(),
            tokens: admin.tokens.iter().map(token).collect(),
            token_file: admin.token_file.as_ref().map(path),
            public_metrics: admin.public_metrics,
            audit_file: admin.audit_file.as_ref().map(path),
        }
    }
}

impl Findings {
    pub(crate) fn of(diagnostics: &Diagnostics) -> Findings {
        Findings {
            valid: !diagnostics.has_errors(),
            errors: diagnostics.count(Severity::Error),
            warnings: diagnostics.count(Severity::Warning),
            notes: diagnostics.count(Severity::Note),
            diagnostics: Finding::all(diagnostics),
            changes: None,
        }
    }
}

impl Finding {
    pub(crate) fn all(diagnostics: &Diagnostics) -> Vec<Finding> {
        diagnostics.iter().map(Finding::of).collect()
    }

    fn of(diagnostic: &Diagnostic) -> Finding {
        Finding {
            code: diagnostic.code().id(),
            severity: diagnostic.severity().name(),
            message: diagnostic.message().to_owned(),
            help: diagnostic.help().map(str::to_owned),
            docs: diagnostic.code().docs(),
            location: diagnostic.location().map(Position::of),
            related: diagnostic.related().iter().map(Position::of).collect(),
        }
    }
}

impl Position {
    fn of(location: &Location) -> Position {
        let source = location.source();
        let (start, end) = (location.start(), location.end());
        let medium = match source.medium() {
            Medium::File => "file",
            Medium::Request => "request",
            Medium::Variable => "variable",
            Medium::Option => "option",
        };
        Position {
            source: source.setting_name().unwrap_or(source.name()).to_owned(),
            medium,
            label: location.label().to_owned(),
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        }
    }
}
