//! The client side: connections to one upstream.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use panelboard_config::{Scheme, Secret, Timeouts, Upstream, UpstreamKind};

use crate::judge::Observed;
use crate::proxy::UploadBody;

/// Connections to one upstream, and what every request to it has in common.
pub(crate) struct Client {
    name: String,
    header: Option<HeaderValue>,
    upstream: Upstream,
    secret: Option<Secret>,
    auth: Option<(HeaderName, HeaderValue)>,
    pool: Transport,
}

enum Transport {
    Plain(Pool<HttpConnector, UploadBody>),
    Tls(Pool<HttpsConnector<HttpConnector>, UploadBody>),
}

/// Why an upstream cannot be served at all.
#[derive(Debug)]
pub(crate) struct ClientError {
    upstream: String,
    reason: String,
}

impl Client {
    pub(crate) fn new(
        name: &str,
        upstream: Upstream,
        secret: Option<&Secret>,
    ) -> Result<Client, ClientError> {
        let failed = |reason: String| ClientError { upstream: name.to_owned(), reason };
        let auth = match (&upstream.auth, secret) {
            (Some(auth), Some(secret)) => {
                let value = match &auth.scheme {
                    Some(scheme) => format!("{scheme} {}", secret.expose()),
                    None => secret.expose().to_owned(),
                };
                let mut value = HeaderValue::try_from(value)
                    .map_err(|_| failed("its credential cannot go into a header".into()))?;
                value.set_sensitive(true);
                Some((auth.header.clone(), value))
            }
            (Some(_), None) => return Err(failed("its credential was not read".into())),
            (None, _) => None,
        };
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(upstream.timeouts.connect));
        let mut builder = Pool::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(upstream.timeouts.pool_idle)
            .pool_max_idle_per_host(upstream.max_idle_connections);
        let pool = match upstream.url.scheme() {
            Scheme::Http => Transport::Plain(builder.build(connector)),
            Scheme::Https => {
                let tls = HttpsConnectorBuilder::new()
                    .with_native_roots()
                    .map_err(|error| failed(format!("no trusted root certificates: {error}")))?;
                let connector = tls.https_only().enable_http1().wrap_connector(connector);
                Transport::Tls(builder.build(connector))
            }
        };
        let header = HeaderValue::from_str(name).ok();
        let (name, secret) = (name.to_owned(), secret.cloned());
        Ok(Client { name, header, upstream, secret, auth, pool })
    }

    /// Whether it already is what this configuration asks for.
    pub(crate) fn serves(&self, upstream: &Upstream, secret: Option<&Secret>) -> bool {
        self.upstream == *upstream && self.secret.as_ref() == secret
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name as a header, if it can be one.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        self.header.clone()
    }

    pub(crate) fn kind(&self) -> UpstreamKind {
        self.upstream.kind
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.upstream.timeouts
    }

    /// What it calls a model, if not as everybody else does.
    pub(crate) fn model(&self, name: &str) -> Option<&str> {
        self.upstream.models.get(name).map(String::as_str)
    }

    /// Whether it calls models otherwise.
    pub(crate) fn renames_models(&self) -> bool {
        !self.upstream.models.is_empty()
    }

    /// Where a request goes.
    pub(crate) fn uri(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        self.upstream.url.join(path_and_query)
    }

    /// The credential that goes with every request.
    pub(crate) fn auth(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.auth.as_ref()
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &self,
        request: Request<UploadBody>,
    ) -> Result<Response<Incoming>, SendError> {
        let answer = match &self.pool {
            Transport::Plain(pool) => pool.request(request).await,
            Transport::Tls(pool) => pool.request(request).await,
        };
        let answer = answer
            .map_err(|error| SendError { observed: observed(&error), cause: root(&error) })?;
        match is_unambiguous(answer.status(), answer.headers()) {
            true => Ok(answer),
            false => {
                let cause = match answer.status() {
                    StatusCode::SWITCHING_PROTOCOLS => "it changes to a protocol nobody asked for",
                    _ => "where its body ends can be read in more than one way",
                };
                Err(SendError { observed: Observed::Garbage, cause: Some(cause.into()) })
            }
        }
    }
}

/// Why there is no head of an answer.
pub(crate) struct SendError {
    pub(crate) observed: Observed,
    /// In the words of whoever found it: the system, TLS, the parser.
    pub(crate) cause: Option<String>,
}

impl From<Observed> for SendError {
    fn from(observed: Observed) -> SendError {
        SendError { observed, cause: None }
    }
}

/// What an error is due to in the end; what lies above only says that something failed.
fn root(error: &PoolError) -> Option<String> {
    let mut root = std::error::Error::source(error)?;
    while let Some(cause) = root.source() {
        root = cause;
    }
    Some(root.to_string())
}

/// Whether everybody on the way to the client reads the same end of the body from this head.
///
/// hyper takes `chunked` where there is a length beside it, passes over codings that it does not
/// know, and does not look at the length of what has no body. Passed on, any of these could mean
/// something else to the client.
fn is_unambiguous(status: StatusCode, headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_number = |length: &HeaderValue| {
        !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit)
    };
    // Nobody asked for another protocol.
    let is_final = status != StatusCode::SWITCHING_PROTOCOLS;
    is_final
        && match (lengths.next(), codings.next()) {
            (None, None) => true,
            (Some(length), None) => is_number(length) && lengths.next().is_none(),
            (None, Some(coding)) => {
                coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
            }
            (Some(_), Some(_)) => false,
        }
}

/// What an error of the client says of the upstream.
fn observed(error: &PoolError) -> Observed {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && error.is_parse()
        {
            return Observed::Garbage;
        }
        if let Some(error) = cause.downcast_ref::<std::io::Error>()
            && error.kind() == std::io::ErrorKind::TimedOut
        {
            return Observed::ConnectTimeout;
        }
        source = cause.source();
    }
    match error.is_connect() {
        true => Observed::ConnectFailed,
        false => Observed::ClosedEarly,
    }
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "upstream `{}` cannot be served: {}", self.upstream, self.reason)
    }
}

impl std::error::Error for ClientError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn unambiguous(status: u16, pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        is_unambiguous(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_body_has_one_end() {
        let (length, coding) = ("content-length", "transfer-encoding");
        assert!(unambiguous(200, &[]));
        assert!(unambiguous(200, &[(length, "5")]));
        assert!(unambiguous(200, &[(coding, "Chunked")]));
        for headers in [
            &[(length, "5"), (coding, "chunked")][..],
            &[(length, "5"), (length, "5")],
            &[(length, "5, 5")],
            &[(length, "+5")],
            &[(length, "")],
            &[(coding, "gzip, chunked")],
            &[(coding, "identity")],
            &[(coding, "chunked"), (coding, "chunked")],
        ] {
            assert!(!unambiguous(200, headers), "{headers:?}");
        }
        assert!(!unambiguous(101, &[]), "nobody asked for another protocol");
    }
}
