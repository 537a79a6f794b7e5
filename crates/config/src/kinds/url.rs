//! Where an upstream is.

use http::Uri;
use serde_json::{Value as Json, json};

use super::net::is_host;
use super::text::text_of;
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::model::{BaseUrl, Scheme};
use crate::schema::Definitions;
use crate::source::Span;
use crate::syntax::Node;

/// A `http` or `https` URL with a host and at most a path.
pub(crate) struct UrlKind;

impl Kind for UrlKind {
    fn accepts(&self) -> String {
        String::from("a URL such as \"http://127.0.0.1:11434\" or \"https://api.example.com/v1\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": r"^[hH][tT][tT][pP][sS]?://[^/?#@\s]+(/[^?#\s]*)?$" })
    }
}

impl Read for UrlKind {
    type Out = BaseUrl;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<BaseUrl> {
        let text = text_of(node, &self.accepts(), cx)?;
        match parse(text) {
            Ok(url) => Some(url),
            Err(fault) => {
                let span = part(node.span, fault.part, cx);
                if fault.secret {
                    cx.hide(span);
                }
                let problem = cx
                    .refuse(codes::BAD_URL, node, &self.accepts(), fault.label)
                    .at(span, fault.label)
                    .maybe_help(fault.help);
                cx.report(problem);
                None
            }
        }
    }
}

/// What is wrong with a URL, and which part of it.
#[derive(Debug)]
struct Fault<'t> {
    part: &'t str,
    label: &'static str,
    help: Option<String>,
    secret: bool,
}

fn fault<'t>(part: &'t str, label: &'static str, help: impl Into<String>) -> Fault<'t> {
    Fault { part, label, help: Some(help.into()), secret: false }
}

fn parse(text: &str) -> Result<BaseUrl, Fault<'_>> {
    let Some((scheme_text, rest)) = text.split_once("://") else {
        if text.is_empty() {
            return Err(Fault { part: text, label: "empty", help: None, secret: false });
        }
        // `https:/host` and `//host` are nearly one.
        let bare = text.trim_start_matches('/');
        let bare = match bare.split_once(":/") {
            Some((_, host)) => host,
            None => bare,
        };
        return Err(fault(text, "no scheme", format!("write \"http://{bare}\"")));
    };
    let scheme = if scheme_text.eq_ignore_ascii_case("http") {
        Scheme::Http
    } else if scheme_text.eq_ignore_ascii_case("https") {
        Scheme::Https
    } else {
        return Err(fault(scheme_text, "unknown scheme", "the scheme is http or https"));
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let path = &rest[authority.len()..];
    if let Some((user, _)) = authority.rsplit_once('@') {
        let help = "credentials go into `api_key` or `auth`, as { env = \"NAME\" }";
        return Err(Fault { secret: true, ..fault(user, "credentials in the URL", help) });
    }
    if let Some(at) = path.find(['?', '#']) {
        let label = if path[at..].starts_with('?') { "a query" } else { "a fragment" };
        return Err(fault(&path[at..], label, "take it out: requests bring their own"));
    }
    let (host, port) = host_and_port(authority, scheme)?;
    if !is_host(host) {
        let help = if host.is_ascii() {
            "the host is a name, an IPv4 address, or an IPv6 address in brackets"
        } else {
            "write international names in their xn-- form"
        };
        return Err(fault(if host.is_empty() { text } else { host }, "no such host", help));
    }
    let path = path.trim_end_matches('/');
    let uri = format!("{}://{}:{port}{path}/", scheme.name(), host.to_ascii_lowercase());
    if !path.is_ascii() || uri.parse::<Uri>().is_err() {
        return Err(fault(path, "not a path", "write signs that paths cannot hold as %XX"));
    }
    Ok(BaseUrl::new(scheme, host.to_ascii_lowercase(), port, path.to_owned()))
}

fn host_and_port(authority: &str, scheme: Scheme) -> Result<(&str, u16), Fault<'_>> {
    let bracket = authority.rfind(']').map_or(0, |i| i + 1);
    let Some(colon) = authority[bracket..].find(':').map(|i| i + bracket) else {
        return Ok((authority, scheme.default_port()));
    };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    match port.parse() {
        Ok(port) if port > 0 => Ok((host, port)),
        _ if host.is_empty() || port.contains(':') => {
            Err(fault(authority, "no such host", "an IPv6 address goes into brackets: [::1]"))
        }
        _ => Err(fault(&authority[colon..], "no such port", "ports go from 1 to 65535")),
    }
}

/// Where `part` of the text at `span` stands; all of it, if escapes are in the way.
pub(super) fn part(span: Span, part: &str, cx: &Context) -> Span {
    match cx.text(span).find(part) {
        Some(at) if !part.is_empty() => span.part(at, at + part.len()),
        _ => span,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let url = parse("HTTPS://API.example.com/v1/").unwrap();
        assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Https, "api.example.com", 443));
        assert_eq!(url.path(), "/v1");
        assert_eq!(url.to_string(), "https://api.example.com/v1");
        let url = parse("http://[::1]:8080").unwrap();
        assert_eq!((url.host(), url.port(), url.path()), ("[::1]", 8080, ""));
        assert_eq!(url.authority(), "[::1]:8080");
        assert_eq!(parse("http://a:80").unwrap().authority(), "a");
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (text, part, label) in [
            ("127.0.0.1:80", "127.0.0.1:80", "no scheme"),
            ("ftp://a", "ftp", "unknown scheme"),
            ("http://user:pw@a/", "user:pw", "credentials in the URL"),
            ("http://a/b?c=d", "?c=d", "a query"),
            ("http://a#x", "#x", "a fragment"),
            ("http://", "http://", "no such host"),
            ("http://a b", "a b", "no such host"),
            ("http://::1", "::1", "no such host"),
            ("http://a:0", ":0", "no such port"),
            ("http://a:99999/", ":99999", "no such port"),
            ("http://a:", ":", "no such port"),
            ("http://a/ü", "/ü", "not a path"),
            ("http://a/b c", "/b c", "not a path"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!((fault.part, fault.label), (part, label), "{text}");
        }
    }
}
