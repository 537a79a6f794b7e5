//! What an answer that reqwest got, or did not get, says.

use std::error::Error as StdError;
use std::io;

use ::reqwest::{Error, Response};

use super::retry_hint;
use super::{Classify, Io};
use crate::clock::wall_now;
use crate::{Kind, Outcome};

/// Judges what `reqwest` returns.
///
/// Answers are judged by status and headers as by [`Http`](super::Http). Errors:
///
/// | error | outcome |
/// | --- | --- |
/// | timeout, of connecting and of answering | failure, `timeout` |
/// | no connection; connection lost before the answer | failure, `connect` |
/// | of `error_for_status` | by the status; `Retry-After` is lost by then, so judge the answer before |
/// | body cut or unreadable, redirected in circles | failure, `invalid_response` |
/// | a request that could not be built | neutral |
///
/// With the feature `reqwest-middleware` it also judges what a client with middleware returns: by the
/// error of `reqwest` that is in it; refusals of a breaker or policy further in are neutral; what
/// other middleware says itself is a failure that nobody named.
///
/// # Limits
/// A call that returns with the head of an answer is judged by it. What happens to the body later
/// is not seen; guard a call that reads it, if that matters, and judge it by [`ReqwestBody`].
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Error, Settings, classify::Reqwest};
///
/// async fn fetch(
///     breaker: &CircuitBreaker,
///     client: &reqwest::Client,
/// ) -> Result<reqwest::Response, Error<reqwest::Error>> {
///     breaker.call_async_classified(client.get("http://127.0.0.1:1/").send(), Reqwest).await
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let breaker = CircuitBreaker::new("search", Settings::default());
/// let refused = fetch(&breaker, &reqwest::Client::new()).await;
/// assert!(matches!(refused, Err(Error::Inner(_))));
/// assert_eq!(breaker.snapshot().kinds, [(panelboard::Kind::Connect, 1)]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Reqwest;

/// Judges a call that reads the body, whatever it makes of it: `Ok` is a success, errors are what
/// they are to [`Reqwest`].
///
/// The call has to ask for `error_for_status`: without it, the body of a 503 is as good as any. By
/// then `Retry-After` is lost, so a 503 is a failure, and a 429 pushback without a hint.
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Error, Settings, classify::ReqwestBody};
///
/// async fn fetch(
///     breaker: &CircuitBreaker,
///     client: &reqwest::Client,
/// ) -> Result<String, Error<reqwest::Error>> {
///     let call = async { client.get("http://127.0.0.1:1/").send().await?.error_for_status()?.text().await };
///     breaker.call_async_classified(call, ReqwestBody).await
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let breaker = CircuitBreaker::new("search", Settings::default());
/// let refused = fetch(&breaker, &reqwest::Client::new()).await;
/// assert!(matches!(refused, Err(Error::Inner(_))));
/// assert_eq!(breaker.snapshot().kinds, [(panelboard::Kind::Connect, 1)]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct ReqwestBody;

impl Reqwest {
    /// What this answer says.
    pub fn response(response: &Response) -> Outcome {
        let status = response.status().as_u16();
        Outcome::of_http(status, retry_hint(status, response.headers(), wall_now))
    }

    /// What this error says.
    pub fn error(error: &Error) -> Outcome {
        if let Some(status) = error.status() {
            return Outcome::of_http(status.as_u16(), None);
        }
        if error.is_builder() {
            return Outcome::Neutral;
        }
        Outcome::failure(if error.is_timeout() {
            Kind::Timeout
        } else if error.is_connect() {
            Kind::Connect
        } else if error.is_body() || error.is_decode() || error.is_redirect() {
            Kind::InvalidResponse
        } else {
            unanswered(error)
        })
    }
}

/// Why a request that was sent has no answer: the connection was lost, or what came is no HTTP.
fn unanswered(error: &Error) -> Kind {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && let Outcome::Failure { kind, .. } = Io::error(error)
        {
            return kind;
        }
        cause = error.source();
    }
    Kind::Connect
}

impl Classify<Response, Error> for Reqwest {
    fn classify(&self, result: &Result<Response, Error>) -> Outcome {
        match result {
            Ok(response) => Reqwest::response(response),
            Err(error) => Reqwest::error(error),
        }
    }
}

impl<T> Classify<T, Error> for ReqwestBody {
    fn classify(&self, result: &Result<T, Error>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => Reqwest::error(error),
        }
    }
}
