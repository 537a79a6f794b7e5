//! Whether the Rust version that we state can be true.

use serde_json::Value;

use crate::run::{cargo, output};

/// Dependencies that need more than we state. Each is behind a feature that is off by default and
/// whose documentation says so.
const NEWER: [&str; 2] = ["sqlx", "sqlx-core"];

/// No dependency states a newer version than we do. That our own code needs nothing newer of the
/// standard library is a lint of clippy's (`incompatible_msrv`), which goes by the same statement.
/// What neither finds is newer syntax, and dependencies that state nothing.
pub(crate) fn check() -> Result<(), String> {
    let arguments = ["metadata", "--format-version", "1", "--all-features", "--locked"];
    let text = output(&mut cargo(&arguments))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let stated = |package: &Value| package["rust_version"].as_str().and_then(version);
    let ours = packages
        .iter()
        .find(|package| package["name"] == "panelboard")
        .and_then(stated)
        .ok_or("panelboard states no Rust version")?;
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let newer = stated(package).is_some_and(|theirs| theirs > ours);
        if newer && !NEWER.contains(&name) {
            let theirs = &package["rust_version"];
            problems.push(format!("{name} needs Rust {theirs}, which is newer than ours"));
        }
        if !newer && NEWER.contains(&name) {
            problems.push(format!("{name} needs nothing newer any more (xtask/src/msrv.rs)"));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n")),
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}
