//! Circuit breakers for everything a service calls.
//!
//! ```
//! use std::time::Duration;
//! use panelboard::{CircuitBreaker, Settings};
//!
//! let payments = CircuitBreaker::new(
//!     "payments",
//!     Settings::builder().failure_threshold(5).recovery_timeout(Duration::from_secs(30)).build()?,
//! );
//! let receipt = payments.call(|| Ok::<_, std::io::Error>("paid"));
//! assert_eq!(receipt.unwrap(), "paid");
//! println!("{}", payments.explain());
//! # Ok::<(), panelboard::SettingsError>(())
//! ```
//!
//! - [`CircuitBreaker`]: guard a call, sync or async, or hold a [`Permit`] yourself.
//! - [`Settings`] and [`presets`]: when to trip, for how long, how to recover.
//! - [`classify`]: what a result says of the dependency.
//! - [`Registry`]: the one place where the breakers of a service live; [`Family`]: one for each key.
//! - [`policy`]: what stands around a breaker (retry, hedge, limits, deadlines, fallbacks), each by
//!   itself or all in a `Stack`.
//! - `guarded`: all this for a function, by attribute.
//! - [`Snapshot`], [`event`]: what they look like, and what happens to them.
//! - [`compat`]: the names of older breakers.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `macros` (default) | the attribute `guarded` |
//! | `tokio` (default) | `call_async`, and the policies for async calls |
//! | `tower` (default) | the policies as tower layers, timeout, hedge and fallback; `policy::stack` |
//! | `http` | `classify::Http` and `Grpc`, `Unavailable::to_response` |
//! | `reqwest`, `sqlx`, `redis` | `classify` for their results; `sqlx` needs Rust 1.94 |
//! | `reqwest-middleware` | `reqwest_middleware`: a breaker in a client's chain |
//!
//! What decides is in `panelboard-core`, as pure functions; this crate runs them without locks on
//! the paths that matter.

#![warn(missing_debug_implementations)]

mod breaker;
mod claim;
pub mod classify;
mod clock;
pub mod compat;
mod durations;
mod error;
pub mod event;
mod explain;
mod face;
#[cfg(feature = "macros")]
mod guarded;
mod hot;
pub mod kinds;
mod name;
mod permit;
pub mod policy;
pub mod registry;
#[cfg(feature = "reqwest-middleware")]
pub mod reqwest_middleware;
mod shard;
mod slot;
pub mod snapshot;
pub mod stats;
mod streak;
mod sync;
mod ticker;
mod unavailable;

pub use panelboard_core::{
    Backoff, BaseRate, Catalog, Cause, Command, DependencyCycle, DependsOn, Fired, HealthReport,
    InvalidRatio, Jitter, Kind, KindSet, Mode, OpenDependency, Outcome, PhaseName, Ratio, Reason,
    Rule, Score, Sequential, SequentialSpec, Settings, SettingsBuilder, SettingsError, Tally,
    Throttle, Tick, Transition, WindowSpec, presets,
};

#[cfg(feature = "tokio")]
pub use breaker::GuardedCall;
pub use breaker::{Builder, CircuitBreaker};
pub use classify::{Classify, OkOrErr};
pub use clock::{Clock, ManualClock};
pub use error::{Error, Rejected};
pub use event::{Event, Order, Subscription, TripRecord};
#[cfg(feature = "macros")]
pub use guarded::guarded;
pub use name::Name;
pub use permit::{ErrorDetail, OwnedPermit, Permit};
pub use registry::{Family, Registry};
pub use snapshot::{Health, Snapshot};
pub use unavailable::Unavailable;

/// What `#[guarded]` expands to. Not for use by hand, and not kept stable.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "tokio")]
    pub use crate::guarded::call_async;
    pub use crate::guarded::{call, classifier, fall_back, never, part, settle};
}

/// The examples of the README are compiled, and run where that needs no server.
#[cfg(all(doctest, feature = "macros", feature = "reqwest-middleware"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
