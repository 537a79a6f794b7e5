//! What a client wants to go on in, and what the upstream agrees to (RFC 9110, section 7.8).

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use hyper::upgrade::OnUpgrade;

/// A request to go on in another protocol.
pub(crate) struct Upgrade {
    /// The protocols, in the client's words.
    protocols: HeaderValue,
    /// The client's side, when the answer is 101.
    pub(crate) client: OnUpgrade,
}

impl Upgrade {
    /// What a request asks for, if it means it: `h2c` is an offer that clients make to everybody,
    /// and going on as before is a good answer. Nobody but HTTP/1.1 can ask.
    pub(crate) fn of(head: &mut Parts) -> Option<Upgrade> {
        if head.version != Version::HTTP_11 || !nominates(&head.headers, &UPGRADE) {
            return None;
        }
        let offered = words(&head.headers, &UPGRADE);
        let meant: Vec<&str> =
            offered.filter(|protocol| !protocol.eq_ignore_ascii_case("h2c")).collect();
        let protocols =
            HeaderValue::try_from(meant.join(", ")).ok().filter(|all| !all.is_empty())?;
        Some(Upgrade { protocols, client: head.extensions.remove()? })
    }

    /// Asks the upstream for the same.
    pub(crate) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocols.clone());
    }

    /// Whether a 101 is an answer to this: to one of the protocols that were asked for, and without
    /// a body.
    pub(crate) fn is_answered_by(&self, headers: &HeaderMap) -> bool {
        let mut agreed = words(headers, &UPGRADE).peekable();
        let asked = |protocol: &str| {
            let mut all = self.protocols.to_str().unwrap_or_default().split(", ");
            all.any(|asked| asked.eq_ignore_ascii_case(protocol))
        };
        agreed.peek().is_some()
            && agreed.all(asked)
            && nominates(headers, &UPGRADE)
            && !headers.contains_key(CONTENT_LENGTH)
            && !headers.contains_key(TRANSFER_ENCODING)
    }
}

/// Tells the client that its connection changes, as the upstream has.
pub(super) fn agree(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
}

/// Whether the connection goes on as a WebSocket.
pub(super) fn is_websocket(headers: &HeaderMap) -> bool {
    words(headers, &UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Whether `Connection` names this header.
pub(super) fn nominates(headers: &HeaderMap, name: &HeaderName) -> bool {
    words(headers, &CONNECTION).any(|word| word.eq_ignore_ascii_case(name.as_str()))
}

/// The elements of a list.
pub(super) fn words<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}
