//! Files in the other format, and in the canonical form of their own.

use std::path::{Path, PathBuf};

use panelboard_config::{Config, Converted, Input, Source, Target, check, convert};

fn load(name: &str, text: &str) -> Config {
    let checked = check(Input::new().file(Source::new(name, text)));
    checked.config.unwrap_or_else(|| panic!("{text}\n{}", checked.diagnostics))
}

fn converted(name: &str, text: &str, to: Target) -> Converted {
    convert(Source::new(name, text), to).unwrap_or_else(|errors| panic!("{errors}"))
}

fn good() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = ["good", "lints"].map(|name| std::fs::read_dir(directory.join(name)).unwrap());
    let mut paths: Vec<PathBuf> = files.into_iter().flatten().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// Converted, and back, a file configures what it did; and converting again changes nothing.
#[test]
fn every_good_file_configures_the_same_in_either_format() {
    let files = good();
    assert!(files.len() >= 30);
    for (name, text) in files {
        let before = load(&name, &text);
        for to in [Target::Toml, Target::Json] {
            let (file, other) = match to {
                Target::Toml => ("new.toml", Target::Json),
                Target::Json => ("new.json", Target::Toml),
            };
            let new = converted(&name, &text, to).text;
            assert!(load(file, &new) == before, "{name} as {to:?}:\n{new}");
            assert_eq!(converted(file, &new, to).text, new, "{name}: twice is once");
            let back = converted(file, &new, other).text;
            assert!(
                load(if file == "new.toml" { "x.json" } else { "x.toml" }, &back) == before,
                "{name}"
            );
        }
    }
}

#[test]
fn the_old_file_becomes_today_s() {
    let old = include_str!("good/legacy.json");
    let new = converted("app_config.json", old, Target::Toml);
    insta::assert_snapshot!(new.text);
    let names = r#"{ "circuit_breaker": { "circuits": { "agent": {
        "task_timeout_seconds": 120, "exponential_backoff": false, "max_backoff_seconds": 90,
        "jitter": true, "health_check_interval": 30 } } }, "database": { "host": "db" } }"#;
    let new = converted("app_config.json", names, Target::Toml);
    insta::assert_snapshot!(new.text);
    let said = new.diagnostics.to_string();
    assert!(said.contains("not ours, left alone: `database`"), "{said}");
    assert!(said.contains("`task_timeout_seconds` is the old name of `timeout`"), "{said}");
}

const COMMENTED: &str = r#"#:schema ./panelboard.schema.json

# The circuits.
[circuit_breaker.circuits.llm] # for models
# Models are slow.
timeout_seconds = 90 # a minute and a half
backoff = 3

# Where requests go.

# All of them.
[upstreams.openai]
url = "https://api.openai.com" # theirs
# api_key = { env = "OTHER" }
api_key = { env = "OPENAI_API_KEY" }

# First.
[[routes]]
path = "/v1"
# In this order:
upstreams = [
  "openai", # the only one
]

[[routes]] # the rest
path = "/" # all
upstream = "openai"

# The end.
"#;

#[test]
fn comments_stay_where_they_are() {
    let new = converted("panelboard.toml", COMMENTED, Target::Toml);
    assert_eq!(new.lost_comments, 0);
    insta::assert_snapshot!(new.text);
    for comment in COMMENTED.lines().filter_map(|line| line.split_once('#').map(|(_, c)| c)) {
        assert_eq!(new.text.matches(comment).count(), 1, "{comment}\n{}", new.text);
    }
    assert_eq!(converted("panelboard.toml", &new.text, Target::Toml).text, new.text);
    let json = converted("panelboard.toml", COMMENTED, Target::Json);
    assert_eq!(json.lost_comments, COMMENTED.matches('#').count());
}

#[test]
fn what_is_wrong_is_not_converted() {
    let errors = convert(Source::new("f.toml", "[gateway]\nlisten = 1\n"), Target::Json);
    assert!(errors.unwrap_err().has_errors());
    let secret = "[upstreams.a]\nurl = 'https://a'\napi_key = 'sk-live-1'\n";
    let errors = convert(Source::new("f.toml", secret), Target::Json).unwrap_err();
    assert!(!errors.to_string().contains("sk-live"));
}
