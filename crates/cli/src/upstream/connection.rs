//! One accepted connection: its socket and what has been read ahead from it.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A client that takes or brings nothing for so long is cut off.
pub(super) const STALL: Duration = Duration::from_secs(30);

/// Bytes asked of the kernel, and given to it, at a time.
pub(super) const PIECE: usize = 64 * 1024;

/// Read ahead while an answer is under way, to notice that the client has gone. More stays with
/// the kernel, which then tells a client that sends without end to wait.
const AHEAD: usize = 64 * 1024;

/// How long an orderly close waits for the client's own.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    socket: TcpStream,
    inbox: BytesMut,
}

impl Connection {
    pub(super) fn new(socket: TcpStream) -> Connection {
        // Events of a stream are small, and each is to arrive when it is sent. Where the option
        // cannot be set they arrive late, which is no reason not to answer.
        let _ = socket.set_nodelay(true);
        Connection { socket, inbox: BytesMut::new() }
    }

    /// Whether the client begins with these bytes. Reads as many as it takes to tell.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn begins_with(&mut self, bytes: &[u8]) -> bool {
        while self.inbox.len() < bytes.len() && bytes.starts_with(&self.inbox) {
            if self.fill().await.is_err() {
                return false;
            }
        }
        self.inbox.starts_with(bytes)
    }

    /// The socket and what has been read from it.
    pub(super) fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.socket, self.inbox)
    }

    /// What has been read and not yet taken.
    pub(super) fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// Takes so many bytes from the front of the inbox, or all it has.
    pub(super) fn take(&mut self, count: usize) -> BytesMut {
        self.inbox.split_to(count.min(self.inbox.len()))
    }

    /// Drops so many bytes from the front of the inbox, or all it has.
    pub(super) fn skip(&mut self, count: usize) {
        self.inbox.advance(count.min(self.inbox.len()));
    }

    /// Reads more into the inbox, however long that takes.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the client has nothing more to say.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        self.inbox.reserve(PIECE.min(self.inbox.len().max(4 * 1024)));
        match self.socket.read_buf(&mut self.inbox).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Sends these bytes to a client that takes them in reasonable time.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE) {
            timeout(STALL, self.socket.write_all(piece)).await??;
        }
        Ok(())
    }

    /// Waits, unless the client goes away first.
    pub(super) async fn wait(&mut self, time: Duration) -> io::Result<()> {
        tokio::select! {
            biased;
            error = self.gone() => Err(error),
            () = sleep(time) => Ok(()),
        }
    }

    /// Waits until the client goes away: closes its side or breaks off. One that closes its side
    /// and still waits for an answer is taken for gone, as most servers take it.
    pub(super) async fn gone(&mut self) -> io::Error {
        loop {
            if self.inbox.len() > AHEAD {
                return std::future::pending().await;
            }
            if let Err(error) = self.fill().await {
                return error;
            }
        }
    }

    /// Gives back whatever arrives, until the client goes away.
    pub(super) async fn mirror(&mut self) -> io::Error {
        loop {
            let bytes = self.inbox.split();
            let echoed = match self.send(&bytes).await {
                Ok(()) => self.fill().await,
                failed => failed,
            };
            if let Err(error) = echoed {
                return error;
            }
        }
    }

    /// Closes in order (FIN).
    ///
    /// Closing a socket that has unread bytes resets it, and the reset can overtake the answer; so
    /// what still arrives is read and dropped for a while.
    pub(super) async fn close(mut self) {
        if self.socket.shutdown().await.is_ok() {
            let drained = async {
                while self.fill().await.is_ok() {
                    self.inbox.clear();
                }
            };
            let _ = timeout(LINGER, drained).await;
        }
    }

    /// Breaks off (RST), and with it whatever has not reached the client yet.
    pub(super) fn reset(self) {
        // Where the option cannot be set, dropping the socket is as near as one can come.
        let _ = self.socket.set_zero_linger();
    }
}
