//! A circuit breaker around a tower service.
//!
//! What [`call_async`](crate::CircuitBreaker::call_async) does around a future, with the same code:
//! a call counts as slow while it runs, `timeout` of the settings ends it, and a call that is
//! cancelled is neutral. The breaker is asked in `call`; what it refuses never reaches the service.
//!
//! One breaker guards all calls ([`CircuitBreaker::layer`](crate::CircuitBreaker::layer)), or each
//! request picks its own ([`CircuitBreakerLayer::keyed`], [`Select`]). A [`Classify`] says what
//! counts; refusals of policies further in, such as another breaker, count as neutral.
//!
//! [`Classify`]: crate::Classify
//!
//! # Cost
//! A permit must keep its breaker alive for as long as the call's future may live, so each call
//! clones one `Arc`, and nothing is allocated.

mod future;
mod layer;
mod select;

pub use future::CircuitBreakerFuture;
pub use layer::{CircuitBreakerLayer, CircuitBreakerService};
pub use select::{Keyed, Select};
