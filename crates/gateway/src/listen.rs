//! Accepting connections, and letting go of them.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use panelboard_config::{Http2Limits, Scheme};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::{debug, warn};

use crate::admission::{Admission, Slot};
use crate::drain::{Drain, LULL};
use crate::fallback;
use crate::front::{Front, Protocol};
use crate::http2;
use crate::wire::{Ambiguity, Patience, Stream, Wire};

/// How much of a connection is buffered at least.
const BUFFER: usize = 64 * 1024;

/// How many connections wait to be accepted at most.
const BACKLOG: u32 = 4_096;

/// How long connections are still accepted after it was decided to accept none: those that wait in
/// the backlog by then would be lost with it.
const LAST_CALL: Duration = Duration::from_millis(20);

/// What a connection bears.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) header_read_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_headers: usize,
    /// Of all together.
    pub(crate) max_connections: usize,
    /// Of this client; `None` for any number.
    pub(crate) max_per_client: Option<usize>,
    pub(crate) http2: Http2Limits,
}

/// What the connections of a listener have in common.
pub(crate) struct Terms<L, M> {
    /// The limits of a connection from there that comes now.
    pub(crate) limits: L,
    /// What it meets.
    pub(crate) front: M,
    pub(crate) admission: Arc<Admission>,
    pub(crate) drain: Drain,
}

/// Who is at the other end of a connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Caller {
    /// An IPv4 address is one, also on a listener for both.
    pub(crate) ip: IpAddr,
    /// The same, as it is told to upstreams.
    pub(crate) ip_header: Option<HeaderValue>,
    pub(crate) scheme: Scheme,
    /// The port that was called.
    pub(crate) port: HeaderValue,
    ambiguity: Ambiguity,
    /// Also held by what the connection turns into.
    _slot: Slot,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub(crate) struct ListenError {
    address: SocketAddr,
    error: std::io::Error,
}

/// Opens a listener.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let listen = |socket: TcpSocket| {
        // Connections that were closed from this side linger in the system.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    socket.and_then(listen).map_err(|error| ListenError { address, error })
}

/// Serves connections until nothing new is to be taken. Connections live on as tasks of the drain.
/// One that comes too late by a moment is served, too, and told to close.
pub(crate) async fn serve<L, M, S, F, B>(listener: Arc<TcpListener>, terms: Terms<L, M>, answer: S)
where
    L: Fn(IpAddr) -> Limits,
    M: Fn() -> Arc<Front>,
    S: Fn(Arc<Caller>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let Terms { limits, front, admission, drain } = terms;
    let port = listener.local_addr().map_or(0, |address| address.port());
    let mut last_call = pin!(async {
        drain.closing().await;
        tokio::time::sleep(LAST_CALL).await;
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = last_call.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a connection that was gone before it was accepted.
                // Without a pause the former would spin.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let ip = peer.ip().to_canonical();
        let mut slot = tokio::select! {
            biased;
            slot = admission.enter(|| limits(ip).max_connections) => slot,
            () = drain.closing() => admission.enter_late(),
        };
        let limits = limits(ip);
        if !limits.max_per_client.is_none_or(|limit| slot.claim(ip, limit)) {
            debug!(%peer, "closed at once: the client has as many connections as it may");
            continue;
        }
        let front = front();
        let caller = Arc::new(Caller {
            ip,
            ip_header: HeaderValue::from_str(&ip.to_string()).ok(),
            scheme: front.scheme(),
            port: HeaderValue::from(port),
            ambiguity: Ambiguity::default(),
            _slot: slot,
        });
        let (ours, answer) = (drain.clone(), answer.clone());
        drain.spawn(async move {
            let cut = ours.clone();
            tokio::select! {
                () = connection(stream, caller, limits, front, ours, answer) => {}
                () = cut.cut() => {}
            }
        });
    }
}

async fn connection<S, F, B>(
    stream: TcpStream,
    caller: Arc<Caller>,
    limits: Limits,
    front: Arc<Front>,
    drain: Drain,
    answer: S,
) where
    S: Fn(Arc<Caller>, Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    // Small answers are not held back to be sent together.
    let _ = stream.set_nodelay(true);
    let peer = caller.ip;
    let opened = tokio::select! {
        opened = front.open(stream, limits.idle_timeout) => opened,
        () = lull(&drain) => return,
    };
    let ended = match opened {
        Ok((stream, Protocol::Http1)) => http1(stream, caller, limits, &drain, answer).await,
        Ok((stream, Protocol::Http2)) => {
            let answer = |request| answer(Arc::clone(&caller), request);
            // Its clients are told which requests will have an answer, so none is lost.
            http2::serve(stream, limits, drain.closing(), answer).await
        }
        Err(error) => return debug!(%peer, %error, "no connection"),
    };
    if let Err(error) = ended {
        // The client's affair: a bad request was answered, an abnormal end was wanted.
        debug!(%peer, %error, "connection ended");
    }
}

async fn http1<S, F, B>(
    stream: Stream,
    caller: Arc<Caller>,
    limits: Limits,
    drain: &Drain,
    answer: S,
) -> Result<(), hyper::Error>
where
    S: Fn(Arc<Caller>, Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let patience = Patience { head: limits.header_read_timeout, body: limits.idle_timeout };
    let wire = Wire::new(stream, patience, caller.ambiguity.clone());
    let service = service_fn(|request| {
        let refused = caller.ambiguity.of_next().map(refuse);
        let response = refused.is_none().then(|| answer(Arc::clone(&caller), request));
        async move {
            let mut response = match (refused, response) {
                (None, Some(response)) => response.await.map(Either::Left),
                (refused, _) => refused.unwrap_or_default().map(Either::Right),
            };
            if drain.is_closing() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // To hyper, waiting for a head and waiting for the rest of one are the same; the wire
        // bounds the latter.
        .header_read_timeout(limits.idle_timeout)
        .max_header_size(limits.max_header_bytes)
        // Heads that large are allowed, so there must be room for them.
        .max_buf_size(limits.max_header_bytes.max(BUFFER))
        .max_headers(limits.max_headers)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = lull(drain) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// Ready when a connection that is idle is to be closed.
async fn lull(drain: &Drain) {
    drain.closing().await;
    tokio::time::sleep(LULL).await;
}

impl Caller {
    /// The connection changes to another protocol, so its bytes are no longer looked at.
    pub(crate) fn leaves_http(&self) {
        self.ambiguity.leave_http();
    }

    #[cfg(test)]
    pub(crate) fn test(ip: IpAddr, scheme: Scheme) -> Caller {
        Caller {
            ip,
            ip_header: HeaderValue::from_str(&ip.to_string()).ok(),
            scheme,
            port: HeaderValue::from_static("8080"),
            ambiguity: Ambiguity::default(),
            _slot: Arc::new(Admission::default()).enter_late(),
        }
    }
}

/// A connection whose bytes are ambiguous is not read any further.
fn refuse(detail: &str) -> Response<Full<Bytes>> {
    let mut refusal = fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", detail);
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    refusal.map(Full::new)
}

impl ListenError {
    pub(crate) fn new(address: SocketAddr, error: std::io::Error) -> ListenError {
        ListenError { address, error }
    }
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ListenError { address, error } = self;
        write!(f, "cannot listen on {address}: {error}")?;
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                write!(f, " (stop what listens there, or choose another address)")
            }
            std::io::ErrorKind::PermissionDenied => {
                write!(f, " (ports below 1024 need a privilege; choose a higher one)")
            }
            std::io::ErrorKind::AddrNotAvailable => write!(f, " (no interface has this address)"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
