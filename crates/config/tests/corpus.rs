//! Malformed files: what is said of each of them, as people see it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use panelboard_config::{
    Code, Diagnostic, Diagnostics, Format, Input, LoadOptions, Source, TextStyle, check, inspect,
    load,
};

const STYLE: Format = Format::Text(TextStyle { color: false, unicode: true, width: 100 });

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn diagnostics(path: &Path) -> Diagnostics {
    let name = path.file_name().unwrap().to_string_lossy();
    match Source::decode(&name, &std::fs::read(path).unwrap()) {
        Ok(source) => check(Input::new().file(source)).diagnostics,
        Err(diagnostics) => diagnostics,
    }
}

#[test]
fn every_malformed_file_is_explained() {
    assert!(files("corpus").len() >= 200, "the corpus has shrunk");
    insta::glob!("corpus/*", |path| {
        let found = diagnostics(path);
        assert!(!found.is_empty(), "{} is no malformed file", path.display());
        insta::assert_snapshot!(found.render(STYLE));
    });
}

/// Files that can run, and what is said of them all the same.
#[test]
fn every_doubtful_file_is_explained() {
    insta::glob!("lints/*", |path| {
        let found = diagnostics(path);
        assert!(!found.has_errors(), "{}: {found}", path.display());
        let allowed = path.file_stem().is_some_and(|stem| stem == "everything_allowed");
        assert_eq!(found.is_empty(), allowed, "{}", path.display());
        insta::assert_snapshot!(found.render(STYLE));
    });
}

#[test]
fn no_secret_of_the_corpus_is_shown_in_any_format() {
    for path in files("corpus") {
        let found = diagnostics(&path);
        for format in [STYLE, Format::Json, Format::Github, Format::Sarif] {
            let text = found.render(format);
            for secret in ["sk-live", "hunter2"] {
                assert!(!text.contains(secret), "{}: {text}", path.display());
            }
        }
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(!lines.join("\n").contains("sk-live"), "{}", path.display());
    }
}

#[test]
fn positions_are_those_of_the_text() {
    for path in files("corpus") {
        for found in diagnostics(&path).iter() {
            for at in found.location().into_iter().chain(found.related()) {
                let (start, end) = (at.start(), at.end());
                assert!(start <= end && start.line == end.line, "{found}");
                let text = at.source().text();
                let line = text.split(['\n', '\r']).map(str::len).max().unwrap_or(0);
                assert!(end.column <= line + 1, "{found}");
            }
        }
    }
}

/// Every code is produced somewhere: by a file of the corpus, or by what no single file can show.
#[test]
fn every_code_is_produced() {
    let mut produced: BTreeSet<Code> = BTreeSet::new();
    let mut note = |found: Diagnostics| produced.extend(found.iter().map(Diagnostic::code));
    for path in files("corpus").into_iter().chain(files("lints")) {
        note(diagnostics(&path));
    }
    let gateway = std::fs::read_to_string(files("good")[2].with_file_name("gateway.toml")).unwrap();
    let input = || Input::new().file(Source::new("gateway.toml", gateway.clone()));
    let variable = |name: &str, value: &str| {
        check(input().environment([(name.to_owned(), value.to_owned())])).diagnostics
    };
    note(variable("PANELBOARD__GATEWAY__LISTNE", "127.0.0.1:1"));
    note(variable("PANELBOARD__CIRCUITS__LLM", "x"));
    note(variable("PANELBOARD_GATEWAY__LISTEN", "127.0.0.1:1"));
    note(variable("PANELBOARD_ENV", "none"));
    let twice = [
        (String::from("PANELBOARD__ENABLED"), String::from("true")),
        (String::from("PANELBOARD__CIRCUIT_BREAKER__ENABLED"), String::from("true")),
    ];
    note(check(input().environment(twice)).diagnostics);
    note(check(Input::new().file(Source::new("f.toml", "#".repeat(5 << 20)))).diagnostics);
    let many: Vec<String> = (0..300).map(|i| format!("key{i} = 1\n")).collect();
    let many = many.concat();
    note(check(Input::new().file(Source::new("f.toml", format!("[gateway]\n{many}")))).diagnostics);

    let directory = tempfile::tempdir().unwrap();
    let options = |file: Option<PathBuf>, secrets| LoadOptions {
        file,
        directory: directory.path().to_owned(),
        secrets,
        ..LoadOptions::default()
    };
    note(load(&options(Some(directory.path().join("none.toml")), false)).unwrap_err());
    note(load(&options(None, false)).unwrap().diagnostics);
    std::fs::write(directory.path().join("panelboard.toml"), &gateway).unwrap();
    std::fs::write(directory.path().join("panelboard.json"), "{}").unwrap();
    note(load(&options(None, false)).unwrap().diagnostics);
    note(load(&options(None, true)).unwrap_err());

    note(check(input().request("llm", r#"{ "key": [] }"#)).diagnostics);
    std::fs::write(directory.path().join("token"), "short").unwrap();
    let weak = "[gateway.admin.tokens.a]\nsecret = { file = \"token\" }";
    std::fs::write(directory.path().join("weak.toml"), weak).unwrap();
    note(load(&options(Some(directory.path().join("weak.toml")), true)).unwrap_err());
    let rules = "[check]\nfiles = ['*.png', 'none', '.env']\ndeprecated_hosts = ['old']\n\
                 required_env = ['NONE']\n";
    std::fs::write(directory.path().join("rules.toml"), rules).unwrap();
    std::fs::write(directory.path().join("a.png"), b"\0").unwrap();
    let env = "HOST=old\nVERIFY_SSL=no\nDB_TIMEOUT=1\n";
    std::fs::write(directory.path().join(".env"), env).unwrap();
    note(inspect(&options(Some(directory.path().join("rules.toml")), false)).1);

    let missing: Vec<&Code> = Code::all().iter().filter(|code| !produced.contains(code)).collect();
    assert!(missing.is_empty(), "never produced: {missing:?}");
}
