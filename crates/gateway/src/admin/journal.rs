//! Events and the audit log as lines of JSON in files.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use panelboard::event::Lagged;
use serde::Serialize;
use serde_json::json;
use tracing::error;

use super::view::event::Event;
use crate::shared::Shared;

/// A file that would grow above this is moved aside first.
const LARGEST: u64 = 10 * 1024 * 1024;

/// Files that are kept besides the one that is written: `FILE.1` is the newest of them.
const OLD: u32 = 4;

/// How many lines are written at once at most.
const BATCH: usize = 1_000;

/// A file of lines that does not grow for ever.
struct Journal {
    path: PathBuf,
    open: Option<(File, u64)>,
    largest: u64,
    /// So that a full disk is complained of once.
    complained: bool,
}

impl Journal {
    fn new(path: PathBuf, largest: u64) -> Journal {
        Journal { path, open: None, largest, complained: false }
    }

    /// Adds these lines at the end.
    fn append(&mut self, lines: &str) -> io::Result<()> {
        let length = lines.len() as u64;
        if let Some((_, size)) = self.open
            && size > 0
            && size + length > self.largest
        {
            self.open = None;
            self.move_aside()?;
        }
        let (file, size) = match &mut self.open {
            Some(open) => open,
            none => {
                let file =
                    OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?;
                let size = file.metadata()?.len();
                none.insert((file, size))
            }
        };
        file.write_all(lines.as_bytes())?;
        *size += length;
        Ok(())
    }

    fn move_aside(&self) -> io::Result<()> {
        let old = |n: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        for n in (1..OLD).rev() {
            match std::fs::rename(old(n), old(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, old(1))
    }
}

/// Adds lines to the file that the configuration names now; whether they are settled.
async fn write(journal: &mut Option<Journal>, path: Option<PathBuf>, lines: String) -> bool {
    let Some(path) = path else { return true };
    let mut writer = match journal.take() {
        Some(journal) if journal.path == path => journal,
        _ => Journal::new(path, LARGEST),
    };
    // A disk may take its time, and this thread serves requests.
    let written = tokio::task::spawn_blocking(move || {
        let result = writer.append(&lines);
        (writer, result)
    });
    let Ok((mut writer, result)) = written.await else { return false };
    if let Err(error) = &result
        && !writer.complained
    {
        error!("cannot write {}: {error}", writer.path.display());
    }
    writer.complained = result.is_err();
    *journal = Some(writer);
    result.is_ok()
}

fn line(lines: &mut String, value: &impl Serialize) {
    // Structs of texts and numbers can always be written.
    lines.push_str(&serde_json::to_string(value).unwrap_or_default());
    lines.push('\n');
}

/// Writes the audit log down. Never ready.
pub(crate) async fn write_audit(shared: Arc<Shared>) {
    let audit = &shared.desk.audit;
    let (mut journal, mut seen) = (None, 0);
    loop {
        audit.news().await;
        let mut lines = String::new();
        let entries = audit.entries(Some(seen), BATCH);
        for entry in &entries {
            line(&mut lines, entry);
        }
        let Some(last) = entries.last() else { continue };
        let path = shared.path(|config| config.gateway().admin.audit_file.as_deref());
        // What could not be written is tried again with the next.
        if write(&mut journal, path, lines).await {
            seen = last.sequence;
        }
    }
}

/// Writes events down. Never ready.
pub(crate) async fn write_events(shared: Arc<Shared>) {
    let mut events = shared.registry.bus().subscribe_after(0);
    let mut journal = None;
    loop {
        let mut next = events.next().await.map(Some);
        let mut lines = String::new();
        for _ in 0..BATCH {
            match next {
                Ok(Some(event)) => line(&mut lines, &Event::of(&event)),
                Ok(None) => break,
                Err(Lagged(missed)) => line(&mut lines, &json!({ "lagged": missed })),
            }
            next = events.try_next();
        }
        // The one after a full batch has been read as well.
        if let Ok(Some(event)) = next {
            line(&mut lines, &Event::of(&event));
        }
        let path = shared.path(|config| config.gateway().events_file.as_deref());
        write(&mut journal, path, lines).await;
    }
}

/// Whether a file can be written at all, said at the start and not in an emergency.
pub(crate) fn writable(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_moved_aside_before_it_grows_too_large() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "before\n").unwrap();
        let mut journal = Journal::new(path.clone(), 20);
        for n in 0..40 {
            journal.append(&format!("line {n:02}\n")).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("log"), "line 39\n");
        assert_eq!(read("log.1"), "line 37\nline 38\n");
        assert_eq!(read("log.4"), "line 31\nline 32\n");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 5, "no more are kept");
        let mut journal = Journal::new(path, 20);
        journal.append("more\n").unwrap();
        assert_eq!(read("log"), "line 39\nmore\n", "what was there is kept");
        journal.append(&"x".repeat(100)).unwrap();
        assert_eq!(read("log").len(), 100, "a long line is still written");
    }

    #[test]
    fn a_journal_that_cannot_be_written_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("no/such/directory/log");
        assert!(writable(&nowhere).is_err());
        assert!(Journal::new(nowhere, 20).append("x").is_err());
    }
}
