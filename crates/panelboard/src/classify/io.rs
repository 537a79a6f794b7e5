//! What an I/O error says.

use std::io::{self, ErrorKind};

use super::Classify;
use crate::{Kind, Outcome};

/// Judges an [`io::Error`].
///
/// | error | outcome |
/// | --- | --- |
/// | refused, reset, aborted, unreachable, not connected, broken pipe | failure, `connect` |
/// | timed out, would block (what std returns for a socket's timeout) | failure, `timeout` |
/// | unexpected end, invalid data | failure, `invalid_response` |
/// | read-only file system | failure, `server_error`: that is how one protects itself from a broken disk |
/// | busy, deadlock | failure, `overloaded` |
/// | out of memory, storage full, too many open files, no port left | failure, `resource_exhausted` |
/// | quota exceeded | failure, `quota_exhausted` |
/// | not found, exists already, permission denied, invalid input, unsupported, and what else is wrong with the request | success |
/// | interrupted | neutral |
/// | anything else | failure, `other` |
///
/// # Limits
/// A socket in the file system that is not there is "not found" as well; where that means that a
/// server is down, say so in a classifier of your own.
///
/// # Examples
/// ```
/// use std::io::{Error, ErrorKind};
/// use panelboard::{Kind, Outcome, classify::Io};
///
/// assert_eq!(Io::error(&ErrorKind::NotFound.into()), Outcome::Success);
/// let refused = Io::error(&ErrorKind::ConnectionRefused.into());
/// assert_eq!(refused, Outcome::failure(Kind::Connect));
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct Io;

// What Unix calls EMFILE and ENFILE has no kind in std.
#[cfg(unix)]
const TOO_MANY_OPEN_FILES: [i32; 2] = [24, 23];
#[cfg(not(unix))]
const TOO_MANY_OPEN_FILES: [i32; 0] = [];

impl Io {
    /// What this error says.
    pub fn error(error: &io::Error) -> Outcome {
        if error.raw_os_error().is_some_and(|code| TOO_MANY_OPEN_FILES.contains(&code)) {
            return Outcome::failure(Kind::ResourceExhausted);
        }
        Outcome::failure(match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::StaleNetworkFileHandle => Kind::Connect,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Kind::Timeout,
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::WriteZero => {
                Kind::InvalidResponse
            }
            ErrorKind::ReadOnlyFilesystem => Kind::ServerError,
            ErrorKind::ResourceBusy | ErrorKind::Deadlock => Kind::Overloaded,
            ErrorKind::OutOfMemory | ErrorKind::StorageFull | ErrorKind::AddrNotAvailable => {
                Kind::ResourceExhausted
            }
            ErrorKind::QuotaExceeded => Kind::QuotaExhausted,
            ErrorKind::Interrupted => return Outcome::Neutral,
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidFilename
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::NotSeekable
            | ErrorKind::FileTooLarge
            | ErrorKind::ExecutableFileBusy
            | ErrorKind::CrossesDevices
            | ErrorKind::TooManyLinks
            | ErrorKind::ArgumentListTooLong
            | ErrorKind::AddrInUse
            | ErrorKind::Unsupported => return Outcome::Success,
            _ => Kind::OTHER,
        })
    }
}

impl<T> Classify<T, io::Error> for Io {
    fn classify(&self, result: &io::Result<T>) -> Outcome {
        result.as_ref().map_or_else(Io::error, |_| Outcome::Success)
    }
}
