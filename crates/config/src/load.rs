//! From the disk: where the file is, and what is in it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::check::{Checked, Input, check, run};
use crate::diagnostic::problem::Problem;
use crate::diagnostic::{Diagnostics, codes};
use crate::infra;
use crate::listing::{Listing, View, list};
use crate::model::{Config, SecretReader, Secrets};
use crate::source::{MAX_BYTES, Source, SourceId, decode};
use crate::watch::FileWatch;

/// Where a configuration is looked for when no file is named, in this order.
pub const DEFAULT_FILES: [&str; 4] =
    ["panelboard.toml", "panelboard.json", "config/panelboard.toml", "config/panelboard.json"];

/// What to load.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The file. It must exist; without one, [`DEFAULT_FILES`] are tried.
    pub file: Option<PathBuf>,
    /// Where [`DEFAULT_FILES`] are looked for; empty for the working directory.
    pub directory: PathBuf,
    /// The environment. Variables that are not Unicode are best left out: none of ours can be.
    pub environment: Vec<(String, String)>,
    /// Settings from the command line: `circuits.llm.timeout` and `45s`.
    pub options: Vec<(String, String)>,
    /// The environment whose `[env.NAME]` is laid over the file; `PANELBOARD_ENV` of the
    /// `environment`, if it is not given.
    pub env: Option<String>,
    /// Whether to read the secrets as well: to run, yes; to check, not everywhere they are known.
    pub secrets: bool,
}

/// A configuration from the disk.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Its secrets, if they were asked for.
    pub secrets: Secrets,
    /// Warnings and notes.
    pub diagnostics: Diagnostics,
    /// The file it came from; `None` for the built-in defaults.
    pub path: Option<PathBuf>,
    content: Vec<u8>,
    /// What was laid over the file: our variables, and the command line.
    variables: Vec<(String, String)>,
    options: Vec<(String, String)>,
    env: Option<String>,
}

impl Loaded {
    /// The same configuration, with what circuits were told at run time (JSON objects, by their
    /// names) laid over it. Nothing is read: neither the file again, nor secrets.
    ///
    /// # Errors
    /// Everything that is wrong with it, if something is.
    pub fn with_requests(&self, requests: &[(String, String)]) -> Result<Config, Diagnostics> {
        let (config, _, _) = check(self.again(requests)?).into_result()?;
        Ok(config.with_files_at(&self.resolve(Path::new(""))))
    }

    /// Every value of the same, with where it was said; of secrets, where they are.
    ///
    /// # Errors
    /// Everything that is wrong with it, if something is.
    pub fn list(&self, requests: &[(String, String)], view: View) -> Result<Listing, Diagnostics> {
        list(self.again(requests)?, view)
    }

    /// What it was made from, and what circuits were told since.
    fn again(&self, requests: &[(String, String)]) -> Result<Input<'static>, Diagnostics> {
        let mut input = Input::new().environment(self.variables.iter().cloned());
        if let Some(path) = &self.path {
            input = input.file(Source::decode(&path.to_string_lossy(), &self.content)?);
        }
        for (key, value) in &self.options {
            input = input.option(key, value);
        }
        for (circuit, json) in requests {
            input = input.request(circuit.as_str(), json.as_str());
        }
        if let Some(env) = &self.env {
            input = input.env(env);
        }
        Ok(input)
    }

    /// Where a path of the configuration leads: a relative one starts beside the file.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(path)
    }

    /// Watches the file, beginning with what was loaded, so that no change in between is missed.
    /// What came through a pipe cannot be watched.
    pub fn watch(&self) -> Option<FileWatch> {
        let path = self.path.clone().filter(|path| !FileWatch::is_pipe(path))?;
        Some(FileWatch::new(path, self.content.clone()))
    }
}

impl fmt::Debug for LoadOptions {
    /// Without values that may be secrets: the environment is full of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<&str> = self.options.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("LoadOptions")
            .field("file", &self.file)
            .field("directory", &self.directory)
            .field("environment", &format_args!("{} of them", self.environment.len()))
            .field("options", &options)
            .field("env", &self.env)
            .field("secrets", &self.secrets)
            .finish()
    }
}

impl fmt::Debug for Loaded {
    /// Without the bytes of the file, which have secrets in them if anything has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("config", &self.config)
            .field("secrets", &self.secrets)
            .field("diagnostics", &self.diagnostics)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Loads and checks a configuration.
///
/// # Examples
/// A program that runs on a file and follows it; some timer of its own calls `changed`. A
/// `panelboard::Registry` is made by `from_config`, and takes up what is new by `apply`.
///
/// ```
/// use panelboard_config::{Config, FileChange, FileWatch, LoadOptions, load, load_bytes};
///
/// /// A new configuration. What is wrong, or lost, leaves the one that runs.
/// fn changed(watch: &mut FileWatch, options: &LoadOptions) -> Option<Config> {
///     match watch.poll()? {
///         FileChange::Content(bytes) => load_bytes(options, Some(watch.path()), &bytes)
///             .map(|loaded| loaded.config)
///             .inspect_err(|problems| eprintln!("{problems}"))
///             .ok(),
///         FileChange::Lost(why) => {
///             eprintln!("{}: {why}", watch.path().display());
///             None
///         }
///     }
/// }
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("panelboard.toml");
/// # std::fs::write(&path, "[circuit_breaker.circuits.auth]\nfailure_threshold = 3\n")?;
/// let options = LoadOptions {
///     file: Some(path),
///     environment: std::env::vars().collect(),
///     ..LoadOptions::default()
/// };
/// let loaded = load(&options)?;
/// loaded.diagnostics.iter().for_each(|warning| eprintln!("{warning}"));
/// assert_eq!(loaded.config.settings("auth").failure_threshold(), Some(3));
///
/// let mut watch = loaded.watch().expect("it came from a file");
/// # std::fs::write(watch.path(), "[circuit_breaker.circuits.auth]\nfailure_threshold = 9\n")?;
/// // Once two polls have seen the same:
/// assert!(changed(&mut watch, &options).is_none());
/// let config = changed(&mut watch, &options).expect("nothing is wrong with it");
/// assert_eq!(config.settings("auth").failure_threshold(), Some(9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Everything that is wrong with it, if something is.
pub fn load(options: &LoadOptions) -> Result<Loaded, Diagnostics> {
    let mut notes = Vec::new();
    let (path, content) = match &options.file {
        Some(path) => (Some(path.clone()), read(path)?),
        None => find(&options.directory, &mut notes)?,
    };
    let mut loaded = load_bytes(options, path.as_deref(), &content)?;
    loaded.diagnostics.prepend(notes);
    Ok(Loaded { content, ..loaded })
}

/// Checks what a [`FileWatch`] has read from `path`, as [`load`] would.
///
/// # Errors
/// Everything that is wrong with it, if something is.
pub fn load_bytes(
    options: &LoadOptions,
    path: Option<&Path>,
    content: &[u8],
) -> Result<Loaded, Diagnostics> {
    let base = path.and_then(Path::parent).unwrap_or(&options.directory).to_owned();
    let reader = ProcessSecrets { environment: &options.environment, base };
    let mut input = input(options, path, content)?;
    if options.secrets {
        input = input.secrets(&reader);
    }
    let Checked { config, secrets, diagnostics } = check(input);
    match config {
        Some(config) => Ok(Loaded {
            config: config.with_files_at(&reader.base),
            secrets,
            diagnostics,
            path: path.map(Path::to_owned),
            content: content.to_owned(),
            variables: ours(&options.environment),
            options: options.options.clone(),
            env: options.env.clone(),
        }),
        None => Err(diagnostics),
    }
}

/// The variables that may be meant for the configuration. Others may be secrets, which are not kept
/// longer than they are needed.
fn ours(environment: &[(String, String)]) -> Vec<(String, String)> {
    environment.iter().filter(|(name, _)| name.starts_with("PANELBOARD_")).cloned().collect()
}

/// Checks what [`load`] would load, and what `[check]` names besides: other files, and the
/// environment. Tells where the configuration came from, and everything there is to say.
pub fn inspect(options: &LoadOptions) -> (Option<PathBuf>, Diagnostics) {
    let mut notes = Vec::new();
    let found = match &options.file {
        Some(path) => read(path).map(|content| (Some(path.clone()), content)),
        None => find(&options.directory, &mut notes),
    };
    let (path, input) = match found {
        Ok((path, content)) => {
            let input = input(options, path.as_deref(), &content);
            (path, input)
        }
        Err(errors) => return (options.file.clone(), errors),
    };
    let input = match input {
        Ok(input) => input,
        Err(errors) => return (path, errors),
    };
    let (checked, mut cx, tree) = run(input);
    if let Some(config) = &checked.config {
        let base = path.as_deref().and_then(Path::parent).unwrap_or(&options.directory);
        infra::look(config.checks(), &tree, base, &options.environment, &mut cx);
    }
    let mut diagnostics = cx.into_diagnostics();
    diagnostics.prepend(notes);
    (path, diagnostics)
}

/// Lists what [`load`] would load, value by value. Secrets are not read.
///
/// # Errors
/// Everything that is wrong with it, if something is.
pub fn load_list(options: &LoadOptions, view: View) -> Result<Listing, Diagnostics> {
    let mut notes = Vec::new();
    let (path, content) = match &options.file {
        Some(path) => (Some(path.clone()), read(path)?),
        None => find(&options.directory, &mut notes)?,
    };
    let mut listing = list(input(options, path.as_deref(), &content)?, view)?;
    listing.diagnostics.prepend(notes);
    Ok(listing)
}

/// What is to be checked; secrets are left out.
fn input<'a>(
    options: &LoadOptions,
    path: Option<&Path>,
    content: &[u8],
) -> Result<Input<'a>, Diagnostics> {
    let mut input = Input::new().environment(options.environment.iter().cloned());
    if let Some(path) = path {
        input = input.file(Source::decode(&path.to_string_lossy(), content)?);
    }
    for (key, value) in &options.options {
        input = input.option(key, value);
    }
    if let Some(env) = &options.env {
        input = input.env(env);
    }
    Ok(input)
}

impl Source {
    /// The text behind the bytes of a file.
    ///
    /// # Errors
    /// When they are too many or not UTF-8; the diagnostic shows where.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Source, Diagnostics> {
        match decode(name, bytes, SourceId::new(0)) {
            (source, None) => Ok(source),
            (mut source, Some(problem)) => {
                crate::conceal::conceal_text(&mut source);
                Err(Diagnostics::collect(vec![problem], vec![source]))
            }
        }
    }
}

// ===== files =====

fn read(path: &Path) -> Result<Vec<u8>, Diagnostics> {
    read_bounded(path).map_err(|error| {
        let shown = path.display();
        let help = match error.kind() {
            io::ErrorKind::NotFound => "check the path; it is relative to the working directory",
            io::ErrorKind::PermissionDenied => "let this user read the file",
            io::ErrorKind::IsADirectory => "name the file in it",
            _ => "check the file",
        };
        let problem =
            Problem::new(codes::UNREADABLE, format!("cannot read `{shown}`: {error}")).help(help);
        Diagnostics::collect(vec![problem], Vec::new())
    })
}

/// The content of a file, or enough of it to see that it is too large.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;

    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let mut content = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

fn find(
    directory: &Path,
    notes: &mut Vec<Problem>,
) -> Result<(Option<PathBuf>, Vec<u8>), Diagnostics> {
    let mut there = DEFAULT_FILES.iter().map(|name| directory.join(name)).filter(|p| p.exists());
    let Some(first) = there.next() else {
        notes.push(
            Problem::new(codes::NO_FILE, "no configuration file; running on the built-in defaults")
                .help(format!("looked for {}", DEFAULT_FILES.join(", "))),
        );
        return Ok((None, Vec::new()));
    };
    for other in there {
        let message =
            format!("`{}` is ignored: `{}` was found first", other.display(), first.display());
        let problem = Problem::new(codes::OTHER_FILE_IGNORED, message)
            .help("keep one of them, or name the one that is meant");
        notes.push(problem);
    }
    let content = read(&first)?;
    Ok((Some(first), content))
}

// ===== secrets =====

/// Secrets from the environment that was passed in, and from files next to the configuration.
struct ProcessSecrets<'a> {
    environment: &'a [(String, String)],
    base: PathBuf,
}

impl SecretReader for ProcessSecrets<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_bounded(&self.base.join(path))
    }
}
