//! TLS and HTTP/2, on both sides.

use std::net::SocketAddr;
use std::time::Duration;

use crate::context::At;
use crate::describe::keys;
use crate::kinds::{
    AddressKind, Choice, Count, Each, Flag, HostNameKind, Nested, OrOff, Text, Time,
};
use crate::model::{Http2, TlsVersion};

const FILE: Text = Text { what: "the path of a file", longest: 4_096, lines: false };

const VERSIONS: Choice<TlsVersion> =
    Choice::of("a version of TLS", &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)]);

/// When an upstream is spoken to in HTTP/2.
pub(crate) const HTTP2: Choice<Http2> = Choice::of(
    "a word that says when to speak HTTP/2",
    &[("auto", Http2::Auto), ("on", Http2::On), ("off", Http2::Off)],
);

keys! {
    /// A listener. A bare address is its `address`.
    pub(crate) struct ListenKeys = "listener" in "gateway.listen" {
        /// Where it listens.
        address: SocketAddr = AddressKind, required;
        /// The certificates it shows. Without them it speaks in the clear.
        tls: ListenTlsKeys = Nested::<ListenTlsKeys>::HERE, optional "none";
        /// Whether clients that come over TLS may speak HTTP/2.
        http2: bool = Flag, default "true";
        /// Whether clients that come in the clear may speak HTTP/2, if they begin with it.
        h2c: bool = Flag, default "false";
    }
    shorthand address;
}

keys! {
    /// TLS on a listener: one certificate, or several of which the client's server name chooses.
    pub(crate) struct ListenTlsKeys = "listener_tls" in "gateway.listen.tls" {
        /// The certificate and those between it and its authority, as PEM. A relative path starts
        /// at the configuration file, here as below.
        cert: String = FILE, optional "none";
        /// Its private key, as PEM.
        key: String = FILE, optional "none";
        /// Several certificates. The first that is valid for the name a client asks for is shown,
        /// and the first of all to clients that ask for no name or one that is not here.
        certificates: Vec<At<CertificateKeys>> = Each::<CertificateKeys>::HERE, optional "none";
        /// The authorities that clients' certificates must be from, as PEM. With them, a client
        /// without a certificate is turned away.
        client_ca: String = FILE, optional "none";
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = VERSIONS, default "1.2";
        /// How long a client may take to shake hands.
        handshake_timeout: Duration = Time::ANY, default "10s";
    }
    exclusive [cert, certificates] [key, certificates];
}

keys! {
    /// A certificate and its key.
    pub(crate) struct CertificateKeys = "certificate" in "gateway.listen.tls.certificates" {
        /// The certificate and those between it and its authority, as PEM.
        cert: String = FILE, required;
        /// Its private key, as PEM.
        key: String = FILE, required;
    }
}

keys! {
    /// What clients that speak HTTP/2 are allowed.
    pub(crate) struct Http2Keys = "http2" in "gateway.http2" {
        /// How many requests a connection may have under way.
        max_streams: u32 = Count(1..=10_000), default "128";
        /// How many requests a client may take back before they were looked at; one more ends the
        /// connection.
        max_resets: u32 = Count(1..=10_000), default "20";
        /// How often a connection with requests under way is asked for a sign of life.
        ping_interval: Option<Duration> = OrOff(Time::ANY), default "30s";
        /// How long the sign may take.
        ping_timeout: Duration = Time::ANY, default "10s";
    }
}

keys! {
    /// TLS to an upstream.
    pub(crate) struct UpstreamTlsKeys = "upstream_tls" in "upstreams.NAME.tls" {
        /// The authorities that its certificate must be from, as PEM, in place of those that this
        /// system trusts. A relative path starts at the configuration file, here as below.
        ca: String = FILE, optional "those of the system";
        /// The certificate to show to it, as PEM.
        cert: String = FILE, optional "none";
        /// That certificate's private key, as PEM.
        key: String = FILE, optional "none";
        /// The name that its certificate must be for.
        server_name: String = HostNameKind, optional "the host of `url`";
        /// Whether to take any certificate, so that anybody on the way can pose as the upstream.
        insecure_skip_verify: bool = Flag, default "false";
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = VERSIONS, default "1.2";
    }
}
