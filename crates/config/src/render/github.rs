//! For GitHub's annotations.

use std::fmt::Write;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::Medium;

pub(super) fn render(diagnostics: &Diagnostics) -> String {
    diagnostics.iter().map(command).collect()
}

fn command(diagnostic: &Diagnostic) -> String {
    let command = match diagnostic.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut line = format!("::{command} ");
    let mut message = diagnostic.message().to_owned();
    if let Some(location) = diagnostic.location() {
        if location.source().medium() == Medium::File {
            let (start, end) = (location.start(), location.end());
            let _ = write!(
                line,
                "file={},line={},col={},endLine={},endColumn={},",
                property(location.source().name()),
                start.line,
                start.column,
                end.line,
                end.column,
            );
        } else {
            message = format!("{location}: {message}");
        }
    }
    let title = format!("{}: {}", diagnostic.code(), diagnostic.code().title());
    if let Some(help) = diagnostic.help() {
        let _ = write!(message, "\nhelp: {help}");
    }
    let _ = writeln!(line, "title={}::{}", property(&title), data(&message));
    line
}

/// Text after the second pair of colons.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_place() {
        assert_eq!(property("a,b:c%\r\n"), "a%2Cb%3Ac%25%0D%0A");
        assert_eq!(data("50%: a\n::error::"), "50%25: a%0A::error::");
    }
}
