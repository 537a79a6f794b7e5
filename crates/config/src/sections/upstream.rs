//! Upstreams and their credentials.

use std::time::Duration;

use http::HeaderName;

use crate::context::{At, Named};
use crate::describe::keys;
use crate::kinds::{
    Choice, Count, HeaderNameKind, List, Nested, OrOff, Pairs, Rules, SecretKind, Text, Time,
    UrlKind, VariableName, Word,
};
use crate::model::{BaseUrl, Http2, OllamaApi, SecretRef, TokenLimit, UpstreamKind};
use crate::sections::UpstreamTlsKeys;
use crate::sections::probe::ProbeKeys;
use crate::sections::tls::HTTP2;

const KINDS: Choice<UpstreamKind> = Choice::of(
    "an API",
    &[
        (UpstreamKind::Http.name(), UpstreamKind::Http),
        (UpstreamKind::OpenAi.name(), UpstreamKind::OpenAi),
        (UpstreamKind::Anthropic.name(), UpstreamKind::Anthropic),
        (UpstreamKind::Ollama.name(), UpstreamKind::Ollama),
    ],
);

const OLLAMA_APIS: Choice<OllamaApi> = Choice::of(
    "one of Ollama's APIs",
    &[
        (OllamaApi::Compatible.name(), OllamaApi::Compatible),
        (OllamaApi::Native.name(), OllamaApi::Native),
    ],
);

const MODELS: Text = Text { what: "a pattern of models", longest: 200, lines: false };

const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
const LONGEST_PERIOD: Duration = Duration::from_secs(24 * 3_600);

keys! {
    /// Something to send requests to.
    pub(crate) struct UpstreamKeys = "upstream" in "upstreams.NAME" {
        /// Where it is: `http` or `https`, a host, and perhaps a path that goes before that of
        /// every request.
        url: BaseUrl = UrlKind, required;
        /// Which API it speaks.
        kind: UpstreamKind = KINDS, default "http";
        /// How Ollama is asked by a client of OpenAI's API: `compatible` passes the request on as it
        /// is, to the API of that sort that Ollama has; `native` translates it to Ollama's own.
        api: OllamaApi = OLLAMA_APIS, optional "compatible";
        /// How many tokens an answer of Anthropic's API may have where the request, which is
        /// another API's, does not say: that API must be told.
        default_max_tokens: u32 = Count(1..=1_000_000), optional "4096";
        /// How long it may take to connect.
        connect_timeout: Duration = Time::ANY, default "5s";
        /// How long it may take to send the head of its answer.
        first_byte_timeout: Duration = Time::ANY, default "30s";
        /// How long it may take to send the first token of a stream.
        first_token_timeout: Duration = Time::ANY, default "30s";
        /// Models that think before they answer, by patterns in which `*` stands for anything and
        /// `?` for one character; upper and lower case are alike.
        reasoning_models: Vec<At<String>> = List { item: MODELS, rules: Rules::ANY },
            default "o1*, o3*, o4*, gpt-5*, */o1*, */o3*, */o4*, */gpt-5*, *thinking*, *reason*, \
                     *deepseek-r1*, *qwq*, *gpt-oss*, *magistral*";
        /// How long such a model may take to send the first token of a stream, or the head of its
        /// answer.
        reasoning_first_token_timeout: Duration = Time::ANY, default "120s";
        /// How long it may pause within a body.
        stall_timeout: Duration = Time::ANY, default "30s";
        /// How long it may take in all.
        total_timeout: Option<Duration> = OrOff(Time::ANY), default "off";
        /// How long a WebSocket, or whatever else a connection was upgraded to, may be silent in
        /// both directions. More than the heartbeat of what runs through it.
        tunnel_idle_timeout: Duration = Time::ANY, default "1h";
        /// How long an idle connection to it is kept.
        pool_idle_timeout: Duration = Time::ANY, default "60s";
        /// How many idle connections to it are kept.
        max_idle_connections: u32 = Count(0..=65_535), default "64";
        /// How many connections to it there are at most. A request that finds none free waits for
        /// one, no longer than `connect_timeout`.
        max_connections: Option<u32> = OrOff(Count(1..=65_535)), default "off";
        /// Whether HTTP/2 is spoken to it: `auto` if it chooses to, over TLS; `on` also in the
        /// clear, without asking.
        http2: Http2 = HTTP2, default "auto";
        /// TLS to it.
        tls: UpstreamTlsKeys = Nested::<UpstreamTlsKeys>::HERE, optional "none";
        /// Its API key: sent as `authorization: Bearer …`, to Anthropic as `x-api-key`.
        api_key: SecretRef = SecretKind, optional "none";
        /// A credential that goes into another header, or with another scheme.
        auth: AuthKeys = Nested::<AuthKeys>::HERE, optional "none";
        /// What models are called here, by the name the client asks for.
        models: Vec<Named<At<String>>> =
            Pairs {
                what: "a table from names of models to the names they have here",
                key: "a model",
                value: "the name of a model",
            },
            optional "none";
        /// A cheap request that tells whether it works, such as a list of models. A bare text is
        /// its `path`.
        probe: Option<ProbeKeys> = OrOff(Nested::<ProbeKeys>::HERE), optional "off";
        /// How many tokens requests to it may cost; more go to the next upstream.
        token_limit: TokenLimitKeys = Nested::<TokenLimitKeys>::HERE, optional "none";
    }
    exclusive [api_key, auth];
}

keys! {
    /// A limit of tokens. A request is taken for a quarter of its bytes and the tokens it asks for at
    /// most; when its answer tells what it has cost, that counts.
    pub(crate) struct TokenLimitKeys = "token_limit" in "upstreams.NAME.token_limit" {
        /// How many tokens, of prompts and answers together; as many may come at once after a pause.
        tokens: u32 = Count(1..=1_000_000_000), required;
        /// In how long.
        per: Duration = Time(SHORTEST_PERIOD..=LONGEST_PERIOD), default "1m";
    }
}

keys! {
    /// A credential: sent as `header: scheme value`, or without the scheme.
    pub(crate) struct AuthKeys = "auth" in "upstreams.NAME.auth" {
        /// The header it goes into.
        header: HeaderName = HeaderNameKind, default "authorization";
        /// What stands before the value, such as `Bearer`.
        scheme: String = Word("a word such as \"Bearer\""), optional "none";
        /// Where the secret is.
        value: SecretRef = SecretKind, required;
    }
}

keys! {
    /// Where a secret is: one of the two.
    pub(crate) struct SecretKeys = "secret" in "upstreams.NAME.api_key" {
        /// In this environment variable.
        env: String = VariableName, optional "none";
        /// In this file, by itself. A relative path starts at the configuration file.
        file: String = Text { what: "the path of a file", longest: 4_096, lines: false },
            optional "none";
    }
    exclusive [env, file];
}

impl TokenLimitKeys {
    /// The limit, if it is readable.
    pub(crate) fn limit(&self) -> Option<TokenLimit> {
        Some(TokenLimit { tokens: self.tokens.as_ref()?.value, per: self.per.value })
    }
}
