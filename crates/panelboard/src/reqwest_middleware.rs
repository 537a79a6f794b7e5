//! A breaker in a reqwest client's chain of middleware.
//!
//! Every request that the client sends is guarded, by one breaker or by one for each host; the call
//! sites stay as they are. What is refused never leaves the process, and is an
//! [`Error::Middleware`] in which [`unavailable`] finds what the breaker said.
//!
//! ```
//! use panelboard::Registry;
//! use panelboard::reqwest_middleware::{CircuitBreakerMiddleware, unavailable};
//! use reqwest_middleware::ClientBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let registry = Registry::new();
//! let client = ClientBuilder::new(reqwest::Client::new())
//!     .with(CircuitBreakerMiddleware::per_host(registry.keyed("http")))
//!     .build();
//!
//! # let url = "http://127.0.0.1:1/";
//! for _ in 0..5 {
//!     let _ = client.get(url).send().await;
//! }
//! let error = client.get(url).send().await.unwrap_err();
//! let refused = unavailable(&error).and_then(|error| error.rejected()).expect("its circuit is open");
//! assert_eq!(&**refused.name(), "http/127.0.0.1:1");
//! # }
//! ```
//!
//! # Order
//! Middleware runs in the order in which it is added. A retry is added *before* the breaker, so that
//! the breaker sees each attempt; what authenticates or traces requests, in either place.
//!
//! # Limits
//! A request is judged when the head of its answer is there. What happens to the body later, while
//! the caller reads it, is not seen, and `timeout` of the settings does not bound it: set the
//! client's own timeout, too, and guard calls that read bodies with
//! [`call_async`](crate::CircuitBreaker::call_async) where that matters.
//!
//! # Cancel safety
//! Dropping a request that is under way abandons the call: that is neutral (and slow, if it had
//! passed the slow bound), and a probe's slot comes back.
//!
//! [`Error::Middleware`]: ::reqwest_middleware::Error::Middleware

use std::error::Error as StdError;

use ::reqwest::{Request, Response};
use ::reqwest_middleware::{Error, Middleware, Next, Result};
use async_trait::async_trait;

use crate::classify::{Reqwest, ReqwestBody};
use crate::policy::circuit_breaker::{Keyed, Select};
use crate::{CircuitBreaker, Classify, Family, Kind, Outcome, Unavailable};

/// Guards the requests of a client; see [the module](self).
///
/// `B` says which breaker guards a request, `C` what its result says of the dependency.
///
/// # Examples
/// One breaker for all that the client sends, and an opinion of one's own on what counts:
///
/// ```
/// use panelboard::reqwest_middleware::CircuitBreakerMiddleware;
/// use panelboard::{CircuitBreaker, Classify, Outcome, Settings, classify::Reqwest};
///
/// type Answer = reqwest_middleware::Result<reqwest::Response>;
///
/// let search = CircuitBreaker::new("search", Settings::default());
/// let middleware = CircuitBreakerMiddleware::new(search).classify(|answer: &Answer| match answer {
///     Ok(answer) if answer.status() == 404 => Outcome::failure(panelboard::Kind::ClientError),
///     answer => Reqwest.classify(answer),
/// });
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(middleware);
/// # drop(client);
/// ```
#[derive(Copy, Clone, Debug)]
pub struct CircuitBreakerMiddleware<B = CircuitBreaker, C = Reqwest> {
    breaker: B,
    classify: C,
}

/// The key of a request: see [`host`].
pub type HostKey = fn(&Request) -> String;

// ===== impl CircuitBreakerMiddleware =====

impl<B> CircuitBreakerMiddleware<B> {
    /// Guards each request with the breaker that `breaker` selects for it: a [`CircuitBreaker`], or
    /// a `Fn(&Request) -> CircuitBreaker`.
    pub fn new(breaker: B) -> CircuitBreakerMiddleware<B> {
        CircuitBreakerMiddleware { breaker, classify: Reqwest }
    }
}

impl CircuitBreakerMiddleware<Keyed<HostKey>> {
    /// Guards each request with the breaker of its [`host`].
    pub fn per_host(family: Family) -> CircuitBreakerMiddleware<Keyed<HostKey>> {
        CircuitBreakerMiddleware::keyed(family, host as HostKey)
    }
}

impl<K> CircuitBreakerMiddleware<Keyed<K>> {
    /// Guards each request with the breaker of `family` that `key` names. Parts of a key are set
    /// apart by `/`.
    pub fn keyed(family: Family, key: K) -> CircuitBreakerMiddleware<Keyed<K>> {
        CircuitBreakerMiddleware::new(Keyed::new(family, key))
    }
}

impl<B, C> CircuitBreakerMiddleware<B, C> {
    /// Judges results by `classify`. Default: [`Reqwest`], which takes `Retry-After` for a hint.
    pub fn classify<D>(self, classify: D) -> CircuitBreakerMiddleware<B, D> {
        CircuitBreakerMiddleware { breaker: self.breaker, classify }
    }
}

#[async_trait]
impl<B, C> Middleware for CircuitBreakerMiddleware<B, C>
where
    B: Select<Request> + Send + Sync + 'static,
    C: Classify<Response, Error> + Send + Sync + 'static,
{
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let Some(breaker) = self.breaker.select(&request) else {
            return next.run(request, extensions).await;
        };
        let classify = |result: &Result<Response>| self.classify.classify(result);
        let call = next.run(request, extensions);
        match breaker.call_async_classified(call, classify).await {
            Ok(response) => Ok(response),
            Err(error) => Err(error.try_into_inner().unwrap_or_else(Error::middleware)),
        }
    }
}

// ===== what its users need =====

/// The host that a request goes to, and the port if it is not the scheme's own: `example.com`,
/// `[::1]:8080`.
///
/// # Examples
/// ```
/// use panelboard::reqwest_middleware::host;
///
/// let client = reqwest::Client::new();
/// let request = client.get("https://user:secret@Example.com/path?query").build()?;
/// assert_eq!(host(&request), "example.com");
/// let request = client.get("http://[::1]:8080/").build()?;
/// assert_eq!(host(&request), "[::1]:8080");
/// # Ok::<(), reqwest::Error>(())
/// ```
pub fn host(request: &Request) -> String {
    let url = request.url();
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// What the breaker said itself, if that is why a request has no answer: it refused, or its
/// `timeout` has passed.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::reqwest_middleware::unavailable;
///
/// fn come_back_in(error: &reqwest_middleware::Error) -> Option<Duration> {
///     unavailable(error)?.retry_after()
/// }
/// # let error = reqwest_middleware::Error::middleware(panelboard::Unavailable::TimedOut);
/// # assert_eq!(come_back_in(&error), None);
/// ```
pub fn unavailable(error: &Error) -> Option<&Unavailable> {
    find(error)
}

/// Looks through what other middleware has wrapped around it.
fn find<T: StdError + 'static>(error: &Error) -> Option<&T> {
    match error {
        Error::Reqwest(error) => (error as &dyn StdError).downcast_ref(),
        Error::Middleware(error) => error.chain().find_map(|cause| {
            cause.downcast_ref().or_else(|| cause.downcast_ref::<Error>().and_then(find))
        }),
    }
}

impl Classify<Response, Error> for Reqwest {
    fn classify(&self, result: &Result<Response>) -> Outcome {
        match result {
            Ok(response) => Reqwest::response(response),
            Err(error) => outcome(error),
        }
    }
}

impl<T> Classify<T, Error> for ReqwestBody {
    fn classify(&self, result: &Result<T>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => outcome(error),
        }
    }
}

fn outcome(error: &Error) -> Outcome {
    match (unavailable(error), find(error)) {
        (Some(Unavailable::TimedOut), _) => Outcome::failure(Kind::Timeout),
        (Some(_), _) => Outcome::Neutral,
        (None, Some(error)) => Reqwest::error(error),
        (None, None) => Outcome::failure(Kind::OTHER),
    }
}
