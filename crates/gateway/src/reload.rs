//! Another configuration while the gateway runs: when the file changes, on a signal, or when the
//! admin API is asked to.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use panelboard_config::{
    Diagnostics, FileChange, FileWatch, Format, LoadOptions, Loaded, TextStyle, load, load_bytes,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::admin::{Act, Outcome};
use crate::gateway::Reloader;

/// How often the file is looked at; a change counts when two looks in a row agree on it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Somebody asks for a reload, and waits for what comes of it.
pub(crate) struct Ask {
    pub(crate) author: String,
    pub(crate) peer: IpAddr,
    pub(crate) reason: String,
    /// What it has changed.
    pub(crate) answer: oneshot::Sender<Result<Vec<String>, Kept>>,
}

/// Why the running configuration is kept.
#[derive(Default)]
pub(crate) struct Kept {
    why: String,
    diagnostics: Diagnostics,
}

/// Why the configuration is looked at.
enum Trigger {
    File,
    /// What came with it is dropped when all is done.
    Signal(oneshot::Sender<()>),
    Ask(Ask),
}

impl Reloader {
    /// Reloads when `file` changes, whenever `signals` says so, and when somebody asks the admin API
    /// to. Never ready. What comes with a signal is dropped when its reload is over.
    ///
    /// What is wrong with a new configuration is logged with file, line and column, and the
    /// running one is kept.
    pub async fn watch(
        self,
        options: LoadOptions,
        mut file: Option<FileWatch>,
        mut signals: mpsc::Receiver<oneshot::Sender<()>>,
    ) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut signalled = true;
        // Nobody else follows them; and if somebody did, nothing would come here.
        let mut asks = self.asks().unwrap_or_else(|| mpsc::channel(1).1);
        loop {
            let (trigger, next) = tokio::select! {
                _ = looks.tick() => match file.as_mut().and_then(|file| look(file, &options)) {
                    Some(next) => (Trigger::File, next),
                    None => continue,
                },
                signal = signals.recv(), if signalled => {
                    let Some(signal) = signal else {
                        signalled = false;
                        continue;
                    };
                    (Trigger::Signal(signal), read(file.as_ref(), &options))
                }
                Some(ask) = asks.recv() => (Trigger::Ask(ask), read(file.as_ref(), &options)),
            };
            let changed = next.and_then(|loaded| self.apply(loaded, &mut file));
            if let Err(kept) = &changed {
                self.failed();
                error!("configuration not reloaded, the running one is kept:{kept}");
            }
            self.tell(trigger, changed);
        }
    }

    /// Puts what was loaded to work, and says what it changes.
    fn apply(&self, loaded: Loaded, file: &mut Option<FileWatch>) -> Result<Vec<String>, Kept> {
        // Nobody takes a file away to have a gateway without routes.
        if file.is_some() && loaded.path.is_none() {
            let why = "its file is gone, and there is no other";
            return Err(Kept { why: why.into(), diagnostics: loaded.diagnostics });
        }
        // An editor or a disk that is full leaves an empty file; whoever means it restarts.
        if loaded.config.routes().is_empty() && self.has_routes() {
            let why = "there is no route in it, and those that run would all be gone (this takes a \
                       restart)";
            return Err(Kept { why: why.into(), diagnostics: loaded.diagnostics });
        }
        // What was found on a signal may be another file than before, and is no news.
        *file = loaded.watch();
        let warnings = text(&loaded.diagnostics);
        let changes = self.reload(loaded).map_err(|problem| Kept::because(problem.to_string()))?;
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        match changes.as_slice() {
            [] => info!("configuration reloaded: nothing changes"),
            changes => info!("configuration reloaded: {}", changes.join(", ")),
        }
        if !warnings.is_empty() {
            warn!("about the configuration:\n{warnings}");
        }
        Ok(changes)
    }

    /// Puts it on record, and answers whoever waits.
    fn tell(&self, trigger: Trigger, changed: Result<Vec<String>, Kept>) {
        let mut act = Act { action: "reload".into(), ..Act::default() };
        let answer = match trigger {
            Trigger::File => {
                act.author = "file".into();
                None
            }
            Trigger::Signal(done) => {
                act.author = "SIGHUP".into();
                drop(done);
                None
            }
            Trigger::Ask(Ask { author, peer, reason, answer }) => {
                act = Act { author, peer: Some(peer), reason: Some(reason), ..act };
                Some(answer)
            }
        };
        let outcome = match &changed {
            Ok(changes) => {
                act.after = Some(changes.clone().into());
                Outcome::Done
            }
            Err(kept) => {
                act.detail = Some(kept.why().to_owned());
                Outcome::Failed
            }
        };
        self.record(act, outcome);
        if let Some(answer) = answer {
            // Whoever asked may be gone.
            let _ = answer.send(changed);
        }
    }
}

/// What there is to load now.
fn read(file: Option<&FileWatch>, options: &LoadOptions) -> Result<Loaded, Kept> {
    let path = file.map(FileWatch::path).or(options.file.as_deref());
    if path.is_some_and(FileWatch::is_pipe) {
        return Err(Kept::because("a pipe or a device cannot be read again"));
    }
    load(options).map_err(Kept::found)
}

/// Whether the file has changed, and to what. Reading a small file blocks for microseconds.
fn look(watch: &mut FileWatch, options: &LoadOptions) -> Option<Result<Loaded, Kept>> {
    Some(match watch.poll()? {
        FileChange::Content(content) => {
            load_bytes(options, Some(watch.path()), &content).map_err(Kept::found)
        }
        FileChange::Lost(reason) => {
            let path = watch.path().display();
            Err(Kept::because(format!("{path} cannot be read any more ({reason})")))
        }
    })
}

// ===== impl Kept =====

impl Kept {
    fn because(why: impl Into<String>) -> Kept {
        Kept { why: why.into(), diagnostics: Diagnostics::default() }
    }

    fn found(diagnostics: Diagnostics) -> Kept {
        Kept { why: String::new(), diagnostics }
    }

    /// The reason in a line.
    pub(crate) fn why(&self) -> &str {
        if self.why.is_empty() { "it has errors" } else { &self.why }
    }

    /// What was found in what was read.
    pub(crate) fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }
}

impl fmt::Display for Kept {
    /// To stand behind a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.why.is_empty() {
            write!(f, " {}", self.why)?;
        }
        match text(&self.diagnostics) {
            text if text.is_empty() => Ok(()),
            text => write!(f, "\n{text}"),
        }
    }
}

fn text(diagnostics: &Diagnostics) -> String {
    diagnostics.render(Format::Text(TextStyle::default()))
}
