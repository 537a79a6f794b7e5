//! Which crate may depend on which, and what every manifest says.

use serde_json::Value;

use super::File;
use crate::run::{cargo, output};

/// Our crates, and which of ours each may depend on. This is the last column of the layout.
const EDGES: [(&str, &[&str]); 8] = [
    ("panelboard-core", &[]),
    ("panelboard-macros", &[]),
    ("panelboard", &["panelboard-core", "panelboard-macros"]),
    ("panelboard-config", &["panelboard-core"]),
    ("panelboard-gateway", &["panelboard", "panelboard-config", "panelboard-core"]),
    ("panelboard-cli", &["panelboard", "panelboard-config", "panelboard-gateway"]),
    ("panelboard-fuzz", &["panelboard", "panelboard-config", "panelboard-core"]),
    ("xtask", &["panelboard-config", "panelboard-gateway"]),
];

/// Crates that depend on what they must not, and those the table does not know.
pub(super) fn edges() -> Result<Vec<String>, String> {
    let text =
        output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let none = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&none);
    let ours: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            problems.push(format!("crate {name} is not in the table of crates (xtask/src/tidy)"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap_or(&none) {
            let on = dependency["name"].as_str().unwrap_or_default();
            // Tests may use what the crate itself must not.
            let for_tests = dependency["kind"] == "dev";
            if ours.contains(&on) && !for_tests && !allowed.contains(&on) {
                problems.push(format!("{name} must not depend on {on}"));
            }
            if name == "panelboard-core" && !for_tests {
                problems.push(format!("panelboard-core must have no dependencies, but has {on}"));
            }
        }
    }
    for (known, _) in EDGES {
        if !ours.contains(&known) {
            problems.push(format!("crate {known} is in the table of crates, but not in the tree"));
        }
    }
    Ok(problems)
}

/// What every manifest must say, and what the lock file must not.
pub(super) fn manifests(files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    for File { path, text } in files {
        if path.ends_with("/Cargo.toml") {
            for line in [
                "license.workspace = true",
                "rust-version.workspace = true",
                "[lints]\nworkspace = true",
            ] {
                if !text.contains(line) {
                    problems.push(format!("{path} does not say `{}`", line.replace('\n', " ")));
                }
            }
        }
        if path == "Cargo.lock" {
            let index = "registry+https://github.com/rust-lang/crates.io-index";
            let foreign = text
                .lines()
                .filter_map(|line| line.strip_prefix("source = "))
                .find(|source| source.trim_matches('"') != index);
            if let Some(source) = foreign {
                problems.push(format!("Cargo.lock has a source that is not crates.io: {source}"));
            }
        }
        if path == "crates/core/src/lib.rs" && !text.contains("#![no_std]") {
            problems.push("crates/core must be no_std".into());
        }
    }
    problems
}
