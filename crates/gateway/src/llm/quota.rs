//! Whether an error says that a quota is used up, or an account empty: then it is no use to come
//! back more slowly.

use http::StatusCode;
use serde::Deserialize;

/// Errors are short; of a longer one nothing is read.
pub(crate) const LONGEST_ERROR: usize = 64 * 1024;

/// `error.type` and `error.code` that say so, of `OpenAI`'s API and Anthropic's. Newer codes of the
/// former all have the type `insufficient_quota`.
const NAMES: [&str; 5] = [
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "quota_exceeded",
];

/// What says so where the type does not: of Anthropic, whose `invalid_request_error` may be that, and
/// of Ollama, whose errors are a sentence.
const SENTENCES: [&str; 3] =
    ["credit balance is too low", "specified api usage limits", "usage limit, "];

/// Whether an answer with this status may say so in its body.
pub(crate) fn may_tell(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 402 | 403 | 429)
}

/// Whether this error of an LLM API says so. 402 needs no words.
pub(crate) fn used_up(status: StatusCode, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        error: Said<'a>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said<'a> {
        Sentence(std::borrow::Cow<'a, str>),
        Object {
            #[serde(rename = "type")]
            kind: Option<serde_json::Value>,
            code: Option<serde_json::Value>,
            message: Option<serde_json::Value>,
        },
    }
    if status == StatusCode::PAYMENT_REQUIRED {
        return true;
    }
    let Ok(Answer { error }) = serde_json::from_slice(body) else { return false };
    let says_so = |sentence: &str| {
        let sentence = sentence.to_lowercase();
        SENTENCES.iter().any(|words| sentence.contains(words))
    };
    match error {
        Said::Sentence(sentence) => says_so(&sentence),
        Said::Object { kind, code, message } => {
            let text = |value: &Option<serde_json::Value>| {
                value.as_ref().and_then(|value| value.as_str()).map(str::to_owned)
            };
            let named = [text(&kind), text(&code)];
            named.iter().flatten().any(|name| NAMES.contains(&name.as_str()))
                || text(&message).is_some_and(|message| says_so(&message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(status: u16, body: &str) -> bool {
        used_up(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn quotas_are_told_from_rates_in_each_dialect() {
        for (status, body) in [
            (
                429,
                r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":null}}"#,
            ),
            (
                429,
                r#"{"error":{"type":"insufficient_quota","code":"project_spend_limit_exceeded"}}"#,
            ),
            (429, r#"{"error":{"type":"requests","code":"insufficient_quota"}}"#),
            (
                400,
                r#"{"error":{"code":"billing_hard_limit_reached","type":"invalid_request_error"}}"#,
            ),
            (402, r#"{"type":"error","error":{"type":"billing_error","message":"x"}}"#),
            (402, "no words"),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}"#,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits."}}"#,
            ),
            (429, r#"{"error":"you (x) have reached your weekly usage limit, upgrade for more"}"#),
        ] {
            assert!(says(status, body), "{status} {body}");
        }
        for (status, body) in [
            (
                429,
                r#"{"error":{"message":"Rate limit","type":"tokens","code":"rate_limit_exceeded"}}"#,
            ),
            (429, r#"{"type":"error","error":{"type":"rate_limit_error","message":"too many"}}"#),
            (400, r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#),
            (403, r#"{"error":{"type":"permission_error","code":7}}"#),
            (429, r#"{"error":"too many requests"}"#),
            (429, r#"{"error":null}"#),
            (429, r#"{"message":"insufficient_quota"}"#),
            (429, "insufficient_quota"),
            (429, ""),
        ] {
            assert!(!says(status, body), "{status} {body}");
        }
    }

    #[test]
    fn only_answers_that_may_tell_are_read() {
        let tell = |status| may_tell(StatusCode::from_u16(status).unwrap());
        assert!([400, 402, 403, 429].into_iter().all(tell));
        assert!(![200, 401, 404, 500, 503, 529].into_iter().any(tell));
    }
}
