//! Who may ask at all.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use tokio::time::timeout;

use super::problem;
use crate::shared::Shared;

/// How long a client may take to send a body. Nothing else here takes time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names of this machine for itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Checks what every route has in common, and marks every answer as not to be kept.
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let runtime = shared.runtime();
    let allowed = &runtime.config.gateway().admin.allowed_hosts;
    let mut response = match admissible(&request, allowed) {
        Ok(()) => match timeout(PATIENCE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => problem(StatusCode::REQUEST_TIMEOUT, "The body did not come in time."),
        },
        Err((status, detail)) => problem(status, &detail),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn admissible(request: &Request, allowed: &[String]) -> Result<(), (StatusCode, String)> {
    let headers = request.headers();
    let host = host(request).unwrap_or_default();
    let known = LOOPBACK.contains(&host.as_str()) || allowed.contains(&host);
    if !known {
        let detail = format!(
            "Host `{host}` is not served here. Use localhost, or name the host in \
             `gateway.admin.allowed_hosts`."
        );
        return Err((StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    if is_cross_site(headers) {
        let detail = "A page of another site must not change anything here.";
        return Err((StatusCode::FORBIDDEN, detail.into()));
    }
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
    if !json {
        let detail = "Send `Content-Type: application/json`.";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, detail.into()));
    }
    Ok(())
}

/// The host of a request in small letters, without its port.
fn host(request: &Request) -> Option<String> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.clone(),
        None => request.headers().get(header::HOST)?.to_str().ok()?.parse().ok()?,
    };
    Some(authority.host().to_ascii_lowercase())
}

/// Whether a browser says that a page of another site sent this. Other clients say nothing.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    matches!(site, Some(site) if site != "same-origin" && site != "none")
        || (site.is_none() && headers.contains_key(header::ORIGIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn status(method: &str, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let mut request = Request::builder().method(method).uri("/api/v1/circuits");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        admissible(&request, &["panel.internal".into()]).err().map(|(status, _)| status)
    }

    #[test]
    fn only_known_hosts_are_served() {
        for host in ["localhost:9090", "LOCALHOST", "127.0.0.1:9", "[::1]:9090", "panel.internal"] {
            assert_eq!(status("GET", &[("host", host)]), None, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a b", ""]
        {
            let refused = Some(StatusCode::MISDIRECTED_REQUEST);
            assert_eq!(status("GET", &[("host", host)]), refused, "{host}");
        }
        assert_eq!(status("GET", &[]), Some(StatusCode::MISDIRECTED_REQUEST));
    }

    #[test]
    fn changes_need_json_from_no_other_site() {
        let host = ("host", "localhost");
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(status("POST", &[host, json]), None);
        assert_eq!(status("POST", &[host, json, ("sec-fetch-site", "same-origin")]), None);
        let form = ("content-type", "application/x-www-form-urlencoded");
        let unsupported = Some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(status("POST", &[host, form]), unsupported);
        assert_eq!(status("POST", &[host]), unsupported);
        let forbidden = Some(StatusCode::FORBIDDEN);
        for site in ["cross-site", "same-site"] {
            assert_eq!(status("POST", &[host, json, ("sec-fetch-site", site)]), forbidden);
        }
        assert_eq!(status("POST", &[host, json, ("origin", "https://evil.example")]), forbidden);
    }
}
