//! The rules of the repository, as tests.

mod crates;
mod text;

use std::path::Path;

use crate::generate;
use crate::root;
use crate::run::{output, program};

/// Checks every rule and reports all that is broken.
pub(crate) fn run() -> Result<(), String> {
    let files = files()?;
    let mut problems = Vec::new();
    problems.extend(crates::edges()?);
    problems.extend(crates::manifests(&files));
    problems.extend(text::lengths(&files));
    problems.extend(text::words(&files));
    problems.extend(text::invariants(&files));
    problems.extend(text::readme());
    problems.extend(text::changelog());
    problems.extend(generate::outdated());
    match problems.is_empty() {
        true => {
            println!("{} files in order", files.len());
            Ok(())
        }
        false => Err(problems.join("\n")),
    }
}

/// A file of the repository: its path from the root, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

/// The text files that git knows, or would if they were added.
fn files() -> Result<Vec<File>, String> {
    let list = output(&mut program("git", &["ls-files", "-co", "--exclude-standard"]))?;
    let mut files = Vec::new();
    for path in list.lines() {
        // Deleted, but not yet committed so; or no text.
        if let Ok(text) = std::fs::read_to_string(root().join(path)) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
