//! What breaker and policies say themselves, and how to say it to a caller of one's own.

use std::convert::Infallible;

use crate::Error;

/// What breaker and policies have to say themselves: an [`Error`] without one of the callee.
///
/// An error type of your own that is to hold refusals and timeouts beside its other cases has a
/// variant of this.
///
/// ```
/// use panelboard::{Error, Unavailable};
///
/// enum LoginError {
///     WrongPassword,
///     Unavailable(Unavailable),
/// }
///
/// impl From<Unavailable> for LoginError {
///     fn from(unavailable: Unavailable) -> LoginError {
///         LoginError::Unavailable(unavailable)
///     }
/// }
///
/// let late: Error<LoginError> = Error::TimedOut;
/// let error = late.into_inner_or();
/// assert!(matches!(error, LoginError::Unavailable(Error::TimedOut)));
/// ```
///
/// A server that cannot answer because of it has these to say so with:
///
/// | | HTTP | gRPC |
/// | --- | --- | --- |
/// | refused by a breaker; bulkhead or adaptive limit full | 503 | `UNAVAILABLE` |
/// | attempt timed out, deadline passed | 504 | `DEADLINE_EXCEEDED` |
/// | rate limit used up | 429 | `RESOURCE_EXHAUSTED` |
pub type Unavailable = Error<Infallible>;

impl Unavailable {
    /// The HTTP status that says so. [`retry_after`](Error::retry_after) belongs into the header
    /// `Retry-After`; with the feature `http`, `to_response` does both.
    pub fn http_status(&self) -> u16 {
        match self {
            Error::Rejected(_) | Error::BulkheadFull | Error::LimitReached => 503,
            Error::TimedOut | Error::DeadlineExceeded => 504,
            Error::RateLimited { .. } => 429,
            Error::Inner(never) => match *never {},
        }
    }

    /// The gRPC status code that says so.
    ///
    /// # Examples
    /// With tonic, around a client's channel or within a server's layer:
    ///
    /// ```
    /// use panelboard::Error;
    /// use tonic::{Code, Status};
    ///
    /// fn status<E: std::error::Error + Send + Sync + 'static>(error: Error<E>) -> Status {
    ///     match error.try_into_inner() {
    ///         Ok(error) => Status::from_error(Box::new(error)),
    ///         Err(ours) => Status::new(Code::from_i32(ours.grpc_code()), ours.to_string()),
    ///     }
    /// }
    /// let late: Error<tonic::transport::Error> = Error::TimedOut;
    /// assert_eq!(status(late).code(), Code::DeadlineExceeded);
    ///
    /// // let channel = ServiceBuilder::new().map_err(status).layer(stack.layer()).service(channel);
    /// // let client = GreeterClient::new(channel);
    /// ```
    pub fn grpc_code(&self) -> i32 {
        match self {
            Error::Rejected(_) | Error::BulkheadFull | Error::LimitReached => 14,
            Error::TimedOut | Error::DeadlineExceeded => 4,
            Error::RateLimited { .. } => 8,
            Error::Inner(never) => match *never {},
        }
    }

    /// The HTTP answer that says so: status, `Retry-After` in whole seconds if it is known when to
    /// come back, and a line of text that does not say what the matter is, which is nothing that
    /// strangers need to know.
    ///
    /// # Examples
    /// With axum, whose servers send any [`http::Response`]:
    ///
    /// ```
    /// use axum::{Router, error_handling::HandleErrorLayer, routing::get};
    /// use panelboard::{CircuitBreaker, Settings, Unavailable, classify::Http};
    /// use tower::ServiceBuilder;
    ///
    /// let breaker = CircuitBreaker::new("users", Settings::default());
    /// let guard = ServiceBuilder::new()
    ///     .layer(HandleErrorLayer::new(|error: Unavailable| async move { error.to_response() }))
    ///     .layer(breaker.layer().classify(Http));
    /// let app: Router = Router::new().route("/users", get(|| async { "Ada" })).layer(guard);
    /// ```
    #[cfg(feature = "http")]
    pub fn to_response(&self) -> http::Response<String> {
        use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
        use std::time::Duration;

        let status = http::StatusCode::from_u16(self.http_status())
            .unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE);
        let text = status.canonical_reason().unwrap_or_default();
        let mut response = http::Response::new(format!("{text}\n"));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        // What will never conform has no time to come back at.
        if let Some(wait) = self.retry_after().filter(|wait| *wait < Duration::MAX) {
            // Rounded up: who comes a fraction of a second early is refused again.
            let secs = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, secs.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CircuitBreaker, Command, Settings};
    use std::time::Duration;

    fn each() -> [(Unavailable, u16, i32); 7] {
        let breaker = CircuitBreaker::new("secret", Settings::default());
        breaker.command(Command::OpenFor(Duration::from_millis(2_500)));
        let rejected = breaker.try_acquire().err().unwrap();
        let retry_after = Duration::from_secs(7);
        [
            (Error::Rejected(rejected), 503, 14),
            (Error::TimedOut, 504, 4),
            (Error::DeadlineExceeded, 504, 4),
            (Error::RateLimited { retry_after }, 429, 8),
            (Error::RateLimited { retry_after: Duration::MAX }, 429, 8),
            (Error::BulkheadFull, 503, 14),
            (Error::LimitReached, 503, 14),
        ]
    }

    #[test]
    fn each_has_a_status_of_http_and_grpc() {
        for (error, status, code) in each() {
            assert_eq!((error.http_status(), error.grpc_code()), (status, code), "{error}");
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn answers_say_when_to_come_back_and_nothing_that_is_internal() {
        let hints = each().map(|(error, status, _)| {
            let response = error.to_response();
            assert_eq!(response.status(), status);
            assert!(!response.body().contains("secret"));
            response.headers().get("retry-after").map(|hint| hint.to_str().unwrap().to_owned())
        });
        let hints = hints.each_ref().map(Option::as_deref);
        assert_eq!(hints, [Some("3"), None, None, Some("7"), None, None, None]);
    }
}
