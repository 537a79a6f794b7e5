//! The settings of every named circuit: what a configuration file comes down to.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{DependsOn, Mode, Settings};

/// The checked settings of a set of named circuits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catalog {
    /// `false` lets every call through: the one switch.
    pub enabled: bool,
    /// What a circuit without settings of its own runs on.
    pub defaults: Settings,
    /// The circuits that have some.
    pub circuits: BTreeMap<String, Settings>,
    /// For circuits with one breaker for each key: which keys run on other settings. The first
    /// rule that matches a key counts.
    pub keys: BTreeMap<String, Vec<KeyRule>>,
    /// Which circuits depend on which.
    pub depends_on: DependsOn,
}

/// Settings for the keys that match a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRule {
    /// `*` stands for any text, `?` for any one character: `*/gpt-4o*`.
    pub pattern: String,
    /// What those keys run on.
    pub settings: Settings,
}

impl Catalog {
    /// The settings of the circuit of this name, with the one switch applied.
    pub fn settings(&self, name: &str) -> Settings {
        self.switched(*self.circuits.get(name).unwrap_or(&self.defaults))
    }

    /// The settings of one key of the circuit of this name, with the one switch applied.
    pub fn key_settings(&self, name: &str, key: &str) -> Settings {
        self.key_settings_or(name, key, &[])
    }

    /// As [`key_settings`](Self::key_settings), where further rules come after those of the catalog.
    pub fn key_settings_or(&self, name: &str, key: &str, further: &[KeyRule]) -> Settings {
        let rules = self.keys.get(name).map_or(&[][..], Vec::as_slice);
        match rules.iter().chain(further).find(|rule| matches(&rule.pattern, key)) {
            Some(rule) => self.switched(rule.settings),
            None => self.settings(name),
        }
    }

    fn switched(&self, mut settings: Settings) -> Settings {
        if !self.enabled {
            settings.mode = Mode::ForcedClosed;
        }
        settings
    }
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog {
            enabled: true,
            defaults: Settings::default(),
            circuits: BTreeMap::new(),
            keys: BTreeMap::new(),
            depends_on: DependsOn::default(),
        }
    }
}

impl AsRef<Catalog> for Catalog {
    fn as_ref(&self) -> &Catalog {
        self
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any text and `?` for any character.
///
/// Goes back to the last star only, so the time is bounded by the product of both lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut star = None;
    loop {
        let before = (pattern.clone(), text.clone());
        match (pattern.next(), text.next()) {
            (Some('*'), _) => {
                // Let the star stand for nothing first, and for one more at every return.
                text = before.1;
                star = Some((pattern.clone(), text.clone()));
            }
            (None, None) => return true,
            (Some(p), Some(t)) if p == t || p == '?' => {}
            _ => {
                let Some((after, mut from)) = star.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after.clone();
                text = from.clone();
                star = Some((after, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn patterns_match_as_people_expect() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "anything/at all"),
            ("*/gpt-4o*", "openai/gpt-4o-mini"),
            ("a?c", "abc"),
            ("*a*b*", "xxaxxbxx"),
            ("ollama/*", "ollama/llama3.1:8b"),
            ("exact", "exact"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, text), "{pattern} should match {text}");
        }
        for (pattern, text) in [
            ("", "x"),
            ("*/gpt-4o", "openai/gpt-4o-mini"),
            ("a?c", "ac"),
            ("*a*b", "ba"),
            ("x", ""),
        ] {
            assert!(!matches(pattern, text), "{pattern} should not match {text}");
        }
        let hostile = "a*".repeat(200) + "b";
        assert!(!matches(&hostile, &"a".repeat(2_000)), "and in bounded time");
    }

    #[test]
    fn the_first_matching_rule_counts_and_the_switch_covers_all() {
        let slow = Settings::builder().failure_threshold(9).build().unwrap();
        let rule = |pattern: &str, settings| KeyRule { pattern: pattern.into(), settings };
        let mut catalog = Catalog::default();
        let rules = vec![rule("*/o1*", slow), rule("*", Settings::default())];
        catalog.keys.insert("llm".into(), rules);
        assert_eq!(catalog.key_settings("llm", "openai/o1-preview"), slow);
        assert_eq!(catalog.key_settings("llm", "openai/gpt-4o"), Settings::default());
        assert_eq!(catalog.key_settings("other", "x"), Settings::default());
        catalog.enabled = false;
        assert_eq!(catalog.key_settings("llm", "openai/o1").mode(), Mode::ForcedClosed);
        assert_eq!(catalog.settings("llm").mode(), Mode::ForcedClosed);
    }
}
