//! Diagnostics in the formats people and programs read.

mod github;
mod json;
mod sarif;
mod text;

use crate::diagnostic::Diagnostics;

/// How to write diagnostics down.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// For people: the source, with what is meant underlined.
    Text(TextStyle),
    /// One JSON object, whose shape is stable; see [`JSON_VERSION`].
    Json,
    /// Workflow commands that GitHub shows on the lines concerned.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// How text looks. Whether the reader can see colours and line-drawing characters is the caller's
/// to know.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TextStyle {
    /// With terminal colours.
    pub color: bool,
    /// With line-drawing characters.
    pub unicode: bool,
    /// Where lines are wrapped, in columns.
    pub width: usize,
}

/// The version of the object that [`Format::Json`] writes. It rises when a field changes its
/// meaning or goes away.
pub const JSON_VERSION: u32 = 1;

impl Default for TextStyle {
    /// Plain: no colours, ASCII, 100 columns.
    fn default() -> TextStyle {
        TextStyle { color: false, unicode: false, width: 100 }
    }
}

impl Diagnostics {
    /// Writes them down, with a line break at the end unless there is nothing to say.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Text(style) => text::render(self, style),
            Format::Json => json::render(self),
            Format::Github => github::render(self),
            Format::Sarif => sarif::render(self),
        }
    }
}
