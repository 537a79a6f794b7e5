//! The parsers.

use panelboard_config::{Checked, Format, Input, Source, TextStyle, check, duration_from_json};
use panelboard_core::catalog::matches;

/// A configuration file, TOML or JSON by its first byte: an answer or errors, each of which can be
/// shown and points into the file.
pub fn config(data: &[u8]) {
    let name = match data.first() {
        Some(first) if first % 3 == 0 => "fuzz.toml",
        Some(first) if first % 3 == 1 => "fuzz.json",
        _ => "fuzz",
    };
    let text = data.get(1..).unwrap_or_default();
    match Source::decode(name, text) {
        Ok(source) => answer(&check(Input::new().file(source))),
        Err(found) => assert!(found.has_errors(), "refused without a reason"),
    }
}

/// Settings from environment and command line over a file that is right.
pub fn overlay(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut input = Input::new().file(Source::new("fuzz.toml", FILE));
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        input = match key.strip_prefix('$') {
            Some(variable) => {
                input.environment([(format!("PANELBOARD__{variable}"), value.to_owned())])
            }
            None => input.option(key, value),
        };
    }
    answer(&check(input));
}

const FILE: &str = "
    [circuit_breaker.circuits.llm]
    preset = 'llm'
    key = ['upstream', 'model']
    [circuit_breaker.circuits.auth]
    failure_threshold = 3
";

fn answer(checked: &Checked) {
    let errors = checked.diagnostics.has_errors();
    assert_eq!(checked.config.is_none(), errors, "no configuration if and only if errors");
    let style = TextStyle { color: false, unicode: true, width: 80 };
    for format in [Format::Text(style), Format::Json, Format::Github, Format::Sarif] {
        let text = checked.diagnostics.render(format);
        assert!(!text.contains("Failed to read contents"), "a span outside the file: {text}");
    }
}

/// What stands in single values: durations, patterns of keys.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let value = serde_json::Value::from(&*text);
    if let Ok(duration) = duration_from_json(&value) {
        let said = serde_json::Value::from(format!("{}ns", duration.as_nanos()));
        if let Ok(again) = duration_from_json(&said) {
            assert_eq!(again, duration, "{text:?} is not what it says");
        }
    }
    let (pattern, key) = text.split_once('\n').unwrap_or((&text, ""));
    assert!(matches("*", key));
    assert!(matches(&format!("{pattern}*"), pattern) || pattern.contains(['*', '?']));
    if !pattern.contains(['*', '?']) {
        assert_eq!(matches(pattern, key), pattern == key);
    }
    if matches(pattern, key) {
        assert!(matches(&format!("*{pattern}"), key) && matches(&format!("{pattern}*"), key));
    }
}
