//! What a client's bytes say about where its requests begin and end.
//!
//! hyper reads requests leniently where the standard lets it: of two lengths that contradict each
//! other it takes one, and a line may end with a bare line feed. A server behind us may read the
//! same bytes differently, which is how requests are smuggled. So the bytes are looked at on their
//! way to hyper, and a connection on which they are ambiguous is refused. The same look tells a
//! connection that is idle from one that is in the middle of a head, which hyper does not.

mod framing;
mod stream;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

pub(crate) use stream::Stream;

use framing::{At, Fault, Framing};

/// A client's connection that speaks HTTP/1.1.
pub(crate) struct Wire {
    stream: Stream,
    framing: Framing,
    ambiguity: Ambiguity,
    /// A fault within a body was found: nothing after it is read.
    broken: bool,
    patience: Patience,
    /// Runs while a head is under way, or while a body does not move.
    timer: Option<Pin<Box<Sleep>>>,
    /// Runs while the client takes nothing.
    untaken: Option<Pin<Box<Sleep>>>,
}

/// How long a client is waited for.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Patience {
    /// For all of a head, once it has begun.
    pub(crate) head: Duration,
    /// For the next piece of a body, in either direction.
    pub(crate) body: Duration,
}

/// Shared by a connection's bytes and its requests: what is wrong with the former, and from which
/// of the latter on; and whether they are HTTP no longer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ambiguity(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Nothing, or one more than the number of a fault beside that of the request that has it.
    found: AtomicU64,
    /// How many requests have been asked about.
    requests: AtomicU32,
    left_http: AtomicBool,
}

impl Wire {
    pub(crate) fn new(stream: Stream, patience: Patience, ambiguity: Ambiguity) -> Wire {
        let framing = Framing::new();
        Wire { stream, framing, ambiguity, broken: false, patience, timer: None, untaken: None }
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

    /// A client must take what it asked for. Called with what came of writing to it.
    fn poll_taken<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<std::io::Result<T>>,
    ) -> Poll<std::io::Result<T>> {
        if written.is_ready() || self.ambiguity.has_left_http() {
            self.untaken = None;
            return written;
        }
        let time = self.patience.body;
        let timer = self.untaken.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.ambiguity.has_left_http() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let before = buf.filled().len();
        if self.broken {
            return Poll::Ready(Err(std::io::ErrorKind::InvalidData.into()));
        }
        if Pin::new(&mut self.stream).poll_read(cx, buf)?.is_pending() {
            ready!(self.poll_timer(cx));
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        let read = &buf.filled()[before..];
        let heads = self.framing.heads;
        if let Err(found) = self.framing.feed(read) {
            match found.in_body {
                // Its request is under way: it gets no end that could be taken for one.
                true => {
                    buf.set_filled(before + found.before);
                    self.broken = true;
                    if found.before == 0 {
                        return Poll::Ready(Err(std::io::ErrorKind::InvalidData.into()));
                    }
                }
                false => self.ambiguity.set(found.fault, self.framing.heads),
            }
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
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_taken(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_taken(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.poll_taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

// ===== impl Ambiguity =====

impl Ambiguity {
    /// From now on the bytes are of another protocol.
    pub(crate) fn leave_http(&self) {
        // Release: the bytes are read by whoever polls the connection, perhaps on another thread.
        self.0.left_http.store(true, Ordering::Release);
    }

    fn has_left_http(&self) -> bool {
        // Acquire: pairs with the release in `leave_http`.
        self.0.left_http.load(Ordering::Acquire)
    }

    fn set(&self, fault: Fault, request: u32) {
        let found = (u64::from(request) << 8) | (fault as u64 + 1);
        self.0.found.store(found, Ordering::Release);
    }

    /// What is wrong with the next request, if anything is: those before a fault are not concerned.
    pub(crate) fn of_next(&self) -> Option<&'static str> {
        // Whoever reads the bytes calls this, too: no two at once.
        let request = self.0.requests.fetch_add(1, Ordering::Relaxed);
        // Acquire: pairs with the release in `set`; the head was read before it is served.
        let [fault, first @ ..] = self.0.found.load(Ordering::Acquire).to_le_bytes();
        let fault = Fault::from_number(fault.checked_sub(1)?)?;
        let first = u32::from_le_bytes([first[0], first[1], first[2], first[3]]);
        (request >= first).then(|| fault.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_before_a_fault_are_not_concerned() {
        let ambiguity = Ambiguity::default();
        assert_eq!(ambiguity.of_next(), None);
        ambiguity.set(Fault::TwoFramings, 2);
        assert_eq!(ambiguity.of_next(), None);
        assert_eq!(ambiguity.of_next(), Some(Fault::TwoFramings.words()));
        assert_eq!(ambiguity.of_next(), Some(Fault::TwoFramings.words()));
    }
}
