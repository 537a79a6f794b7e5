//! Models that are named in the path, in the way of Azure and of Gemini.

use std::ops::Range;

use bytes::BytesMut;

/// What Gemini's API has after a model and a colon, and whether that is a stream.
const METHODS: [(&str, Option<bool>); 10] = [
    ("generateContent", Some(false)),
    ("streamGenerateContent", Some(true)),
    ("countTokens", Some(false)),
    ("embedContent", Some(false)),
    ("batchEmbedContents", Some(false)),
    ("batchGenerateContent", Some(false)),
    ("predict", Some(false)),
    ("predictLongRunning", Some(false)),
    ("rawPredict", Some(false)),
    ("streamRawPredict", Some(true)),
];

/// A model that is named in a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InPath {
    /// Where.
    pub(crate) place: Range<usize>,
    /// Whether the answer is to be a stream, if the path says so or not.
    pub(crate) stream: Option<bool>,
}

/// The model that a path names: `/openai/deployments/MODEL/…`, `/v1beta/models/MODEL:generateContent`.
pub(crate) fn in_path(target: &str) -> Option<InPath> {
    let path = target.split('?').next()?;
    if let Some(at) = path.find("/openai/deployments/") {
        let start = at + "/openai/deployments/".len();
        let end = start + path[start..].find('/')?;
        return (start < end).then_some(InPath { place: start..end, stream: None });
    }
    let start = path.rfind('/')? + 1;
    let before = &path[..start];
    if !before.ends_with("/models/") && !before.ends_with("/tunedModels/") {
        return None;
    }
    let colon = start + path[start..].rfind(':')?;
    let (_, stream) = METHODS.iter().find(|(name, _)| *name == &path[colon + 1..])?;
    (start < colon).then_some(InPath { place: start..colon, stream: *stream })
}

/// The path with another name in the place of the model's.
pub(crate) fn renamed(target: &str, place: &Range<usize>, name: &str) -> String {
    let mut out = BytesMut::with_capacity(target.len() + name.len());
    out.extend_from_slice(&target.as_bytes()[..place.start]);
    for byte in name.bytes() {
        // What may stand in one segment (RFC 3986, section 3.3).
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'@' | b':' => out.extend_from_slice(&[byte]),
            byte if byte.is_ascii_alphanumeric() => out.extend_from_slice(&[byte]),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out.extend_from_slice(&target.as_bytes()[place.end..]);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(target: &str) -> Option<(&str, Option<bool>)> {
        in_path(target).map(|found| (&target[found.place], found.stream))
    }

    #[test]
    fn models_are_read_from_paths_in_the_way_of_azure_and_gemini() {
        for (target, expected) in [
            ("/openai/deployments/gpt-4o/chat/completions?api-version=1", Some(("gpt-4o", None))),
            ("/x/openai/deployments/a.b/embeddings", Some(("a.b", None))),
            ("/openai/deployments/", None),
            ("/openai/deployments//x", None),
            (
                "/v1beta/models/gemini-2.5-pro:generateContent",
                Some(("gemini-2.5-pro", Some(false))),
            ),
            (
                "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
                Some(("gemini-2.5-pro", Some(true))),
            ),
            (
                "/v1/projects/p/locations/l/publishers/google/models/g:rawPredict",
                Some(("g", Some(false))),
            ),
            ("/v1/models/llama3.1:latest", None),
            ("/v1/models/:generateContent", None),
            ("/v1/models", None),
            ("/v1/chat/completions?x=/models/m:predict", None),
            ("", None),
        ] {
            assert_eq!(model(target), expected, "{target}");
        }
    }

    #[test]
    fn another_name_stands_in_its_place() {
        let target = "/openai/deployments/gpt-4o/chat/completions?api-version=1";
        let found = in_path(target).unwrap();
        assert_eq!(
            renamed(target, &found.place, "a/b c:ü"),
            "/openai/deployments/a%2Fb%20c:%C3%BC/chat/completions?api-version=1"
        );
    }
}
