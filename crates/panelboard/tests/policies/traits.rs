//! What types are fit for, which a change inside of them must not take away.

use std::fmt::Debug;
use std::future::Ready;

use panelboard::policy::bulkhead::{Bulkhead, BulkheadFull, BulkheadPermit, Enter};
use panelboard::policy::circuit_breaker::CircuitBreakerLayer;
use panelboard::policy::concurrency_limit::{ConcurrencyLimit, ConcurrencyPermit, LimitReached};
use panelboard::policy::deadline::Deadline;
use panelboard::policy::fallback::{Fallback, Value};
use panelboard::policy::hedge::{Hedge, HedgeStats};
use panelboard::policy::rate_limit::{Acquire, RateLimit, RateLimited};
use panelboard::policy::retry::{Retry, RetryStats};
use panelboard::policy::retry_budget::RetryBudget;
use panelboard::policy::stack::{Stack, StackError, Stacked};
use panelboard::{Error, OkOrErr, Unavailable};
use tower::Service;
use tower::util::ServiceFn;

fn moves<T: Send + Sync + Debug + 'static>() {}
fn handle<T: Clone + Send + Sync + Debug + 'static>() {}
fn refusal<T: std::error::Error + Clone + Eq + Send + Sync + 'static>() {}
fn numbers<T: Copy + Eq + Debug + Default + Send + Sync + 'static>() {}

#[test]
fn handles_are_shared_permits_move_and_refusals_are_errors() {
    handle::<RateLimit>();
    handle::<Deadline>();
    handle::<Retry>();
    handle::<Hedge>();
    handle::<RetryBudget>();
    handle::<Bulkhead>();
    handle::<ConcurrencyLimit>();
    handle::<CircuitBreakerLayer>();
    handle::<Fallback<Value<u32>>>();
    handle::<Stack>();
    moves::<BulkheadPermit>();
    moves::<ConcurrencyPermit>();
    moves::<Enter>();
    moves::<Acquire>();
    refusal::<BulkheadFull>();
    refusal::<LimitReached>();
    refusal::<RateLimited>();
    refusal::<StackError>();
    refusal::<Unavailable>();
    refusal::<Error<std::fmt::Error>>();
    numbers::<RetryStats>();
    numbers::<HedgeStats>();
}

type Inner = ServiceFn<fn(u32) -> Ready<Result<u32, std::fmt::Error>>>;

fn future<S: Service<u32> + Clone + Send + 'static>()
where
    S::Future: Send + Debug + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
}

#[test]
fn stacked_services_are_fit_for_servers_and_for_towers_own_layers() {
    future::<Stacked<Inner>>();
    future::<Stacked<Inner, Retry>>();
    future::<Stacked<Inner, Hedge>>();
    future::<Stacked<Inner, Retry, OkOrErr, Value<u32>>>();
}
