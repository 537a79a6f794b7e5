//! TLS and HTTP/2, on both sides.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where requests come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// The address.
    pub address: SocketAddr,
    /// What it shows to clients, if it speaks TLS.
    pub tls: Option<ListenerTls>,
    /// Whether clients that come over TLS may speak HTTP/2.
    pub http2: bool,
    /// Whether clients that come in the clear may.
    pub h2c: bool,
}

/// TLS on a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerTls {
    /// Never empty.
    pub certificates: Vec<CertificateFiles>,
    /// The authorities of clients' certificates, where those are asked for.
    pub client_ca: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// How long a client may take to shake hands.
    pub handshake_timeout: Duration,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The chain, as PEM.
    pub cert: PathBuf,
    /// The private key, as PEM.
    pub key: PathBuf,
}

/// What clients that speak HTTP/2 are allowed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Http2Limits {
    /// How many requests a connection may have under way.
    pub max_streams: u32,
    /// How many requests a client may take back before they were looked at.
    pub max_resets: u32,
    /// How often a connection with requests under way is asked for a sign of life.
    pub ping_interval: Option<Duration>,
    /// How long the sign may take.
    pub ping_timeout: Duration,
}

/// TLS to an upstream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UpstreamTls {
    /// The authorities of its certificate, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The certificate to show to it.
    pub client: Option<CertificateFiles>,
    /// The name its certificate must be for, if not the host of its URL.
    pub server_name: Option<String>,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

/// A version of TLS.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// When an upstream is spoken to in HTTP/2.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Http2 {
    /// If it chooses to, over TLS.
    #[default]
    Auto,
    /// Always; in the clear without asking.
    On,
    /// Never.
    Off,
}

// ===== impl ListenerTls, UpstreamTls =====

impl ListenerTls {
    /// Every file there is to read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.certificates.iter().flat_map(CertificateFiles::paths);
        pairs.chain(self.client_ca.as_deref())
    }

    pub(crate) fn start_at(&mut self, directory: &Path) {
        self.certificates.iter_mut().for_each(|pair| pair.start_at(directory));
        self.client_ca.iter_mut().for_each(|path| *path = directory.join(&*path));
    }
}

impl UpstreamTls {
    /// Every file there is to read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let client = self.client.iter().flat_map(CertificateFiles::paths);
        self.ca.as_deref().into_iter().chain(client)
    }

    pub(crate) fn start_at(&mut self, directory: &Path) {
        self.client.iter_mut().for_each(|pair| pair.start_at(directory));
        self.ca.iter_mut().for_each(|path| *path = directory.join(&*path));
    }
}

impl CertificateFiles {
    fn paths(&self) -> [&Path; 2] {
        [&self.cert, &self.key]
    }

    fn start_at(&mut self, directory: &Path) {
        self.cert = directory.join(&self.cert);
        self.key = directory.join(&self.key);
    }
}
