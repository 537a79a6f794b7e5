//! Policies put together, beside tower's own.

#![expect(clippy::unnecessary_wraps, reason = "other subjects may lack a scenario")]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::retry::{Retry, RetryLayer, RetrySettings};
use panelboard::policy::stack::{Stack, StackBuilder};
use panelboard::policy::{Flat, timeout};
use panelboard::{CircuitBreaker, Settings};
use tower::limit::ConcurrencyLimit;
use tower::retry::Policy;
use tower::retry::budget::{Budget, TpsBudget};
use tower::timeout::TimeoutLayer;
use tower::{Layer, Service, ServiceExt as _, service_fn};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use super::harness::{CALLS, Scenario, time_all};
use super::subjects::{Role, Subject};

const TIMEOUT: Duration = Duration::from_secs(30);
const AT_ONCE: u32 = 100;

/// A stack around the operation.
macro_rules! stacked {
    ($scenario:expr, $threads:expr, $stack:expr) => {{
        let stack = $stack.build().expect("they go together");
        drive($threads, &stack.layer().layer(service_fn(work($scenario))))
    }};
}

pub(crate) fn all() -> Vec<Subject> {
    vec![
        Subject::new("bare service", Role::Bare, |s, n| drive(n, &service_fn(work(s)))),
        Subject::new("**Panelboard**: retry, bulkhead, breaker, timeout", Role::Ours, |s, n| {
            stacked!(s, n, guarded())
        }),
        Subject::new("the same without breaker", Role::Ours, |s, n| stacked!(s, n, plain())),
        Subject::new("with breaker and deadline", Role::Ours, |s, n| {
            stacked!(s, n, guarded().deadline(Duration::from_secs(100)))
        }),
        Subject::new("put together for each call: `call_async`", Role::Ours, called),
        Subject::new("single layers, by `Flat`: the same without breaker", Role::Ours, |s, n| {
            let timed = timeout::TimeoutLayer::new(TIMEOUT);
            let timed = timed.layer(service_fn(work(s)));
            let bounded = Flat(Bulkhead::new(AT_ONCE).expect("it has room").layer()).layer(timed);
            let retry = Retry::new(RetrySettings::default());
            drive(n, &Flat(RetryLayer::new(retry)).layer(bounded))
        }),
        Subject::new("an empty stack", Role::Ours, |s, n| stacked!(s, n, Stack::builder("empty"))),
        Subject::new("tower 0.5: retry, concurrency limit, timeout", Role::Peer, |s, n| {
            let timed = TimeoutLayer::new(TIMEOUT).layer(service_fn(work(s)));
            drive(n, &bounded(timed))
        }),
        Subject::new("tower 0.5, breaker of tower-resilience 0.14", Role::Peer, |s, n| {
            let breaker = CircuitBreakerLayer::builder().build().expect("the defaults are sound");
            let timed = TimeoutLayer::new(TIMEOUT).layer(service_fn(work(s)));
            drive(n, &bounded(breaker.layer_fn(timed)))
        }),
    ]
}

/// The guarded operation.
fn work(scenario: Scenario) -> impl Fn(u64) -> Work + Clone {
    let pending = scenario == Scenario::Pending;
    move |n| Work { pending: black_box(pending), n }
}

/// Pending once, or not at all.
struct Work {
    pending: bool,
    n: u64,
}

impl Future for Work {
    type Output = Result<u64, std::io::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.n))
    }
}

/// Nanoseconds for each call of a service, in a runtime as its users have it.
fn drive<S>(threads: usize, service: &S) -> Option<f64>
where
    S: Service<u64, Response = u64> + Clone + Sync,
{
    Some(run(threads, || {
        let mut service = service.clone();
        async move |n| {
            let Ok(service) = service.ready().await else { panic!("it is always ready") };
            assert!(black_box(service.call(n).await).is_ok());
        }
    }))
}

fn run<F: AsyncFnMut(u64)>(threads: usize, make: impl Fn() -> F + Sync) -> f64 {
    time_all(threads, CALLS, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let (runtime, mut call) = (runtime.expect("a runtime"), make());
        move |calls| {
            runtime.block_on(async {
                for n in 0..calls {
                    call(n).await;
                }
            });
        }
    })
}

// ===== ours =====

fn plain() -> StackBuilder<Retry> {
    Stack::builder("bench")
        .retry(Retry::new(RetrySettings::default()))
        .bulkhead(Bulkhead::new(AT_ONCE).expect("it has room"))
        .timeout(TIMEOUT)
}

fn guarded() -> StackBuilder<Retry> {
    plain().circuit_breaker(CircuitBreaker::new("bench", Settings::default()))
}

fn called(scenario: Scenario, threads: usize) -> Option<f64> {
    let stack = guarded().build().expect("they go together");
    Some(run(threads, || {
        let (stack, work) = (stack.clone(), work(scenario));
        async move |n| assert!(black_box(stack.call_async(|| work(n)).await).is_ok())
    }))
}

// ===== tower's =====

fn bounded<S>(inner: S) -> tower::retry::Retry<Again, ConcurrencyLimit<S>> {
    let limited = ConcurrencyLimit::new(inner, AT_ONCE as usize);
    tower::retry::Retry::new(Again::default(), limited)
}

/// What our default does: up to three attempts, within a budget.
#[derive(Clone)]
struct Again {
    budget: Arc<TpsBudget>,
    left: u32,
}

impl Default for Again {
    fn default() -> Again {
        Again { budget: Arc::default(), left: 2 }
    }
}

impl<E> Policy<u64, u64, E> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, E>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.budget.deposit();
            return None;
        }
        let again = self.left > 0 && self.budget.withdraw();
        self.left -= u32::from(again);
        again.then(|| ready(()))
    }

    fn clone_request(&mut self, n: &u64) -> Option<u64> {
        Some(*n)
    }
}
