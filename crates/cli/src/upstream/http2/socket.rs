//! A socket that two can write to: the library that speaks HTTP/2, and faults that it would not
//! speak.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket, and what was read from it before it came here.
pub(super) struct Socket {
    inner: Arc<TcpStream>,
    ahead: bytes::BytesMut,
}

/// The way past the library.
#[derive(Clone)]
pub(super) struct Raw(Arc<TcpStream>);

impl Socket {
    pub(super) fn new(socket: TcpStream, ahead: bytes::BytesMut) -> (Socket, Raw) {
        let inner = Arc::new(socket);
        (Socket { inner: Arc::clone(&inner), ahead }, Raw(inner))
    }
}

impl Raw {
    /// Sends bytes of which the library knows nothing. What it wrote itself are whole frames as
    /// long as the kernel takes all of them, which it does of what a test sends.
    pub(super) async fn send(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.0.writable().await.is_err() {
                return;
            }
            match self.0.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// From now on, closing it breaks it off (RST).
    pub(super) fn break_off(&self) {
        // Where the option cannot be set, closing it is as near as one can come.
        let _ = self.0.set_zero_linger();
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead.split_to(count));
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.inner.poll_read_ready(cx))?;
            match self.inner.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.inner.poll_write_ready(cx))?;
            match self.inner.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The socket closes when the last who has it is done.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
