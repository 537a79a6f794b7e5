//! Configuration that is wrong: everything is said at once, with its place, in every format.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{BINARY, Output, run};

/// One mistake of each sort in its lines 2, 3, 4 and 9.
const BAD: &str = r#"[circuit_breaker.circuits.api]
failure_treshold = 3
recovery_timeout = "never"
failure_rate = 50
[upstreams.api]
url = "http://127.0.0.1:1"
[[routes]]
path = "/"
upstreams = ["apy"]
"#;

/// Code, line and column of what is wrong there.
const FOUND: [(&str, u64, u64); 4] =
    [("PB0101", 2, 1), ("PB0203", 3, 20), ("PB0204", 4, 16), ("PB0303", 9, 14)];

/// Runs it in this directory, so that paths are short.
fn panelboard(directory: &Path, arguments: &[&str]) -> Output {
    run(Command::new(BINARY).args(arguments).current_dir(directory).env_remove("NO_COLOR"))
}

fn bad() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("bad.toml"), BAD).unwrap();
    directory
}

#[test]
fn every_mistake_is_shown_in_one_pass_with_its_place_underlined() {
    let directory = bad();
    for arguments in [&["check", "bad.toml"][..], &["serve", "--config", "bad.toml"]] {
        let output = panelboard(directory.path(), arguments);
        assert_eq!((output.code, &*output.stdout), (Some(3), ""), "{arguments:?}");
        let said = &output.stderr;
        for (code, line, column) in FOUND {
            assert!(said.contains(&format!("error[{code}]")), "{code}: {said}");
            assert!(said.contains(&format!("bad.toml:{line}:{column}")), "{code}: {said}");
        }
        let lines: Vec<&str> = said.lines().collect();
        let at = lines.iter().position(|line| line.contains("│ failure_treshold = 3")).unwrap();
        assert_eq!(lines[at + 1].trim(), "· ────────┬───────", "the key, and all of it: {said}");
        assert!(lines[at + 2].ends_with("╰── unknown key"), "{said}");
        for help in
            ["did you mean `failure_threshold`?", "did you mean \"50%\"", "did you mean `api`?"]
        {
            assert!(said.contains(help), "{help}: {said}");
        }
        assert!(said.contains("4 errors"), "{said}");
        assert!(!said.contains('\u{1b}'), "colours, but this is no terminal: {said:?}");
    }
}

#[test]
fn programs_can_read_what_is_found() {
    let directory = bad();
    let check = |format: &str| {
        let output = panelboard(directory.path(), &["check", "--format", format, "bad.toml"]);
        assert_eq!((output.code, &*output.stderr), (Some(3), ""), "{format}");
        output.stdout
    };
    let json: Value = serde_json::from_str(&check("json")).unwrap();
    assert_eq!((&json["version"], &json["errors"]), (&1.into(), &4.into()));
    let found = |at: &Value, code: &str, line: &str, column: &str| {
        let place = [line, column].map(|pointer| at.pointer(pointer).unwrap().as_u64().unwrap());
        (at.pointer(code).unwrap().as_str().unwrap().to_owned(), place[0], place[1])
    };
    let expected = FOUND.map(|(code, line, column)| (code.to_owned(), line, column));
    let diagnostics = json["diagnostics"].as_array().unwrap().iter();
    let seen: Vec<_> = diagnostics
        .map(|diagnostic| {
            assert_eq!(diagnostic["location"]["file"], "bad.toml");
            found(diagnostic, "/code", "/location/line", "/location/column")
        })
        .collect();
    assert_eq!(seen, expected);

    let sarif: Value = serde_json::from_str(&check("sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    assert!(sarif["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let region = "/locations/0/physicalLocation/region";
    let seen: Vec<_> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
            assert_eq!((&rule["id"], &result["level"]), (&result["ruleId"], &"error".into()));
            let uri = result.pointer("/locations/0/physicalLocation/artifactLocation/uri");
            assert_eq!(uri, Some(&"bad.toml".into()));
            let (line, column) = (format!("{region}/startLine"), format!("{region}/startColumn"));
            found(result, "/ruleId", &line, &column)
        })
        .collect();
    assert_eq!(seen, expected);

    let github = check("github");
    let lines: Vec<&str> = github.lines().collect();
    assert_eq!(lines.len(), FOUND.len(), "one each: {github}");
    for (line, (code, row, column)) in lines.iter().zip(FOUND) {
        let start = format!("::error file=bad.toml,line={row},col={column},");
        assert!(line.starts_with(&start) && line.contains(&format!("title={code}%3A")), "{line}");
    }
}

#[test]
fn what_is_no_configuration_at_all_says_what_it_is() {
    let directory = bad();
    let path = directory.path();
    std::fs::write(path.join("latin.toml"), b"# caf\xe9\n").unwrap();
    std::fs::write(path.join("wide.json"), b"\xff\xfe{\0}\0").unwrap();
    std::fs::write(path.join("cut.json"), b"{ \"circuit_breaker\": { ").unwrap();
    std::fs::write(path.join("list.json"), b"[1, 2]").unwrap();
    std::fs::create_dir(path.join("folder.toml")).unwrap();
    for (file, named) in [
        ("latin.toml", "latin.toml:1:6"),
        ("latin.toml", "save the file as UTF-8"),
        ("wide.json", "the file looks like UTF-16"),
        ("cut.json", "cut.json:1:"),
        ("list.json", "list.json:1:1"),
        ("folder.toml", "name the file in it"),
        ("missing.toml", "check the path; it is relative to the working directory"),
    ] {
        for command in [&["check"][..], &["serve", "--config"]] {
            let output = panelboard(path, &[command, &[file]].concat());
            assert_eq!(output.code, Some(3), "{command:?} {file}: {}", output.stderr);
            assert!(output.stderr.contains(named), "{file}: {}", output.stderr);
        }
    }
}

#[test]
fn warnings_fail_only_if_they_are_denied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("empty.toml"), "").unwrap();
    std::fs::write(path.join("good.toml"), "[circuit_breaker.circuits.api]\n").unwrap();
    let check = |arguments: &[&str]| panelboard(path, &[&["check"], arguments].concat());
    let output = check(&["empty.toml"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stderr.contains("configures nothing of ours"), "{}", output.stderr);
    assert_eq!(check(&["--deny-warnings", "empty.toml"]).code, Some(3));
    let output = check(&["--deny-warnings", "good.toml"]);
    assert_eq!((output.code, &*output.stderr), (Some(0), "good.toml: ok\n"));
    // One that is wrong fails all of them, and each is told apart.
    std::fs::write(path.join("bad.toml"), BAD).unwrap();
    let output = check(&["good.toml", "bad.toml", "missing.toml"]);
    assert_eq!(output.code, Some(3));
    assert!(output.stderr.contains("5 errors") && output.stderr.contains("bad.toml:9:14"));
    // Without a name, what `serve` would use.
    std::fs::rename(path.join("bad.toml"), path.join("panelboard.toml")).unwrap();
    let output = check(&[]);
    assert_eq!(output.code, Some(3));
    assert!(output.stderr.contains("panelboard.toml:2:1"), "{}", output.stderr);
}

#[test]
fn the_schema_is_a_sound_json_schema() {
    let directory = tempfile::tempdir().unwrap();
    let output = panelboard(directory.path(), &["config", "schema"]);
    assert_eq!((output.code, &*output.stderr), (Some(0), ""));
    let schema: Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().starts_with("http"), "{}", schema["$schema"]);
    assert_eq!(schema["type"], "object");
    for section in ["circuit_breaker", "gateway", "upstreams", "routes", "fallbacks"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    let mut references = BTreeSet::new();
    sound(&schema, &schema, &mut references);
    assert!(references.len() > 5, "{references:?}");
}

/// Types are types, and references lead somewhere.
fn sound(part: &Value, schema: &Value, references: &mut BTreeSet<String>) {
    const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];
    match part {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("within the document");
                assert!(schema.pointer(pointer).is_some(), "{reference} leads nowhere");
                references.insert(reference.to_owned());
            }
            let known = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
            match map.get("type") {
                Some(Value::String(_)) => assert!(known(&map["type"]), "{}", map["type"]),
                Some(Value::Array(all)) => assert!(all.iter().all(known), "{all:?}"),
                // A property called so.
                _ => {}
            }
            map.values().for_each(|value| sound(value, schema, references));
        }
        Value::Array(all) => all.iter().for_each(|value| sound(value, schema, references)),
        _ => {}
    }
}
