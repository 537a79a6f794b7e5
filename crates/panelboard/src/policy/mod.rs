//! The policies around a breaker.
//!
//! Outer to inner, whoever puts them together: `Fallback ▸ RateLimit ▸ Deadline ▸ Retry | Hedge ▸
//! Bulkhead ▸ ConcurrencyLimit ▸ CircuitBreaker ▸ Timeout ▸ service`. The breaker stands next to
//! the dependency with only the attempt timeout inside, so what it sees is the dependency's
//! behaviour.
//!
//! What each decides is a pure function of `panelboard-core`. Each is a folder here: what it is
//! (`mod.rs`), its tower layer (`layer.rs`) and its future (`future.rs`).

pub mod bulkhead;
#[cfg(feature = "tower")]
pub mod circuit_breaker;
pub mod concurrency_limit;
pub mod deadline;
#[cfg(feature = "tower")]
pub mod fallback;
#[cfg(feature = "tower")]
pub mod hedge;
mod judge;
#[cfg(feature = "tower")]
mod lift;
pub mod rate_limit;
mod repeat;
pub mod retry;
pub mod retry_budget;
mod sleeper;
#[cfg(feature = "tower")]
pub mod stack;
#[cfg(feature = "tower")]
pub mod timeout;
mod wait;
#[cfg(feature = "tower")]
mod weigh;

#[cfg(feature = "tower")]
pub use lift::{Lift, LiftFuture};
pub use repeat::{Cloned, Idempotent, Repeat};
