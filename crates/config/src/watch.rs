//! Whether the file has changed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::load::read_bounded;

/// Watches the content of one file, whichever way it is replaced.
///
/// The caller asks from time to time. What counts is the content: a file that is written in place,
/// renamed over, or reached through symbolic links that are switched (as Kubernetes does) has
/// changed if other bytes come out, and not otherwise; file systems that report nothing will do.
/// A change is told once two polls in a row have seen the same new content, so that a file half
/// written is not taken for a whole one.
#[derive(Clone, Debug)]
pub struct FileWatch {
    path: PathBuf,
    /// What was told last.
    told: FileChange,
    /// What the last poll saw, if it was something else.
    pending: Option<FileChange>,
}

/// What a [`FileWatch`] has to tell.
#[derive(Clone, PartialEq, Eq)]
pub enum FileChange {
    /// There is other content.
    Content(Vec<u8>),
    /// The file is gone, or cannot be read, for this reason. What runs should keep running.
    Lost(io::ErrorKind),
}

impl FileWatch {
    /// Watches `path`, whose content is known.
    pub fn new(path: PathBuf, known: Vec<u8>) -> FileWatch {
        FileWatch { path, told: FileChange::Content(known), pending: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a pipe or a device in the place of the file. To read one may take for ever,
    /// and gives something else each time.
    pub fn is_pipe(path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir())
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        match FileWatch::is_pipe(&self.path) {
            true => Err(io::ErrorKind::InvalidInput.into()),
            false => read_bounded(&self.path),
        }
    }

    /// Looks at the file, and tells of a change that two polls in a row have seen.
    pub fn poll(&mut self) -> Option<FileChange> {
        let seen = match self.read() {
            Ok(content) => FileChange::Content(content),
            Err(error) => FileChange::Lost(error.kind()),
        };
        if seen == self.told {
            self.pending = None;
            return None;
        }
        if self.pending.as_ref() != Some(&seen) {
            self.pending = Some(seen);
            return None;
        }
        self.pending = None;
        self.told = seen.clone();
        Some(seen)
    }
}

impl fmt::Debug for FileChange {
    /// Without the content: it has not been searched for secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileChange::Content(content) => write!(f, "Content({} bytes)", content.len()),
            FileChange::Lost(kind) => f.debug_tuple("Lost").field(kind).finish(),
        }
    }
}
