//! Files that are good: they load, they validate, and the schema agrees with the reader.

use std::path::{Path, PathBuf};

use panelboard_config::{Format, Input, Severity, Source, TextStyle, check, json_schema};
use serde_json::{Value as Json, json};

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn source(path: &Path) -> Option<Source> {
    let name = path.file_name().unwrap().to_string_lossy();
    Source::decode(&name, &std::fs::read(path).unwrap()).ok()
}

/// The file as another parser reads it; `None` if that cannot.
fn independently(source: &Source) -> Option<Json> {
    if Path::new(source.name()).extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(source.text()).ok()
    } else {
        serde_json::from_str(source.text()).ok()
    }
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft7::new(&json_schema()).expect("the schema is one")
}

fn violations(validator: &jsonschema::Validator, value: &Json) -> Vec<String> {
    let describe =
        |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
    validator.iter_errors(value).map(describe).collect()
}

#[test]
fn good_files_load_and_validate() {
    let validator = validator();
    assert!(files("good").len() >= 8);
    for path in files("good") {
        let source = source(&path).unwrap();
        let value = independently(&source).unwrap();
        let checked = check(Input::new().file(source));
        let text = checked.diagnostics.render(Format::Text(TextStyle::default()));
        assert!(checked.config.is_some(), "{text}");
        assert_eq!(violations(&validator, &value), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn the_schema_is_a_draft_7_schema() {
    let schema = json_schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    jsonschema::draft7::meta::validate(&schema).expect("valid against its meta-schema");
}

/// Mistakes that a schema can tell are told by ours.
#[test]
fn the_schema_refuses_what_it_can_tell() {
    let validator = validator();
    let tells = |id: &str| {
        matches!(
            id,
            "PB0101"
                | "PB0104"
                | "PB0105"
                | "PB0201"
                | "PB0204"
                | "PB0205"
                | "PB0206"
                | "PB0210"
                | "PB0301"
        )
    };
    let mut compared = 0;
    for path in files("corpus") {
        let Some(source) = source(&path) else { continue };
        let Some(value) = independently(&source) else { continue };
        let found = check(Input::new().file(source)).diagnostics;
        // The names a setting went by are one key each to a schema.
        let old = found.iter().any(|d| d.code().id() == "PB0105");
        if !old && found.iter().any(|d| tells(d.code().id())) {
            assert!(!violations(&validator, &value).is_empty(), "{}", path.display());
            compared += 1;
        }
    }
    assert!(compared >= 30, "only {compared} files were compared");
}

/// Whatever the reader takes for a key, the schema takes as well: editors must not underline
/// what runs.
#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let validator = validator();
    let schema = json_schema();
    let tables: [(&str, Place); 8] = [
        (
            "circuit",
            |key, value| json!({ "circuit_breaker": { "circuits": { "other": {}, "c": { key: value } } } }),
        ),
        ("defaults", |key, value| json!({ "circuit_breaker": { "defaults": { key: value } } })),
        (
            "backoff",
            |key, value| json!({ "circuit_breaker": { "defaults": { "backoff": { key: value } } } }),
        ),
        ("gateway", |key, value| json!({ "gateway": { key: value } })),
        ("admin", |key, value| json!({ "gateway": { "admin": { key: value } } })),
        ("upstream", |key, value| {
            let mut upstream = json!({ "url": "http://a" });
            upstream[key] = value.clone();
            json!({ "upstreams": { "a": upstream } })
        }),
        ("route", |key, value| {
            let mut route = json!({ "upstream": "a" });
            route[key] = value.clone();
            json!({ "upstreams": { "a": { "url": "http://a" } }, "routes": [route] })
        }),
        ("fallback", |key, value| {
            let mut fallback = json!({ "message": "m" });
            fallback[key] = value.clone();
            json!({ "fallbacks": { "f": fallback } })
        }),
    ];
    let (mut accepted, mut refused) = (0, 0);
    for (table, document) in tables {
        let properties = schema["definitions"][table]["properties"].as_object().unwrap();
        assert!(properties.len() > 2, "{table}");
        for key in properties.keys() {
            for value in candidates() {
                let document = document(key, &value);
                let source = Source::new("body.json", document.to_string());
                let diagnostics = check(Input::new().file(source)).diagnostics;
                if diagnostics.count(Severity::Error) > 0 {
                    refused += 1;
                    continue;
                }
                accepted += 1;
                let violations = violations(&validator, &document);
                assert!(violations.is_empty(), "{document}: {violations:?}");
            }
        }
    }
    assert!(accepted > 800 && refused > 800, "{accepted} accepted, {refused} refused");
}

/// A document with a value under a key.
type Place = fn(&str, &Json) -> Json;

fn candidates() -> Vec<Json> {
    let mut candidates: Vec<Json> = [
        "",
        "off",
        "on",
        "auto",
        "5s",
        "1h30m",
        "250ms",
        "0s",
        "400d",
        "1.5s",
        "50%",
        "0.5%",
        "150%",
        "none",
        "full",
        "64KiB",
        "512B",
        "64KB",
        "127.0.0.1:80",
        "[::1]:0",
        "0.0.0.0:9090",
        "a",
        "other",
        "http",
        "openai",
        "error",
        "default",
        "GET",
        "/",
        "/a/*",
        "/a b",
        "x-key",
        "http://b:1/c",
        "https://u@b",
        "*.example.com",
        "database",
        "timeout",
        "observe",
    ]
    .into_iter()
    .map(|text| json!(text))
    .collect();
    candidates.extend([
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-1),
        json!(3.0),
        json!(0.5),
        json!(0.00001),
        json!(2.5),
        json!(50),
        json!(503),
        json!(1_000),
        json!(100_000),
        json!(20_000),
        json!(1e9),
        json!(1e300),
        json!([]),
        json!(["timeout"]),
        json!(["a", "a"]),
        json!(["a"]),
        json!(["upstream", "model"]),
        json!(["GET", "POST"]),
        json!(["127.0.0.1:1"]),
        json!({}),
        json!({ "env": "NAME" }),
        json!({ "file": "f" }),
        json!({ "env": "-" }),
        json!({ "env": "A", "file": "b" }),
        json!({ "max": "5s" }),
        json!({ "a": "b" }),
        json!({ "a": {} }),
        json!({ "x-a": "b" }),
        json!({ "value": { "env": "A" } }),
        json!({ "listen": "127.0.0.1:1" }),
        json!({ "": "b" }),
    ]);
    candidates
}
