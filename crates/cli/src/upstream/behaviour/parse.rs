//! Behaviours from text.

use std::fmt;
use std::str::FromStr;

use super::table::{self, Entry, MOST_EVENTS};
use super::{Action, Behaviour, StatusBody};
use crate::upstream::text::{self, A_DURATION, A_TEXT};

/// The request header that sets the behaviour for one request.
pub(crate) const HEADER: &str = "x-upstream-behaviour";

/// The argument of a behaviour, as help and errors name it.
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) accepted: &'static str,
}

/// A text that was not understood, and what would have been.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ParseError {
    found: String,
    accepted: String,
}

// ===== impl ParseError =====

impl ParseError {
    pub(in crate::upstream) fn new(found: &str, accepted: impl Into<String>) -> ParseError {
        // The text may come from the network, and errors are logged.
        let found = found.chars().take(100).collect();
        ParseError { found, accepted: accepted.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} was given, expected {}", self.found, self.accepted)
    }
}

impl std::error::Error for ParseError {}

// ===== parsing =====

impl FromStr for Behaviour {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Behaviour, ParseError> {
        let mut parts = text::split(text.trim(), |c| c == ',');
        let named = parts.next().unwrap_or_default();
        let (name, argument) = match named.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (named, None),
        };
        let entry = table::find(name)?;
        let mut behaviour = Behaviour::from(entry.action(argument)?);
        let mut seen = Vec::new();
        for part in parts {
            let (key, value) = option(entry, part)?;
            if seen.contains(&key) && key != "header" {
                return Err(ParseError::new(part, format!("`{key}` only once")));
            }
            seen.push(key);
            behaviour.set(key, value)?;
        }
        Ok(behaviour)
    }
}

/// A `key=value` of which the key is one of the entry's.
fn option<'a>(entry: &Entry, part: &'a str) -> Result<(&'static str, &'a str), ParseError> {
    let (key, value) = part.split_once('=').unwrap_or((part, ""));
    let known = entry.options.iter().find(|option| **option == key);
    let known = known.ok_or_else(|| match entry.options {
        [] => ParseError::new(part, format!("no option after `{}`", entry.name)),
        options => {
            let options = options.join("=…, ");
            ParseError::new(part, format!("an option of `{}`: {options}=…", entry.name))
        }
    })?;
    match text::unquote(value) {
        Some(value) => Ok((known, value)),
        None => Err(ParseError::new(part, format!("{known}=VALUE, the value {A_TEXT}"))),
    }
}

impl Behaviour {
    /// Sets an option that the table allows for this behaviour.
    fn set(&mut self, key: &str, value: &str) -> Result<(), ParseError> {
        let number = |accepted: &str| {
            value.parse::<u64>().map_err(|_| ParseError::new(value, accepted.to_owned()))
        };
        match (key, &mut self.action) {
            ("events", _) => {
                let events = value.parse().ok().filter(|events| (1..=MOST_EVENTS).contains(events));
                let accepted = "a whole number from 1 to 10000";
                self.manner.events = events.ok_or_else(|| ParseError::new(value, accepted))?;
            }
            ("gap", _) => {
                let gap = text::parse_duration(value);
                self.manner.gap = gap.ok_or_else(|| ParseError::new(value, A_DURATION))?;
            }
            ("header", _) => self.manner.headers.push(header(value)?),
            ("retry-after", Action::Status(status)) => status.retry_after = Some(value.to_owned()),
            ("retry-after-ms", Action::Status(status)) => {
                status.retry_after_ms = Some(number("a whole number of milliseconds")?);
            }
            ("body", Action::Status(status)) => {
                status.body = match (value, &status.body) {
                    ("text", StatusBody::Text) => StatusBody::Text,
                    ("empty", StatusBody::Text) => StatusBody::Empty,
                    ("api", StatusBody::Text) => StatusBody::Api(None),
                    // A code was given before, and it has its place in this body only.
                    ("api", body) => body.clone(),
                    (_, StatusBody::Api(_)) => {
                        return Err(ParseError::new(value, "body=api, for there is a code"));
                    }
                    _ => return Err(ParseError::new(value, "body=text, body=empty or body=api")),
                }
            }
            ("code", Action::Status(status)) => {
                if status.body == StatusBody::Empty {
                    return Err(ParseError::new(value, "a code with body=api only"));
                }
                status.body = StatusBody::Api(Some(value.to_owned()));
            }
            ("seed", Action::Flaky(flaky)) => flaky.seed = number("a whole number")?,
            // The table would have to list an option for a behaviour that has no place for it.
            _ => return Err(ParseError::new(key, "another option")),
        }
        Ok(())
    }
}

/// `name: value`, such as may stand in a head.
fn header(text: &str) -> Result<(String, String), ParseError> {
    let valid = text.split_once(':').and_then(|(name, value)| {
        http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    let framing = |name: &str| matches!(name, "content-length" | "transfer-encoding");
    match valid {
        // There are behaviours for wrong framing, which say what it is.
        Some((name, _)) if framing(&name) => Err(ParseError::new(text, "no framing header")),
        Some(header) => Ok(header),
        None => Err(ParseError::new(text, "a header, such as header=\"x-name: value\"")),
    }
}
