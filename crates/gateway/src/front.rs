//! The beginning of a client's connection: TLS, and which protocol it speaks.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use panelboard_config::{Listener, Scheme};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::tls::{self, H2, Kept, TlsError};
use crate::wire::Stream;

/// What clients that speak HTTP/2 begin with, and nobody else (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a listener meets its clients with.
pub(crate) struct Front {
    listener: Listener,
    tls: Option<Kept<ServerConfig>>,
}

/// Which protocol a client speaks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Front {
    /// # Errors
    /// When a certificate cannot be used.
    pub(crate) fn new(listener: &Listener) -> Result<Front, TlsError> {
        let whose = format!("listener {}", listener.address);
        let tls = match &listener.tls {
            Some(tls) => Some(tls::server(whose, tls, listener.http2)?),
            None => None,
        };
        Ok(Front { listener: listener.clone(), tls })
    }

    /// HTTP/1.1 in the clear.
    pub(crate) fn plain(address: SocketAddr) -> Front {
        Front { listener: Listener { address, tls: None, http2: false, h2c: false }, tls: None }
    }

    /// Whether it already is what this configuration asks for.
    pub(crate) fn serves(&self, listener: &Listener) -> bool {
        self.listener == *listener
    }

    /// How clients come.
    pub(crate) fn scheme(&self) -> Scheme {
        match self.tls {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        }
    }

    /// Looks whether the certificates have changed.
    pub(crate) fn look(&self) {
        if let Some(tls) = &self.tls {
            tls.look();
        }
    }

    /// Shakes hands, and finds out which protocol it is to be; `idle` is how long a client may
    /// take before it says anything.
    ///
    /// # Errors
    /// When the client does not speak TLS, does not trust us, has no certificate that is asked
    /// for, or takes too long.
    pub(crate) async fn open(
        &self,
        stream: TcpStream,
        idle: Duration,
    ) -> io::Result<(Stream, Protocol)> {
        let (Some(kept), Some(tls)) = (&self.tls, &self.listener.tls) else {
            return match self.listener.h2c {
                true => timeout(idle, first(stream)).await?,
                false => Ok((stream.into(), Protocol::Http1)),
            };
        };
        let shake = TlsAcceptor::from(kept.get()).accept(stream);
        let stream = timeout(tls.handshake_timeout, shake).await??;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(H2) => Protocol::Http2,
            _ => Protocol::Http1,
        };
        Ok((stream.into(), protocol))
    }
}

/// Reads as much as it takes to tell HTTP/2 from the rest.
async fn first(mut stream: TcpStream) -> io::Result<(Stream, Protocol)> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        // Not a byte more than the preface, which is no use to anybody by itself.
        let room = PREFACE.len() - read.len();
        if (&mut stream).take(room as u64).read_buf(&mut read).await? == 0 {
            break;
        }
    }
    let protocol = match &read[..] == PREFACE {
        true => Protocol::Http2,
        false => Protocol::Http1,
    };
    Ok((Stream::begun(stream, read.freeze()), protocol))
}
