//! Keys: how parts become one name, and are found again without one.

use std::hash::{BuildHasher, Hash, Hasher};

/// A key of a family, by its parts.
///
/// Its text joins the parts by `/`. A `/` within a part is written `%2F` and a `%` is written `%25`
/// (as in URLs), so that no two keys have one text: `["a/b", "c"]` is `a%2Fb/c`.
#[derive(Copy, Clone)]
pub(super) struct Key<'a>(pub(super) &'a [&'a str]);

impl Key<'_> {
    pub(super) fn hash(self, hasher: &impl BuildHasher) -> u64 {
        let mut state = hasher.build_hasher();
        for part in self.0 {
            part.hash(&mut state);
        }
        state.finish()
    }

    /// Whether this is the key with that text. Allocates nothing.
    pub(super) fn is(self, text: &str) -> bool {
        let mut rest = text.as_bytes();
        for (place, part) in self.0.iter().enumerate() {
            if place > 0 {
                let Some(after) = rest.strip_prefix(b"/") else { return false };
                rest = after;
            }
            let after = if needs_escapes(part) {
                part.bytes().try_fold(rest, |rest, byte| match escaped(byte) {
                    Some(escape) => rest.strip_prefix(escape.as_bytes()),
                    None => rest.strip_prefix(&[byte]),
                })
            } else {
                rest.strip_prefix(part.as_bytes())
            };
            let Some(after) = after else { return false };
            rest = after;
        }
        rest.is_empty()
    }

    /// Adds the text.
    pub(super) fn write(self, out: &mut String) {
        for (place, part) in self.0.iter().enumerate() {
            if place > 0 {
                out.push('/');
            }
            for char in part.chars() {
                match u8::try_from(char).ok().and_then(escaped) {
                    Some(escape) => out.push_str(escape),
                    None => out.push(char),
                }
            }
        }
    }
}

fn needs_escapes(part: &str) -> bool {
    // Without a way out of the loop, so that many bytes are looked at in one go.
    part.bytes().map(|byte| u32::from(matches!(byte, b'/' | b'%'))).sum::<u32>() > 0
}

fn escaped(byte: u8) -> Option<&'static str> {
    match byte {
        b'/' => Some("%2F"),
        b'%' => Some("%25"),
        _ => None,
    }
}

/// The parts of the key with this text.
pub(super) fn parts(text: &str) -> Vec<String> {
    text.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect()
}

#[cfg(test)]
mod tests {
    use foldhash::quality::RandomState;
    use proptest::prelude::*;

    use super::*;

    fn text(key: &[&str]) -> String {
        let mut out = String::new();
        Key(key).write(&mut out);
        out
    }

    #[test]
    fn a_slash_within_a_part_is_not_one_between_two() {
        assert_eq!(text(&["openai", "gpt-4o"]), "openai/gpt-4o");
        assert_eq!(text(&["a/b", "c"]), "a%2Fb/c");
        assert_eq!(text(&["a", "b/c"]), "a/b%2Fc");
        assert_eq!(text(&["100%", "%2F"]), "100%25/%252F");
        assert!(Key(&["a/b", "c"]).is("a%2Fb/c") && !Key(&["a", "b/c"]).is("a%2Fb/c"));
        assert!(!Key(&["a"]).is("a/") && !Key(&["a", ""]).is("a") && !Key(&["ab"]).is("a"));
    }

    proptest! {
        #[test]
        fn texts_tell_keys_apart_and_lead_back_to_them(
            one in prop::collection::vec("[a/%2F5é]{0,4}", 1..4),
            other in prop::collection::vec("[a/%2F5é]{0,4}", 1..4),
        ) {
            let refs = |key: &[String]| key.iter().map(String::clone).collect::<Vec<_>>();
            let (a, b) = (refs(&one), refs(&other));
            let a: Vec<&str> = a.iter().map(String::as_str).collect();
            let b: Vec<&str> = b.iter().map(String::as_str).collect();
            prop_assert_eq!(text(&a) == text(&b), a == b);
            prop_assert_eq!(Key(&a).is(&text(&b)), a == b);
            prop_assert_eq!(parts(&text(&a)), one);
            let hasher = RandomState::default();
            prop_assert_eq!(Key(&a).hash(&hasher) == Key(&b).hash(&hasher), a == b);
        }
    }
}
