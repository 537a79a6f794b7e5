//! Who may ask at all.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use panelboard_config::Role;
use tokio::time::timeout;

use super::audit::{Act, Outcome};
use super::doc::{Rule, Rules};
use super::problem::{Problem, Reason};
use super::token::Caller;
use crate::health;
use crate::shared::Shared;

/// How long a client may take to send a body. Nothing else here takes time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names of this machine for itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What every answer says: it is not to be kept, nor shown within another page, nor to do anything.
const SEALS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What requests are held against.
pub(super) struct Guard {
    pub(super) shared: Arc<Shared>,
    pub(super) rules: Rules,
}

/// Where a request came from.
#[derive(Copy, Clone)]
pub(super) struct Peer(pub(super) IpAddr);

/// What a handler did, for the audit log: it knows more of it than the guard.
#[derive(Clone)]
pub(super) enum Done {
    Act(Box<Act>),
    /// It is on record already.
    Recorded,
}

/// Checks what every route has in common, and marks every answer as not to be kept.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let template = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let rule = guard.rules.get(&method, template.as_deref()).cloned();
    let changes = rule.as_ref().is_some_and(|rule| rule.role == Some(Role::Operator));
    let mut guessed = false;
    let (caller, mut response) = match guard.admit(&request, rule.as_ref(), peer, &mut guessed) {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            let response = match timeout(PATIENCE, next.run(request)).await {
                Ok(response) => response,
                Err(_) => {
                    let detail = "The body did not come in time.";
                    Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response()
                }
            };
            (Some(caller), response)
        }
        Err((caller, problem)) => (caller, problem.into_response()),
    };
    if changes || guessed {
        let author = caller.map_or_else(|| "unknown".to_owned(), |caller| caller.name.to_string());
        let asked = format!("{method} {path}");
        guard.record(Act { author, peer, action: asked, ..Act::default() }, &mut response);
    }
    let headers = response.headers_mut();
    for (name, value) in SEALS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

impl Guard {
    /// Who asks, if they may; else the problem, with who they are if that is known. `guessed` says
    /// whether there was a token that nobody has.
    fn admit(
        &self,
        request: &Request,
        rule: Option<&Rule>,
        peer: Option<IpAddr>,
        guessed: &mut bool,
    ) -> Result<Caller, (Option<Caller>, Box<Problem>)> {
        let runtime = self.shared.runtime();
        let admin = &runtime.config.gateway().admin;
        admissible(request, &admin.allowed_hosts).map_err(|problem| (None, problem))?;
        let public = match rule {
            Some(rule) if rule.role.is_none() => true,
            Some(_) if admin.public_metrics => {
                matches!(request.uri().path(), "/metrics" | health::PATH)
            }
            _ => false,
        };
        let caller = match public {
            true => Caller::anybody(),
            false => self.identify(request.headers(), peer, guessed).map_err(|p| (None, p))?,
        };
        let Some(rule) = rule else { return Ok(caller) };
        fits(request, rule, &caller, public).map_err(|problem| (Some(caller.clone()), problem))?;
        Ok(caller)
    }

    /// Who asks.
    fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        guessed: &mut bool,
    ) -> Result<Caller, Box<Problem>> {
        let desk = &self.shared.desk;
        let tokens = desk.tokens();
        if tokens.is_empty() {
            return Ok(Caller::loopback());
        }
        let unknown = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
        let presented = bearer(headers)
            .ok_or_else(|| unknown("This takes a token: send `Authorization: Bearer TOKEN`."))?;
        let peer = peer.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        if let Some(wait) = desk.failures.wait(peer) {
            let detail = "Too many wrong tokens came from this address; wait a little.";
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).after(seconds));
        }
        tokens.find(presented).ok_or_else(|| {
            desk.failures.note(peer, presented);
            *guessed = true;
            unknown("Nobody has this token.")
        })
    }

    /// Puts on record what was changed, or was not.
    fn record(&self, asked: Act, response: &mut Response) {
        let act = match response.extensions_mut().remove::<Done>() {
            Some(Done::Recorded) => return,
            Some(Done::Act(act)) => Act { author: asked.author, peer: asked.peer, ..*act },
            None => asked,
        };
        let status = response.status();
        let result = match status {
            _ if status.is_success() => Outcome::Done,
            _ if status.is_server_error() => Outcome::Failed,
            _ => Outcome::Refused,
        };
        let detail = response.extensions_mut().remove::<Reason>().map(|why| why.0.to_string());
        self.shared.desk.audit.record(Act { detail, ..act }, result);
    }
}

/// Whether the caller may do this, and asks for it properly.
fn fits(request: &Request, rule: &Rule, caller: &Caller, public: bool) -> Result<(), Box<Problem>> {
    if rule.role.is_some_and(|role| !public && caller.role < role) {
        let detail = format!(
            "This takes the role operator, but the token of `{}` is that of a viewer.",
            caller.name
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if !is_safe(request.method()) && !is_json(request.headers()) {
        let detail = "Send `Content-Type: application/json`.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let (Some(known), Some(query)) = (&rule.query, request.uri().query()) else { return Ok(()) };
    let names = query.split('&').filter(|pair| !pair.is_empty());
    let mut names = names.map(|pair| pair.split('=').next().unwrap_or_default());
    let Some(unknown) = names.find(|name| !known.iter().any(|known| known == name)) else {
        return Ok(());
    };
    let unknown: String = unknown.chars().filter(|c| !c.is_control()).take(64).collect();
    let accepted = match known.as_slice() {
        [] => "nothing is asked for here".to_owned(),
        known => format!("use {}", known.join(", ")),
    };
    Err(Problem::bad(format!("The query has `{unknown}`, but {accepted}.")))
}

/// Whether this comes to a host that is served here, and from no page of another site.
fn admissible(request: &Request, allowed: &[String]) -> Result<(), Box<Problem>> {
    let host = host(request).unwrap_or_default();
    let known = LOOPBACK.contains(&host.as_str()) || allowed.contains(&host);
    if !known {
        let detail = format!(
            "Host `{host}` is not served here. Use localhost, or name the host in \
             `gateway.admin.allowed_hosts`."
        );
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if is_cross_site(request) {
        let detail = match is_safe(request.method()) {
            true => "A page of another site must not see anything here.",
            false => "A page of another site must not change anything here.",
        };
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.and_then(|value| value.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (all.next()?.as_bytes(), all.next()) else { return None };
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
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
///
/// Following a link is no matter of the page it is on, so that may lead here.
fn is_cross_site(request: &Request) -> bool {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => false,
        Some(_) => !is_safe(request.method()) || text("sec-fetch-mode") != Some("navigate"),
        None => headers.contains_key(header::ORIGIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn status(method: &str, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let request = request(method, headers);
        let rule = Rule { role: Some(Role::Operator), query: Some(Vec::new()) };
        let allowed = admissible(&request, &["panel.internal".into()]);
        let fits = allowed.and_then(|()| fits(&request, &rule, &Caller::loopback(), false));
        fits.err().map(|problem| problem.status())
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri("/api/v1/circuits");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
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
            let navigate = ("sec-fetch-mode", "navigate");
            assert_eq!(
                status("POST", &[host, json, ("sec-fetch-site", site), navigate]),
                forbidden
            );
            assert_eq!(status("GET", &[host, ("sec-fetch-site", site)]), forbidden);
            assert_eq!(status("GET", &[host, ("sec-fetch-site", site), navigate]), None, "a link");
        }
        assert_eq!(status("POST", &[host, json, ("origin", "https://evil.example")]), forbidden);
        assert_eq!(status("GET", &[host, ("origin", "https://evil.example")]), forbidden);
    }

    #[test]
    fn a_token_is_read_from_one_header_only() {
        let read = |values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
            bearer(request("GET", &values).headers()).map(<[u8]>::to_owned)
        };
        assert_eq!(read(&["Bearer abc"]).as_deref(), Some(&b"abc"[..]));
        assert_eq!(read(&["bearer  abc "]).as_deref(), Some(&b"abc"[..]));
        for none in [&[][..], &["Basic abc"], &["Bearer"], &["abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
