//! Socket addresses and hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::text::text_of;
use crate::context::Context;
use crate::describe::{Kind, Read};
use crate::diagnostic::codes;
use crate::model::HostPattern;
use crate::schema::Definitions;
use crate::syntax::Node;

/// An IP address and a port.
pub(crate) struct AddressKind;

/// An IP network, or one address.
pub(crate) struct NetworkKind;

/// A host without a port; a name may begin with `*.`.
pub(crate) struct HostKind;

/// A host without a port.
pub(crate) struct HostNameKind;

impl Kind for AddressKind {
    fn accepts(&self) -> String {
        String::from("an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": ":[0-9]{1,5}$" })
    }
}

impl Read for AddressKind {
    type Out = SocketAddr;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<SocketAddr> {
        let text = text_of(node, &self.accepts(), cx)?;
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let help = match text.rsplit_once(':') {
            Some(("" | "*", port)) if port.parse::<u16>().is_ok() => {
                Some(format!("for every interface, write \"0.0.0.0:{port}\" or \"[::]:{port}\""))
            }
            Some(("localhost", port)) if port.parse::<u16>().is_ok() => {
                Some(format!("write \"127.0.0.1:{port}\"; names are not looked up"))
            }
            Some((_, port)) if port.parse::<u32>().is_ok_and(|port| port > 65_535) => {
                Some(String::from("ports end at 65535"))
            }
            _ if text.parse::<Ipv4Addr>().is_ok() => Some(format!("add a port: \"{text}:8080\"")),
            _ if text.parse::<Ipv6Addr>().is_ok() => Some(format!("add a port: \"[{text}]:8080\"")),
            _ if text.parse::<u16>().is_ok() => {
                Some(format!("add an address: \"127.0.0.1:{text}\""))
            }
            _ => None,
        };
        let problem =
            cx.refuse(codes::BAD_ADDRESS, node, &self.accepts(), "not an address").maybe_help(help);
        cx.report(problem);
        None
    }
}

impl Kind for NetworkKind {
    fn accepts(&self) -> String {
        String::from("a network such as \"10.0.0.0/8\" or \"fd00::/8\", or an IP address")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$" })
    }
}

impl Read for NetworkKind {
    type Out = IpNet;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<IpNet> {
        let text = text_of(node, &self.accepts(), cx)?;
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let help = match parsed {
            // Nobody sees whether the address or its length was meant.
            Ok(network) if network.trunc() != network => Some(format!(
                "write \"{}\" for the network, or \"{}\" for this address",
                network.trunc(),
                network.addr()
            )),
            Ok(network) => return Some(network),
            Err(_) if text == "localhost" => {
                Some(String::from("write \"127.0.0.1\" or \"::1\"; names are not looked up"))
            }
            Err(_) if text.parse::<SocketAddr>().is_ok() => {
                Some(String::from("only the address: no port"))
            }
            Err(_) => None,
        };
        let problem =
            cx.refuse(codes::BAD_NETWORK, node, &self.accepts(), "not a network").maybe_help(help);
        cx.report(problem);
        None
    }
}

impl Kind for HostKind {
    fn accepts(&self) -> String {
        String::from("a host such as \"api.example.com\", \"*.example.com\" or \"127.0.0.1\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Read for HostKind {
    type Out = HostPattern;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<HostPattern> {
        let text = text_of(node, &self.accepts(), cx)?;
        let host = match text.strip_prefix("*.") {
            Some(name) if is_host(name) && name.parse::<IpAddr>().is_err() => {
                Some(HostPattern::Under(format!(".{}", name.to_ascii_lowercase())))
            }
            None if is_host(text) => Some(HostPattern::Exact(text.to_ascii_lowercase())),
            _ => None,
        };
        if host.is_none() {
            report_host(text, node, &self.accepts(), cx);
        }
        host
    }
}

impl Kind for HostNameKind {
    fn accepts(&self) -> String {
        String::from("a host such as \"panel.example.com\" or \"127.0.0.1\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Read for HostNameKind {
    type Out = String;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<String> {
        let text = text_of(node, &self.accepts(), cx)?;
        if is_host(text) {
            return Some(text.to_ascii_lowercase());
        }
        report_host(text, node, &self.accepts(), cx);
        None
    }
}

fn report_host(text: &str, node: &Node, accepts: &str, cx: &mut Context) {
    let help = if text.contains("://") || text.contains('/') {
        Some("only the host: no scheme and no path")
    } else if text.contains(':') && !text.contains('[') {
        Some("only the host: no port")
    } else if text.contains('*') {
        Some("a star stands only at the beginning, before a dot")
    } else if !text.is_ascii() {
        Some("write international names in their xn-- form")
    } else {
        None
    };
    let problem = cx.refuse(codes::BAD_HOST, node, accepts, "not a host").maybe_help(help);
    cx.report(problem);
}

/// Whether this is a name or an IP address, an IPv6 one in brackets.
pub(super) fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|a| a.parse::<Ipv6Addr>().is_ok());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in a number is an address to every resolver, or a mistake.
    let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    host.len() <= 253
        && host.split('.').all(label)
        && (!host.rsplit('.').next().is_some_and(numeric) || host.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for host in ["localhost", "api.example.com", "my_db", "127.0.0.1", "[::1]", "a-1.b2"] {
            assert!(is_host(host), "{host}");
        }
        for host in
            ["", "a..b", "-a", "a-", "127.0.0.256", "1.2.3", "::1", "[::1", "a b", "ü.de", "*"]
        {
            assert!(!is_host(host), "{host}");
        }
    }
}
