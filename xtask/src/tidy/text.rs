//! What files say, and how long they are.

use std::path::Path;
use std::process::Command;

use panelboard_config::{Format, LoadOptions, TextStyle, load_bytes};

use super::File;
use crate::root;

/// Lines a source file may have, its tests apart.
const LONGEST: usize = 500;

/// Invariants of the breaker (`docs/invariants.md`); each is cited by tests.
const INVARIANTS: std::ops::RangeInclusive<usize> = 1..=12;

/// Source files that are too long to be one thing.
pub(super) fn lengths(files: &[File]) -> Vec<String> {
    let is_source = |file: &File| {
        let apart = ["/tests/", "/benches/", "/examples/", "/tests.rs"];
        file.is_rust() && !apart.iter().any(|part| file.path.contains(part))
    };
    files
        .iter()
        .filter(|file| is_source(file))
        .filter_map(|file| {
            let lines = file.text.lines().take_while(|line| !line.starts_with("mod tests {"));
            let count = lines.count();
            (count > LONGEST).then(|| format!("{} has {count} lines, over {LONGEST}", file.path))
        })
        .collect()
}

/// Words that have no place in the repository: stubs, and paths of somebody's machine.
pub(super) fn words(files: &[File]) -> Vec<String> {
    // Put together here, so that this file does not find itself.
    let stubs = ["to", "do!("].concat();
    let unfinished = ["unimple", "mented!("].concat();
    let ignored = ["#[ig", "nore"].concat();
    let homes = [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()];
    let mut problems = Vec::new();
    for file in files {
        let File { path, text } = file;
        for (number, line) in text.lines().enumerate() {
            let at = number + 1;
            if file.is_rust() {
                for word in [&stubs, &unfinished, &ignored] {
                    if line.contains(word.as_str()) {
                        problems.push(format!("{path}:{at}: `{word}` has no place here"));
                    }
                }
            }
            if path != "Cargo.lock" && homes.iter().any(|home| names_path(line, home)) {
                problems.push(format!("{path}:{at}: a path of somebody's machine"));
            }
        }
    }
    problems
}

/// Whether the line names an absolute path that begins so; not one that merely contains it.
fn names_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + home.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || "./_~-}".contains(c))
            && after.is_some_and(|c| c.is_ascii_lowercase() || c == '.')
    })
}

/// Every invariant is cited by a test: in its name (`b3_…`) or in the words above it (`B-3`).
pub(super) fn invariants(files: &[File]) -> Vec<String> {
    let tests: String = files
        .iter()
        .filter(|file| file.is_rust() && file.text.contains("#[test]"))
        .map(|file| file.text.as_str())
        .collect();
    let home = files.iter().find(|file| file.path == "docs/invariants.md");
    let mut problems = Vec::new();
    for number in INVARIANTS {
        let cited = tests
            .lines()
            .filter(|line| line.trim_start().starts_with("fn "))
            .any(|line| cites(line, &format!("b{number}_")));
        if !cited {
            problems.push(format!("invariant B-{number} is not cited by the name of any test"));
        }
        if !home.is_some_and(|home| home.text.contains(&format!("**B-{number}**"))) {
            problems.push(format!("docs/invariants.md does not state B-{number}"));
        }
    }
    problems
}

/// Whether the function's name has this part: `b1_` but not `b11_`, as in `b2_b11_nothing`.
fn cites(line: &str, part: &str) -> bool {
    line.match_indices(part).any(|(at, _)| line[..at].ends_with(' ') || line[..at].ends_with('_'))
}

/// The README's commands exist, and its configuration is one.
pub(super) fn readme() -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(root().join("README.md")) else {
        return vec!["there is no README.md".into()];
    };
    let mut problems = Vec::new();
    for command in ["cargo run --release -- demo", "cargo xtask test"] {
        if !text.contains(command) {
            problems.push(format!("README.md does not name `{command}`"));
        }
    }
    let known = subcommands();
    for line in text.lines().map(str::trim) {
        let words = line.trim_start_matches("$ ").strip_prefix("panelboard ");
        let Some(word) = words.and_then(|words| words.split_whitespace().next()) else { continue };
        if !word.starts_with('-') && !known.iter().any(|known| known == word) {
            problems.push(format!("README.md: there is no command `panelboard {word}`"));
        }
    }
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    for block in blocks {
        let path = Some(Path::new("README.md"));
        if let Err(errors) = load_bytes(&LoadOptions::default(), path, block.as_bytes()) {
            problems.push(errors.render(Format::Text(TextStyle::default())));
        }
    }
    problems
}

/// The commands that the command line declares: the variants of `Command`.
fn subcommands() -> Vec<String> {
    let path = root().join("crates/cli/src/args.rs");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Some((_, rest)) = text.split_once("pub(crate) enum Command {") else { return Vec::new() };
    rest.lines()
        .take_while(|line| !line.starts_with('}'))
        .filter_map(|line| line.trim().split_once('(').map(|(name, _)| name.to_lowercase()))
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .collect()
}

/// The changelog is kept, and the licences are there.
pub(super) fn changelog() -> Vec<String> {
    let mut problems = Vec::new();
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap_or_default();
    if !text.contains("## [Unreleased]") {
        problems.push("CHANGELOG.md has no section [Unreleased]".into());
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        if !root().join(name).exists() {
            problems.push(format!("there is no {name}"));
        }
    }
    let ci = root().join(".ci/run");
    if !std::fs::read_to_string(&ci).unwrap_or_default().contains("cargo xtask test") {
        problems.push(".ci/run does not call `cargo xtask test`".into());
    }
    let executable = Command::new("test").arg("-x").arg(&ci).status();
    if !executable.is_ok_and(|status| status.success()) {
        problems.push(".ci/run is not executable".into());
    }
    problems
}
