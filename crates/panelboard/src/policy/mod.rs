//! The policies around a breaker.
//!
//! Outer to inner, whoever puts them together: `Fallback ▸ RateLimit ▸ Deadline ▸ Retry | Hedge ▸
//! Bulkhead ▸ ConcurrencyLimit ▸ CircuitBreaker ▸ Timeout ▸ service`. The breaker stands next to
//! the dependency with only the attempt timeout inside, so what it sees is the dependency's
//! behaviour. A [`Stack`](stack::Stack) puts them in that order and checks that they go together:
//!
//! ```
//! use std::time::Duration;
//! use panelboard::policy::{bulkhead::Bulkhead, retry::{Retry, RetrySettings}, stack::Stack};
//! use panelboard::{CircuitBreaker, Settings};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let users = Stack::builder("users")
//!     .deadline(Duration::from_secs(10))
//!     .retry(Retry::new(RetrySettings::default()))
//!     .bulkhead(Bulkhead::with_queue(20, 100, Duration::from_secs(1))?)
//!     .circuit_breaker(CircuitBreaker::new("users", Settings::default()))
//!     .timeout(Duration::from_secs(2))
//!     .build()?;
//! let service = users.layer().layer(service_fn(|id: u32| async move {
//!     Ok::<_, std::io::Error>(format!("user {id}"))
//! }));
//! assert_eq!(service.oneshot(7).await?, "user 7");
//! # Ok(())
//! # }
//! ```
//!
//! | policy | refuses with | decided in `panelboard-core` by |
//! | --- | --- | --- |
//! | [`fallback`]: what to answer when there is no answer | – | – |
//! | [`rate_limit`]: so many calls a period | `RateLimited` | `gcra` |
//! | [`deadline`]: how long the whole call may take | `DeadlineExceeded` | – |
//! | [`retry`]: again after a failure, within a [budget](retry_budget) | – | `retry`, `retry_budget` |
//! | [`hedge`]: a second time meanwhile | – | `hedge`, `latency` |
//! | [`bulkhead`]: so many at once, so many more in a queue | `BulkheadFull` | `bulkhead` |
//! | [`concurrency_limit`]: as many at once as the dependency can take | `LimitReached` | `concurrency` |
//! | [`circuit_breaker`]: whether to ask at all | `Rejected` | all the rest |
//! | [`timeout`]: how long one attempt may take | `TimedOut` | – |
//!
//! Each is by itself of use, too: an object that is a cheap handle, with methods for calls that
//! block (as far as that makes sense), and a tower layer. A layer by itself goes around any service,
//! and lifts its error into [`Error`](crate::Error). It takes that for the service's own: where one of
//! them is to go around another, say [`Flat`], so that there is one error and the outer one knows
//! the inner one's refusals for what they are. The services' own constructors (`…Service::new`) do
//! the same, and that is how a stack has but one error.
//!
//! Calls of functions that are put inside each other (`breaker.call(|| bulkhead.call(…))`) are as
//! blind. Let a classifier say that an error that [is a refusal](crate::Error::is_refusal) is
//! neutral, or use a stack; [`Error::flatten`](crate::Error::flatten) makes one error of two.
//!
//! # What all of them keep to
//! - What one of them refuses is never evidence against the dependency to another, in a stack and by
//!   [`Flat`] layers.
//! - `poll_ready` is the inner service's own; a policy refuses in `call`. Readiness is not carried by
//!   a clone.
//! - Futures are named types; nothing is boxed, spawned or, once warm, allocated. Dropping one at
//!   any poll gives back all that it holds; what cannot be taken back is said under *Cancel safety*.
//! - User code (classifiers, fallbacks, predicates, wakers) runs when nothing is locked.

pub mod bulkhead;
#[cfg(feature = "tower")]
pub mod circuit_breaker;
pub mod concurrency_limit;
pub mod deadline;
#[cfg(feature = "tower")]
pub mod fallback;
#[cfg(feature = "tower")]
mod flat;
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
pub use flat::Flat;
#[cfg(feature = "tower")]
pub use lift::{Lift, LiftFuture};
pub use repeat::{Cloned, Idempotent, Repeat};
