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
use panelboard_config::Http2Limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{debug, warn};

use crate::fallback;
use crate::front::{Front, Protocol};
use crate::http2;
use crate::wire::{Ambiguity, Patience, Stream, Wire};

/// How much of a connection is buffered at least.
const BUFFER: usize = 64 * 1024;

/// What a listener bears.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) header_read_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_headers: usize,
    pub(crate) max_connections: usize,
    pub(crate) http2: Http2Limits,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub(crate) struct ListenError {
    address: SocketAddr,
    error: std::io::Error,
}

/// Opens a listener.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|error| ListenError { address, error })
}

/// Serves connections until `stop` says so, then waits until the last has finished what it was at.
///
/// `front` is what a connection that comes now meets.
pub(crate) async fn serve<M, S, F, B>(
    listener: TcpListener,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    front: M,
    answer: S,
) where
    M: Fn() -> Arc<Front> + Send,
    S: Fn(IpAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    // Each connection has one of the former; without any, the latter gets the word.
    let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = stopped(&mut stop) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let stopped = {
                    let mut stop = stop.clone();
                    async move { stopped(&mut stop).await }
                };
                let connection = connection(stream, peer, limits, front(), stopped, answer.clone());
                let alive = alive.clone();
                tokio::spawn(async move {
                    connection.await;
                    drop((slot, alive));
                });
            }
            Err(error) => {
                // Out of descriptors, or a connection that was gone before it was accepted.
                // Without a pause the former would spin.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    drop(alive);
    let _ = all_gone.recv().await;
}

async fn connection<S, F, B>(
    stream: TcpStream,
    peer: SocketAddr,
    limits: Limits,
    front: Arc<Front>,
    stop: impl Future<Output = ()>,
    answer: S,
) where
    S: Fn(IpAddr, Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    // Small answers are not held back to be sent together.
    let _ = stream.set_nodelay(true);
    let mut stop = pin!(stop);
    let opened = tokio::select! {
        opened = front.open(stream, limits.idle_timeout) => opened,
        () = stop.as_mut() => return,
    };
    let ended = match opened {
        Ok((stream, Protocol::Http1)) => http1(stream, peer, limits, stop, answer).await,
        Ok((stream, Protocol::Http2)) => {
            http2::serve(stream, limits, stop, |request| answer(peer.ip(), request)).await
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
    peer: SocketAddr,
    limits: Limits,
    stop: impl Future<Output = ()>,
    answer: S,
) -> Result<(), hyper::Error>
where
    S: Fn(IpAddr, Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    let ambiguity = Ambiguity::default();
    let patience = Patience { head: limits.header_read_timeout, body: limits.idle_timeout };
    let wire = Wire::new(stream, patience, ambiguity.clone());
    let service = service_fn(|request| {
        let refused = ambiguity.of_next().map(refuse);
        let response = refused.is_none().then(|| answer(peer.ip(), request));
        async move {
            Ok::<_, Infallible>(match (refused, response) {
                (None, Some(response)) => response.await.map(Either::Left),
                (refused, _) => refused.unwrap_or_default().map(Either::Right),
            })
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
        .serve_connection(TokioIo::new(wire), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// A connection whose bytes are ambiguous is not read any further.
fn refuse(detail: &str) -> Response<Full<Bytes>> {
    let mut refusal = fallback::refusal(StatusCode::BAD_REQUEST, "Bad request", detail);
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    refusal.map(Full::new)
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever could say so is gone: then it is time, too.
    let _ = stop.wait_for(|stop| *stop).await;
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
