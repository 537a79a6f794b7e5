//! What a listener shows to clients.

use std::sync::Arc;

use panelboard_config::{CertificateFiles, ListenerTls};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::{
    ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig};

use super::kept::Files;
use super::{
    Kept, TlsError, authorities, certificates, private_key, protocols, provider, versions,
};

/// What the listener that `whose` names shows to its clients.
///
/// # Errors
/// When a file cannot be read, or is no good.
pub(crate) fn server(
    whose: String,
    tls: &ListenerTls,
    http2: bool,
) -> Result<Kept<ServerConfig>, TlsError> {
    let settings = tls.clone();
    Kept::new(whose, tls.files(), move |files| config(&settings, http2, files))
}

fn config(tls: &ListenerTls, http2: bool, files: &Files) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let shown = Shown(
        tls.certificates
            .iter()
            .map(|pair| certified(pair, files).map(Arc::new))
            .collect::<Result<_, _>>()?,
    );
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(tls.min_version))
        .map_err(TlsError::other)?;
    let builder = match &tls.client_ca {
        Some(path) => {
            let roots = Arc::new(authorities(path, files)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| TlsError::of(path, format!("cannot be used: {error}")))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = protocols(http2);
    Ok(config)
}

/// A certificate with a key that is its own.
pub(super) fn certified(pair: &CertificateFiles, files: &Files) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&pair.cert, files)?;
    let key = private_key(&pair.key, files)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::of(
            &pair.key,
            format!("is not the key of the certificate in {}", pair.cert.display()),
        ),
        Error::InvalidCertificate(_) => {
            TlsError::of(&pair.cert, format!("has a certificate that cannot be read: {error}"))
        }
        _ => TlsError::of(&pair.key, format!("has a private key that cannot be used: {error}")),
    })
}

/// The certificates of a listener, the one for everybody else first.
#[derive(Debug)]
struct Shown(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let first = self.0.first();
        let name = hello.server_name().filter(|_| self.0.len() > 1);
        let named = name.and_then(|name| self.0.iter().find(|key| is_for(key, name)));
        named.or(first).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &str) -> bool {
    let (Ok(certificate), Ok(name)) = (key.end_entity_cert(), ServerName::try_from(name)) else {
        return false;
    };
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
}
