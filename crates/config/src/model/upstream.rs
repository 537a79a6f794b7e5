//! Upstreams.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::{HeaderName, Uri};
use panelboard_core::catalog;

use super::probe::Probe;
use super::secret::SecretRef;
use super::tls::{Http2, UpstreamTls};

/// Something to send requests to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// Where it is.
    pub url: BaseUrl,
    /// Which API it speaks.
    pub kind: UpstreamKind,
    /// For Ollama: how it is asked by a client of `OpenAI`'s API.
    pub ollama_api: OllamaApi,
    /// For Anthropic: how many tokens an answer may have where a request of another API does not
    /// say.
    pub default_max_tokens: u32,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How many idle connections are kept open to it.
    pub max_idle_connections: usize,
    /// How many connections to it there are at most.
    pub max_connections: Option<usize>,
    /// When it is spoken to in HTTP/2.
    pub http2: Http2,
    /// TLS to it.
    pub tls: UpstreamTls,
    /// The credential that goes with every request, instead of the client's.
    pub auth: Option<Auth>,
    /// What models are called here, by the name the client asks for.
    pub models: BTreeMap<String, String>,
    /// A cheap request that tells whether it works.
    pub probe: Option<Probe>,
    /// Models that think before they answer, by patterns; see [`Upstream::reasons`].
    pub reasoning_models: Vec<String>,
    /// How many tokens requests to it may cost.
    pub token_limit: Option<TokenLimit>,
}

/// A limit of tokens.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TokenLimit {
    /// How many, of prompts and answers together.
    pub tokens: u32,
    /// In how long: a second to a day.
    pub per: Duration,
}

/// Where an upstream is: `http` or `https`, a host, a port and perhaps a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BaseUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
}

/// How an upstream is spoken to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// Which API an upstream speaks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum UpstreamKind {
    /// Any.
    Http,
    /// `OpenAI`'s, and those compatible with it.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Ollama's.
    Ollama,
}

/// Which of its APIs Ollama is asked in by a client of `OpenAI`'s.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum OllamaApi {
    /// The one that is like the client's: requests pass as they are.
    Compatible,
    /// Its own: requests are translated.
    Native,
}

/// How long an upstream may take.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// To connect.
    pub connect: Duration,
    /// To send the head of its answer.
    pub first_byte: Duration,
    /// To send the first token of a stream.
    pub first_token: Duration,
    /// The same, and to send the head of an answer, of models that think before.
    pub reasoning_first_token: Duration,
    /// Between two pieces of a body.
    pub stall: Duration,
    /// In all.
    pub total: Option<Duration>,
    /// How long a tunnel may be silent in both directions.
    pub tunnel_idle: Duration,
    /// How long an idle connection is kept.
    pub pool_idle: Duration,
}

/// A credential: sent as `header: scheme value`, or without the scheme.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    /// The header it goes into.
    pub header: HeaderName,
    /// What stands before it, such as `Bearer`.
    pub scheme: Option<String>,
    /// Where it is.
    pub value: SecretRef,
}

// ===== impl Upstream =====

impl Upstream {
    /// Whether a model of this name thinks before it answers.
    pub fn reasons(&self, model: &str) -> bool {
        let model = model.to_lowercase();
        self.reasoning_models.iter().any(|pattern| catalog::matches(pattern, &model))
    }
}

// ===== impl BaseUrl =====

impl BaseUrl {
    /// Parts that are known to make up a URI; `host` in small letters, `path` without a slash at
    /// its end.
    pub(crate) fn new(scheme: Scheme, host: String, port: u16, path: String) -> BaseUrl {
        BaseUrl { scheme, host, port, path }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// A name or an address, an IPv6 one in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own where the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What goes before the path of a request; empty, or with a slash in front and none behind.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host, and the port unless it is the scheme's own: what goes into `Host`.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The URI of a request: this URL's path and the request's own, which begins with a slash.
    ///
    /// # Errors
    /// When `path_and_query` is none.
    pub fn join(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.scheme.name())
            .authority(self.authority())
            .path_and_query(format!("{}{path_and_query}", self.path))
            .build()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}

// ===== impl Scheme, UpstreamKind, OllamaApi =====

impl Scheme {
    /// `http` or `https`.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl UpstreamKind {
    /// The name in config.
    pub const fn name(self) -> &'static str {
        match self {
            UpstreamKind::Http => "http",
            UpstreamKind::OpenAi => "openai",
            UpstreamKind::Anthropic => "anthropic",
            UpstreamKind::Ollama => "ollama",
        }
    }

    /// Whether its answers come from a language model.
    pub const fn is_llm(self) -> bool {
        !matches!(self, UpstreamKind::Http)
    }
}

impl OllamaApi {
    /// The name in config.
    pub const fn name(self) -> &'static str {
        match self {
            OllamaApi::Compatible => "compatible",
            OllamaApi::Native => "native",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_below_the_url() {
        let url = BaseUrl::new(Scheme::Https, String::from("api.example.com"), 443, "/v1".into());
        let uri = url.join("/chat?stream=1").unwrap();
        assert_eq!(uri.to_string(), "https://api.example.com/v1/chat?stream=1");
        let url = BaseUrl::new(Scheme::Http, String::from("[::1]"), 11434, String::new());
        assert_eq!(url.join("/").unwrap().to_string(), "http://[::1]:11434/");
        assert!(url.join("/a b").is_err());
    }
}
