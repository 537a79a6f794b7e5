//! What a client's bytes say about where its requests begin and end.
//!
//! hyper reads requests leniently where the standard lets it: of two lengths that contradict each
//! other it takes one, and a line may end with a bare line feed. A server behind us may read the
//! same bytes differently, which is how requests are smuggled. So the bytes are looked at on their
//! way to hyper, and a connection on which they are ambiguous is refused. The same look tells a
//! connection that is idle from one that is in the middle of a head, which hyper does not.

mod framing;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use framing::{At, Framing};

/// A client's connection.
pub(crate) struct Wire {
    stream: TcpStream,
    framing: Framing,
    ambiguity: Ambiguity,
    patience: Patience,
    /// Runs while a head is under way, or while a body does not move.
    timer: Option<Pin<Box<Sleep>>>,
}

/// How long a client is waited for.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Patience {
    /// For all of a head, once it has begun.
    pub(crate) head: Duration,
    /// For the next piece of a body.
    pub(crate) body: Duration,
}

/// Shared by a connection's bytes and its requests: what is wrong with the former.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ambiguity(Arc<AtomicU8>);

impl Wire {
    pub(crate) fn new(stream: TcpStream, patience: Patience, ambiguity: Ambiguity) -> Wire {
        Wire { stream, framing: Framing::new(), ambiguity, patience, timer: None }
    }

    /// A client that has begun must get on with it. Called when nothing has come, though something
    /// is wanted.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let time = match self.framing.at {
            // hyper bounds the time between requests, and ends what is lost.
            At::Idle | At::Lost => {
                self.timer = None;
                return Poll::Pending;
            }
            At::RequestLine | At::Head => self.patience.head,
            At::Body(_) | At::ChunkSize | At::ChunkData(_) | At::Trailers => self.patience.body,
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(time)));
        timer.as_mut().poll(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        if Pin::new(&mut self.stream).poll_read(cx, buf)?.is_pending() {
            ready!(self.poll_timer(cx));
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        let read = &buf.filled()[before..];
        let heads = self.framing.heads;
        if let Err(fault) = self.framing.feed(read) {
            self.ambiguity.0.store(fault as u8, Ordering::Release);
        }
        // A head has one time for all of it: one that ends here was in time, and one that begins
        // here has its time from now. A body has its time from each piece.
        let in_head = matches!(self.framing.at, At::RequestLine | At::Head);
        if !in_head || self.framing.heads != heads {
            self.timer = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

// ===== impl Ambiguity =====

impl Ambiguity {
    /// What is wrong with the connection's bytes, if anything is.
    pub(crate) fn found(&self) -> Option<&'static str> {
        // Acquire: pairs with the release in `poll_read`; the head was read before it is served.
        match self.0.load(Ordering::Acquire) {
            0 => None,
            1 => Some("Content-Length and Transfer-Encoding contradict each other."),
            2 => Some("There is more than one Content-Length."),
            3 => Some("A line of the head ends with a bare line feed."),
            4 => Some("A header is folded over several lines."),
            _ => Some("A length or an encoding is written longer than any need be."),
        }
    }
}
