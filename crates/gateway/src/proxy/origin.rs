//! Who asks, and how the upstream is told: what a trusted proxy says is kept and added to, what
//! anybody else says is replaced.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use panelboard_config::Gateway;

use crate::listen::Caller;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What others have taken to say of whom they forward for. Only a trusted proxy may.
const CLAIMS: [HeaderName; 6] = [
    FORWARDED,
    FORWARDED_PORT,
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("true-client-ip"),
];

/// A request id is no longer than this.
const LONGEST_ID: usize = 128;

/// Who asks.
pub(crate) struct Origin {
    /// The client: behind trusted proxies, the last address that none of them has.
    pub(crate) client: IpAddr,
    /// What this request is called here, at the upstream and in the answer.
    pub(crate) id: HeaderValue,
    caller: Arc<Caller>,
    trusted: bool,
}

impl Origin {
    /// Who asks, by the connection and, if it is a trusted proxy's, by the request's head.
    pub(crate) fn of(gateway: &Gateway, caller: &Arc<Caller>, headers: &HeaderMap) -> Origin {
        let trusted = gateway.trusts(caller.ip);
        let client = match trusted {
            true => client(caller.ip, headers, |peer| gateway.trusts(peer)),
            false => caller.ip,
        };
        let given = headers.get(REQUEST_ID).filter(|id| trusted && is_id(id));
        let id = given.cloned().unwrap_or_else(|| new_id(fastrand::u128(..)));
        Origin { client, id, caller: Arc::clone(caller), trusted }
    }

    /// The connection it came on.
    pub(crate) fn caller(&self) -> Arc<Caller> {
        Arc::clone(&self.caller)
    }

    /// The scheme of that connection.
    pub(crate) fn scheme(&self) -> &'static str {
        self.caller.scheme.name()
    }

    /// What the request is found again by in "last errors": its trace, or else its id.
    pub(crate) fn trace(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let id = super::headers::trace_id(headers).or_else(|| self.id.to_str().ok());
        id.map(Arc::from)
    }

    /// Tells an upstream who asks, and for what host.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, uri: &Uri) {
        let caller = &*self.caller;
        // Where the target names a host, that is the one (RFC 9112, section 3.2.2), as for routes.
        let target = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
        if let Some(Ok(host)) = target.map(HeaderValue::from_str) {
            headers.insert(HOST, host);
        }
        let host = headers.remove(HOST);
        let before = match self.trusted {
            true => self.extend(headers),
            false => {
                for claim in &CLAIMS {
                    headers.remove(claim);
                }
                None
            }
        };
        if let Some(list) = before.or_else(|| caller.ip_header.clone()) {
            headers.insert(FORWARDED_FOR, list);
        }
        let keep = |headers: &HeaderMap, name: &HeaderName, good: fn(&[u8]) -> bool| {
            let mut values = headers.get_all(name).iter();
            let good = values.next().is_some_and(|value| good(value.as_bytes()));
            self.trusted && good && values.next().is_none()
        };
        let is_port =
            |port: &[u8]| (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
        if !keep(headers, &FORWARDED_PROTO, |proto| {
            matches!(proto, b"http" | b"https" | b"ws" | b"wss")
        }) {
            let scheme = HeaderValue::from_static(caller.scheme.name());
            headers.insert(FORWARDED_PROTO, scheme);
        }
        if !keep(headers, &FORWARDED_PORT, is_port) {
            headers.insert(FORWARDED_PORT, caller.port.clone());
        }
        if !keep(headers, &FORWARDED_HOST, |host| !host.is_empty()) {
            match host {
                Some(host) => headers.insert(FORWARDED_HOST, host),
                None => headers.remove(FORWARDED_HOST),
            };
        }
        headers.insert(REQUEST_ID, self.id.clone());
    }

    /// Adds the proxy itself to the lists that it has sent. The list of addresses is returned.
    fn extend(&self, headers: &mut HeaderMap) -> Option<HeaderValue> {
        let peer = self.caller.ip;
        if headers.contains_key(FORWARDED) {
            let node = match peer {
                IpAddr::V4(peer) => format!("for={peer}"),
                IpAddr::V6(peer) => format!("for=\"[{peer}]\""),
            };
            let proto = self.caller.scheme.name();
            // One more line is the same list (RFC 9110, section 5.3).
            if let Ok(element) = HeaderValue::try_from(format!("{node};proto={proto}")) {
                headers.append(FORWARDED, element);
            }
        }
        let mut list = Vec::new();
        for line in headers.get_all(FORWARDED_FOR) {
            list.extend_from_slice(line.as_bytes());
            list.extend_from_slice(b", ");
        }
        if list.is_empty() {
            return None;
        }
        list.extend_from_slice(peer.to_string().as_bytes());
        HeaderValue::from_bytes(&list).ok()
    }
}

/// The last address that is no trusted proxy's, or the first if all are. What cannot be read ends
/// the search: beyond it, anybody could have written anything.
fn client(peer: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = peer;
    let name = if headers.contains_key(FORWARDED_FOR) { FORWARDED_FOR } else { FORWARDED };
    let lines: Vec<_> = headers.get_all(&name).iter().collect();
    let elements = lines
        .iter()
        .rev()
        .flat_map(|line| line.to_str().unwrap_or("unreadable").rsplit(','))
        .map(|element| if name == FORWARDED { node(element) } else { Some(element) });
    for element in elements {
        let Some(address) = element.and_then(address) else { break };
        client = address;
        if !trusts(address) {
            break;
        }
    }
    client
}

/// Whom an element of `Forwarded` is for.
fn node(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(value.trim().trim_matches('"'))
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

/// What may stand in logs and in other people's files.
fn is_id(id: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@~".contains(byte);
    (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(plain)
}

fn new_id(number: u128) -> HeaderValue {
    HeaderValue::try_from(format!("{number:032x}")).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use panelboard_config::{Input, Scheme, Source, check};

    use super::*;

    fn gateway(keys: &str) -> Gateway {
        let source = Source::new("panelboard.toml", format!("[gateway]\n{keys}"));
        check(Input::new().file(source)).config.expect("no mistake in it").gateway().clone()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn told(
        keys: &str,
        caller: Caller,
        pairs: &[(&'static str, &'static str)],
    ) -> (IpAddr, HeaderMap) {
        let mut map = headers(pairs);
        let origin = Origin::of(&gateway(keys), &Arc::new(caller), &map);
        origin.tell(&mut map, &Uri::from_static("/"));
        (origin.client, map)
    }

    const CLAIMED: [(&str, &str); 8] = [
        ("host", "example.com"),
        ("x-forwarded-for", "198.51.100.1, 10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "outside.example"),
        ("x-forwarded-port", "443"),
        ("forwarded", "for=198.51.100.1;proto=https"),
        ("x-real-ip", "198.51.100.1"),
        ("x-request-id", "abc-1"),
    ];
    const PROXIES: &str = "trusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\"]";

    #[test]
    fn anybody_is_only_who_they_connect_as() {
        for keys in ["", PROXIES] {
            let caller = Caller::test("192.0.2.7".parse().unwrap(), Scheme::Https);
            let (client, map) = told(keys, caller, &CLAIMED);
            assert_eq!(client.to_string(), "192.0.2.7");
            assert_eq!(map["x-forwarded-for"], "192.0.2.7");
            assert_eq!(map["x-forwarded-proto"], "https");
            assert_eq!(map["x-forwarded-host"], "example.com");
            assert_eq!(map["x-forwarded-port"], "8080");
            assert_eq!(map["x-request-id"].len(), 32);
            assert_eq!(map.len(), 5, "{map:?}");
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added() {
        let caller = Caller::test("10.0.0.1".parse().unwrap(), Scheme::Http);
        let (client, map) = told(PROXIES, caller, &CLAIMED);
        assert_eq!(client.to_string(), "198.51.100.1");
        assert_eq!(map["x-forwarded-for"], "198.51.100.1, 10.0.0.2, 10.0.0.1");
        assert_eq!(map["x-forwarded-proto"], "https");
        assert_eq!(map["x-forwarded-host"], "outside.example");
        assert_eq!(map["x-forwarded-port"], "443");
        assert_eq!(map["x-request-id"], "abc-1");
        let forwarded: Vec<_> = map.get_all("forwarded").iter().collect();
        assert_eq!(forwarded, ["for=198.51.100.1;proto=https", "for=10.0.0.1;proto=http"]);
        assert_eq!(map["x-real-ip"], "198.51.100.1");
        assert!(!map.contains_key("host"));
    }

    #[test]
    fn a_trusted_proxy_that_says_nothing_or_nonsense_is_not_believed() {
        let nonsense =
            [("x-forwarded-proto", "gopher"), ("x-forwarded-port", "x"), ("x-request-id", "a b")];
        for pairs in [&[][..], &nonsense] {
            let caller = Caller::test("fd00::1".parse().unwrap(), Scheme::Http);
            let (client, map) = told(PROXIES, caller, pairs);
            assert_eq!(client.to_string(), "fd00::1");
            assert_eq!(map["x-forwarded-for"], "fd00::1");
            assert_eq!(map["x-forwarded-proto"], "http");
            assert_eq!(map["x-forwarded-port"], "8080");
            assert_eq!(map["x-request-id"].len(), 32);
            assert!(!map.contains_key("forwarded"));
        }
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxys() {
        let gateway = gateway(PROXIES);
        let client = |name, value| {
            let map = headers(&[(name, value)]);
            client("10.9.9.9".parse().unwrap(), &map, |peer| gateway.trusts(peer)).to_string()
        };
        for (list, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
            ("10.0.0.3,10.0.0.2", "10.0.0.3"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:4711, [fd00::2]", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, unknown, 10.0.0.1", "10.0.0.1"),
            ("", "10.9.9.9"),
        ] {
            assert_eq!(client("x-forwarded-for", list), expected, "{list}");
        }
        let unreadable = HeaderValue::from_bytes(b"192.0.2.1\xe4").unwrap();
        let map = HeaderMap::from_iter([(FORWARDED_FOR, unreadable)]);
        let peer = "10.9.9.9".parse().unwrap();
        assert_eq!(super::client(peer, &map, |_| true), peer);
        for (list, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::1]:80\";proto=http, for=10.1.1.1;by=x", "2001:db8::1"),
            ("for=_hidden, for=10.1.1.1", "10.1.1.1"),
            ("proto=https", "10.9.9.9"),
        ] {
            assert_eq!(client("forwarded", list), expected, "{list}");
        }
    }

    #[test]
    fn the_host_is_that_of_the_target_if_it_names_one() {
        let mut map = headers(&[("host", "one.example")]);
        let caller = Arc::new(Caller::test("192.0.2.7".parse().unwrap(), Scheme::Http));
        let origin = Origin::of(&gateway(""), &caller, &map);
        origin.tell(&mut map, &Uri::from_static("http://user@two.example:81/x"));
        assert_eq!(map["x-forwarded-host"], "two.example:81");
    }

    #[test]
    fn ids_are_short_and_plain() {
        for (id, good) in
            [("a", true), ("Root=1-67891233-abcdef", true), ("a b", false), ("a\"b", false)]
        {
            assert_eq!(is_id(&HeaderValue::from_static(id)), good, "{id}");
        }
        assert!(is_id(&HeaderValue::try_from("x".repeat(LONGEST_ID)).unwrap()));
        assert!(!is_id(&HeaderValue::try_from("x".repeat(LONGEST_ID + 1)).unwrap()));
        assert_eq!(new_id(255), "000000000000000000000000000000ff");
    }
}
