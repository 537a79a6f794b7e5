//! Clients that come over TLS: certificates, and what a listener makes of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{BINARY, Gateway, Upstream, eventually, run};

const PATIENCE: Duration = Duration::from_secs(10);

/// An authority, and a directory for what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("authority.pem"), issuer.pem()).unwrap();
        Authority { issuer, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME-key.pem` for a server, or client, of this name.
    fn sign(&self, file: &str, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        // The key first, as somebody would who thinks nothing of it.
        std::fs::write(self.path(&format!("{file}-key.pem")), key.serialize_pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
    }

    /// `cert = …, key = …` of a pair.
    fn pair(&self, file: &str) -> String {
        let path = |name: String| self.path(&name).display().to_string();
        format!(
            "cert = {:?}, key = {:?}",
            path(format!("{file}.pem")),
            path(format!("{file}-key.pem"))
        )
    }

    /// What a client that trusts this authority connects with.
    fn client(&self, protocols: &[&str], shows: Option<&str>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shows {
            Some(file) => {
                let chain = CertificateDer::from_pem_file(self.path(&format!("{file}.pem")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}-key.pem")));
                builder.with_client_auth_cert(vec![chain.unwrap()], key.unwrap()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

fn gateway(upstream: &Upstream, tls: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [gateway]
        admin = "127.0.0.1:0"
        listen = {{ address = "127.0.0.1:0", tls = {{ {tls} }} }}
        [upstreams.api]
        url = "{}"
        [[routes]]
        upstreams = ["api"]
        "#,
        upstream.url()
    ))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, future).await.expect("in time") })
}

async fn connect(
    address: SocketAddr,
    name: &str,
    connector: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector.connect(name, TcpStream::connect(address).await?).await
}

/// A request in HTTP/1.1, and everything that comes back.
async fn get(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[test]
fn clients_over_tls_speak_what_is_agreed_on() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    authority.sign("server", "127.0.0.1");
    let gateway = gateway(&upstream, &authority.pair("server"));
    block_on(async {
        for protocols in [&["http/1.1"][..], &[]] {
            let connector = authority.client(protocols, None);
            let mut stream = connect(gateway.address(), "127.0.0.1", &connector).await.unwrap();
            let answer = get(&mut stream).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        }
        let connector = authority.client(&["h2", "http/1.1"], None);
        let stream = connect(gateway.address(), "127.0.0.1", &connector).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("https://panel.example/x?y").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut text = Vec::new();
        while let Some(piece) = body.data().await {
            text.extend_from_slice(&piece.unwrap());
        }
        let seen: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(seen["target"], "/x?y");
        let headers = seen["headers"].to_string();
        assert!(headers.contains("[\"x-forwarded-host\",\"panel.example\"]"), "{headers}");
        assert!(headers.contains("[\"x-forwarded-proto\",\"https\"]"), "{headers}");
    });
}

/// The first certificate that a client is shown.
fn shown(gateway: &Gateway, authority: &Authority, name: &str) -> Option<Vec<u8>> {
    block_on(async {
        let connector = authority.client(&[], None);
        let stream = connect(gateway.address(), name, &connector).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
    })
}

fn certificate(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(path).unwrap().to_vec()
}

#[test]
fn the_certificate_is_the_one_for_the_name_that_is_asked_for() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    authority.sign("first", "one.example");
    authority.sign("second", "*.two.example");
    let (first, second) = (authority.pair("first"), authority.pair("second"));
    let gateway = gateway(&upstream, &format!("certificates = [{{ {first} }}, {{ {second} }}]"));
    let shown = |name| shown(&gateway, &authority, name);
    assert_eq!(shown("one.example"), Some(certificate(&authority.path("first.pem"))));
    assert_eq!(shown("a.two.example"), Some(certificate(&authority.path("second.pem"))));
    assert_eq!(shown("three.example"), None, "the first, which is not for this name");
}

#[test]
fn renewed_certificates_are_shown_and_bad_ones_are_not() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    authority.sign("server", "127.0.0.1");
    let gateway = gateway(&upstream, &authority.pair("server"));
    let before = certificate(&authority.path("server.pem"));
    assert_eq!(shown(&gateway, &authority, "127.0.0.1"), Some(before.clone()));

    // A certificate without its key.
    let good = std::fs::read(authority.path("server.pem")).unwrap();
    authority.sign("other", "127.0.0.1");
    std::fs::copy(authority.path("other.pem"), authority.path("server.pem")).unwrap();
    eventually("it is refused", || gateway.process.log().contains("is not the key of"));
    assert!(gateway.process.log().contains("server-key.pem"), "{}", gateway.process.log());
    assert_eq!(shown(&gateway, &authority, "127.0.0.1"), Some(before));

    std::fs::write(authority.path("server.pem"), good).unwrap();
    authority.sign("server", "127.0.0.1");
    let after = certificate(&authority.path("server.pem"));
    eventually("it is shown", || shown(&gateway, &authority, "127.0.0.1").as_ref() == Some(&after));
    assert!(gateway.process.log().contains("reloaded"));
}

#[test]
fn clients_without_a_certificate_are_turned_away_where_one_is_asked_for() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    authority.sign("server", "127.0.0.1");
    authority.sign("client", "somebody");
    let stranger = Authority::new();
    stranger.sign("client", "somebody");
    let ca = authority.path("authority.pem");
    let gateway = gateway(&upstream, &format!("{}, client_ca = {ca:?}", authority.pair("server")));
    let asks = |shows: Option<&Authority>| {
        block_on(async {
            let connector = match shows {
                Some(whose) => {
                    let names = ["client.pem", "client-key.pem"];
                    for name in names {
                        let to = authority.path(&format!("shown-{name}"));
                        std::fs::copy(whose.path(name), to).unwrap();
                    }
                    std::fs::rename(
                        authority.path("shown-client-key.pem"),
                        authority.path("shown-key.pem"),
                    )
                    .unwrap();
                    std::fs::rename(
                        authority.path("shown-client.pem"),
                        authority.path("shown.pem"),
                    )
                    .unwrap();
                    authority.client(&[], Some("shown"))
                }
                None => authority.client(&[], None),
            };
            let mut stream = connect(gateway.address(), "127.0.0.1", &connector).await?;
            get(&mut stream).await
        })
    };
    assert!(asks(Some(&authority)).unwrap().starts_with("HTTP/1.1 200"));
    assert!(asks(None).is_err());
    assert!(asks(Some(&stranger)).is_err());
    assert_eq!(upstream.requests(), 1);
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_at_the_start() {
    let authority = Authority::new();
    authority.sign("a", "a.example");
    authority.sign("b", "b.example");
    std::fs::write(authority.path("empty.pem"), "").unwrap();
    let path = |name: &str| authority.path(name).display().to_string();
    for (cert, key, said) in [
        ("none.pem", "a-key.pem", "none.pem cannot be read: No such file"),
        ("empty.pem", "a-key.pem", "empty.pem has no certificate in PEM"),
        ("a.pem", "empty.pem", "empty.pem has no private key in PEM"),
        ("a.pem", "b-key.pem", "b-key.pem is not the key of the certificate in"),
        ("a-key.pem", "a-key.pem", "a-key.pem has no certificate in PEM"),
    ] {
        let config = format!(
            "[gateway]\nadmin = \"127.0.0.1:0\"\nlisten = {{ address = \"127.0.0.1:0\", \
             tls = {{ cert = {cert:?}, key = {:?} }} }}\n",
            path(key)
        );
        // A relative path starts at the file.
        std::fs::write(authority.path("panelboard.toml"), config).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(authority.path("panelboard.toml"));
        let output = run(&mut command);
        assert_eq!(output.code, Some(1), "{}", output.stderr);
        assert!(output.stderr.contains(said), "{cert} {key}: {}", output.stderr);
        assert!(output.stderr.contains("listener 127.0.0.1:0"), "{}", output.stderr);
    }
}

#[test]
fn a_client_that_does_not_shake_hands_is_let_go() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    authority.sign("server", "127.0.0.1");
    let tls = format!("{}, handshake_timeout = \"200ms\"", authority.pair("server"));
    let gateway = gateway(&upstream, &tls);
    block_on(async {
        for sent in [&b""[..], b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
            let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
            stream.write_all(sent).await.unwrap();
            let mut answer = Vec::new();
            // An end, whichever; of what is not TLS after an alert.
            let _ = stream.read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        }
    });
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn an_upstream_is_spoken_to_as_its_tls_settings_say() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    authority.sign("server", "inner.example");
    authority.sign("client", "somebody");
    let ca = authority.path("authority.pem");
    let inner = gateway(&upstream, &format!("{}, client_ca = {ca:?}", authority.pair("server")));
    let outer = |tls: &str| {
        Gateway::start(&format!(
            r#"
            [circuit_breaker.circuits.inner]
            [upstreams.inner]
            url = "https://{}"
            tls = {{ {tls} }}
            [[routes]]
            upstream = "inner"
            circuit = "inner"
            "#,
            inner.address()
        ))
    };
    let pair = authority.pair("client");
    for tls in [
        format!("ca = {ca:?}, server_name = \"inner.example\", {pair}"),
        format!("ca = {ca:?}, server_name = \"inner.example\", min_version = \"1.3\", {pair}"),
        format!("insecure_skip_verify = true, {pair}"),
    ] {
        let outer = outer(&tls);
        let answer = outer.post("/echo", "through two gateways");
        assert_eq!((answer.status, &*answer.body), (200, "through two gateways"), "{tls}");
        let warned = outer.process.log().contains("is not asked who it is");
        assert_eq!(warned, tls.contains("insecure"), "{}", outer.process.log());
    }
    for (tls, cause) in [
        (format!("ca = {ca:?}, {pair}"), "not valid for name"),
        (format!("server_name = \"inner.example\", {pair}"), "UnknownIssuer"),
        // TLS 1.3 tells a client so when it takes the handshake to be over, so it shows in more than
        // one way.
        (format!("ca = {ca:?}, server_name = \"inner.example\""), "connection"),
    ] {
        let (answer, judged) = {
            let outer = outer(&tls);
            outer.judged("inner", || outer.post("/echo", "to nobody"))
        };
        assert_eq!((answer.status, &*judged.kind), (503, "connect"), "{tls}: {judged:?}");
        assert!(judged.message.contains(cause), "{tls}: {judged:?}");
    }
    assert_eq!(upstream.requests(), 3);
}
