//! Connections to an upstream: how they come about, and what is noticed on them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use crate::tls::{H2, Kept};

/// Makes connections to one upstream.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tcp: HttpConnector,
    pub(super) tls: Option<Arc<Tls>>,
    /// One for each connection there may be.
    pub(super) slots: Option<Arc<Semaphore>>,
    /// For all of it: a slot, the name, TCP and TLS.
    pub(super) patience: Duration,
    /// Whether HTTP/2 is spoken without having been agreed on.
    pub(super) http2_only: bool,
}

/// TLS to one upstream.
pub(super) struct Tls {
    pub(super) config: Kept<ClientConfig>,
    /// The name its certificate must be for.
    pub(super) name: ServerName<'static>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// As many as there may be are taken.
    Full,
    /// It took too long.
    Slow,
    /// No such host, refused, unreachable.
    Tcp(Box<dyn std::error::Error + Send + Sync>),
    Tls(io::Error),
    /// HTTP/2 is a must, and it does not speak it.
    NoHttp2,
}

/// A connection to an upstream.
pub(super) struct Conn {
    stream: Stream,
    /// What it is in the middle of, where requests come one after the other.
    exchange: Option<Exchange>,
    http2: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where a connection of HTTP/1.1 is: enough to tell whether a byte of the answer has come.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
struct Exchange {
    /// Whether there was an earlier one.
    reused: bool,
    /// Whether anything has come since the request began.
    answered: bool,
}

/// Whether a connection of HTTP/2 has had a request yet. It goes along with every answer and error.
#[derive(Clone, Debug, Default)]
pub(super) struct Used(Arc<AtomicBool>);

/// The upstream closed an idle connection while a request was on its way to it: the end of one was
/// not seen before the other was sent. Not a byte of an answer has come.
#[derive(Debug)]
pub(super) struct ClosedIdle;

// ===== impl Connector =====

impl Service<Uri> for Connector {
    type Response = TokioIo<Conn>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Conn>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.tcp.poll_ready(cx).map_err(|error| ConnectError::Tcp(error.into()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let slot = match &connector.slots {
                Some(slots) => {
                    let slot = Arc::clone(slots).acquire_owned();
                    let slot = tokio::time::timeout(connector.patience, slot).await;
                    // It is never closed.
                    Some(slot.ok().and_then(Result::ok).ok_or(ConnectError::Full)?)
                }
                None => None,
            };
            let patience = connector.patience;
            let connected = tokio::time::timeout(patience, connector.connect(uri)).await;
            let (stream, http2) = connected.map_err(|_| ConnectError::Slow)??;
            let exchange = (!http2).then(Exchange::default);
            Ok(TokioIo::new(Conn { stream, exchange, http2, _slot: slot }))
        })
    }
}

impl Connector {
    async fn connect(mut self, uri: Uri) -> Result<(Stream, bool), ConnectError> {
        let tcp = self.tcp.call(uri).await.map_err(|error| ConnectError::Tcp(error.into()))?;
        let tcp = tcp.into_inner();
        let Some(tls) = self.tls else { return Ok((Stream::Plain(tcp), self.http2_only)) };
        let stream = TlsConnector::from(tls.config.get())
            .connect(tls.name.clone(), tcp)
            .await
            .map_err(ConnectError::Tls)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        match self.http2_only && !http2 {
            true => Err(ConnectError::NoHttp2),
            false => Ok((Stream::Tls(Box::new(stream)), http2)),
        }
    }
}

// ===== impl Conn =====

impl Connection for Conn {
    fn connected(&self) -> Connected {
        match self.http2 {
            true => Connected::new().negotiated_h2().extra(Used::default()),
            false => Connected::new(),
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        };
        let (Poll::Ready(result), Some(exchange)) = (&read, &mut self.exchange) else {
            return read;
        };
        match result {
            Ok(()) if buf.filled().len() > before => {
                exchange.answered = true;
                read
            }
            Ok(()) => Poll::Ready(exchange.ended()),
            Err(error) if is_end(error) => {
                Poll::Ready(exchange.ended().and(Err(error.kind().into())))
            }
            Err(_) => read,
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        };
        self.wrote(wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, pieces),
        };
        self.wrote(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

impl Conn {
    fn wrote(&mut self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let (Poll::Ready(result), Some(exchange)) = (&wrote, &mut self.exchange) else {
            return wrote;
        };
        exchange.wrote();
        match result {
            Err(error) if is_end(error) => {
                Poll::Ready(Err(exchange.ended().err().unwrap_or_else(|| error.kind().into())))
            }
            _ => wrote,
        }
    }
}

/// Whether this says that the other side is gone.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

impl Exchange {
    /// What is written after an answer is the next request.
    fn wrote(&mut self) {
        if self.answered {
            *self = Exchange { reused: true, answered: false };
        }
    }

    /// The connection has ended: if that crossed a request, says so.
    fn ended(self) -> io::Result<()> {
        match self.reused && !self.answered {
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, ClosedIdle)),
            false => Ok(()),
        }
    }
}

impl Used {
    /// Takes note of a request, and says whether there was one before.
    pub(super) fn set(&self) -> bool {
        // Nothing else is published by it.
        self.0.swap(true, Ordering::Relaxed)
    }
}

// ===== errors =====

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ConnectError::Full => "all of its connections are taken",
            ConnectError::Slow => "no connection in time",
            ConnectError::Tcp(_) => "no connection",
            ConnectError::Tls(_) => "no TLS",
            ConnectError::NoHttp2 => "it does not speak HTTP/2",
        })
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConnectError::Tcp(error) => Some(error.as_ref()),
            ConnectError::Tls(error) => Some(error),
            ConnectError::Full | ConnectError::Slow | ConnectError::NoHttp2 => None,
        }
    }
}

impl std::fmt::Display for ClosedIdle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the idle connection was closed as the request was sent")
    }
}

impl std::error::Error for ClosedIdle {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a connection makes of its end after these steps: `w`rites and `r`eads.
    fn ends(steps: &str) -> bool {
        let mut exchange = Exchange::default();
        for step in steps.chars() {
            match step {
                'w' => exchange.wrote(),
                _ => exchange.answered = true,
            }
        }
        exchange.ended().is_err()
    }

    #[test]
    fn an_end_crosses_a_request_only_on_a_connection_in_use_and_before_the_answer() {
        for (steps, crosses) in [
            ("", false),
            ("w", false),
            ("ww", false),
            ("wr", false),
            ("wrw", true),
            ("wwrrww", true),
            ("wrwr", false),
            ("wrwrw", true),
        ] {
            assert_eq!(ends(steps), crosses, "{steps:?}");
        }
        let told = Exchange { reused: true, answered: false }.ended().unwrap_err();
        assert!(told.get_ref().unwrap().is::<ClosedIdle>() && is_end(&told));
    }
}
