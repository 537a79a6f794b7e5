//! Hostile and broken input: errors, never a panic, and in bounded time.

use std::time::{Duration, SystemTime};

use panelboard_config::{Format, Input, Source, TextStyle, check};
use proptest::prelude::*;

/// Checks a text under a name and draws what is found in every format.
fn survive(name: &str, bytes: &[u8]) -> usize {
    let found = match Source::decode(name, bytes) {
        Ok(source) => check(Input::new().file(source)).diagnostics,
        Err(found) => found,
    };
    let style = TextStyle { color: true, unicode: true, width: 80 };
    for format in [Format::Text(style), Format::Json, Format::Github, Format::Sarif] {
        let text = found.render(format);
        assert!(!text.contains("Failed to read contents"), "{text}");
    }
    found.iter().len()
}

/// Words that make up configurations, right and wrong.
const WORDS: [&str; 64] = [
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    "\"",
    "'",
    ",",
    ":",
    "=",
    ".",
    "\n",
    "\r\n",
    "\t",
    " ",
    "#",
    "//",
    "/*",
    "*/",
    "\\",
    "\\u00",
    "\0",
    "\u{feff}",
    "é",
    "\u{202e}",
    "-",
    "1",
    "0.5",
    "1e999",
    "nan",
    "99999999999999999999",
    "true",
    "null",
    "circuit_breaker",
    "circuits",
    "defaults",
    "llm",
    "timeout",
    "failure_rate",
    "keys",
    "key",
    "preset",
    "extends",
    "backoff",
    "\"50%\"",
    "\"5s\"",
    "\"off\"",
    "gateway",
    "listen",
    "admin",
    "upstreams",
    "url",
    "\"http://u:p@a/b?c\"",
    "api_key",
    "auth",
    "{ env = \"A\" }",
    "routes",
    "path",
    "\"/a/**\"",
    "headers",
    "fallbacks",
    "comment",
    "x-y",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for name in ["a.toml", "a.json", "a"] {
            survive(name, &bytes);
        }
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        for name in ["a.toml", "a.json"] {
            survive(name, text.as_bytes());
        }
    }

    #[test]
    fn any_jumble_of_words_is_survived(words in proptest::collection::vec(0..WORDS.len(), 0..60)) {
        let text: String = words.into_iter().map(|i| WORDS[i]).collect();
        for name in ["a.toml", "a.json"] {
            survive(name, text.as_bytes());
        }
    }

    #[test]
    fn any_damage_to_a_good_file_is_survived(
        from in 0_usize..3_000, length in 0_usize..40, instead in "\\PC{0,5}",
    ) {
        for (name, text) in [
            ("a.toml", include_str!("good/everything.toml")),
            ("a.json", include_str!("good/everything.json")),
        ] {
            let bytes = text.as_bytes();
            let from = from.min(bytes.len());
            let until = (from + length).min(bytes.len());
            let damaged = [&bytes[..from], instead.as_bytes(), &bytes[until..]].concat();
            survive(name, &damaged);
        }
    }

    #[test]
    fn any_override_is_survived(
        name in "(CIRCUITS|DEFAULTS|GATEWAY|UPSTREAMS|ROUTES|ENABLED|X)(__[A-Z_0-9]{0,9}){0,4}",
        value in "\\PC{0,40}",
    ) {
        let source = Source::new("a.toml", include_str!("good/everything.toml"));
        let input = Input::new()
            .file(source)
            .environment([(format!("PANELBOARD__{name}"), value.clone())])
            .option(name.replace("__", ".").to_lowercase(), value);
        let found = check(input).diagnostics;
        let text = found.render(Format::Text(TextStyle::default()));
        prop_assert!(!text.contains("Failed to read contents"), "{}", text);
    }
}

#[test]
fn floods_are_survived_in_bounded_time() {
    let megabyte = |piece: &str| piece.repeat((1 << 20) / piece.len());
    let lines = |line: fn(usize) -> String| (0..30_000).map(line).collect::<String>();
    let some = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    let json =
        |inner: String| format!("{{\"circuit_breaker\":{{\"circuits\":{{{inner}\"z\":{{}}}}}}}}");
    let cases: Vec<(&str, String)> = vec![
        ("a.toml", megabyte("[")),
        ("a.toml", megabyte("a = [")),
        ("a.toml", megabyte("a.")),
        ("a.toml", megabyte("{a=")),
        ("a.toml", megabyte("x = 1\n")),
        ("a.toml", megabyte("x 1\n")),
        ("a.toml", format!("x = [{}]", megabyte("1 "))),
        ("a.toml", format!("[gateway]\n{}", lines(|i| format!("listn{i} = 1\n")))),
        ("a.toml", format!("[upstreams]\n{}", lines(|i| format!("token{i} = \"s\"\n")))),
        (
            "a.toml",
            lines(|i| format!("[circuit_breaker.circuits.c{i}]\nextends = \"c{}\"\n", i + 1)),
        ),
        ("a.toml", lines(|i| format!("[[routes]]\npath = \"/{}\"\nupstream = \"a\"\n", i % 7))),
        // Many of what is compared with each other.
        (
            "a.toml",
            some(1_000, |i| format!("[[routes]]\npath = \"/*a*b*/{i}/**\"\nupstream = \"a\"\n")),
        ),
        (
            "a.toml",
            some(10_000, |i| {
                format!("[circuit_breaker.circuits.c{i}]\nextends = \"c{}\"\n", i + 1)
            }),
        ),
        (
            "a.toml",
            format!(
                "[circuit_breaker.circuits.c]\nkey = [\"model\", \"model\"]\n{}",
                some(1_000, |i| format!("keys.\"*a?*b{i}*c*\".timeout = 1\n"))
            ),
        ),
        ("a.json", megabyte("[")),
        ("a.json", megabyte("{\"a\":")),
        ("a.json", format!("[{}]", megabyte("1 "))),
        ("a.json", format!("[{}]", megabyte("1,,"))),
        ("a.json", megabyte("// x\n")),
        ("a.json", json(lines(|i| format!("\"c{i}\":{{\"timeuot\":0}},")))),
        ("a.json", json(lines(|_| String::from("\"same\":{},")))),
        ("a.json", format!("{{\"gateway\":{{\"listen\":[{}\"\"]}}}}", megabyte("\"a\","))),
        ("a.json", format!("{{\"x\":\"{}\"}}", megabyte("\u{7}"))),
    ];
    for (name, text) in cases {
        // Wall time, generously: this is about seconds or minutes, not about speed.
        #[expect(clippy::disallowed_methods, reason = "a test that must end may look at the clock")]
        let started = SystemTime::now();
        let found = survive(name, text.as_bytes());
        assert!(found > 0 && found <= 201, "{found} findings in {text:.60}");
        let took = started.elapsed().unwrap_or_default();
        assert!(took < Duration::from_secs(20), "{took:?} for {text:.60}");
    }
}
