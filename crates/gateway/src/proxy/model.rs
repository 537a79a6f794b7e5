//! Which model a request names, read from its path, or from its body without changing a byte of it;
//! and the one change that configuration can ask for, another name for the model.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::paced::Paced;
use crate::llm;

/// A model's name is used as part of a circuit's name; longer ones are nobody's.
const LONGEST: usize = 200;

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Asked {
    /// The model, if the path names one, or the body is JSON that does.
    pub(crate) model: Option<String>,
    /// Where its name stands in the body, quotes included.
    pub(crate) place: Range<usize>,
    /// Where its name stands in the path, if it is that.
    pub(crate) in_path: Option<Range<usize>>,
    /// Whether the answer is to be a stream, if the request says so or not.
    pub(crate) stream: Option<bool>,
    /// How many tokens the answer may have.
    pub(crate) max_tokens: Option<u64>,
}

/// Whether to look for a model in a body.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// It is JSON by its own word, or has not said anything.
    MustBeJson,
    /// It says something that careless clients say of JSON.
    MayBeJson,
    /// It is something else, such as a file, and may be long.
    Never,
}

/// Why the body is no good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BadBody {
    /// Larger than may be read to find the model.
    TooLarge { limit: u64 },
    /// The client did not send all of it.
    Cut,
    /// Not JSON, or not as it should be; with the reason.
    Unreadable(String),
}

/// Reads a body as a whole, up to `limit` bytes.
pub(crate) async fn read(body: Paced, limit: u64) -> Result<Bytes, BadBody> {
    use http_body::Body as _;
    if body.size_hint().lower() > limit {
        return Err(BadBody::TooLarge { limit });
    }
    let mut body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    whole.extend_from_slice(&data);
                }
            }
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(BadBody::TooLarge { limit });
            }
            Err(_) => return Err(BadBody::Cut),
        }
    }
    Ok(whole.freeze())
}

impl Look {
    /// What a content type promises. Some clients forget to say that they send JSON, and name what
    /// their library puts there; several upstreams do not ask.
    pub(crate) fn of(content_type: Option<&str>) -> Look {
        let Some(media) = content_type else { return Look::MustBeJson };
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media.as_str() {
            "application/json" => Look::MustBeJson,
            "application/x-www-form-urlencoded" | "text/plain" => Look::MayBeJson,
            other if other.ends_with("+json") => Look::MustBeJson,
            _ => Look::Never,
        }
    }
}

/// Finds out what is asked for.
pub(crate) fn asked(body: &[u8], look: Look) -> Result<Asked, BadBody> {
    #[derive(Deserialize)]
    struct Wanted<'a> {
        #[serde(borrow)]
        model: Option<&'a RawValue>,
        #[serde(borrow)]
        stream: Option<&'a RawValue>,
        // In each API's own words.
        #[serde(borrow)]
        max_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        max_completion_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        max_output_tokens: Option<&'a RawValue>,
        #[serde(borrow)]
        options: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Options {
        num_predict: Option<u64>,
    }
    fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
        serde_json::from_str(raw?.get()).ok()
    }
    if body.is_empty() {
        return Ok(Asked::default());
    }
    let wanted: Wanted<'_> = match serde_json::from_slice(body) {
        Ok(wanted) => wanted,
        Err(error) if look == Look::MustBeJson => {
            return Err(BadBody::Unreadable(format!("the body is not a JSON object: {error}")));
        }
        Err(_) => return Ok(Asked::default()),
    };
    let stream = read(wanted.stream);
    let most = [wanted.max_tokens, wanted.max_completion_tokens, wanted.max_output_tokens];
    let options = || read::<Options>(wanted.options)?.num_predict;
    let max_tokens = most.into_iter().find_map(read).or_else(options);
    let Some(raw) = wanted.model else {
        return Ok(Asked { stream, max_tokens, ..Asked::default() });
    };
    let Ok(model) = serde_json::from_str::<String>(raw.get()) else {
        return Err(BadBody::Unreadable("`model` must be a string".into()));
    };
    let (model, place) = (Some(checked(model)?), place(body, raw));
    Ok(Asked { model, place, in_path: None, stream, max_tokens })
}

/// Where something stands in the body it was borrowed from.
fn place(body: &[u8], raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr().addr() - body.as_ptr().addr();
    start..start + raw.get().len()
}

/// The model under the name that some calls of Ollama's API have it by.
pub(crate) fn by_name(asked: Asked, body: &[u8]) -> Result<Asked, BadBody> {
    #[derive(Deserialize)]
    struct Wanted<'a> {
        #[serde(borrow)]
        name: Option<&'a RawValue>,
    }
    let raw = serde_json::from_slice(body).ok().and_then(|Wanted { name }| name);
    let name = raw.and_then(|raw| Some((serde_json::from_str(raw.get()).ok()?, place(body, raw))));
    match name {
        Some((model, place)) if asked.model.is_none() => {
            Ok(Asked { model: Some(checked(model)?), place, ..asked })
        }
        _ => Ok(asked),
    }
}

/// The model that the path names, if it does; then that counts.
pub(crate) fn by_path(asked: Asked, target: &str) -> Result<Asked, BadBody> {
    let Some(found) = llm::in_path(target) else { return Ok(asked) };
    Ok(Asked {
        model: Some(checked(target[found.place.clone()].to_owned())?),
        in_path: Some(found.place),
        stream: found.stream.or(asked.stream),
        ..asked
    })
}

/// The body with another name in the place of the model's, and no other byte changed.
pub(crate) fn renamed(body: &[u8], place: &Range<usize>, name: &str) -> Bytes {
    let name = serde_json::Value::from(name).to_string();
    [&body[..place.start], name.as_bytes(), &body[place.end..]].concat().into()
}

fn checked(model: String) -> Result<String, BadBody> {
    if model.len() > LONGEST {
        let length = model.len();
        return Err(BadBody::Unreadable(format!(
            "`model` is {length} bytes long, but must not be longer than {LONGEST}"
        )));
    }
    if model.chars().any(char::is_control) {
        return Err(BadBody::Unreadable("`model` must not have control characters".into()));
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(body: &[u8]) -> String {
        match asked(body, Look::MustBeJson) {
            Err(BadBody::Unreadable(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn finds_model_and_stream_wherever_they_stand() {
        let body = br#"{"messages":[{"model":"not this"}],"stream":true,"model":"gpt-4o"}"#;
        let found = asked(body, Look::MustBeJson).unwrap();
        assert_eq!((found.model.as_deref(), found.stream), (Some("gpt-4o"), Some(true)));
        assert_eq!(&body[found.place], br#""gpt-4o""#);
        let found = asked(br#"{"model":"llama3.1:8b","stream":"yes"}"#, Look::MustBeJson).unwrap();
        assert_eq!((found.model.as_deref(), found.stream), (Some("llama3.1:8b"), None));
    }

    #[test]
    fn another_name_changes_nothing_else() {
        let body =
            b"{ \"a\":\t[1.0, \"model\"],\n\"model\" : \"gpt\\u002d4o\" ,\"b\":\"\xc3\xa9\"}";
        let found = asked(body, Look::MustBeJson).unwrap();
        assert_eq!(found.model.as_deref(), Some("gpt-4o"));
        let renamed = renamed(body, &found.place, "a \"b\"");
        let expected =
            b"{ \"a\":\t[1.0, \"model\"],\n\"model\" : \"a \\\"b\\\"\" ,\"b\":\"\xc3\xa9\"}";
        assert_eq!(&renamed[..], expected);
    }

    #[test]
    fn a_model_in_the_path_counts_and_ollamas_may_be_a_name() {
        let body = br#"{"name":"llama3.1:8b","stream":true}"#;
        let found = asked(body, Look::MustBeJson).unwrap();
        assert_eq!(found.model, None);
        let named = by_name(found.clone(), body).unwrap();
        assert_eq!(named.model.as_deref(), Some("llama3.1:8b"));
        assert_eq!(&body[named.place.clone()], br#""llama3.1:8b""#);
        let target = "/openai/deployments/gpt-4o/chat/completions";
        let found = by_path(named, target).unwrap();
        assert_eq!(found.model.as_deref(), Some("gpt-4o"));
        assert_eq!(&target[found.in_path.unwrap()], "gpt-4o");
        assert_eq!(found.stream, Some(true), "as the body says");
        let long = format!("/openai/deployments/{}/x", "y".repeat(201));
        assert!(by_path(Asked::default(), &long).is_err());
    }

    #[test]
    fn the_most_tokens_are_read_in_each_apis_words() {
        for (body, most) in [
            (r#"{"max_tokens":7}"#, Some(7)),
            (r#"{"model":"m","max_completion_tokens":8}"#, Some(8)),
            (r#"{"max_output_tokens":9}"#, Some(9)),
            (r#"{"options":{"num_predict":10,"seed":1}}"#, Some(10)),
            (r#"{"options":{"num_predict":-1}}"#, None),
            (r#"{"max_tokens":"7","options":7}"#, None),
            ("{}", None),
        ] {
            let found = asked(body.as_bytes(), Look::MustBeJson).unwrap();
            assert_eq!(found.max_tokens, most, "{body}");
        }
    }

    #[test]
    fn json_by_another_name_is_json() {
        let look = Look::of(Some("application/x-www-form-urlencoded"));
        let found = asked(br#"{"model":"gpt-4o"}"#, look).unwrap();
        assert_eq!(found.model.as_deref(), Some("gpt-4o"));
        assert_eq!(asked(b"model=gpt-4o", look), Ok(Asked::default()));
    }

    #[test]
    fn bodies_that_name_no_model_have_none() {
        assert_eq!(asked(b"", Look::MustBeJson), Ok(Asked::default()));
        assert_eq!(asked(b"{}", Look::MustBeJson), Ok(Asked::default()));
        assert_eq!(asked(br#"{"model":null}"#, Look::MustBeJson), Ok(Asked::default()));
        assert_eq!(Look::of(Some("multipart/form-data; boundary=x")), Look::Never);
        for media in [None, Some("application/json; charset=utf-8"), Some("application/x+json")] {
            assert_eq!(Look::of(media), Look::MustBeJson, "{media:?}");
        }
    }

    #[test]
    fn bad_bodies_say_what_is_wrong() {
        assert!(reason(b"{\"model\":").contains("line 1 column 9"));
        assert!(reason(b"[1]").contains("not a JSON object"));
        assert!(reason(b"{\"model\": \"\xff\xfe\"}").contains("not a JSON object"));
        assert_eq!(reason(br#"{"model": 7}"#), "`model` must be a string");
        assert!(reason(br#"{"model": "a\nb"}"#).contains("control characters"));
        let long = format!("{{\"model\": \"{}\"}}", "x".repeat(201));
        assert!(reason(long.as_bytes()).contains("201 bytes long"));
        assert!(reason(br#"{"model": "a", "model": "b"}"#).contains("duplicate field"));
        // Depth costs no stack: what is not ours is passed over.
        let deep = "[".repeat(100_000);
        assert!(reason(format!("{{\"model\":{deep}").as_bytes()).contains("EOF"));
        assert!(reason(format!("{{\"a\":{deep}").as_bytes()).contains("EOF"));
    }
}
