//! Headers on their way through.

use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Meant for the next hop only (RFC 9110, section 7.6.1). `Trailer` is not among them: trailers are
/// passed on, and hyper sends none that were not announced.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What `Connection` may not take away, though it names it.
const PROTECTED: [HeaderName; 8] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    HOST,
];

/// Where clients put what proves who they are.
const CREDENTIALS: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// Removes what is meant for this hop only, also what `Connection` names as such.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !PROTECTED.contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Says who is asking, and for what host. What a client claims to have been forwarded is replaced:
/// nobody is trusted to say so yet.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, uri: &Uri, peer: IpAddr) {
    headers.remove(FORWARDED);
    // Where the target names a host, that is the one (RFC 9112, section 3.2.2), as for routes.
    let target = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
    if let Some(Ok(host)) = target.map(HeaderValue::from_str) {
        headers.insert(HOST, host);
    }
    if let Ok(peer) = HeaderValue::from_str(&peer.to_canonical().to_string()) {
        headers.insert(FORWARDED_FOR, peer);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    match headers.remove(HOST) {
        Some(host) => headers.insert(FORWARDED_HOST, host),
        None => headers.remove(FORWARDED_HOST),
    };
    // The body is read when the upstream wants it; to ask for leave is between client and us.
    headers.remove(EXPECT);
}

/// Puts together what HTTP/2 lets clients send in crumbs: to others, two cookie headers are one too
/// many (RFC 9113, section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if let (Some(_), None) | (None, _) = (crumbs.next(), crumbs.next()) {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // What is made of values is one.
    if let Ok(mut whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        whole.set_sensitive(true);
        headers.insert(COOKIE, whole);
    }
}

/// Removes the client's credentials: they were given to the first upstream of a route, not to its
/// fallbacks.
pub(crate) fn remove_credentials(headers: &mut HeaderMap) {
    for name in &CREDENTIALS {
        headers.remove(name);
    }
}

/// The trace a request belongs to (W3C Trace Context), for "last errors".
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let id = parent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn crumbs_make_one_cookie() {
        let mut map = headers(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")]);
        join_cookies(&mut map);
        assert_eq!(map.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
        let mut map = headers(&[("cookie", "a=1")]);
        join_cookies(&mut map);
        assert_eq!(map["cookie"], "a=1");
    }

    #[test]
    fn hop_by_hop_headers_stay_here_but_protected_ones_go_on() {
        let mut map = headers(&[
            ("connection", "close, X-Private, authorization, content-length"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("authorization", "Bearer x"),
            ("content-length", "3"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["accept", "authorization", "content-length"]);
    }

    #[test]
    fn clients_cannot_claim_to_have_been_forwarded() {
        let mut map = headers(&[
            ("host", "example.com"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=10.0.0.1"),
            ("expect", "100-continue"),
        ]);
        add_forwarded(&mut map, &Uri::from_static("/"), "::ffff:192.0.2.7".parse().unwrap());
        assert_eq!(names(&map), ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);
        assert_eq!(map["x-forwarded-for"], "192.0.2.7");
        assert_eq!(map["x-forwarded-host"], "example.com");
        assert_eq!(map["x-forwarded-proto"], "http");
    }

    #[test]
    fn the_host_is_that_of_the_target_if_it_names_one() {
        let mut map = headers(&[("host", "one.example")]);
        let target = Uri::from_static("http://user@two.example:81/x");
        add_forwarded(&mut map, &target, "192.0.2.7".parse().unwrap());
        assert_eq!(map["x-forwarded-host"], "two.example:81");
    }

    #[test]
    fn a_trace_id_is_thirty_two_hex_digits_or_none() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut map = HeaderMap::new();
        map.insert("traceparent", HeaderValue::from_static(good));
        assert_eq!(trace_id(&map), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        map.insert("traceparent", HeaderValue::from_static("00-secret-01"));
        assert_eq!(trace_id(&map), None);
    }
}
