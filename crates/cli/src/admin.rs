//! A client of the admin API.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::args::AdminArgs;
use crate::exit::{Code, Failure};

/// The variable that may hold a token. It is no option, for others see a command's options.
const TOKEN: &str = "PANELBOARD_ADMIN_TOKEN";

/// A gateway to talk to.
pub(crate) struct Admin {
    base: String,
    agent: ureq::Agent,
    /// What goes into `Authorization`.
    bearer: Option<String>,
}

impl Admin {
    /// The gateway that the command line names.
    ///
    /// # Errors
    /// When the token cannot be read, or be sent.
    pub(crate) fn new(args: &AdminArgs) -> Result<Admin, Failure> {
        let token = token(args.token_file.as_deref())?;
        let bearer = token.map(|token| format!("Bearer {token}"));
        Ok(Admin { bearer, ..Admin::at(&args.admin) })
    }

    /// A gateway that asks for no token.
    pub(crate) fn at(base: &str) -> Admin {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            // An error's body says what is the matter.
            .http_status_as_error(false)
            // Where another server sends us is no gateway, and gets no token.
            .max_redirects(0)
            .proxy(None)
            .build();
        let base = base.trim_end_matches('/').to_owned();
        Admin { base, agent: config.into(), bearer: None }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.ask(self.agent.get(format!("{}{path}", self.base))).call();
        self.read(answer)
    }

    pub(crate) fn text(&self, path: &str) -> Result<String, Failure> {
        let answer = self.ask(self.agent.get(format!("{}{path}", self.base))).call();
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        answer.body_mut().read_to_string().map_err(|error| self.unreachable(&error))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.ask(self.agent.post(format!("{}{path}", self.base))).send_json(body);
        self.read(answer)
    }

    /// The lines of a stream that does not end by itself.
    pub(crate) fn stream(&self, path: &str) -> Result<impl BufRead + use<>, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = request.config().timeout_global(None).build();
        let mut answer = self.ask(request).call().map_err(|error| self.unreachable(&error))?;
        match answer.status().as_u16() {
            200 => {
                let body = answer.into_body().into_with_config().limit(u64::MAX);
                Ok(BufReader::new(body.reader()))
            }
            status => {
                let body = answer.body_mut().read_to_string().unwrap_or_default();
                Err(self.refused(status, &body))
            }
        }
    }

    fn ask<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.bearer {
            Some(bearer) => request.header("authorization", bearer),
            None => request,
        }
    }

    fn read(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().read_to_string().map_err(|error| self.unreachable(&error))?;
        if status < 300 {
            return serde_json::from_str(&body).map_err(|_| self.other(status));
        }
        Err(self.refused(status, &body))
    }

    fn refused(&self, status: u16, body: &str) -> Failure {
        let Ok(value) = serde_json::from_str::<Value>(body) else { return self.other(status) };
        let detail = value["detail"].as_str().unwrap_or("no reason given");
        let code = match status {
            401 | 403 | 421 | 429 => Code::NotAllowed,
            404 => Code::NotFound,
            409 | 412 => Code::Conflict,
            400 | 413 | 415 | 422 => Code::Usage,
            _ => Code::Runtime,
        };
        let hint = match (status, &self.bearer) {
            (401, None) => " (--token-file FILE or PANELBOARD_ADMIN_TOKEN says which)",
            _ => "",
        };
        Failure::new(code, format_args!("{detail}{hint}"))
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

/// The token from a file or the environment, if there is one.
fn token(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let (text, place) = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let shown = path.display();
                Failure::new(Code::Usage, format_args!("cannot read the token in {shown}: {error}"))
            })?;
            (text, path.display().to_string())
        }
        None => match std::env::var(TOKEN) {
            Ok(text) if !text.is_empty() => (text, TOKEN.to_owned()),
            _ => return Ok(None),
        },
    };
    let token = text.trim();
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        let message = format_args!("{place} holds no token: it must be printable, on one line");
        return Err(Failure::new(Code::Usage, message));
    }
    Ok(Some(token.to_owned()))
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
