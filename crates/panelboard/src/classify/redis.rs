//! What an error of redis says.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::Classify;
use crate::{Kind, Outcome};

/// Judges what `redis` returns.
///
/// | error | outcome |
/// | --- | --- |
/// | I/O; no node, master or replica to be found | failure, `connect`, or `timeout` |
/// | answer that cannot be read | failure, `invalid_response` |
/// | NOAUTH, WRONGPASS, DENIED (protected mode) | failure, `auth`: nobody will get in |
/// | LOADING, CLUSTERDOWN, MASTERDOWN, READONLY, MISCONF, NOREPLICAS | failure, `server_error` |
/// | OOM, BUSY, too many clients | failure, `overloaded` |
/// | MOVED, ASK, TRYAGAIN | neutral: ask another node, or again |
/// | bad configuration or arguments, RESP3 not supported | neutral: it was not asked |
/// | ERR, WRONGTYPE, NOPERM, NOSCRIPT, CROSSSLOT, EXECABORT, value of another type, others | success: it answered |
///
/// A pipeline is judged by the first of its errors.
///
/// # Examples
/// ```
/// use panelboard::{Kind, Outcome, classify::Redis};
/// use redis::{ErrorKind, RedisError};
///
/// let other_type = RedisError::from((ErrorKind::UnexpectedReturnType, "not a number"));
/// assert_eq!(Redis::error(&other_type), Outcome::Success);
/// let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
/// assert_eq!(Redis::error(&lost), Outcome::failure(Kind::Connect));
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Redis;

impl Redis {
    /// What this error says.
    pub fn error(error: &RedisError) -> Outcome {
        Outcome::failure(match error.kind() {
            ErrorKind::Io if error.is_timeout() => Kind::Timeout,
            ErrorKind::Io
            | ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel
            | ErrorKind::ClusterConnectionNotFound => Kind::Connect,
            ErrorKind::Parse => Kind::InvalidResponse,
            ErrorKind::AuthenticationFailed => Kind::Auth,
            ErrorKind::Server(kind) => return server(kind, error),
            ErrorKind::Extension => return code(error.code().unwrap_or_default()),
            ErrorKind::UnexpectedReturnType => return Outcome::Success,
            ErrorKind::InvalidClientConfig
            | ErrorKind::Client
            | ErrorKind::EmptySentinelList
            | ErrorKind::RESP3NotSupported => return Outcome::Neutral,
            _ => Kind::OTHER,
        })
    }
}

fn server(kind: ServerErrorKind, error: &RedisError) -> Outcome {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::ReadOnly => Outcome::failure(Kind::ServerError),
        ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain => {
            Outcome::Neutral
        }
        // The one refusal that has no code of its own.
        ServerErrorKind::ResponseError
            if error.detail().is_some_and(|text| text.contains("max number of clients")) =>
        {
            Outcome::failure(Kind::Overloaded)
        }
        _ => Outcome::Success,
    }
}

/// Codes that the crate has no kind for.
fn code(code: &str) -> Outcome {
    match code {
        "OOM" | "BUSY" => Outcome::failure(Kind::Overloaded),
        "NOAUTH" | "WRONGPASS" | "DENIED" => Outcome::failure(Kind::Auth),
        "MISCONF" | "NOREPLICAS" => Outcome::failure(Kind::ServerError),
        _ => Outcome::Success,
    }
}

impl<T> Classify<T, RedisError> for Redis {
    fn classify(&self, result: &Result<T, RedisError>) -> Outcome {
        result.as_ref().map_or_else(Redis::error, |_| Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// The error that the crate makes of this reply.
    fn said(reply: &str) -> RedisError {
        let reply = format!("-{reply}\r\n");
        match ::redis::parse_redis_value(reply.as_bytes()) {
            Ok(::redis::Value::ServerError(error)) => error.into(),
            Ok(other) => panic!("{other:?} is no error"),
            Err(error) => error,
        }
    }

    #[test]
    fn servers_are_judged_by_what_they_say() {
        for (reply, kind) in [
            ("LOADING Redis is loading the dataset in memory", Kind::ServerError),
            ("CLUSTERDOWN The cluster is down", Kind::ServerError),
            ("READONLY You can't write against a read only replica.", Kind::ServerError),
            ("MISCONF Redis is configured to save RDB snapshots", Kind::ServerError),
            ("OOM command not allowed when used memory > 'maxmemory'.", Kind::Overloaded),
            ("BUSY Redis is busy running a script.", Kind::Overloaded),
            ("ERR max number of clients reached", Kind::Overloaded),
            ("NOAUTH Authentication required.", Kind::Auth),
            ("WRONGPASS invalid username-password pair", Kind::Auth),
            ("DENIED Redis is running in protected mode", Kind::Auth),
        ] {
            assert_eq!(Redis::error(&said(reply)), Outcome::failure(kind), "{reply}");
        }
        for reply in [
            "ERR unknown command 'FOO'",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "NOSCRIPT No matching script.",
            "NOPERM this user has no permissions",
            "EXECABORT Transaction discarded because of previous errors.",
        ] {
            assert_eq!(Redis::error(&said(reply)), Outcome::Success, "{reply}");
        }
        for reply in ["MOVED 3999 127.0.0.1:6381", "TRYAGAIN Multiple keys request"] {
            assert_eq!(Redis::error(&said(reply)), Outcome::Neutral, "{reply}");
        }
    }

    #[test]
    fn what_the_crate_says_itself_is_ours_theirs_or_nobodys() {
        let io = |kind: io::ErrorKind| RedisError::from(io::Error::from(kind));
        let own = |kind| RedisError::from((kind, "said by the crate"));
        for (error, kind) in [
            (io(io::ErrorKind::ConnectionRefused), Kind::Connect),
            (io(io::ErrorKind::TimedOut), Kind::Timeout),
            (own(ErrorKind::ClusterConnectionNotFound), Kind::Connect),
            (own(ErrorKind::AuthenticationFailed), Kind::Auth),
            (own(ErrorKind::Parse), Kind::InvalidResponse),
        ] {
            assert_eq!(Redis.classify(&Err::<(), _>(error)), Outcome::failure(kind));
        }
        let other_type = Err::<(), _>(own(ErrorKind::UnexpectedReturnType));
        assert_eq!(Redis.classify(&other_type), Outcome::Success);
        let misused = Err::<(), _>(own(ErrorKind::InvalidClientConfig));
        assert_eq!(Redis.classify(&misused), Outcome::Neutral);
        assert_eq!(Redis.classify(&Ok(1)), Outcome::Success);
    }
}
