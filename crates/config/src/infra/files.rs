//! Which files are looked through.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::model::glob::Glob;

/// Larger files are no configuration.
const LARGEST: u64 = 1 << 20;

/// Most files of one run.
const MOST: usize = 500;

/// Most entries of directories that are looked at for one pattern.
const MOST_ENTRIES: usize = 50_000;

/// How deep `**` goes.
const DEEPEST: usize = 16;

/// Directories that hold what others wrote.
const SKIPPED: [&str; 5] = [".git", ".terraform", "node_modules", "target", "venv"];

/// A file, and the pattern that named it.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// What to call it.
    pub(super) name: String,
    pub(super) pattern: String,
}

/// The files that the patterns name, each once. `empty` is told of patterns that name none, and of
/// what goes beyond the bounds.
pub(super) fn find(
    patterns: &[String],
    base: &Path,
    empty: &mut dyn FnMut(&str, String),
) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    for pattern in patterns {
        let mut names = names(pattern, base);
        names.sort();
        if names.is_empty() {
            let what = if pattern.contains('*') { "matches no file" } else { "does not exist" };
            empty(pattern, format!("`{pattern}` {what}"));
        }
        for name in names {
            let path = base.join(&name);
            if !known.insert(path.clone()) {
                continue;
            }
            if found.len() == MOST {
                empty(pattern, format!("only the first {MOST} files are looked through"));
                return found;
            }
            let name = name.to_string_lossy().into_owned();
            found.push(Found { path, name, pattern: pattern.clone() });
        }
    }
    found
}

/// The paths below `base` that a pattern names.
fn names(pattern: &str, base: &Path) -> Vec<PathBuf> {
    let Some(star) = pattern.find('*') else {
        let there = base.join(pattern).is_file();
        return there.then(|| PathBuf::from(pattern)).into_iter().collect();
    };
    // The walk begins at the last directory that the pattern spells out.
    let fixed = pattern[..star].rfind('/').map_or("", |slash| &pattern[..=slash]);
    let rest = &pattern[fixed.len()..];
    let glob = Glob::path(&format!("/{rest}"));
    // `**/x` is also `x` itself.
    let anywhere = rest.strip_prefix("**/").map(|rest| Glob::path(&format!("/{rest}")));
    let deep = rest.contains("**");
    let depth = if deep { DEEPEST } else { rest.matches('/').count() };
    let mut matching = Vec::new();
    let mut left = MOST_ENTRIES;
    let mut open = vec![(PathBuf::from(fixed), String::new(), 0_usize)];
    while let Some((directory, below, level)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(base.join(&directory)) else { continue };
        for entry in entries.flatten() {
            left = left.saturating_sub(1);
            if left == 0 {
                return matching;
            }
            // Names that are not Unicode cannot be written into a pattern either.
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
                continue;
            };
            let path = format!("{below}/{name}");
            if kind.is_dir() {
                if level < depth && !SKIPPED.contains(&name.as_str()) {
                    open.push((directory.join(&name), path, level + 1));
                }
            } else if glob.matches(&path) || anywhere.as_ref().is_some_and(|g| g.matches(&path)) {
                matching.push(directory.join(&name));
            }
        }
    }
    matching
}

/// The text of a file, or why it is not looked through.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    // Reading a pipe would wait for somebody to write.
    if !metadata.is_file() {
        return Err(String::from("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {}", crate::text::size(LARGEST)));
    }
    if bytes.contains(&0) {
        return Err(String::from("it is binary"));
    }
    String::from_utf8(bytes).map_err(|_| String::from("it is not UTF-8 text"))
}

/// Whether a file sets environment variables: `.env`, `.env.local`, `staging.env`.
pub(super) fn is_env(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('.').any(|part| part == "env")
}
