//! What a checked configuration is made of.

mod checks;
mod circuit;
mod config;
mod fallback;
mod gateway;
pub(crate) mod glob;
mod origin;
mod pattern;
mod policies;
mod probe;
mod route;
mod secret;
mod tls;
mod upstream;

pub use checks::Checks;
pub use circuit::{Circuit, KeyPart};
pub use config::{Config, Switches};
pub use fallback::Fallback;
pub use gateway::{Admin, Gateway, Role, Token};
pub use origin::{Layer, Origin, Origins, Place};
pub use pattern::{HostPattern, PathPattern};
pub use policies::{
    Balance, LimitBy, RetryOn, RouteBulkhead, RouteCache, RouteHedge, RouteLimit, RouteRetry,
    WhenOpen,
};
pub use probe::Probe;
pub use route::{Route, RouteFallback};
pub use secret::{Secret, SecretError, SecretReader, SecretRef, Secrets};
pub use tls::{
    CertificateFiles, Http2, Http2Limits, Listener, ListenerTls, TlsVersion, UpstreamTls,
};
pub use upstream::{
    Auth, BaseUrl, OllamaApi, Scheme, Timeouts, TokenLimit, Upstream, UpstreamKind,
};

pub(crate) use config::Parts;
pub(crate) use fallback::built_in_fallbacks;
