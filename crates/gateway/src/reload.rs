//! Another configuration while the gateway runs: when the file changes, or on a signal.

use std::time::Duration;

use panelboard_config::{
    Diagnostics, FileChange, FileWatch, Format, LoadOptions, Loaded, TextStyle, load, load_bytes,
};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::gateway::Reloader;

/// How often the file is looked at; a change counts when two looks in a row agree on it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Reloader {
    /// Reloads when `file` changes, and whenever `signals` says so. Never ready.
    ///
    /// What is wrong with a new configuration is logged with file, line and column, and the
    /// running one is kept.
    pub async fn watch(
        self,
        options: LoadOptions,
        mut file: Option<FileWatch>,
        mut signals: mpsc::Receiver<()>,
    ) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut signalled = true;
        loop {
            let next = tokio::select! {
                _ = looks.tick() => match &mut file {
                    Some(watch) => self.look(watch, &options),
                    None => None,
                },
                signal = signals.recv(), if signalled => {
                    signalled = signal.is_some();
                    if signalled { self.load(file.as_ref(), &options) } else { None }
                }
            };
            match next {
                // Nobody takes a file away to have a gateway without routes.
                Some(Ok(loaded)) if file.is_some() && loaded.path.is_none() => {
                    self.failed();
                    error!(
                        "configuration not reloaded, the running one is kept: its file is gone, \
                         and there is no other\n{}",
                        text(&loaded.diagnostics)
                    );
                }
                // An editor or a disk that is full leaves an empty file; whoever means it restarts.
                Some(Ok(loaded)) if loaded.config.routes().is_empty() && self.has_routes() => {
                    self.failed();
                    error!(
                        "configuration not reloaded, the running one is kept: there is no route in \
                         it, and those that run would all be gone (this takes a restart)\n{}",
                        text(&loaded.diagnostics)
                    );
                }
                Some(Ok(loaded)) => {
                    // What was found on a signal may be another file than before, and is no news.
                    file = loaded.watch();
                    self.apply(loaded);
                }
                Some(Err(problems)) => {
                    self.failed();
                    error!(
                        "configuration not reloaded, the running one is kept:\n{}",
                        text(&problems)
                    );
                }
                None => {}
            }
        }
    }

    /// What there is to load now.
    fn load(
        &self,
        file: Option<&FileWatch>,
        options: &LoadOptions,
    ) -> Option<Result<Loaded, Diagnostics>> {
        let path = file.map(FileWatch::path).or(options.file.as_deref());
        if path.is_some_and(FileWatch::is_pipe) {
            self.failed();
            error!(
                "configuration not reloaded, the running one is kept: a pipe or a device cannot be \
                 read again"
            );
            return None;
        }
        Some(load(options))
    }

    /// Whether the file has changed, and to what. Reading a small file blocks for microseconds.
    fn look(
        &self,
        watch: &mut FileWatch,
        options: &LoadOptions,
    ) -> Option<Result<Loaded, Diagnostics>> {
        match watch.poll()? {
            FileChange::Content(content) => Some(load_bytes(options, Some(watch.path()), &content)),
            FileChange::Lost(reason) => {
                self.failed();
                let path = watch.path().display();
                error!(
                    "configuration not reloaded, the running one is kept: {path} cannot be read \
                     any more ({reason})"
                );
                None
            }
        }
    }

    fn apply(&self, loaded: Loaded) {
        let warnings = text(&loaded.diagnostics);
        match self.reload(loaded) {
            Ok(changes) if changes.is_empty() => info!("configuration reloaded: nothing changes"),
            Ok(changes) => {
                let list: Vec<String> = changes.iter().map(ToString::to_string).collect();
                info!("configuration reloaded: {}", list.join(", "));
            }
            Err(problem) => {
                error!("configuration not reloaded, the running one is kept: {problem}");
            }
        }
        if !warnings.is_empty() {
            warn!("about the configuration:\n{warnings}");
        }
    }
}

fn text(diagnostics: &Diagnostics) -> String {
    diagnostics.render(Format::Text(TextStyle::default()))
}
