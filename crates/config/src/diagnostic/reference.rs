//! `docs/config-errors.md`, from the registry.

use std::fmt::Write;

use super::codes::Code;
use super::examples;

const GROUPS: [(&str, &str); 7] = [
    ("PB00", "Files and syntax"),
    ("PB01", "Keys and names"),
    ("PB02", "Values"),
    ("PB03", "References"),
    ("PB04", "Gateway"),
    ("PB05", "Infrastructure"),
    ("PB10", "Warnings and notes"),
];

/// The page that explains every diagnostic code, in Markdown. Each code is a heading, so that
/// `#pb0202` is its anchor.
pub fn error_reference_markdown() -> String {
    let mut page = String::from(
        "# Configuration diagnostics\n\n\
         <!-- Generated from the registry of codes; edit that instead. -->\n\n\
         Every finding of `panelboard check` carries one of these codes. They are stable: a code\n\
         that was published keeps its meaning. Errors refuse the configuration, warnings and notes\n\
         do not.\n",
    );
    for (prefix, title) in GROUPS {
        let _ = write!(page, "\n## {title}\n");
        for code in Code::all().iter().filter(|code| code.id().starts_with(prefix)) {
            let _ = write!(
                page,
                "\n### {code}\n\n**{title}** ({severity}). {text}\n",
                title = code.title(),
                severity = code.severity(),
                text = code.explanation().trim(),
            );
            if let Some(example) = examples::markdown(*code) {
                let _ = write!(page, "\n{example}");
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_heading_of_its_own() {
        let page = error_reference_markdown();
        for code in Code::all() {
            assert_eq!(page.matches(&format!("\n### {code}\n")).count(), 1, "{code}");
        }
        assert_eq!(page.matches("\n### ").count(), Code::all().len());
    }
}
