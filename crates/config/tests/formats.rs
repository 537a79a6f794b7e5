//! The formats that programs read.

use std::path::PathBuf;

use panelboard_config::{
    Code, Diagnostics, Format, Input, JSON_VERSION, Severity, Source, TextStyle, check,
    config_reference_markdown, error_reference_markdown,
};
use serde_json::Value as Json;

const TEXT: &str = "[circuit_breaker.circuits.llm]\ntimeout_seconds = 30\ntimeout = 45\n\
                    fallback = \"défaut\"\n\n[database]\n";

/// An error at a character that is not its byte, one with a second place, a warning, a note, and
/// one from the environment.
fn found() -> Diagnostics {
    let variable =
        (String::from("PANELBOARD__CIRCUITS__LLM__MODE"), String::from("50%\n::error::"));
    let source = Source::new("my app.toml", TEXT);
    check(Input::new().file(source).environment([variable])).diagnostics
}

#[test]
fn json_is_stable() {
    let text = found().render(Format::Json);
    let json: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(json["version"], JSON_VERSION);
    assert_eq!(json["errors"], 3);
    assert_eq!(json["diagnostics"].as_array().unwrap().len(), found().iter().len());
    insta::assert_snapshot!(text);
}

#[test]
fn json_of_nothing_is_whole() {
    let json: Json = serde_json::from_str(&Diagnostics::default().render(Format::Json)).unwrap();
    assert_eq!(json["diagnostics"], Json::Array(Vec::new()));
    assert_eq!(json["errors"], 0);
}

#[test]
fn github_gets_one_command_a_line() {
    let text = found().render(Format::Github);
    assert_eq!(text.lines().count(), found().iter().len());
    insta::assert_snapshot!(text);
}

#[test]
fn sarif_has_the_shape_of_sarif() {
    let text = found().render(Format::Sarif);
    let log: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), found().iter().len());
    for result in results {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(!rule["shortDescription"]["text"].as_str().unwrap().is_empty());
        assert!(matches!(result["level"].as_str(), Some("error" | "warning" | "note")));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        for location in result["locations"].as_array().unwrap() {
            let physical = &location["physicalLocation"];
            if physical.is_null() {
                assert!(location["logicalLocations"][0]["name"].is_string());
                continue;
            }
            assert_eq!(physical["artifactLocation"]["uri"], "my%20app.toml");
            let region = &physical["region"];
            for key in ["startLine", "startColumn", "endLine", "endColumn"] {
                assert!(region[key].as_u64().unwrap() >= 1, "{key}");
            }
        }
    }
    insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn text_is_drawn_as_the_caller_wants() {
    let render =
        |color, unicode, width| found().render(Format::Text(TextStyle { color, unicode, width }));
    let plain = render(false, false, 80);
    assert!(plain.is_ascii() || plain.replace("défaut", "").is_ascii(), "{plain}");
    assert!(!plain.contains('\u{1b}'));
    assert!(render(true, true, 80).contains('\u{1b}'));
    assert!(render(false, true, 80).contains('╭'));
    let long = |text: &str| text.lines().filter(|line| line.starts_with("  ")).map(str::len).max();
    assert!(long(&render(false, false, 60)) < long(&render(false, false, 200)));
    assert!(plain.ends_with("3 errors, 1 note\n"), "{plain}");
    assert_eq!(Diagnostics::default().render(Format::Text(TextStyle::default())), "");
}

#[test]
fn one_line_says_all_for_logs() {
    let lines: Vec<String> = found().iter().map(ToString::to_string).collect();
    assert!(
        lines.contains(&String::from(
            "my app.toml:4:12: error[PB0304]: `circuits.llm.fallback` names the fallback `défaut`, \
             which does not exist (help: did you mean `default`?)"
        )),
        "{lines:#?}"
    );
    assert!(lines.iter().any(|line| line.starts_with("PANELBOARD__CIRCUITS__LLM__MODE: error[")));
}

#[test]
fn several_reports_become_one() {
    let mut all = found();
    all.extend(found());
    assert_eq!(all.count(Severity::Error), 6);
    let json: Json = serde_json::from_str(&all.render(Format::Json)).unwrap();
    assert_eq!(json["errors"], 6);
}

#[test]
fn minified_files_are_shown_in_part() {
    let filler = format!("\"x-{}\":0,", "y".repeat(5_000));
    let text = format!("{{\"circuit_breaker\":{{{filler}\"enabled\":1,{filler}\"comment\":0}}}}");
    let found = check(Input::new().file(Source::new("a.json", text))).diagnostics;
    let shown = found.render(Format::Text(TextStyle::default()));
    assert!(shown.contains("\"enabled\":1") && shown.contains("a.json:1:5038"), "{shown}");
    assert!(shown.len() < 1_500, "{shown}");
}

#[test]
fn the_references_list_every_code_and_key() {
    let errors = error_reference_markdown();
    for code in Code::all() {
        assert!(errors.contains(&format!("### {code}\n\n**{}**", code.title())), "{code}");
        assert!(code.docs().ends_with(&format!("#{}", code.id().to_lowercase())));
    }
    let keys = config_reference_markdown();
    for row in [
        "| `url` | a URL such as \"http://127.0.0.1:11434\" or \"https://api.example.com/v1\" | required |",
        "| `max_headers` | a whole number, 8 to 1000 | `100` |",
        "| `admin` | an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\", or a table |",
        "| `timeout_seconds` | `timeout` |",
        "| `exponential_backoff` | `backoff.multiplier`, as a number |",
    ] {
        assert!(keys.contains(row), "{row}");
    }
}

/// The files of the corpus draw without a hitch at any width.
#[test]
fn every_width_is_survived() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(source) = Source::decode(&name, &std::fs::read(&path).unwrap()) else { continue };
        let found = check(Input::new().file(source)).diagnostics;
        for width in [0, 1, 20, 1_000] {
            let style = TextStyle { width, ..TextStyle::default() };
            let text = found.render(Format::Text(style));
            assert!(!text.contains("Failed to read contents"), "{name}: {text}");
            assert!(text.contains(&found.summary()), "{name}");
        }
    }
}
