//! Why there is no answer, and what that says of the upstream.

use http::Extensions;
use hyper_util::client::legacy::Error as PoolError;

use super::connect::{ClosedIdle, ConnectError, Used};
use crate::judge::Observed;

/// Why there is no head of an answer.
pub(crate) struct SendError {
    pub(crate) observed: Observed,
    /// In the words of whoever found it: the system, TLS, the parser.
    pub(crate) cause: Option<String>,
    /// Whether the upstream need not have seen the request.
    pub(crate) unseen: Unseen,
}

/// Whether an upstream need not have seen a request that it did not answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unseen {
    /// It may have seen it, and that it did not answer is its own doing.
    No,
    /// It closed an idle connection just then, and has most likely not seen it.
    ClosedIdle,
    /// It closed a connection in order and says that it has not looked at it.
    Certainly,
}

impl SendError {
    pub(super) fn of(error: &PoolError) -> SendError {
        let lost = was_lost(error);
        let (observed, unseen) = match observed(error) {
            (Observed::ClosedEarly, Unseen::No) if lost => {
                (Observed::ClosedEarly, Unseen::ClosedIdle)
            }
            known => known,
        };
        SendError { observed, cause: root(error), unseen }
    }

    pub(super) fn garbage(cause: &str) -> SendError {
        SendError { cause: Some(cause.to_owned()), ..Observed::Garbage.into() }
    }
}

impl From<Observed> for SendError {
    fn from(observed: Observed) -> SendError {
        SendError { observed, cause: None, unseen: Unseen::No }
    }
}

/// Whether this is the end of a connection of HTTP/2 that was in use, without a word about its
/// requests.
fn was_lost(error: &PoolError) -> bool {
    let used = error.connect_info().is_some_and(|info| {
        let mut extras = Extensions::new();
        info.get_extras(&mut extras);
        extras.get::<Used>().is_some_and(Used::set)
    });
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut spoken = false;
    while let Some(cause) = source {
        spoken |= cause.is::<h2::Error>();
        source = cause.source();
    }
    used && !spoken
}

/// What an error is due to in the end; what lies above only says that something failed.
fn root(error: &PoolError) -> Option<String> {
    let mut root = std::error::Error::source(error)?;
    while let Some(cause) = root.source() {
        root = cause;
    }
    Some(root.to_string())
}

/// What an error of the client says of the upstream.
fn observed(error: &PoolError) -> (Observed, Unseen) {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<ConnectError>() {
            match error {
                ConnectError::Full => return (Observed::PoolFull, Unseen::No),
                ConnectError::Slow => return (Observed::ConnectTimeout, Unseen::No),
                ConnectError::Tcp(_) | ConnectError::Tls(_) | ConnectError::NoHttp2 => {}
            }
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && error.is_parse()
        {
            return (Observed::Garbage, Unseen::No);
        }
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return of_http2(error);
        }
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<ClosedIdle>)
            {
                return (Observed::ClosedEarly, Unseen::ClosedIdle);
            }
            if error.kind() == std::io::ErrorKind::TimedOut {
                return (Observed::ConnectTimeout, Unseen::No);
            }
        }
        source = cause.source();
    }
    // What failed before there was a connection to send on, TLS 1.3 turning a client away among it,
    // comes without one.
    match error.is_connect() || error.connect_info().is_none() {
        true => (Observed::ConnectFailed, Unseen::No),
        false => (Observed::ClosedEarly, Unseen::No),
    }
}

/// Of HTTP/2: a stream was reset, the connection given up, or a frame made no sense.
fn of_http2(error: &h2::Error) -> (Observed, Unseen) {
    match error.reason() {
        // Streams that a GOAWAY leaves out were not looked at (RFC 9113, section 6.8).
        _ if error.is_go_away() && error.is_remote() => (Observed::Refused, Unseen::Certainly),
        Some(h2::Reason::REFUSED_STREAM) if error.is_remote() => (Observed::Refused, Unseen::No),
        // It stopped answering pings.
        _ if error.is_library() => (Observed::Garbage, Unseen::No),
        _ => (Observed::ClosedEarly, Unseen::No),
    }
}
