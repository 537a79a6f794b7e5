//! How an upstream is spoken to over TLS.

use std::sync::Arc;

use panelboard_config::{Http2, UpstreamTls};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::kept::Files;
use super::server::certified;
use super::{H2, Kept, TlsError, authorities, protocols, provider, versions};

/// How the upstream that `whose` names is spoken to.
///
/// # Errors
/// When a file cannot be read, or is no good, or there is no authority to trust.
pub(crate) fn client(
    whose: String,
    tls: &UpstreamTls,
    http2: Http2,
) -> Result<Kept<ClientConfig>, TlsError> {
    let settings = tls.clone();
    // Those of the system are read once: their files are many, and not ours to name.
    let system = match tls.ca.is_some() || tls.insecure_skip_verify {
        true => RootCertStore::empty(),
        false => system()?,
    };
    Kept::new(whose, tls.files(), move |files| config(&settings, &system, http2, files))
}

/// The authorities that this system trusts.
fn system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Old authorities that cannot be read are found on many systems, and missed by nobody.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    match (added, found.errors.first()) {
        (0, Some(error)) => Err(TlsError(format!("no trusted root certificates: {error}"))),
        (0, None) => Err(TlsError(String::from(
            "no trusted root certificates on this system (install ca-certificates, or name the \
             authority as `tls.ca`)",
        ))),
        _ => Ok(roots),
    }
}

fn config(
    tls: &UpstreamTls,
    system: &RootCertStore,
    http2: Http2,
    files: &Files,
) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(tls.min_version))
        .map_err(TlsError::other)?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        let roots = match &tls.ca {
            Some(path) => authorities(path, files)?,
            None => system.clone(),
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(TlsError::other)?;
        builder.with_webpki_verifier(verifier)
    };
    let mut config = match &tls.client {
        Some(pair) => {
            let certified = Arc::new(certified(pair, files)?);
            builder.with_client_cert_resolver(Arc::new(
                tokio_rustls::rustls::sign::SingleCertAndKey::from(certified),
            ))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match http2 {
        Http2::Auto => protocols(true),
        Http2::On => vec![H2.to_vec()],
        Http2::Off => protocols(false),
    };
    Ok(config)
}

/// Takes any certificate: `insecure_skip_verify`. That whoever shows it has its key is checked all
/// the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
