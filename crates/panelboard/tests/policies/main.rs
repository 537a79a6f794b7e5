//! Policies as users and tower see them. Time is paused.

#[path = "../support/mod.rs"]
mod support;

mod bulkhead;
mod circuit_breaker;
mod concurrency_limit;
mod fallback;
mod flat;
mod panics;
mod rate_limit;
mod stack;
mod traits;
