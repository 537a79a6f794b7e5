//! What an HTTP answer says.

use ::http::{Response, StatusCode};

use super::{Classify, retry_hint};
use crate::clock::wall_now;
use crate::{Kind, Outcome};

/// Judges an [`http::Response`](::http::Response) by its status and headers, or a bare
/// [`StatusCode`]; `Err` is a failure that nobody named.
///
/// | status | outcome |
/// | --- | --- |
/// | 429, 529, and 503 with `Retry-After` | pushback, with the hint of [`retry_hint`](super::retry_hint) |
/// | 408 | failure, `timeout` |
/// | other 5xx | failure, `server_error`, with the hint if there is one |
/// | all others, 401, 403 and 404 among them | success |
///
/// It is the table of the gateway: [`Outcome::of_http`]. The body is not looked at.
///
/// # Examples
/// ```
/// use panelboard::{Kind, Outcome, classify::Http};
///
/// let response = http::Response::builder().status(429).header("retry-after", "2").body(())?;
/// let wait = std::time::Duration::from_secs(2);
/// assert_eq!(Http::response(&response), Outcome::pushback(Some(wait)));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Http;

impl Http {
    /// What this answer says.
    pub fn response<B>(response: &Response<B>) -> Outcome {
        let status = response.status().as_u16();
        Outcome::of_http(status, retry_hint(status, response.headers(), wall_now))
    }
}

impl<B, E> Classify<Response<B>, E> for Http {
    fn classify(&self, result: &Result<Response<B>, E>) -> Outcome {
        match result {
            Ok(response) => Http::response(response),
            Err(_) => Outcome::failure(Kind::OTHER),
        }
    }
}

impl<E> Classify<StatusCode, E> for Http {
    fn classify(&self, result: &Result<StatusCode, E>) -> Outcome {
        match result {
            Ok(status) => Outcome::of_http(status.as_u16(), None),
            Err(_) => Outcome::failure(Kind::OTHER),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_are_judged_by_status_and_hint() {
        let judge = |status: u16, hint: Option<&str>| {
            let mut response = Response::builder().status(status);
            if let Some(hint) = hint {
                response = response.header("Retry-After", hint);
            }
            Http.classify(&Ok::<_, ()>(response.body("").unwrap()))
        };
        assert_eq!(judge(404, None), Outcome::Success);
        assert_eq!(judge(503, None), Outcome::failure(Kind::ServerError));
        assert_eq!(judge(503, Some("3")), Outcome::pushback(Some(Duration::from_secs(3))));
        let past = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(judge(429, past), Outcome::pushback(Some(Duration::ZERO)));
        assert_eq!(
            Http.classify(&Err::<Response<()>, _>("no answer")),
            Outcome::failure(Kind::OTHER)
        );
        let status = Ok::<_, ()>(StatusCode::BAD_GATEWAY);
        assert_eq!(Http.classify(&status), Outcome::failure(Kind::ServerError));
    }
}
