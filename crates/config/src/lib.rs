//! Configuration: from files, environment and command line to checked values.
//!
//! ```text
//! TOML ─┐                                  ┌─ Config
//!       ├─► tree ─► today's names ─► keys ─┤
//! JSON ─┘    ▲                             └─ Diagnostics ─► text, JSON, GitHub, SARIF
//!            └─ environment, command line
//! ```
//!
//! [`check`] is pure: text, environment and settings go in, a [`Config`] or [`Diagnostics`] come
//! out, all problems in one pass. [`load`] is the thin layer above it that knows files;
//! [`FileWatch`] and [`diff`] serve reloading.
//!
//! ```
//! use panelboard_config::{Input, Source, check};
//!
//! let source = Source::new("panelboard.toml", "[circuit_breaker.circuits.llm]\ntimeout = \"45s\"");
//! let checked = check(Input::new().file(source));
//! let config = checked.config.expect("nothing is wrong with it");
//! assert_eq!(config.settings("llm").timeout(), Some(std::time::Duration::from_secs(45)));
//! ```
//!
//! # What may stand where
//! Every key is declared once, in `sections`; reading, range checks, suggestions, overrides,
//! [`json_schema`] and [`config_reference_markdown`] all follow from that.
//!
//! # Layers
//! A circuit's settings are laid over each other: built-in defaults, the preset of
//! `[circuit_breaker.defaults]`, its keys, the circuit's preset or the circuit it extends, its own
//! keys, `PANELBOARD__…` variables, command line. `extends` takes over everything the other
//! circuit says for itself: settings, preset, `key`, `keys`, `max_keys` and `fallback`. Variables
//! change what the file configures and cannot add to it, except that the circuit which every
//! upstream has can be set without being written down.
//!
//! # Secrets
//! Secrets are named (`{ env = "NAME" }`, `{ file = "path" }`), never written. A value that stands
//! where a secret should be named, or under a name that sounds like one, is not shown in any
//! diagnostic.

mod check;
mod conceal;
mod context;
mod convert;
mod describe;
mod diagnostic;
mod diff;
mod effective;
pub mod forecast;
mod given;
mod infra;
mod kinds;
mod lint;
mod listing;
mod load;
mod model;
mod overlay;
mod reference;
mod render;
mod schema;
mod sections;
mod source;
mod syntax;
mod text;
mod watch;
mod work;

pub use check::{Checked, Input, check};
pub use convert::{Converted, Target, convert};
pub use describe::suggest::nearest;
pub use diagnostic::{Code, Diagnostic, Diagnostics, Location, Severity, error_reference_markdown};
pub use diff::{Change, Edit, diff};
pub use given::duration_from_json;
pub use listing::{Difference, Listed, Listing, View, compare, list};
pub use load::{DEFAULT_FILES, LoadOptions, Loaded, inspect, load, load_bytes, load_list};
pub use model::{
    Admin, Auth, Balance, BaseUrl, CertificateFiles, Checks, Circuit, Config, Fallback, Gateway,
    HostPattern, Http2, Http2Limits, KeyPart, Layer, LimitBy, Listener, ListenerTls, OllamaApi,
    Origin, Origins, PathPattern, Place, Probe, RetryOn, Role, Route, RouteBulkhead, RouteCache,
    RouteFallback, RouteHedge, RouteLimit, RouteRetry, Scheme, Secret, SecretError, SecretReader,
    SecretRef, Secrets, Switches, Timeouts, TlsVersion, Token, TokenLimit, Upstream, UpstreamKind,
    UpstreamTls, WhenOpen,
};
pub use panelboard_core::Catalog;
pub use panelboard_core::catalog::KeyRule;
pub use reference::config_reference_markdown;
pub use render::{Format, JSON_VERSION, TextStyle};
pub use schema::json_schema;
pub use source::{Medium, Position, Source};
pub use watch::{FileChange, FileWatch};
