//! `panelboard check`

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use panelboard_config::{Diagnostics, Format, LoadOptions, Severity, TextStyle, inspect};

use crate::args::{CheckArgs, CheckFormat, SourceArgs};
use crate::exit::{Code, Failure};
use crate::output;

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let files: Vec<Option<PathBuf>> = match args.files.as_slice() {
        [] => vec![None],
        files => files.iter().cloned().map(Some).collect(),
    };
    let mut found = Diagnostics::default();
    let mut verdicts = Vec::new();
    for file in files {
        let source = SourceArgs { config: file.clone(), env: args.env.clone(), set: Vec::new() };
        let (path, findings) = inspect(&options(&source, false));
        let warned = args.deny_warnings && findings.count(Severity::Warning) > 0;
        verdicts.push((path, !findings.has_errors() && !warned));
        found.extend(findings);
    }
    report(&found, args.format)?;
    if args.format == CheckFormat::Text {
        for (path, is_ok) in &verdicts {
            let path = path.as_deref().unwrap_or(Path::new("built-in defaults"));
            let verdict = if *is_ok { "ok" } else { "not valid" };
            output::message(format_args!("{}: {verdict}\n", path.display()));
        }
    }
    match verdicts.iter().all(|(_, is_ok)| *is_ok) {
        true => Ok(()),
        false => Err(Failure::silent(Code::Config)),
    }
}

/// What to load, with this process' environment.
pub(crate) fn options(source: &SourceArgs, secrets: bool) -> LoadOptions {
    LoadOptions {
        file: source.config.clone(),
        directory: PathBuf::new(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        options: source.set.clone(),
        env: source.env.clone(),
        secrets,
    }
}

/// Reports what was found: for people on stderr, for machines on stdout.
fn report(found: &Diagnostics, format: CheckFormat) -> Result<(), Failure> {
    let format = match format {
        CheckFormat::Text => {
            output::message(found.render(Format::Text(style())));
            return Ok(());
        }
        CheckFormat::Json => Format::Json,
        CheckFormat::Github => Format::Github,
        CheckFormat::Sarif => Format::Sarif,
    };
    let text = found.render(format);
    match text.is_empty() {
        true => Ok(()),
        false => output::data(text.trim_end()),
    }
}

/// For the terminal at hand.
pub(crate) fn style() -> TextStyle {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    TextStyle { color, unicode: true, ..TextStyle::default() }
}
