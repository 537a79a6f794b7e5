//! Upstreams behind TLS, with certificates that are trusted and such that are not.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{Gateway, Upstream};

/// TLS in front of an upstream, by a certificate for this name; ended when dropped.
struct Front {
    address: SocketAddr,
    /// The authority that signed the certificate, as PEM.
    authority: String,
    _runtime: tokio::runtime::Runtime,
}

impl Front {
    fn start(upstream: SocketAddr, name: &str) -> Front {
        let mut authority = CertificateParams::new([]).unwrap();
        authority.distinguished_name.push(DnType::CommonName, format!("authority for {name}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut inner = TcpStream::connect(upstream).await?;
                    copy_bidirectional(&mut acceptor.accept(socket).await?, &mut inner).await
                });
            }
        });
        Front { address, authority: issuer.pem(), _runtime: runtime }
    }
}

/// A gateway before the front, which trusts this authority and no other.
fn gateway(front: &Front, authority: &str) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("roots.pem");
    std::fs::write(&roots, authority).unwrap();
    let config = format!(
        r#"
        [circuit_breaker.circuits.api]
        failure_threshold = 2
        recovery_timeout = "1m"
        [upstreams.api]
        url = "https://127.0.0.1:{}"
        [[routes]]
        upstreams = ["api"]
        circuit = "api"
        "#,
        front.address.port()
    );
    let environment = [("SSL_CERT_FILE", roots.to_str().unwrap())];
    Gateway::start_with("panelboard.toml", &config, &[], &environment)
}

#[test]
fn an_upstream_behind_tls_is_served() {
    let upstream = Upstream::start();
    let front = Front::start(upstream.address(), "127.0.0.1");
    let gateway = gateway(&front, &front.authority);
    for _ in 0..3 {
        let answer = gateway.post("/anything", "over tls");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["body_length"], 8);
    }
    assert_eq!((upstream.requests(), gateway.count("api", "success")), (3, 3));
}

/// A request must not even be sent to somebody who cannot say who they are.
#[test]
fn a_certificate_that_is_not_trusted_or_for_another_name_is_a_failure() {
    let upstream = Upstream::start();
    let stranger = Front::start(upstream.address(), "127.0.0.1");
    let misnamed = Front::start(upstream.address(), "elsewhere.example");
    for (front, authority, cause) in [
        (&stranger, &misnamed.authority, "UnknownIssuer"),
        (&misnamed, &misnamed.authority, "not valid for name"),
    ] {
        let gateway = gateway(front, authority);
        for _ in 0..2 {
            let answer = gateway.post_with("/", "secret", &[("authorization", "Bearer mine")]);
            assert_eq!((answer.status, &answer.json()["circuit"]), (503, &"api".into()));
        }
        let circuit = gateway.circuit("api");
        assert_eq!((&circuit["state"], &circuit["calls"]["failure"]), (&"open".into(), &2.into()));
        let error = &circuit["last_errors"][0];
        assert_eq!(error["kind"], "connect");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("could not connect: ") && message.contains(cause), "{message}");
    }
    assert_eq!(upstream.requests(), 0);
}
