//! Stack: all the policies around one dependency, in the one order that makes sense.
//!
//! Outer to inner: `Fallback ▸ RateLimit ▸ Deadline ▸ Retry | Hedge ▸ Bulkhead ▸ ConcurrencyLimit ▸
//! CircuitBreaker ▸ Timeout ▸ service`, in whatever order the builder is told of them. What is
//! absent only passes on. Building it finds what [does not go together](panelboard_core::stack): what
//! can never do anything is an error, what hardly does what was meant is a
//! [warning](Stack::warnings).
//!
//! | to guard | use |
//! | --- | --- |
//! | a tower service | [`Stack::layer`] |
//! | an async call | [`Stack::call_async`]: the same services around a function |
//! | a call that blocks | [`Stack::call`]: the same policies, step by step |
//!
//! # Types
//! A stack has one error type, and its futures are one named type, nothing boxed. Of the policies,
//! those that have user code or decide how often a request is needed are in its type: `R` is
//! [`Once`], a [`Retry`] or a [`Hedge`]; `C` a [`Classify`]; `F` the fallback's. All have defaults
//! and are seldom written down. Retry and hedge exclude each other: a hedge of each attempt would
//! multiply load when there is too much already, and the budget of one knows nothing of the other.
//!
//! [`Classify`]: crate::Classify
//! [`Hedge`]: super::hedge::Hedge
//! [`Retry`]: super::retry::Retry

mod attempts;
mod block_on;
mod builder;
mod call;
mod error;
mod layer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use attempts::{Attempts, BlockingAttempts, Once};
pub use builder::StackBuilder;
pub use call::FnService;
pub use error::StackError;
pub use layer::{Guarded, StackLayer, Stacked};
pub use panelboard_core::stack::{Finding, Severity};

use super::bulkhead::Bulkhead;
use super::concurrency_limit::ConcurrencyLimit;
use super::fallback::{Fallback, NoFallback};
use super::rate_limit::RateLimit;
use crate::{CircuitBreaker, Name, OkOrErr};

/// All the policies around one dependency: a cheap handle. Clones share every count.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::bulkhead::Bulkhead;
/// use panelboard::policy::fallback::Fallback;
/// use panelboard::policy::rate_limit::RateLimit;
/// use panelboard::policy::retry::{Retry, RetrySettings};
/// use panelboard::policy::stack::Stack;
/// use panelboard::{CircuitBreaker, Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let users = Stack::builder("users")
///     .rate_limit(RateLimit::new(100, Duration::from_secs(1), 10)?)
///     .deadline(Duration::from_secs(10))
///     .retry(Retry::new(RetrySettings::default()))
///     .bulkhead(Bulkhead::new(20)?)
///     .circuit_breaker(CircuitBreaker::new("users", Settings::default()))
///     .timeout(Duration::from_secs(2))
///     .fallback(Fallback::value("nobody"))
///     .build()?;
/// assert!(users.warnings().is_empty());
///
/// let found = users.call_async(|| async { Ok::<_, std::io::Error>("Ada") }).await;
/// assert_eq!(found.unwrap(), "Ada");
/// // The same for code that blocks, and as a tower layer.
/// assert_eq!(users.call(|| Err::<_, &str>("no route")).unwrap(), "nobody");
/// let service = tower::ServiceBuilder::new()
///     .layer(users.layer())
///     .service_fn(|name: String| async move { Ok::<_, std::io::Error>(if name.is_empty() { "nobody" } else { "Ada" }) });
/// # drop(service);
/// # Ok(())
/// # }
/// ```
pub struct Stack<R = Once, C = OkOrErr, F = NoFallback> {
    policies: Arc<Policies<R, C, F>>,
}

struct Policies<R, C, F> {
    plain: Plain,
    attempts: R,
    classify: C,
    fallback: Fallback<F>,
}

/// Those that are of one type in every stack.
struct Plain {
    name: Name,
    warnings: Vec<Finding>,
    rate_limit: Option<RateLimit>,
    deadline: Option<Duration>,
    bulkhead: Option<Bulkhead>,
    concurrency_limit: Option<ConcurrencyLimit>,
    circuit_breaker: Option<CircuitBreaker>,
    timeout: Option<Duration>,
}

// ===== impl Stack =====

impl Stack {
    /// An empty stack, to be built up. The name is for messages.
    pub fn builder(name: impl Into<Name>) -> StackBuilder {
        StackBuilder::new(name.into())
    }
}

impl<R, C, F> Stack<R, C, F> {
    /// The name.
    pub fn name(&self) -> &Name {
        &self.policies.plain.name
    }

    /// What was found fault with when it was built, that is no error. Worth logging.
    pub fn warnings(&self) -> &[Finding] {
        &self.policies.plain.warnings
    }

    /// The breaker, if it has one.
    pub fn circuit_breaker(&self) -> Option<&CircuitBreaker> {
        self.policies.plain.circuit_breaker.as_ref()
    }

    /// The bulkhead, if it has one.
    pub fn bulkhead(&self) -> Option<&Bulkhead> {
        self.policies.plain.bulkhead.as_ref()
    }

    /// The adaptive limit, if it has one.
    pub fn concurrency_limit(&self) -> Option<&ConcurrencyLimit> {
        self.policies.plain.concurrency_limit.as_ref()
    }

    /// The rate limit, if it has one.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        self.policies.plain.rate_limit.as_ref()
    }

    /// Its retry or hedge.
    pub fn attempts(&self) -> &R {
        &self.policies.attempts
    }

    /// A tower layer that puts it around a service.
    pub fn layer(&self) -> StackLayer<R, C, F> {
        StackLayer::new(self.clone())
    }
}

impl<R, C, F> Clone for Stack<R, C, F> {
    fn clone(&self) -> Self {
        Stack { policies: Arc::clone(&self.policies) }
    }
}

impl<R: fmt::Debug, C, F> fmt::Debug for Stack<R, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("name", &self.policies.plain.name)
            .field("rate_limit", &self.policies.plain.rate_limit)
            .field("deadline", &self.policies.plain.deadline)
            .field("attempts", &self.policies.attempts)
            .field("bulkhead", &self.policies.plain.bulkhead)
            .field("concurrency_limit", &self.policies.plain.concurrency_limit)
            .field("circuit_breaker", &self.policies.plain.circuit_breaker)
            .field("timeout", &self.policies.plain.timeout)
            .finish_non_exhaustive()
    }
}
