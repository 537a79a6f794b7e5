//! Something that is made of files, and made anew when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use panelboard_config::{FileChange, FileWatch};
use tracing::{error, info};

use super::TlsError;

/// No certificate is larger.
const MOST_BYTES: u64 = 4 << 20;

/// Something that is made of files, and made anew when they change.
pub(crate) struct Kept<T> {
    /// Whose it is, for the log.
    whose: String,
    made: ArcSwap<T>,
    make: Make<T>,
    disk: Mutex<Disk>,
}

type Make<T> = Box<dyn Fn(&Files) -> Result<T, TlsError> + Send + Sync>;

/// What was in the files when they were last looked at.
#[derive(Default)]
pub(super) struct Files(BTreeMap<PathBuf, Vec<u8>>);

struct Disk {
    files: Files,
    watches: Vec<FileWatch>,
}

impl<T> Kept<T> {
    /// Makes it for the first time.
    ///
    /// # Errors
    /// When a file cannot be read, or is no good.
    pub(super) fn new<'p>(
        whose: String,
        paths: impl Iterator<Item = &'p Path>,
        make: impl Fn(&Files) -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Kept<T>, TlsError> {
        let mut files = Files::default();
        for path in paths {
            files.0.insert(path.to_owned(), read(path)?);
        }
        let made = make(&files)?;
        let watches = files
            .0
            .iter()
            .map(|(path, content)| FileWatch::new(path.clone(), content.clone()))
            .collect();
        let disk = Mutex::new(Disk { files, watches });
        Ok(Kept { whose, made: ArcSwap::from_pointee(made), make: Box::new(make), disk })
    }

    /// What new connections use.
    pub(crate) fn get(&self) -> Arc<T> {
        self.made.load_full()
    }

    /// Looks at the files, and makes it anew if they have changed. Reading small files blocks for
    /// microseconds.
    pub(crate) fn look(&self) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let Disk { files, watches } = &mut *disk;
        let mut changed = false;
        for watch in watches {
            match watch.poll() {
                Some(FileChange::Content(content)) => {
                    files.0.insert(watch.path().to_owned(), content);
                    changed = true;
                }
                Some(FileChange::Lost(reason)) => error!(
                    "certificates of {} not reloaded, those that run are kept: the file {} cannot \
                     be read any more ({reason})",
                    self.whose,
                    watch.path().display()
                ),
                None => {}
            }
        }
        if !changed {
            return;
        }
        match (self.make)(files) {
            Ok(made) => {
                self.made.store(Arc::new(made));
                info!("certificates of {} reloaded", self.whose);
            }
            Err(problem) => error!(
                "certificates of {} not reloaded, those that run are kept: {problem}",
                self.whose
            ),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read as _;

    let failed = |error: std::io::Error| TlsError::of(path, format!("cannot be read: {error}"));
    if FileWatch::is_pipe(path) {
        return Err(TlsError::of(path, "is a pipe or a device, which cannot be read again"));
    }
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MOST_BYTES).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

impl Files {
    /// The content of a file that was asked for; empty for any other.
    pub(super) fn get(&self, path: &Path) -> &[u8] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }
}
