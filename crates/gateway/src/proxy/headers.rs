//! Headers on their way through.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::upgrade::words;

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

/// Leaves of a request's head what is for the upstream.
pub(crate) fn for_upstream(headers: &mut HeaderMap) {
    let takes_trailers = words(headers, &TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    remove_hop_by_hop(headers);
    // We pass trailers on to whoever takes them, so the upstream may send some.
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
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

/// Removes from trailers what only a head may say: how to read the message, where it goes, who sends
/// it, and what we alone say (RFC 9110, section 6.5.1).
pub(crate) fn keep_trailers(trailers: &mut HeaderMap) {
    let heads: Vec<HeaderName> =
        trailers.keys().filter(|name| !is_trailer(name)).cloned().collect();
    for name in heads {
        trailers.remove(name);
    }
}

fn is_trailer(name: &HeaderName) -> bool {
    const HEAD_ONLY: [&str; 18] = [
        "accept-encoding",
        "age",
        "cache-control",
        "date",
        "expect",
        "expires",
        "forwarded",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "set-cookie",
        "vary",
        "via",
        "www-authenticate",
        "x-real-ip",
        "x-request-id",
    ];
    const HEAD_ONLY_BELOW: [&str; 6] =
        ["content-", "if-", "proxy-", "sec-", "x-forwarded-", "x-panelboard-"];
    let text = name.as_str();
    *name != TRAILER
        && ![&HOP_BY_HOP[..], &PROTECTED, &CREDENTIALS].iter().any(|names| names.contains(name))
        && !HEAD_ONLY.contains(&text)
        && !HEAD_ONLY_BELOW.iter().any(|prefix| text.starts_with(prefix))
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
    fn an_upstream_is_told_that_trailers_are_taken() {
        let mut map = headers(&[
            ("connection", "TE, x-hop"),
            ("te", "gzip;q=0.5, Trailers"),
            ("x-hop", "1"),
            ("expect", "100-continue"),
        ]);
        for_upstream(&mut map);
        assert_eq!(names(&map), ["connection", "te"]);
        assert_eq!(
            (map["te"].as_bytes(), map["connection"].as_bytes()),
            (&b"trailers"[..], &b"te"[..])
        );
        let mut map = headers(&[("te", "gzip")]);
        for_upstream(&mut map);
        assert_eq!(names(&map), [""; 0]);
    }

    #[test]
    fn trailers_say_nothing_that_belongs_into_a_head() {
        let mut map = headers(&[
            ("grpc-status", "0"),
            ("x-checksum", "1"),
            ("server-timing", "db;dur=1"),
            ("etag", "\"1\""),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Bearer x"),
            ("cookie", "a=1"),
            ("set-cookie", "a=1"),
            ("host", "a"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-panelboard-fallback", "x"),
            ("x-api-key", "x"),
            ("trailer", "x"),
            ("if-match", "x"),
        ]);
        keep_trailers(&mut map);
        assert_eq!(names(&map), ["etag", "grpc-status", "server-timing", "x-checksum"]);
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
