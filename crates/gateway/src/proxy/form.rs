//! Requests that are none by their form, though they can be parsed.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Uri, Version};

/// What is wrong with a head, if anything is.
pub(super) fn fault(head: &Parts) -> Option<&'static str> {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Some("There is more than one Host."),
        (None, None) if head.version == Version::HTTP_11 => return Some("There is no Host."),
        (None, None) if head.version == Version::HTTP_2 && head.uri.authority().is_none() => {
            return Some("There is neither :authority nor Host.");
        }
        // One who routes by the one, and one who routes by the other, would not go the same way
        // (RFC 9113, section 8.3.1).
        (Some(host), None)
            if head.version == Version::HTTP_2
                && head.uri.authority().is_some_and(|authority| {
                    !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
                }) =>
        {
            return Some(":authority and Host contradict each other.");
        }
        // One that is empty says that there is none.
        (Some(host), None) if !host.is_empty() && !is_host(host.as_bytes()) => {
            return Some("Host is no host.");
        }
        _ => {}
    }
    if !is_target(&head.method, &head.uri) {
        return Some("The target is neither a path nor the URL of something served by HTTP.");
    }
    None
}

/// Whether it is a host, with a port or without (RFC 9112, section 3.2).
fn is_host(value: &[u8]) -> bool {
    Authority::try_from(value).is_ok_and(|authority| is_plain(&authority))
}

/// Whether it names no user, which has no place in a request (RFC 9110, section 4.2.4), and no port
/// that is none.
fn is_plain(authority: &Authority) -> bool {
    let text = authority.as_str();
    let port = text.strip_prefix(authority.host()).unwrap_or_default();
    !text.contains('@') && (matches!(port, "" | ":") || authority.port_u16().is_some())
}

/// Whether a target has one of the forms that are served (RFC 9112, section 3.2).
fn is_target(method: &Method, uri: &Uri) -> bool {
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) => {
            is_plain(authority) && !authority.host().is_empty()
        }
        (None, None) => {
            uri.path().starts_with('/') || uri.path() == "*" && method == Method::OPTIONS
        }
        // Who asks for a tunnel is told that there is none.
        (None, Some(_)) => method == Method::CONNECT,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in ["a", "a.b:80", "a:", "[::1]", "[::1]:443", "127.0.0.1", "a_b", "xn--a"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in
            ["a b", "a/b", "a?b", "a#b", "u@a", "a:b", "a:99999", "a:-1", "[::1", "http://a"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn targets() {
        let is_target = |method: &str, target: &str| {
            is_target(&method.parse().unwrap(), &target.parse().unwrap())
        };
        for target in ["/", "//a/b", "/a?b=c", "http://a", "HTTPS://a:1/b?c"] {
            assert!(is_target("GET", target), "{target}");
        }
        for target in
            ["a", "a:80", "*", "ftp://a/", "http://u@a/", "http://a:b/", "http://a:99999/"]
        {
            assert!(!is_target("GET", target), "{target}");
        }
        assert!(is_target("OPTIONS", "*"));
        assert!(is_target("CONNECT", "a:443"));
        assert!(!is_target("CONNECT", "*"));
    }

    #[test]
    fn over_http2_authority_and_host_are_one() {
        let fault = |uri: &str, host: Option<&'static str>| {
            let mut request = http::Request::builder().version(Version::HTTP_2).uri(uri);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            super::fault(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(fault("http://a:1/", None), None);
        assert_eq!(fault("http://a:1/", Some("A:1")), None);
        assert_eq!(fault("/", Some("a")), None);
        assert!(fault("/", None).unwrap().contains(":authority"));
        for other in ["b:1", "a", "a:2"] {
            assert!(fault("http://a:1/", Some(other)).unwrap().contains("contradict"), "{other}");
        }
    }
}
