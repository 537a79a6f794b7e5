//! The comments of a TOML text, and what each belongs to.

use toml_parser::lexer::TokenKind;

use crate::source::Source;
use crate::syntax::is_toml;

/// A comment.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    pub(super) start: usize,
    /// With its `#`.
    pub(super) text: String,
    /// Whether it stands behind something on the same line.
    pub(super) trailing: bool,
    /// Whether an empty line comes before it.
    pub(super) apart: bool,
}

/// The comments of a text, in their order; none of one that is not TOML.
pub(super) fn of(source: &Source) -> Vec<Comment> {
    if !is_toml(source) {
        return Vec::new();
    }
    let text = source.text();
    let tokens = toml_parser::Source::new(text).lex().into_vec();
    let comments = tokens.iter().filter(|token| token.kind() == TokenKind::Comment);
    comments
        .map(|token| {
            let span = token.span();
            let before = &text[..span.start()];
            let line = before.rsplit('\n').next().unwrap_or_default();
            let lines_before =
                before[..before.len() - line.len()].trim_end_matches([' ', '\t', '\r']);
            Comment {
                start: span.start(),
                text: text[span.start()..span.end()].trim_end().to_owned(),
                trailing: !line.trim().is_empty(),
                apart: lines_before.trim_end_matches('\r').ends_with("\n\n")
                    || lines_before.ends_with("\n\r\n"),
            }
        })
        .collect()
}
