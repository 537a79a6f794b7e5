//! `panelboard config`

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;

use panelboard_config::{
    Diagnostics, Difference, Format, Listing, Place, Source, Target, View, compare, convert, diff,
    load_list,
};
use serde_json::{Value as Json, json};

use super::check::{options, style};
use crate::args::{ConvertArgs, DiffArgs, InitArgs, ShowArgs, SourceArgs};
use crate::exit::{Code, Failure};
use crate::output;

/// The version of what `--json` prints.
const JSON_VERSION: u32 = 1;

/// Where `init` writes when it is not told.
const FIRST_FILE: &str = "panelboard.toml";

const STARTER: &str = include_str!("starter.toml");

// ===== schema =====

pub(crate) fn schema() -> Result<(), Failure> {
    output::data(format_args!("{:#}", panelboard_config::json_schema()))
}

// ===== show =====

pub(crate) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let view = if args.effective || args.origin { View::Effective } else { View::Written };
    let mut source = args.source.clone();
    source.config = args.file.clone().or(source.config);
    let listing = load_list(&options(&source, false), view).map_err(|errors| invalid(&errors))?;
    output::message(listing.diagnostics.render(Format::Text(style())));
    if args.json {
        return output::data(format_args!("{:#}", as_json(&listing)));
    }
    let widest = listing.values.iter().map(|listed| listed.path.len() + listed.text().len() + 3);
    let column = widest.max().unwrap_or(0).min(72);
    for listed in &listing.values {
        let line = format!("{} = {}", listed.path, listed.text());
        match args.origin {
            true => output::data(format_args!("{line:<column$}  # {}", listed.origin))?,
            false => output::data(line)?,
        }
    }
    Ok(())
}

fn as_json(listing: &Listing) -> Json {
    let values = listing.values.iter().map(|listed| {
        let mut origin = json!({ "layer": listed.origin.layer.to_string() });
        match &listed.origin.place {
            Some(Place::File { name, line, column }) => {
                origin["file"] = json!(**name);
                origin["line"] = json!(line);
                origin["column"] = json!(column);
            }
            Some(Place::Variable(name)) => origin["variable"] = json!(**name),
            Some(Place::Option(key)) => origin["option"] = json!(**key),
            // What came in at run time is in no file.
            Some(Place::Admin) | None => {}
        }
        json!({ "path": listed.path, "value": listed.value, "origin": origin })
    });
    json!({ "version": JSON_VERSION, "values": values.collect::<Vec<_>>() })
}

// ===== diff =====

pub(crate) fn difference(args: &DiffArgs) -> Result<(), Failure> {
    let [old, new] = [&args.old, &args.new].map(|file| {
        let source =
            SourceArgs { config: Some(file.clone()), env: args.env.clone(), set: Vec::new() };
        load_list(&options(&source, false), View::Effective)
    });
    let old = old.map_err(|errors| invalid(&errors))?;
    let new = new.map_err(|errors| invalid(&errors))?;
    let changes: Vec<String> =
        diff(&old.config, &new.config).iter().map(ToString::to_string).collect();
    let values = compare(&old, &new);
    if args.json {
        let values: Vec<Json> = values
            .iter()
            .map(|Difference { path, old, new }| json!({ "path": path, "old": old, "new": new }))
            .collect();
        let json = json!({ "version": JSON_VERSION, "changes": changes, "values": values });
        output::data(format_args!("{json:#}"))?;
    } else {
        for line in values.iter().map(ToString::to_string) {
            output::data(line)?;
        }
        let summary = match changes.as_slice() {
            [] => String::from("a reload would change nothing"),
            changes => format!("a reload would change: {}", changes.join(", ")),
        };
        output::message(format_args!("{summary}\n"));
    }
    match args.exit_code && !values.is_empty() {
        true => Err(Failure::silent(Code::Runtime)),
        false => Ok(()),
    }
}

// ===== convert =====

pub(crate) fn converted(args: &ConvertArgs) -> Result<(), Failure> {
    let cannot = |what: &str, path: &Path, error: std::io::Error| {
        Failure::new(Code::Runtime, format_args!("cannot {what} {}: {error}", path.display()))
    };
    let content = std::fs::read(&args.file).map_err(|error| cannot("read", &args.file, error))?;
    let source = Source::decode(&args.file.to_string_lossy(), &content)
        .map_err(|errors| invalid(&errors))?;
    let to = match args.to.as_deref() {
        Some("json") => Target::Json,
        Some(_) => Target::Toml,
        // The other one, or what the name of the output says.
        None => {
            match args.output.as_deref().unwrap_or(&args.file).extension().and_then(OsStr::to_str) {
                Some("json") if args.output.is_some() => Target::Json,
                Some("toml") if args.output.is_none() => Target::Json,
                _ => Target::Toml,
            }
        }
    };
    let converted = convert(source, to).map_err(|errors| invalid(&errors))?;
    output::message(converted.diagnostics.render(Format::Text(style())));
    if converted.lost_comments > 0 {
        let n = converted.lost_comments;
        output::message(format_args!("JSON has no comments: {n} were left out\n"));
    }
    match &args.output {
        None => output::data(converted.text.trim_end()),
        Some(path) => write(path, &converted.text, args.force),
    }
}

// ===== init =====

pub(crate) fn init(args: &InitArgs) -> Result<(), Failure> {
    let path = args.file.as_deref().unwrap_or(Path::new(FIRST_FILE));
    let text = match path.extension().and_then(OsStr::to_str) {
        Some("json") => {
            let source = Source::new(FIRST_FILE, STARTER);
            convert(source, Target::Json).map_err(|errors| invalid(&errors))?.text
        }
        _ => STARTER.to_owned(),
    };
    write(path, &text, args.force)?;
    output::message(format_args!("wrote {0}; now: panelboard check {0}\n", path.display()));
    Ok(())
}

/// Writes a file; one that is there only if that is wanted.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(
            Code::Conflict,
            format_args!("{} is there already; --force overwrites it", path.display()),
        ),
        _ => Failure::new(Code::Runtime, format_args!("cannot write {}: {error}", path.display())),
    })
}

fn invalid(errors: &Diagnostics) -> Failure {
    output::message(errors.render(Format::Text(style())));
    Failure::silent(Code::Config)
}

#[cfg(test)]
mod tests {
    use panelboard_config::{Input, check};

    use super::*;

    #[test]
    fn the_starter_has_nothing_wrong_with_it() {
        for name in ["panelboard.toml", "other.toml"] {
            let checked = check(Input::new().file(Source::new(name, STARTER)));
            assert!(checked.diagnostics.is_empty(), "{}", checked.diagnostics);
            assert_eq!(checked.config.unwrap().routes().len(), 1);
        }
        // What is commented out is good, too, so that nobody is sent into errors.
        let all: Vec<&str> = STARTER
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest,
                _ => line,
            })
            .collect();
        let checked = check(Input::new().file(Source::new("panelboard.toml", all.join("\n"))));
        assert!(checked.diagnostics.is_empty(), "{}", checked.diagnostics);
        assert_eq!(checked.config.unwrap().upstreams().len(), 2);
    }
}
