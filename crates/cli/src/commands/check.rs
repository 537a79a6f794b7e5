//! `panelboard check` and `panelboard config schema`

use std::io::IsTerminal as _;
use std::path::PathBuf;

use panelboard_config::{Diagnostics, Format, LoadOptions, Severity, TextStyle, load};

use crate::args::{CheckArgs, CheckFormat};
use crate::exit::{Code, Failure};

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let files: Vec<Option<PathBuf>> = match args.files.as_slice() {
        [] => vec![None],
        files => files.iter().cloned().map(Some).collect(),
    };
    let mut found = Diagnostics::default();
    let mut checked = Vec::new();
    for file in files {
        let options = options(file.clone(), &[], false);
        match load(&options) {
            Ok(loaded) => {
                checked.push(loaded.path.clone());
                found.extend(loaded.diagnostics);
            }
            Err(errors) => {
                checked.push(file);
                found.extend(errors);
            }
        }
    }
    report(&found, args.format);
    let bad = found.has_errors() || args.deny_warnings && found.count(Severity::Warning) > 0;
    if args.format == CheckFormat::Text {
        for path in checked.iter().flatten() {
            let verdict = if bad { "checked" } else { "ok" };
            eprintln!("{}: {verdict}", path.display());
        }
    }
    match bad {
        true => Err(Failure::silent(Code::Config)),
        false => Ok(()),
    }
}

/// What to load, with this process' environment.
pub(crate) fn options(
    file: Option<PathBuf>,
    set: &[(String, String)],
    secrets: bool,
) -> LoadOptions {
    LoadOptions {
        file,
        directory: PathBuf::new(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        options: set.to_vec(),
        secrets,
    }
}

/// Reports what was found: for people on stderr, for machines on stdout.
fn report(found: &Diagnostics, format: CheckFormat) {
    match format {
        CheckFormat::Text => eprint!("{}", found.render(Format::Text(style()))),
        CheckFormat::Json => println!("{}", found.render(Format::Json)),
        CheckFormat::Github => print!("{}", found.render(Format::Github)),
        CheckFormat::Sarif => println!("{}", found.render(Format::Sarif)),
    }
}

/// For the terminal at hand.
pub(crate) fn style() -> TextStyle {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    TextStyle { color, unicode: true, ..TextStyle::default() }
}

pub(crate) fn print_schema() {
    println!("{:#}", panelboard_config::json_schema());
}
