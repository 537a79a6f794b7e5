//! Certificates and keys: read from files, and read again when those change.
//!
//! What is made of them is replaced as a whole. Connections that stand keep what they began with,
//! and a certificate that is no good leaves the one that runs.

mod client;
mod kept;
mod server;

use std::path::Path;
use std::sync::Arc;

use panelboard_config::TlsVersion;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, SupportedProtocolVersion};

pub(crate) use client::client;
pub(crate) use kept::Kept;
pub(crate) use server::server;

use kept::Files;

/// How ALPN calls HTTP/2.
pub(crate) const H2: &[u8] = b"h2";
/// How ALPN calls HTTP/1.1.
const HTTP11: &[u8] = b"http/1.1";

/// Why there is no TLS: which file, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TlsError(String);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match oldest {
        TlsVersion::Tls12 => &BOTH,
        TlsVersion::Tls13 => &BOTH[..1],
    }
}

fn protocols(http2: bool) -> Vec<Vec<u8>> {
    match http2 {
        true => vec![H2.to_vec(), HTTP11.to_vec()],
        false => vec![HTTP11.to_vec()],
    }
}

/// The certificates of a file, at least one.
fn certificates(path: &Path, files: &Files) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = files.get(path);
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(TlsError::of(path, "has no certificate in PEM (-----BEGIN CERTIFICATE-----)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::of(path, format!("is not PEM: {error}"))),
    }
}

fn private_key(path: &Path, files: &Files) -> Result<PrivateKeyDer<'static>, TlsError> {
    // The error says where the text is wrong, not what it is.
    PrivateKeyDer::from_pem_slice(files.get(path)).map_err(|error| {
        use tokio_rustls::rustls::pki_types::pem::Error;
        match error {
            Error::NoItemsFound => {
                TlsError::of(path, "has no private key in PEM (-----BEGIN PRIVATE KEY-----)")
            }
            _ => TlsError::of(path, "is not a private key in PEM"),
        }
    })
}

/// The authorities of a file, at least one.
fn authorities(path: &Path, files: &Files) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, files)? {
        roots.add(certificate).map_err(|error| {
            TlsError::of(path, format!("has a certificate that cannot be an authority: {error}"))
        })?;
    }
    Ok(roots)
}

impl TlsError {
    fn of(path: &Path, what: impl std::fmt::Display) -> TlsError {
        TlsError(format!("the file {} {what}", path.display()))
    }

    fn other(error: impl std::fmt::Display) -> TlsError {
        TlsError(error.to_string())
    }
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}
