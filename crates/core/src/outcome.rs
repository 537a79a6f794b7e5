//! What came of a guarded call.

use core::time::Duration;

use crate::{Kind, Settings};

/// What came of a guarded call, as far as the dependency is concerned.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The dependency did its job (also: it rightly refused, as with most HTTP 4xx).
    Success,
    /// The dependency failed.
    Failure {
        /// How.
        kind: Kind,
        /// When the dependency said to come back. It can only lengthen an open phase that this
        /// very failure starts.
        retry_after: Option<Duration>,
    },
    /// Says nothing of the dependency: cancelled, ignored, refused locally.
    Neutral,
    /// The dependency is alive and asked us to slow down (HTTP 429, 529).
    Pushback {
        /// When it said to come back.
        retry_after: Option<Duration>,
        /// Whether a quota is used up, so that slowing down is no help: see
        /// [`Pace`](crate::pace::Pace).
        quota: bool,
    },
}

impl Outcome {
    /// A failure without a hint.
    pub const fn failure(kind: Kind) -> Outcome {
        Outcome::Failure { kind, retry_after: None }
    }

    /// A pushback with or without a hint.
    pub const fn pushback(retry_after: Option<Duration>) -> Outcome {
        Outcome::Pushback { retry_after, quota: false }
    }

    /// A pushback because a quota is used up, with or without a hint when there is a new one.
    pub const fn quota_used_up(retry_after: Option<Duration>) -> Outcome {
        Outcome::Pushback { retry_after, quota: true }
    }

    /// What an answer with this HTTP status says, given the server's hint when to come back
    /// (`Retry-After`).
    ///
    /// - 429, 529, and 503 with a hint: pushback. The server is alive, and has not processed the
    ///   request.
    /// - 408: a failure of kind `timeout`.
    /// - Other 5xx: a failure of kind `server_error`, which keeps the hint.
    /// - Everything else is a success; other 4xx too: the dependency did its job, and the caller was
    ///   wrong.
    pub const fn of_http(status: u16, retry_after: Option<Duration>) -> Outcome {
        match status {
            429 | 529 => Outcome::pushback(retry_after),
            503 if retry_after.is_some() => Outcome::pushback(retry_after),
            408 => Outcome::failure(Kind::Timeout),
            500.. => Outcome::Failure { kind: Kind::ServerError, retry_after },
            _ => Outcome::Success,
        }
    }

    /// What a gRPC status with this code says, given the server's hint when to come back
    /// (`grpc-retry-pushback-ms`).
    ///
    /// - `RESOURCE_EXHAUSTED` (8), and `UNAVAILABLE` (14) with a hint: pushback.
    /// - `DEADLINE_EXCEEDED` (4): a failure of kind `timeout`.
    /// - `INTERNAL` (13), `DATA_LOSS` (15), and `UNAVAILABLE` without a hint: a failure of kind
    ///   `server_error`.
    /// - `UNKNOWN` (2), and codes that are none: a failure that nobody named, which keeps the hint.
    /// - `CANCELLED` (1): neutral. Somebody on the caller's side gave up.
    /// - Everything else is a success: the dependency did its job, and the caller was wrong.
    ///
    /// Codes are those of <https://grpc.io/docs/guides/status-codes/>.
    pub const fn of_grpc(code: i32, retry_after: Option<Duration>) -> Outcome {
        match code {
            8 => Outcome::pushback(retry_after),
            14 if retry_after.is_some() => Outcome::pushback(retry_after),
            4 => Outcome::failure(Kind::Timeout),
            13..=15 => Outcome::Failure { kind: Kind::ServerError, retry_after },
            1 => Outcome::Neutral,
            0 | 3 | 5..=7 | 9..=12 | 16 => Outcome::Success,
            _ => Outcome::Failure { kind: Kind::OTHER, retry_after },
        }
    }

    /// The name in metrics and API.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure { .. } => "failure",
            Outcome::Neutral => "neutral",
            Outcome::Pushback { .. } => "pushback",
        }
    }
}

/// How a call's duration compares with `slow_call_duration`.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Speed {
    /// Not judged: no slow rule, or this call was already marked slow while it ran.
    #[default]
    Unjudged,
    /// Shorter than the bound.
    Fast,
    /// The bound or longer.
    Slow,
}

/// The end of a call, as the evidence takes it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// What came of it.
    pub outcome: Outcome,
    /// How fast it was.
    pub speed: Speed,
    /// How long it took; `None` if that is not known. Together with [`Speed::Unjudged`]: it was
    /// marked slow while it ran.
    pub took: Option<Duration>,
}

impl End {
    /// What is known of a call that has just passed the slow bound while it runs: it took that
    /// long at least. Its end is then of unjudged speed.
    pub fn passed_the_bound(settings: &Settings) -> End {
        let took = settings.slow_call_duration.filter(|_| settings.tracks_latency());
        End { outcome: Outcome::Neutral, speed: Speed::Slow, took }
    }

    /// What this adds to the time that calls took, if thresholds depend on that: all of it, or of a
    /// call that had passed the slow bound while it ran what was not known then.
    pub fn adds(self, settings: &Settings) -> Option<Duration> {
        let bound = settings.slow_call_duration.filter(|_| settings.tracks_latency())?;
        match self.speed {
            Speed::Unjudged => self.took.map(|took| took.saturating_sub(bound)),
            Speed::Fast | Speed::Slow => self.took,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_go_by_the_names_of_the_field() {
        let outcomes = [
            Outcome::Success,
            Outcome::failure(Kind::OTHER),
            Outcome::Neutral,
            Outcome::pushback(None),
        ];
        assert_eq!(outcomes.map(Outcome::name), ["success", "failure", "neutral", "pushback"]);
    }

    #[test]
    fn statuses_are_judged_as_documented() {
        let hint = Some(Duration::from_secs(7));
        for status in [0, 100, 200, 204, 301, 304, 400, 401, 403, 404, 413, 422, 499] {
            assert_eq!(Outcome::of_http(status, hint), Outcome::Success, "{status}");
        }
        for status in [500, 501, 502, 503, 504, 520, 599, u16::MAX] {
            let failure = Outcome::failure(Kind::ServerError);
            assert_eq!(Outcome::of_http(status, None), failure, "{status}");
        }
        for status in [429, 503, 529] {
            assert_eq!(Outcome::of_http(status, hint), Outcome::pushback(hint), "{status}");
        }
        for status in [429, 529] {
            assert_eq!(Outcome::of_http(status, None), Outcome::pushback(None), "{status}");
        }
        assert_eq!(Outcome::of_http(408, hint), Outcome::failure(Kind::Timeout));
        let failure = Outcome::Failure { kind: Kind::ServerError, retry_after: hint };
        assert_eq!(Outcome::of_http(502, hint), failure, "a failure keeps its hint");
    }

    #[test]
    fn codes_of_grpc_are_judged_as_documented() {
        let hint = Some(Duration::from_secs(7));
        for code in [0, 3, 5, 6, 7, 9, 10, 11, 12, 16] {
            assert_eq!(Outcome::of_grpc(code, hint), Outcome::Success, "{code}");
        }
        assert_eq!(Outcome::of_grpc(1, hint), Outcome::Neutral);
        assert_eq!(Outcome::of_grpc(4, hint), Outcome::failure(Kind::Timeout));
        for retry_after in [None, hint] {
            let failure = |kind| Outcome::Failure { kind, retry_after };
            assert_eq!(Outcome::of_grpc(8, retry_after), Outcome::pushback(retry_after));
            for code in [13, 15] {
                assert_eq!(Outcome::of_grpc(code, retry_after), failure(Kind::ServerError));
            }
            for code in [2, -1, 17, i32::MIN, i32::MAX] {
                assert_eq!(Outcome::of_grpc(code, retry_after), failure(Kind::OTHER), "{code}");
            }
        }
        assert_eq!(Outcome::of_grpc(14, None), Outcome::failure(Kind::ServerError));
        assert_eq!(Outcome::of_grpc(14, hint), Outcome::pushback(hint));
    }
}
