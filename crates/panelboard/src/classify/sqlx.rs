//! What an error of sqlx says.

use ::sqlx::Error;
use ::sqlx::error::{DatabaseError, ErrorKind};

use super::{Classify, Io};
use crate::{Kind, Outcome};

/// Judges what `sqlx` returns, whatever the database.
///
/// | error | outcome |
/// | --- | --- |
/// | I/O, TLS | failure, `connect` or what the [I/O error](Io) says |
/// | no connection of the pool came free | failure, `resource_exhausted` |
/// | protocol violated | failure, `invalid_response` |
/// | worker crashed | failure, `server_error` |
/// | from the database: see below | |
/// | no row, no such column, value of another type | success: it answered |
/// | cannot be encoded, bad arguments or configuration, pool closed | neutral: it was not asked |
///
/// What a database says is judged by its SQLSTATE (PostgreSQL, appendix A; the same classes in
/// MySQL), or by the primary result code of SQLite:
///
/// | SQLSTATE | SQLite | outcome |
/// | --- | --- | --- |
/// | 08 connection | 14 cannot open | failure, `connect` |
/// | 28 authorisation | | failure, `auth`: nobody will get in |
/// | 53 insufficient resources, 08004 | 5 busy, 7 memory, 13 full | failure, `overloaded` |
/// | 57014 cancelled by timeout | | failure, `timeout` |
/// | other 57, 58, XX; 25006 read-only | 8 read-only, 10 I/O, 11 corrupt, 26 no database | failure, `server_error` |
/// | HY, where MySQL puts all sorts of things | | neutral |
/// | others: constraints, syntax, privileges, deadlocks, serialisation | others | success |
///
/// A deadlock or a failure to serialise is a success: the database keeps its promises, and
/// transactions that collide are a reason to retry, not to stop asking.
///
/// # Limits
/// The crate `sqlx` needs Rust 1.94, which is newer than what this library needs otherwise.
///
/// 57014 is what PostgreSQL says for a `statement_timeout` and for a cancel request alike.
///
/// # Examples
/// ```
/// use panelboard::{Kind, Outcome, classify::Sqlx};
///
/// assert_eq!(Sqlx::error(&sqlx::Error::RowNotFound), Outcome::Success);
/// let no_connection = Sqlx::error(&sqlx::Error::PoolTimedOut);
/// assert_eq!(no_connection, Outcome::failure(Kind::ResourceExhausted));
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Sqlx;

impl Sqlx {
    /// What this error says.
    pub fn error(error: &Error) -> Outcome {
        Outcome::failure(match error {
            Error::Database(error) => return database(&**error),
            Error::Io(error) => match Io::error(error) {
                Outcome::Failure { kind, .. } => kind,
                // Whatever it is that was not found or not permitted: it is on the way there.
                _ => Kind::Connect,
            },
            Error::Tls(_) => Kind::Connect,
            Error::PoolTimedOut => Kind::ResourceExhausted,
            Error::Protocol(_) | Error::BeginFailed => Kind::InvalidResponse,
            Error::WorkerCrashed => Kind::ServerError,
            Error::RowNotFound
            | Error::TypeNotFound { .. }
            | Error::ColumnIndexOutOfBounds { .. }
            | Error::ColumnNotFound(_)
            | Error::ColumnDecode { .. }
            | Error::Decode(_) => return Outcome::Success,
            Error::Configuration(_)
            | Error::InvalidArgument(_)
            | Error::Encode(_)
            | Error::AnyDriverError(_)
            | Error::PoolClosed
            | Error::InvalidSavePointStatement => return Outcome::Neutral,
            _ => Kind::OTHER,
        })
    }
}

fn database(error: &dyn DatabaseError) -> Outcome {
    if error.kind() != ErrorKind::Other {
        return Outcome::Success;
    }
    match error.code() {
        Some(code) if code.len() == 5 => sqlstate(&code),
        Some(code) => code.parse().map_or(Outcome::Neutral, sqlite),
        None => Outcome::Neutral,
    }
}

fn sqlstate(code: &str) -> Outcome {
    Outcome::failure(match (code.get(..2), code) {
        (_, "08004") | (Some("53"), _) => Kind::Overloaded,
        (Some("08"), _) => Kind::Connect,
        (Some("28"), _) => Kind::Auth,
        (_, "57014") => Kind::Timeout,
        (_, "25006") | (Some("57" | "58" | "XX"), _) => Kind::ServerError,
        (Some("HY"), _) => return Outcome::Neutral,
        _ => return Outcome::Success,
    })
}

fn sqlite(code: u32) -> Outcome {
    // The rest of an extended code says more of the same.
    Outcome::failure(match code & 0xff {
        14 => Kind::Connect,
        5 | 7 | 13 => Kind::Overloaded,
        8 | 10 | 11 | 26 => Kind::ServerError,
        _ => return Outcome::Success,
    })
}

impl<T> Classify<T, Error> for Sqlx {
    fn classify(&self, result: &Result<T, Error>) -> Outcome {
        result.as_ref().map_or_else(Sqlx::error, |_| Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error as StdError;
    use std::{fmt, io};

    use super::*;

    /// What a driver would return.
    #[derive(Debug)]
    struct Said(Option<&'static str>, bool);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("said by the database")
        }
    }

    impl StdError for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &'static str {
            "said by the database"
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            self.0.map(Cow::Borrowed)
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            if self.1 { ErrorKind::UniqueViolation } else { ErrorKind::Other }
        }
    }

    #[test]
    fn databases_are_judged_by_what_they_say() {
        let judge = |code, constraint| Sqlx::error(&Said(code, constraint).into());
        assert_eq!(judge(Some("23505"), true), Outcome::Success);
        for (code, kind) in [
            ("08006", Kind::Connect),
            ("08004", Kind::Overloaded),
            ("28P01", Kind::Auth),
            ("53300", Kind::Overloaded),
            ("57014", Kind::Timeout),
            ("57P03", Kind::ServerError),
            ("58030", Kind::ServerError),
            ("XX000", Kind::ServerError),
            ("25006", Kind::ServerError),
            ("14", Kind::Connect),
            ("5", Kind::Overloaded),
            ("261", Kind::Overloaded),
            ("3338", Kind::ServerError),
        ] {
            assert_eq!(judge(Some(code), false), Outcome::failure(kind), "{code}");
        }
        for code in ["42601", "42501", "22001", "40001", "40P01", "55P03", "1", "787", "2067"] {
            assert_eq!(judge(Some(code), false), Outcome::Success, "{code}");
        }
        for code in [None, Some("HY000"), Some(""), Some("äöü")] {
            assert_eq!(judge(code, false), Outcome::Neutral, "{code:?}");
        }
    }

    #[test]
    fn what_sqlx_says_itself_is_ours_theirs_or_nobodys() {
        let io = |kind: io::ErrorKind| Error::Io(kind.into());
        for (error, kind) in [
            (io(io::ErrorKind::ConnectionRefused), Kind::Connect),
            (io(io::ErrorKind::NotFound), Kind::Connect),
            (io(io::ErrorKind::TimedOut), Kind::Timeout),
            (Error::Tls("bad certificate".into()), Kind::Connect),
            (Error::PoolTimedOut, Kind::ResourceExhausted),
            (Error::Protocol("unexpected".into()), Kind::InvalidResponse),
            (Error::WorkerCrashed, Kind::ServerError),
        ] {
            assert_eq!(Sqlx.classify(&Err::<(), _>(error)), Outcome::failure(kind));
        }
        for error in [Error::RowNotFound, Error::ColumnNotFound("x".into())] {
            assert_eq!(Sqlx.classify(&Err::<(), _>(error)), Outcome::Success);
        }
        for error in [Error::PoolClosed, Error::Encode("no".into())] {
            assert_eq!(Sqlx.classify(&Err::<(), _>(error)), Outcome::Neutral);
        }
        assert_eq!(Sqlx.classify(&Ok(1)), Outcome::Success);
    }
}
