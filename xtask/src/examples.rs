//! Whether the examples of the library run to their end and show what they are there to show.

use std::collections::BTreeSet;
use std::fs;

use crate::root;
use crate::run::{cargo, output, run};

/// Each example, and a line that it must have printed a part of.
const EXAMPLES: [(&str, &str); 8] = [
    ("asynchronous", "event: half_open → closed"),
    ("llm", "1: large: local says \"it just is\""),
    ("permits", "circuit `renderer` refused the call"),
    ("policies", "retry: 20 of 20 calls answered"),
    ("reload", "unknown key"),
    ("reqwest_client", "it says 429 Too Many Requests; it says 200 OK"),
    ("sync", "refused; come back in"),
    ("tower_axum", "503 Service Unavailable, retry after"),
];

pub(crate) fn check() -> Result<(), String> {
    let files = fs::read_dir(root().join("crates/panelboard/examples"))
        .map_err(|error| format!("crates/panelboard/examples: {error}"))?;
    let there: BTreeSet<String> = files
        .filter_map(|file| file.ok()?.file_name().to_str()?.strip_suffix(".rs").map(Into::into))
        .collect();
    let listed: BTreeSet<String> = EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    if there != listed {
        return Err(format!("there are {there:?}, but xtask/src/examples.rs lists {listed:?}"));
    }
    let all = ["-p", "panelboard", "--all-features", "--quiet"];
    run(&mut cargo(&[&["build", "--examples"], &all[..]].concat()))?;
    let mut problems = Vec::new();
    for (name, line) in EXAMPLES {
        match output(&mut cargo(&[&["run", "--example", name], &all[..]].concat())) {
            Ok(text) if text.lines().any(|printed| printed.contains(line)) => {}
            Ok(text) => problems.push(format!("example {name} prints no `{line}`:\n{text}")),
            Err(problem) => problems.push(problem),
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n")),
    }
}
