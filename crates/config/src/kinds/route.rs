//! What routes match by, besides path and host.

use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value as Json, json};

use super::text::text_of;
use crate::context::Context;
use crate::describe::suggest::nearest;
use crate::describe::{Kind, Read, Shape};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::schema::Definitions;
use crate::syntax::Node;

/// An HTTP method.
pub(crate) struct MethodKind;

/// The name of a header the configuration may set.
pub(crate) struct HeaderNameKind;

/// Headers and the values they must have.
pub(crate) struct HeaderMap;

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// Headers that frame or route a message: the gateway's own business.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Kind for MethodKind {
    fn accepts(&self) -> String {
        format!("an HTTP method in capitals, such as {}", METHODS[..4].join(", "))
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": "^[A-Z][A-Z0-9_-]*$", "not": { "const": "CONNECT" } })
    }
}

impl Read for MethodKind {
    type Out = Method;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Method> {
        let text = text_of(node, &self.accepts(), cx)?;
        let problem = |label| cx.refuse(codes::BAD_METHOD, node, &self.accepts(), label);
        let problem = if text == "CONNECT" {
            problem("not routed").help("the gateway opens no tunnels")
        } else if let Some(meant) =
            nearest(text, METHODS).filter(|meant| *meant != text && !METHODS.contains(&text))
        {
            problem("unknown").help(format!("did you mean \"{meant}\"?"))
        } else if text.bytes().any(|b| b.is_ascii_lowercase()) {
            problem("not in capitals").help("methods are told apart by case")
        } else {
            match Method::from_bytes(text.as_bytes()) {
                Ok(method) => return Some(method),
                Err(_) => problem("not a method"),
            }
        };
        cx.report(problem);
        None
    }
}

impl Kind for HeaderNameKind {
    fn accepts(&self) -> String {
        String::from("a header name such as \"x-api-key\"")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({ "type": "string", "pattern": HEADER_PATTERN })
    }
}

const HEADER_PATTERN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

impl Read for HeaderNameKind {
    type Out = HeaderName;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<HeaderName> {
        let text = text_of(node, &self.accepts(), cx)?;
        let problem = match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) if RESERVED.contains(&name.as_str()) => cx
                .refuse(codes::BAD_HEADER, node, &self.accepts(), "not to be set")
                .help("it belongs to the connection, which the gateway keeps itself"),
            Ok(name) => return Some(name),
            Err(_) => cx.refuse(codes::BAD_HEADER, node, &self.accepts(), "not a header name"),
        };
        cx.report(problem);
        None
    }
}

impl Kind for HeaderMap {
    fn accepts(&self) -> String {
        String::from("a table from header names to the values they must have")
    }

    fn schema(&self, _: &mut Definitions) -> Json {
        json!({
            "type": "object",
            "propertyNames": { "pattern": HEADER_PATTERN },
            "additionalProperties": { "type": "string" },
        })
    }

    fn shape(&self) -> Shape {
        Shape::Values
    }
}

impl Read for HeaderMap {
    type Out = Vec<(HeaderName, HeaderValue)>;

    fn read(&self, node: &Node, cx: &mut Context) -> Option<Self::Out> {
        let Some(table) = node.as_table() else {
            let problem = cx.wrong_type(node, &self.accepts());
            cx.report(problem);
            return None;
        };
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        let mut names: Vec<HeaderName> = Vec::new();
        for entry in table.iter() {
            let key = crate::context::shorten(&entry.key);
            let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
                let problem =
                    Problem::new(codes::BAD_HEADER, format!("`{key}` is not a header name"))
                        .at(entry.key_span, "not a header name");
                cx.report(problem);
                continue;
            };
            if names.contains(&name) {
                let message = format!("the header `{name}` stands here twice");
                let problem = Problem::new(codes::BAD_HEADER, message)
                    .at(entry.key_span, "again here")
                    .help("header names differ in more than case");
                cx.report(problem);
                continue;
            }
            names.push(name.clone());
            cx.within(&key, |cx| {
                let text = text_of(&entry.node, "the value of a header", cx)?;
                if let Ok(value) = HeaderValue::from_str(text) {
                    headers.push((name, value));
                } else {
                    let accepted = "text that a header can carry";
                    let problem =
                        cx.refuse(codes::BAD_HEADER, &entry.node, accepted, "cannot be sent");
                    cx.report(problem);
                }
                Some(())
            });
        }
        Some(headers)
    }
}
