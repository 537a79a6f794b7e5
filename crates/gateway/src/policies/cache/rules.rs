//! What may be kept, and given out again: by the heads of requests and answers.

use std::time::Duration;

use http::header::{
    ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE,
    PRAGMA, RANGE, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, StatusCode};

/// More headers than that make an answer everybody's own.
const MOST_VARY: usize = 16;

/// What an answer says of being kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    /// The headers of the request that it depends on, in order.
    pub(super) vary: Vec<HeaderName>,
    /// How old it was when it came.
    pub(super) age: Duration,
    /// How old it may become before its upstream is to be asked again, if that is said.
    pub(super) max_age: Option<Duration>,
}

/// What a request says of answers that have been kept.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Consent {
    /// Any will do.
    Any,
    /// Only where there is no other.
    Last,
}

/// What a request says of answers that have been kept; `None` if it wants none, and none kept.
pub(super) fn consent(headers: &HeaderMap) -> Option<Consent> {
    if headers.contains_key(RANGE) || headers.contains_key(IF_RANGE) {
        return None;
    }
    let mut consent = Consent::Any;
    if headers.contains_key(PRAGMA) && !headers.contains_key(CACHE_CONTROL) {
        consent = Consent::Last;
    }
    for (name, value) in directives(headers)? {
        match (name.as_str(), value) {
            ("no-store", _) => return None,
            ("no-cache", _) | ("max-age", Some(0)) => consent = Consent::Last,
            _ => {}
        }
    }
    Some(consent)
}

/// What an answer says of being kept; `None` if it must not be.
pub(super) fn terms(status: StatusCode, headers: &HeaderMap) -> Option<Terms> {
    let is_own = headers.contains_key(SET_COOKIE) || headers.contains_key(CONTENT_RANGE);
    if status != StatusCode::OK || is_own || is_stream(headers) {
        return None;
    }
    let (mut max_age, mut shared) = (None, None);
    for (name, value) in directives(headers)? {
        match name.as_str() {
            // The latter three forbid what it would be kept for: to be given out when it is old.
            "no-store" | "private" | "no-cache" | "must-revalidate" | "proxy-revalidate" => {
                return None;
            }
            "max-age" => max_age = Some(value.unwrap_or(0)),
            "s-maxage" => shared = Some(value.unwrap_or(0)),
            _ => {}
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    Some(Terms {
        vary: vary(headers)?,
        age: Duration::from_secs(u64::from(age.unwrap_or(0_u32))),
        max_age: shared.or(max_age).map(|secs| Duration::from_secs(secs.into())),
    })
}

/// The directives of `Cache-Control`, with their numbers; `None` if they cannot be read.
fn directives(headers: &HeaderMap) -> Option<Vec<(String, Option<u32>)>> {
    let mut directives = Vec::new();
    for line in headers.get_all(CACHE_CONTROL) {
        for word in line.to_str().ok()?.split(',') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = value.trim().trim_matches('"').parse().ok();
            directives.push((name.trim().to_ascii_lowercase(), number));
        }
    }
    Some(directives)
}

/// What `Vary` names; `None` if that is everything, or cannot be read.
fn vary(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for line in headers.get_all(VARY) {
        for name in line.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if name == "*" {
                return None;
            }
            names.push(name.parse().ok()?);
        }
    }
    // Not all upstreams that compress say that they do not always.
    if headers.contains_key(CONTENT_ENCODING) {
        names.push(ACCEPT_ENCODING);
    }
    names.sort_unstable_by(|a: &HeaderName, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    (names.len() <= MOST_VARY).then_some(names)
}

fn is_stream(headers: &HeaderMap) -> bool {
    const STREAMS: [&str; 8] = [
        "text/event-stream",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/json-seq",
        "application/stream+json",
        "multipart/x-mixed-replace",
    ];
    headers.get_all(CONTENT_TYPE).iter().any(|media| {
        let media = media.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let media = media.trim_ascii();
        STREAMS.iter().any(|stream| media.eq_ignore_ascii_case(stream.as_bytes()))
    })
}

/// Whether an answer may depend on this header of the request although it does not say so: who asks,
/// and what others are known to be told by.
pub(super) fn is_keyed(name: &HeaderName) -> bool {
    const PARTS: [&str; 7] =
        ["auth", "token", "api-key", "apikey", "secret", "session", "credential"];
    const WHOLE: [&str; 8] = [
        "cookie",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    ];
    let name = name.as_str();
    WHOLE.contains(&name) || PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn of(pairs: &[(&'static str, &'static str)]) -> Option<Terms> {
        terms(StatusCode::OK, &headers(pairs))
    }

    #[test]
    fn only_whole_good_answers_are_kept() {
        let plain = Terms { vary: Vec::new(), age: Duration::ZERO, max_age: None };
        assert_eq!(of(&[("content-type", "application/json")]), Some(plain));
        for status in [201, 204, 206, 304, 404, 500] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(terms(status, &HeaderMap::new()), None, "{status}");
        }
        for (name, value) in [
            ("set-cookie", "a=1"),
            ("content-range", "bytes 0-1/2"),
            ("vary", "*"),
            ("vary", "accept, *"),
            ("vary", "a b"),
            ("cache-control", "no-store"),
            ("cache-control", "max-age=5, Private"),
            ("cache-control", "private=\"x,y\""),
            ("cache-control", "no-cache"),
            ("cache-control", "max-age=5,must-revalidate"),
            ("content-type", "text/event-stream"),
            ("content-type", "Application/X-NDJSON; charset=utf-8"),
            ("content-type", "multipart/x-mixed-replace;boundary=x"),
        ] {
            assert_eq!(of(&[(name, value)]), None, "{name}: {value}");
        }
    }

    #[test]
    fn terms_are_what_the_answer_says() {
        let terms = of(&[
            ("vary", "Origin,, accept"),
            ("vary", "accept"),
            ("content-encoding", "gzip"),
            ("age", "7"),
            ("cache-control", "max-age=60, public"),
        ])
        .unwrap();
        let vary: Vec<&str> = terms.vary.iter().map(HeaderName::as_str).collect();
        assert_eq!(vary, ["accept", "accept-encoding", "origin"]);
        assert_eq!(terms.age, Duration::from_secs(7));
        assert_eq!(terms.max_age, Some(Duration::from_secs(60)));
        let shared = of(&[("cache-control", "s-maxage=5, max-age=60")]).unwrap();
        assert_eq!(shared.max_age, Some(Duration::from_secs(5)));
        let odd = of(&[("cache-control", "max-age=soon"), ("age", "old")]).unwrap();
        assert_eq!((odd.max_age, odd.age), (Some(Duration::ZERO), Duration::ZERO));
    }

    #[test]
    fn an_answer_that_depends_on_very_much_is_not_kept() {
        let many: Vec<String> = (0..=MOST_VARY).map(|n| format!("x-{n}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(VARY, many.join(",").parse().unwrap());
        assert_eq!(terms(StatusCode::OK, &headers), None);
    }

    #[test]
    fn requests_have_a_say() {
        let of = |pairs: &[(&'static str, &'static str)]| consent(&headers(pairs));
        assert_eq!(of(&[]), Some(Consent::Any));
        assert_eq!(of(&[("cache-control", "max-age=60")]), Some(Consent::Any));
        assert_eq!(of(&[("cache-control", "no-cache")]), Some(Consent::Last));
        assert_eq!(of(&[("cache-control", "max-age=0")]), Some(Consent::Last));
        assert_eq!(of(&[("pragma", "no-cache")]), Some(Consent::Last));
        assert_eq!(of(&[("cache-control", "No-Store")]), None);
        assert_eq!(of(&[("range", "bytes=0-1")]), None);
    }

    #[test]
    fn who_asks_is_part_of_what_is_asked() {
        for name in ["authorization", "cookie", "x-api-key", "x-goog-api-key", "x-auth-token"] {
            assert!(is_keyed(&name.parse().unwrap()), "{name}");
        }
        for name in ["accept", "user-agent", "idempotency-key", "traceparent"] {
            assert!(!is_keyed(&name.parse().unwrap()), "{name}");
        }
    }
}
