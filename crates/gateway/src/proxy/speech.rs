//! What API a request speaks, and what becomes of it where the upstream speaks another.

use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::attempt::wall_now;
use super::upload::Upload;
use crate::llm::translate::{
    Chat, Dialect, Foreign, Manner, Refusal, Stamp, Translator, Untranslatable,
};
use crate::upstream::Client;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The only one there is.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Queries that ask for a form of an API, not for another answer: Azure's version, and the mark of
/// clients that could use Anthropic's beta fields, which are looked at one by one.
const HARMLESS_QUERIES: [&str; 2] = ["api-version", "beta"];

/// What a client says, in which API's words.
pub(crate) struct Speech {
    dialect: Option<Dialect>,
    /// Read when somebody needs it in other words, and then once.
    chat: OnceLock<Result<Chat, Refusal>>,
}

/// A request in an upstream's words, and the way back for its answer.
pub(crate) struct Translation {
    upstream: Dialect,
    client: Dialect,
    pub(crate) path: &'static str,
    pub(crate) body: Bytes,
    /// Whether the answer is to be a stream.
    pub(crate) stream: bool,
    tells_usage: bool,
    stamp: Stamp,
}

impl Speech {
    /// By the path, as far as a chat is asked for.
    pub(crate) fn of(head: &Parts) -> Speech {
        let chat = Some(head.uri.path()).filter(|_| head.method == Method::POST);
        Speech { dialect: chat.and_then(Dialect::of_path), chat: OnceLock::new() }
    }

    /// The request in the words of an upstream; `None` if those are the client's own.
    ///
    /// # Errors
    /// What in it cannot be said there.
    pub(crate) fn translated(
        &self,
        head: &Parts,
        upload: &Upload,
        client: &Client,
    ) -> Result<Option<Translation>, Foreign> {
        let Some(dialect) = self.dialect else { return Ok(None) };
        let Some(upstream) = client.dialect(dialect).filter(|upstream| *upstream != dialect) else {
            return Ok(None);
        };
        let translation = self.put(dialect, upstream, head, upload, client);
        translation.map(Some).map_err(|refusal| Foreign { speaks: upstream, refusal })
    }

    fn put(
        &self,
        dialect: Dialect,
        upstream: Dialect,
        head: &Parts,
        upload: &Upload,
        client: &Client,
    ) -> Result<Translation, Refusal> {
        check_query(head.uri.query().unwrap_or_default())?;
        let Upload::Whole(body) = upload else {
            return Err(Refusal::body("must be application/json to be translated"));
        };
        let chat = self.chat.get_or_init(|| dialect.read(body));
        let chat = chat.as_ref().map_err(Refusal::clone)?;
        let model = client.model(&chat.model).unwrap_or(&chat.model);
        let manner = Manner { model, max_tokens: client.default_max_tokens() };
        let body = upstream.write(chat, dialect, &manner)?;
        Ok(Translation {
            upstream,
            client: dialect,
            path: upstream.path(client.base_path()),
            body: body.to_string().into(),
            stream: chat.stream,
            tells_usage: chat.tells_usage,
            stamp: Stamp { unix: wall_now().duration_since(UNIX_EPOCH).unwrap_or_default() },
        })
    }
}

fn check_query(query: &str) -> Result<(), Refusal> {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    match names.filter(|name| !name.is_empty()).find(|name| !HARMLESS_QUERIES.contains(name)) {
        Some(name) => {
            let name: String = name.chars().take(40).collect();
            Err(Refusal::new(format!("?{name}"), "in the path cannot be translated"))
        }
        None => Ok(()),
    }
}

// ===== impl Translation =====

impl Translation {
    /// What goes with the request. A client's own credential, if it is still there, goes where this
    /// API looks for it.
    pub(crate) fn ask(&self, headers: &mut HeaderMap, clients_credential: bool) {
        let others: Vec<HeaderName> = headers
            .keys()
            .filter(|name| {
                ["anthropic-", "openai-"].iter().any(|api| name.as_str().starts_with(api))
            })
            .cloned()
            .collect();
        for name in others.iter().chain([&ACCEPT, &CONTENT_ENCODING]) {
            headers.remove(name);
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, self.body.len().into());
        if self.upstream == Dialect::Anthropic {
            headers.insert(ANTHROPIC_VERSION, VERSION);
        }
        if clients_credential {
            self.move_credential(headers);
        }
    }

    fn move_credential(&self, headers: &mut HeaderMap) {
        let moved = match self.upstream {
            Dialect::Anthropic => headers.get(AUTHORIZATION).and_then(|value| {
                let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
                let key = HeaderValue::from_str(key.trim()).ok()?;
                scheme.eq_ignore_ascii_case("bearer").then_some((AUTHORIZATION, API_KEY, key))
            }),
            Dialect::OpenAi | Dialect::Ollama => headers.get(API_KEY).and_then(|value| {
                let key =
                    HeaderValue::from_str(&format!("Bearer {}", value.to_str().ok()?)).ok()?;
                Some((API_KEY, AUTHORIZATION, key))
            }),
        };
        if let Some((from, to, mut key)) = moved {
            key.set_sensitive(true);
            headers.remove(from);
            headers.insert(to, key);
        }
    }

    /// The head of an answer in the client's words: `stream` is whether it is one.
    pub(crate) fn answer(&self, headers: &mut HeaderMap, stream: bool) {
        for name in [CONTENT_LENGTH, CONTENT_ENCODING, ETAG] {
            headers.remove(name);
        }
        let media = HeaderValue::from_static(self.client.media_type(stream));
        headers.insert(CONTENT_TYPE, media);
        // Clients tell it to people, who ask the provider about it.
        if let (Some(from), Some(to)) = (self.upstream.request_id(), self.client.request_id())
            && let Some(id) = headers.get(from).cloned()
        {
            headers.insert(to, id);
        }
    }

    /// Whether an answer with this head can be read at all.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Untranslatable> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if headers.contains_key(CONTENT_ENCODING) && text(&CONTENT_ENCODING) != Some("identity") {
            return Err(Untranslatable::new("it is compressed"));
        }
        let media = text(&CONTENT_TYPE).and_then(|media| media.split(';').next()).map(str::trim);
        let wanted = self.upstream.media_type(true);
        match self.stream && !media.is_some_and(|media| media.eq_ignore_ascii_case(wanted)) {
            true => Err(Untranslatable::new(format!("it is no `{wanted}`"))),
            false => Ok(()),
        }
    }

    pub(crate) fn of_stream(&self) -> Translator {
        Translator::stream(self.upstream, self.client, self.stamp, self.tells_usage)
    }

    pub(crate) fn of_whole(&self) -> Translator {
        Translator::whole(self.upstream, self.client, self.stamp)
    }

    pub(crate) fn of_error(&self, status: u16) -> Translator {
        Translator::error(self.upstream, self.client, self.stamp, status)
    }
}
