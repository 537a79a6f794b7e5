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
//! - [`Registry`]: the one place where the breakers of a service live.
//! - [`Snapshot`], [`event`]: what they look like, and what happens to them.
//!
//! What decides is in `panelboard-core`, as pure functions; this crate runs them without locks on
//! the paths that matter.

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

/// The example of the README is compiled and run, too.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
