//! The configuration, and what is wrong with one. Of secrets only where they are.

use std::collections::BTreeMap;

use panelboard_config::{Diagnostic, Diagnostics, Listed, Location, Medium, Severity};
use serde::Serialize;
use utoipa::ToSchema;

/// What the gateway runs on.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Running {
    /// The file; `null` for the built-in defaults.
    pub(crate) path: Option<String>,
    /// Every value in force, defaults and presets with the rest.
    pub(crate) values: Vec<Configured>,
    /// What circuits were told through this API, by their names.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub(crate) told: BTreeMap<String, serde_json::Value>,
}

/// A value of the configuration. Of a secret, where it is.
#[derive(Serialize, ToSchema, Debug)]
#[schema(as = ConfigValue)]
pub(crate) struct Configured {
    /// What it is a value of: `circuits.llm.timeout`.
    path: String,
    value: serde_json::Value,
    /// `panelboard.toml:12`, a preset, a variable, `admin` or `default`.
    origin: String,
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

impl Configured {
    pub(crate) fn of(listed: Listed) -> Configured {
        let Listed { path, value, origin } = listed;
        Configured { path, value, origin: origin.to_string() }
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
