//! Attempt timeout: how long one attempt may take.
//!
//! A wrapper around [`tokio::time::timeout`], which does the timing; what is added is the error
//! that all policies share, so that the policies outside can tell.
//!
//! # With a breaker
//! It stands inside the breaker: an attempt that ends as [`Error::TimedOut`](crate::Error) is a
//! failure of the dependency, of kind `timeout`, unlike a caller that gives up or a deadline that
//! passes further out, which the breaker only sees as cancellation and takes as neutral.
//!
//! A breaker has a `timeout` in its settings, too, which `call_async` enforces and counts the same
//! way. One of the two is enough. The setting is the one to use with `call_async`, since it also
//! tells the breaker how long a probe may hold its slot; this layer is for services that time out
//! without a breaker, or where services behind one breaker differ in their timeouts. If both are
//! there, the shorter ends the attempt, and it counts once.

mod future;
mod layer;

pub use future::TimeoutFuture;
pub use layer::{TimeoutLayer, TimeoutService};
