//! Upstreams and their secrets.

use std::collections::BTreeMap;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::{probes, tls};
use crate::context::{At, Context, Named, key_text};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{
    Auth, OllamaApi, SecretError, SecretReader, SecretRef, Secrets, Timeouts, Upstream,
    UpstreamKind, UpstreamTls,
};
use crate::sections::{RootKeys, UpstreamKeys};
use crate::source::Span;

/// The upstreams; those without a usable URL are left out, which has been reported.
pub(super) fn build(keys: &RootKeys, cx: &mut Context) -> BTreeMap<String, Upstream> {
    for named in named(keys) {
        check_kind(&named.name, &named.value, cx);
        tls::check_upstream(named, cx);
    }
    let mut upstreams = BTreeMap::new();
    for named in named(keys) {
        if let Some(upstream) = upstream(&named.value, cx) {
            upstreams.insert(named.name.clone(), upstream);
        }
    }
    upstreams
}

/// What is written under `[upstreams]`, whether it is good or not.
pub(super) fn named(keys: &RootKeys) -> &[Named<UpstreamKeys>] {
    keys.upstreams.as_ref().map_or(&[], |at| &at.value)
}

/// Settings of one API are nothing to another.
fn check_kind(name: &str, keys: &UpstreamKeys, cx: &mut Context) {
    let kind = keys.kind.value;
    for (key, of, span) in [
        ("api", UpstreamKind::Ollama, keys.api.as_ref().map(|at| at.span)),
        (
            "default_max_tokens",
            UpstreamKind::Anthropic,
            keys.default_max_tokens.as_ref().map(|at| at.span),
        ),
    ] {
        let Some(span) = span.filter(|_| kind != of) else { continue };
        let message = format!(
            "`upstreams.{}.{key}` has no effect: the upstream's kind is `{}`",
            key_text(name),
            kind.name()
        );
        let problem = Problem::new(codes::NO_EFFECT, message)
            .at(span, "without effect")
            .help(format!("leave it out, or say `kind = \"{}\"`", of.name()));
        cx.report(problem);
    }
}

fn upstream(keys: &UpstreamKeys, cx: &mut Context) -> Option<Upstream> {
    let models = keys.models.as_ref().map_or(&[][..], |at| &at.value);
    Some(Upstream {
        url: keys.url.as_ref()?.value.clone(),
        kind: keys.kind.value,
        ollama_api: keys.api.as_ref().map_or(OllamaApi::Compatible, |at| at.value),
        default_max_tokens: keys.default_max_tokens.as_ref().map_or(4_096, |at| at.value),
        timeouts: Timeouts {
            connect: keys.connect_timeout.value,
            first_byte: keys.first_byte_timeout.value,
            first_token: keys.first_token_timeout.value,
            reasoning_first_token: keys.reasoning_first_token_timeout.value,
            stall: keys.stall_timeout.value,
            total: keys.total_timeout.value,
            tunnel_idle: keys.tunnel_idle_timeout.value,
            pool_idle: keys.pool_idle_timeout.value,
        },
        max_idle_connections: keys.max_idle_connections.value as usize,
        max_connections: keys.max_connections.value.map(|most| most as usize),
        http2: keys.http2.value,
        tls: keys.tls.as_ref().map_or_else(UpstreamTls::default, |at| tls::upstream(&at.value)),
        auth: auth(keys),
        reasoning_models: keys
            .reasoning_models
            .value
            .iter()
            .map(|pattern| pattern.value.to_lowercase())
            .collect(),
        token_limit: keys.token_limit.as_ref().and_then(|at| at.value.limit()),
        models: models.iter().map(|pair| (pair.name.clone(), pair.value.value.clone())).collect(),
        probe: probes::build(keys, &keys.url.as_ref()?.value, cx),
    })
}

fn auth(keys: &UpstreamKeys) -> Option<Auth> {
    if let Some(At { value, .. }) = &keys.api_key {
        let (header, scheme) = if keys.kind.value == UpstreamKind::Anthropic {
            (HeaderName::from_static("x-api-key"), None)
        } else {
            (AUTHORIZATION, Some(String::from("Bearer")))
        };
        return Some(Auth { header, scheme, value: value.clone() });
    }
    let keys = &keys.auth.as_ref()?.value;
    Some(Auth {
        header: keys.header.value.clone(),
        scheme: keys.scheme.as_ref().map(|at| at.value.clone()),
        value: keys.value.as_ref()?.value.clone(),
    })
}

/// Reads every secret the upstreams mention; those that are not there are reported.
pub(super) fn resolve_secrets(
    keys: &RootKeys,
    reader: &dyn SecretReader,
    cx: &mut Context,
) -> Secrets {
    let mut secrets = Secrets::default();
    for Named { name, value: keys, .. } in named(keys) {
        let auth = keys.auth.as_ref().and_then(|auth| auth.value.value.as_ref());
        let sites: [(&str, Option<&At<SecretRef>>); 2] =
            [("api_key", keys.api_key.as_ref()), ("auth.value", auth)];
        for (key, site) in sites {
            let Some(At { value: reference, span }) = site else { continue };
            match reference.resolve(reader) {
                Ok(secret) => secrets.insert(reference.clone(), secret),
                Err(error) => {
                    let subject = format!("upstreams.{}.{key}", key_text(name));
                    cx.report(missing_secret(&subject, &error, *span));
                }
            }
        }
    }
    secrets
}

/// What is said of a secret that cannot be read.
pub(super) fn missing_secret(subject: &str, error: &SecretError, span: Span) -> Problem {
    Problem::new(codes::MISSING_SECRET, format!("`{subject}`: {error}"))
        .at(span, "no secret here")
        .help("set the variable or write the file before starting")
}
