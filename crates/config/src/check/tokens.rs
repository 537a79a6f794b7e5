//! The tokens of the admin API.

use super::upstreams::missing_secret;
use crate::context::{At, Context, key_text};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{SecretReader, Secrets};
use crate::sections::RootKeys;

/// Shorter ones could be guessed.
const SHORTEST: usize = 16;

/// Reads the tokens, and says which of them are no good.
pub(super) fn resolve(
    keys: &RootKeys,
    reader: &dyn SecretReader,
    secrets: &mut Secrets,
    cx: &mut Context,
) {
    let admin = keys.gateway.as_ref().and_then(|gateway| gateway.value.admin.as_ref());
    let tokens = admin.and_then(|admin| admin.value.tokens.as_ref());
    let mut seen: Vec<(String, &str)> = Vec::new();
    for token in tokens.map_or(&[][..], |at| &at.value) {
        let Some(At { value: reference, span }) = &token.value.secret else { continue };
        let subject = format!("gateway.admin.tokens.{}.secret", key_text(&token.name));
        match reference.resolve(reader) {
            Ok(secret) => {
                let text = secret.expose();
                let twin = seen.iter().find(|(known, _)| known == text);
                let weak = |message: String, help: &str| {
                    Problem::new(codes::WEAK_TOKEN, message).at(*span, "this token").help(help)
                };
                if text.chars().count() < SHORTEST {
                    let message = format!("`{subject}` has fewer than {SHORTEST} characters");
                    cx.report(weak(message, "make one: openssl rand -hex 32"));
                } else if let Some((_, other)) = twin {
                    let message = format!("`{subject}` is the token of `{other}`, too");
                    cx.report(weak(message, "give each a token of their own"));
                }
                seen.push((text.to_owned(), &token.name));
                secrets.insert(reference.clone(), secret);
            }
            Err(error) => cx.report(missing_secret(&subject, &error, *span)),
        }
    }
}
