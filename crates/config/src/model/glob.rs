//! Globs: whether one matches, and whether one leaves nothing for another to match.

/// A pattern in which stars stand for anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Token {
    Byte(u8),
    /// Any one character.
    One,
    /// Any bytes but `/`.
    Run,
    /// Any bytes.
    Deep,
}

impl Glob {
    /// `*` stands for anything within a segment, `**` for anything at all.
    pub(crate) fn path(pattern: &str) -> Glob {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut bytes = pattern.bytes().peekable();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'*' if bytes.next_if_eq(&b'*').is_some() => Token::Deep,
                b'*' => Token::Run,
                byte => Token::Byte(byte),
            });
        }
        Glob { tokens }
    }

    /// The patterns of keyed circuits, which [`panelboard_core::catalog::matches`] decides: `*`
    /// stands for anything at all, `?` for any one character.
    pub(crate) fn key(pattern: &str) -> Glob {
        let token = |byte| match byte {
            b'*' => Token::Deep,
            b'?' => Token::One,
            byte => Token::Byte(byte),
        };
        Glob { tokens: pattern.bytes().map(token).collect() }
    }

    /// This pattern, and after it anything at all.
    pub(crate) fn and_below(mut self) -> Glob {
        self.tokens.push(Token::Deep);
        self
    }

    /// Whether `text` is matched, all of it.
    ///
    /// Goes back to the last star that can take one more byte; of each sort only the last can
    /// matter, so the time is bounded by the product of the lengths.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (tokens, text) = (self.tokens.as_slice(), text.as_bytes());
        let (mut t, mut i) = (0, 0);
        let mut run: Option<(usize, usize)> = None;
        let mut deep: Option<(usize, usize)> = None;
        loop {
            match tokens.get(t) {
                Some(Token::Deep) => {
                    deep = Some((t + 1, i));
                    run = None;
                    t += 1;
                    continue;
                }
                Some(Token::Run) => {
                    run = Some((t + 1, i));
                    t += 1;
                    continue;
                }
                Some(Token::Byte(byte)) if text.get(i) == Some(byte) => {
                    t += 1;
                    i += 1;
                    continue;
                }
                None if i == text.len() => return true,
                Some(Token::One) if i < text.len() => {
                    t += 1;
                    i += 1;
                    // One character, not one byte.
                    while text.get(i).is_some_and(|byte| byte & 0xc0 == 0x80) {
                        i += 1;
                    }
                    continue;
                }
                Some(Token::Byte(_) | Token::One) | None => {}
            }
            if let Some((after, from)) = run
                && text.get(from).is_some_and(|byte| *byte != b'/')
            {
                run = Some((after, from + 1));
                (t, i) = (after, from + 1);
            } else if let Some((after, from)) = deep
                && from < text.len()
            {
                run = None;
                deep = Some((after, from + 1));
                (t, i) = (after, from + 1);
            } else {
                return false;
            }
        }
    }

    /// Whether everything `other` matches is matched by this. `false` may mean that it is hard to
    /// tell; `true` is certain.
    pub(crate) fn covers(&self, other: &Glob) -> bool {
        let (ours, theirs) = (&self.tokens, &other.tokens);
        // covered[j]: whether ours[i..] covers theirs[j..], for the i at hand.
        let mut covered = vec![false; theirs.len() + 1];
        covered[theirs.len()] = true;
        for token in ours.iter().rev() {
            let after = covered.clone();
            for j in (0..=theirs.len()).rev() {
                covered[j] = match (token, theirs.get(j)) {
                    (Token::Byte(a), Some(Token::Byte(b))) => a == b && after[j + 1],
                    (Token::One, Some(Token::Byte(0..=0x7f) | Token::One)) => after[j + 1],
                    (Token::Byte(_) | Token::One, _) => false,
                    // A run does not take what may be a slash, nor anything at the end.
                    (Token::Run, Some(Token::Byte(b'/') | Token::One | Token::Deep))
                    | (Token::Run | Token::Deep, None) => after[j],
                    (Token::Run | Token::Deep, Some(_)) => after[j] || covered[j + 1],
                };
            }
        }
        covered[0]
    }

    /// Whether some text is matched by both. `true` may mean that it is hard to tell; `false` is
    /// certain.
    pub(crate) fn meets(&self, other: &Glob) -> bool {
        let (ours, theirs) = (&self.tokens, &other.tokens);
        let star = |token: Option<&Token>| matches!(token, Some(Token::Run | Token::Deep));
        // met[j]: whether ours[i..] and theirs[j..] have a text in common, for the i at hand.
        let mut met = vec![false; theirs.len() + 1];
        for i in (0..=ours.len()).rev() {
            let after = std::mem::replace(&mut met, vec![false; theirs.len() + 1]);
            for j in (0..=theirs.len()).rev() {
                let (our, their) = (ours.get(i), theirs.get(j));
                met[j] = match (our, their) {
                    (None, None) => true,
                    _ if star(our) || star(their) => {
                        // The star is done, or takes what the other side has.
                        (our.is_some() && after[j]) || (their.is_some() && met[j + 1])
                    }
                    (Some(Token::Byte(a)), Some(Token::Byte(b))) => a == b && after[j + 1],
                    // One character may be several bytes.
                    (Some(Token::One), Some(Token::Byte(0x80..))) => after[j + 1] || met[j + 1],
                    (Some(Token::Byte(0x80..)), Some(Token::One)) => after[j + 1] || after[j],
                    (Some(_), Some(_)) => after[j + 1],
                    (None, Some(_)) | (Some(_), None) => false,
                };
            }
        }
        met[0]
    }
}

#[cfg(test)]
mod tests {
    use panelboard_core::catalog;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stay_within_a_segment_and_double_stars_do_not() {
        let glob = Glob::path("/v1/*/chat");
        assert!(glob.matches("/v1/a/chat") && glob.matches("/v1//chat"));
        assert!(!glob.matches("/v1/a/b/chat") && !glob.matches("/v1/a/chatx"));
        let deep = Glob::path("/**/chat*");
        assert!(deep.matches("/a/b/chat") && deep.matches("/a/chat/chats"));
        assert!(!deep.matches("/a/chat/b"));
        assert!(Glob::key("openai/gpt-?o*").matches("openai/gpt-4o/x"));
    }

    #[test]
    fn covering_is_told() {
        for (wide, narrow, covers) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/*", true),
            ("/a/*", "/a/b*", true),
            ("/a/*", "/a/**", false),
            ("/a/**", "/a/*/b", true),
            ("/**", "/a/*/b", true),
            ("/a/b", "/a/*", false),
            ("/a*c", "/a*b*c", true),
            ("/*b", "/a/b", false),
        ] {
            assert_eq!(Glob::path(wide).covers(&Glob::path(narrow)), covers, "{wide} ⊇ {narrow}");
        }
        assert!(Glob::key("*/gpt-?").covers(&Glob::key("openai/gpt-4")));
        assert!(!Glob::key("*/gpt-?").covers(&Glob::key("openai/gpt-*")));
    }

    #[test]
    fn meeting_is_told() {
        for (a, b, meet) in [
            ("gpt-4o*", "openai/*", false),
            ("*gpt-4o*", "openai/*", true),
            ("open*/x", "openai/*", true),
            ("*/a", "*/b", false),
            ("?", "ü", true),
            ("a?", "a", false),
        ] {
            assert_eq!(Glob::key(a).meets(&Glob::key(b)), meet, "{a} {b}");
            assert_eq!(Glob::key(b).meets(&Glob::key(a)), meet, "{b} {a}");
        }
    }

    /// What a glob means, without cleverness.
    fn slowly(tokens: &[Token], text: &[u8]) -> bool {
        match (tokens.split_first(), text.split_first()) {
            (None, text) => text.is_none(),
            (Some((Token::Byte(b), tokens)), Some((c, text))) => b == c && slowly(tokens, text),
            (Some((Token::One, tokens)), Some((_, text))) => slowly(tokens, text),
            (Some((Token::Byte(_) | Token::One, _)), None) => false,
            (Some((star, rest)), text_parts) => {
                slowly(rest, text)
                    || text_parts.is_some_and(|(c, text)| {
                        (*star == Token::Deep || *c != b'/') && slowly(tokens, text)
                    })
            }
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_it_means(pattern in "[ab/*]{0,8}", text in "[ab/]{0,10}") {
            let glob = Glob::path(&pattern);
            prop_assert_eq!(glob.matches(&text), slowly(&glob.tokens, text.as_bytes()));
        }

        #[test]
        fn keys_match_as_the_core_says(pattern in "[aü/*?]{0,8}", text in "[abü/]{0,10}") {
            prop_assert_eq!(
                Glob::key(&pattern).matches(&text),
                catalog::matches(&pattern, &text)
            );
        }

        #[test]
        fn what_is_covered_is_matched(
            wide in "[ab/*]{0,6}", narrow in "[ab/*]{0,6}", text in "[ab/]{0,8}",
        ) {
            let (wide, narrow) = (Glob::path(&wide), Glob::path(&narrow));
            if wide.covers(&narrow) && narrow.matches(&text) {
                prop_assert!(wide.matches(&text));
            }
        }

        #[test]
        fn covered_keys_are_matched_and_common_keys_are_met(
            a in "[aü/*?]{0,6}", b in "[aü/*?]{0,6}", text in "[abü/]{0,6}",
        ) {
            let (a, b) = (Glob::key(&a), Glob::key(&b));
            if a.covers(&b) && b.matches(&text) {
                prop_assert!(a.matches(&text));
            }
            if a.matches(&text) && b.matches(&text) {
                prop_assert!(a.meets(&b));
            }
        }
    }
}
