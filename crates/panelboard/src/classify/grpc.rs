//! What an answer of a gRPC server says.

use std::time::Duration;

use ::http::{HeaderMap, Response};

use super::{Classify, Http};
use crate::{Kind, Outcome};

/// Judges an [`http::Response`](::http::Response) by `grpc-status` among its headers, and by its
/// HTTP status where there is none, as from a proxy; `Err` is a failure that nobody named.
///
/// | code | outcome |
/// | --- | --- |
/// | `RESOURCE_EXHAUSTED`, and `UNAVAILABLE` with a hint | pushback, with the hint |
/// | `DEADLINE_EXCEEDED` | failure, `timeout` |
/// | `INTERNAL`, `DATA_LOSS`, `UNAVAILABLE` | failure, `server_error` |
/// | `UNKNOWN`, and what is no code | failure that nobody named |
/// | `CANCELLED` | neutral |
/// | all others, `NOT_FOUND` and `UNAUTHENTICATED` among them | success |
///
/// It is the table of [`Outcome::of_grpc`]. The hint is `grpc-retry-pushback-ms`
/// ([gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)).
///
/// # Limits
/// A negative `grpc-retry-pushback-ms` asks not to be tried again. No outcome can say that: it is taken
/// for no hint.
///
/// A server that fails before it has anything to say puts its status among the headers (an answer of
/// *trailers only*), and so does every server made with tonic for a call that it answers with an
/// error. A status that comes after the body, as at the end of a stream, is not seen. Where that
/// matters guard the call itself, and judge its `tonic::Status` by its code:
///
/// ```
/// use panelboard::{CircuitBreaker, Error, Outcome, Settings};
/// use tonic::{Code, Status};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let call = async { Err::<tonic::Response<()>, _>(Status::not_found("no such user")) };
/// let users = CircuitBreaker::new("users", Settings::default());
/// let judge = |result: &Result<_, Status>| {
///     let code = result.as_ref().map_or_else(|status| status.code(), |_| Code::Ok);
///     Outcome::of_grpc(code.into(), None)
/// };
/// let user = users.call_async_classified(call, judge).await;
/// # assert!(user.is_err() && users.snapshot().counters.success == 1);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Examples
/// ```
/// use panelboard::{Kind, Outcome, classify::Grpc};
///
/// let response = http::Response::builder().header("grpc-status", "13").body(())?;
/// assert_eq!(Grpc::response(&response), Outcome::failure(Kind::ServerError));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Grpc;

impl Grpc {
    /// What this answer says.
    pub fn response<B>(response: &Response<B>) -> Outcome {
        let headers = response.headers();
        match headers.get("grpc-status") {
            Some(status) => {
                let code = status.to_str().ok().and_then(|code| code.parse().ok());
                Outcome::of_grpc(code.unwrap_or(-1), pushback(headers))
            }
            None => Http::response(response),
        }
    }
}

/// How long the server asks to wait. A negative number asks not to come back at all, which is no
/// time.
fn pushback(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get("grpc-retry-pushback-ms")?.to_str().ok()?.parse::<u32>().ok()?;
    Some(Duration::from_millis(millis.into()))
}

impl<B, E> Classify<Response<B>, E> for Grpc {
    fn classify(&self, result: &Result<Response<B>, E>) -> Outcome {
        match result {
            Ok(response) => Grpc::response(response),
            Err(_) => Outcome::failure(Kind::OTHER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(headers: &[(&str, &str)]) -> Outcome {
        let builder = headers
            .iter()
            .fold(Response::builder(), |builder, (name, value)| builder.header(*name, *value));
        Grpc.classify(&Ok::<_, ()>(builder.body(()).unwrap()))
    }

    #[test]
    fn answers_are_judged_by_code_and_hint() {
        let second = Some(Duration::from_secs(1));
        for (status, outcome) in [
            ("0", Outcome::Success),
            ("5", Outcome::Success),
            ("1", Outcome::Neutral),
            ("8", Outcome::pushback(second)),
            ("14", Outcome::pushback(second)),
            ("13", Outcome::Failure { kind: Kind::ServerError, retry_after: second }),
            ("what", Outcome::Failure { kind: Kind::OTHER, retry_after: second }),
        ] {
            let said = judge(&[("grpc-status", status), ("grpc-retry-pushback-ms", "1000")]);
            assert_eq!(said, outcome, "{status}");
        }
        for hint in ["-1", "soon", "", "99999999999"] {
            let said = judge(&[("grpc-status", "8"), ("grpc-retry-pushback-ms", hint)]);
            assert_eq!(said, Outcome::pushback(None), "{hint}");
        }
    }

    #[test]
    fn what_has_no_code_is_judged_as_http() {
        assert_eq!(judge(&[]), Outcome::Success, "the status comes after the body");
        let proxy = Response::builder().status(502).body(()).unwrap();
        assert_eq!(Grpc::response(&proxy), Outcome::failure(Kind::ServerError));
        let lost = Grpc.classify(&Err::<Response<()>, _>("connection reset"));
        assert_eq!(lost, Outcome::failure(Kind::OTHER));
    }
}
