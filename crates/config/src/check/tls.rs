//! TLS and HTTP/2, on both sides.

use super::unwritten;
use crate::context::{At, Context, Named};
use crate::describe::Keys as _;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::kinds::ListenValue;
use crate::model::{CertificateFiles, Http2Limits, Listener, ListenerTls, Scheme, UpstreamTls};
use crate::sections::{
    CertificateKeys, Http2Keys, ListenKeys, ListenTlsKeys, UpstreamKeys, UpstreamTlsKeys,
};
use crate::source::Span;

pub(super) fn listeners(listen: &[At<ListenValue>], cx: &mut Context) -> Vec<Listener> {
    listen.iter().filter_map(|at| listener(at, cx)).collect()
}

fn listener(at: &At<ListenValue>, cx: &mut Context) -> Option<Listener> {
    let keys: &ListenKeys = match &at.value {
        ListenValue::Address(address) => {
            let address = *address;
            return Some(Listener { address, tls: None, http2: true, h2c: false });
        }
        ListenValue::Table(keys) => keys,
    };
    if let (Some(tls), true) = (&keys.tls, keys.h2c.value) {
        let problem = Problem::new(
            codes::CONTRADICTION,
            "`h2c` is HTTP/2 in the clear, but this listener speaks TLS",
        )
        .at(keys.h2c.span, "has no effect over TLS")
        .also(tls.span, "TLS is asked for here")
        .help("take it out: over TLS, clients choose HTTP/2 by themselves (`http2`)");
        cx.report(problem);
    }
    let tls = keys.tls.as_ref().map(|tls| listener_tls(&tls.value, tls.span, cx));
    let address = keys.address.as_ref()?.value;
    Some(Listener { address, tls, http2: keys.http2.value, h2c: keys.h2c.value })
}

fn listener_tls(keys: &ListenTlsKeys, span: Span, cx: &mut Context) -> ListenerTls {
    let pair = both(keys.cert.as_ref(), keys.key.as_ref(), span, cx);
    let several = keys.certificates.as_ref().map(|at| &at.value);
    let certificates: Vec<CertificateFiles> = match (pair, several) {
        (Some(pair), _) => vec![pair],
        (None, Some(several)) => several.iter().filter_map(|at| certificate(&at.value)).collect(),
        (None, None) => Vec::new(),
    };
    let wrote = |key| keys.reading().wrote(key);
    if !wrote("cert") && !wrote("key") && !wrote("certificates") && !cx.is_partial() {
        let problem = Problem::new(codes::MISSING_KEY, "TLS needs a certificate")
            .at(span, "no certificate here")
            .help("write cert = \"chain.pem\" and key = \"key.pem\", or a list of `certificates`");
        cx.report(problem);
    }
    ListenerTls {
        certificates,
        client_ca: keys.client_ca.as_ref().map(|at| at.value.clone().into()),
        min_version: keys.min_version.value,
        handshake_timeout: keys.handshake_timeout.value,
    }
}

fn certificate(keys: &CertificateKeys) -> Option<CertificateFiles> {
    let (cert, key) = (keys.cert.as_ref()?, keys.key.as_ref()?);
    Some(CertificateFiles { cert: cert.value.clone().into(), key: key.value.clone().into() })
}

/// A certificate is nothing without its key, nor a key without its certificate.
fn both(
    cert: Option<&At<String>>,
    key: Option<&At<String>>,
    span: Span,
    cx: &mut Context,
) -> Option<CertificateFiles> {
    let (one, other, span) = match (cert, key) {
        (Some(cert), Some(key)) => {
            let (cert, key) = (cert.value.clone().into(), key.value.clone().into());
            return Some(CertificateFiles { cert, key });
        }
        (None, None) => return None,
        (Some(cert), None) => {
            ("cert", "key", if cert.span.is_nowhere() { span } else { cert.span })
        }
        (None, Some(key)) => ("key", "cert", if key.span.is_nowhere() { span } else { key.span }),
    };
    if !cx.is_partial() {
        let message = format!("`{one}` stands without `{other}`");
        let problem = Problem::new(codes::MISSING_KEY, message)
            .at(span, format!("needs `{other}` beside it"))
            .help("a certificate and its private key go together");
        cx.report(problem);
    }
    None
}

pub(super) fn limits(keys: Option<&At<Http2Keys>>) -> Http2Limits {
    let keys: Http2Keys = keys.map_or_else(unwritten, |at| at.value.clone());
    Http2Limits {
        max_streams: keys.max_streams.value,
        max_resets: keys.max_resets.value,
        ping_interval: keys.ping_interval.value,
        ping_timeout: keys.ping_timeout.value,
    }
}

/// TLS to an upstream. What cannot be is reported by [`check_upstream`].
pub(super) fn upstream(keys: &UpstreamTlsKeys) -> UpstreamTls {
    let client = match (&keys.cert, &keys.key) {
        (Some(cert), Some(key)) => Some(CertificateFiles {
            cert: cert.value.clone().into(),
            key: key.value.clone().into(),
        }),
        _ => None,
    };
    UpstreamTls {
        ca: keys.ca.as_ref().map(|at| at.value.clone().into()),
        client,
        server_name: keys.server_name.as_ref().map(|at| at.value.clone()),
        insecure_skip_verify: keys.insecure_skip_verify.value,
        min_version: keys.min_version.value,
    }
}

/// What of an upstream's keys does not go together.
pub(super) fn check_upstream(named: &Named<UpstreamKeys>, cx: &mut Context) {
    let keys = &named.value;
    let Some(At { value: tls, span }) = &keys.tls else { return };
    both(tls.cert.as_ref(), tls.key.as_ref(), *span, cx);
    if let Some(url) = keys.url.as_ref().filter(|url| url.value.scheme() == Scheme::Http) {
        let message =
            format!("upstream `{}` has TLS settings, but is spoken to in the clear", named.name);
        let problem = Problem::new(codes::CONTRADICTION, message)
            .at(*span, "has no effect")
            .also(url.span, "not https")
            .help("write the URL with https, or take `tls` out");
        cx.report(problem);
    }
    if tls.insecure_skip_verify.value {
        if let Some(ca) = &tls.ca {
            let problem = Problem::new(
                codes::CONTRADICTION,
                "`ca` says whom to trust, but `insecure_skip_verify` trusts everybody",
            )
            .at(tls.insecure_skip_verify.span, "and this")
            .also(ca.span, "this")
            .help("take `insecure_skip_verify` out");
            cx.report(problem);
        }
        let message = format!(
            "upstream `{}` is not asked who it is: anybody on the way can read and change \
             everything, credentials among it",
            named.name
        );
        let problem = Problem::new(codes::NOT_VERIFIED, message)
            .at(tls.insecure_skip_verify.span, "takes any certificate")
            .help("name its authority instead: ca = \"its-authority.pem\"");
        cx.report(problem);
    }
}
