//! A client of the admin API.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::exit::{Code, Failure};

/// A gateway to talk to.
pub(crate) struct Admin {
    base: String,
    agent: ureq::Agent,
}

impl Admin {
    pub(crate) fn new(base: &str) -> Admin {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            // An error's body says what is the matter.
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Admin { base: base.trim_end_matches('/').to_owned(), agent: config.into() }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        self.read(answer)
    }

    pub(crate) fn text(&self, path: &str) -> Result<String, Failure> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        answer.body_mut().read_to_string().map_err(|error| self.unreachable(&error))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.agent.post(format!("{}{path}", self.base)).send_json(body);
        self.read(answer)
    }

    fn read(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().read_to_string().map_err(|error| self.unreachable(&error))?;
        let value: Value = serde_json::from_str(&body).map_err(|_| self.other(status))?;
        if status < 400 {
            return Ok(value);
        }
        let detail = value["detail"].as_str().unwrap_or("no reason given");
        let code = match status {
            401 | 403 | 421 => Code::NotAllowed,
            404 => Code::NotFound,
            409 => Code::Conflict,
            400 | 413 | 415 | 422 => Code::Usage,
            _ => Code::Runtime,
        };
        Err(Failure::new(code, detail))
    }

    /// Somebody answers, but somebody else.
    pub(crate) fn other(&self, status: u16) -> Failure {
        let base = &self.base;
        let message = format!("{base} answered {status}, but not as an admin API does");
        Failure::new(Code::Unreachable, message)
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let base = &self.base;
        Failure::new(
            Code::Unreachable,
            format_args!(
                "no admin API at {base}: {error} (is the gateway running? --admin URL chooses \
                 another)"
            ),
        )
    }
}

/// A circuit's name as part of a path.
pub(crate) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            byte => {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_as_one_path_segment() {
        assert_eq!(segment("llm/openai/gpt-4o"), "llm%2Fopenai%2Fgpt-4o");
        assert_eq!(segment("a b?c#d"), "a%20b%3Fc%23d");
        assert_eq!(segment("Zürich"), "Z%C3%BCrich");
    }
}
