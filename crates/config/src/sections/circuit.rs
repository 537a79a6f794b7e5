//! A circuit.

use panelboard_core::presets;

use super::SettingsKeys;
use crate::context::{At, Named};
use crate::describe::keys;
use crate::diagnostic::codes;
use crate::kinds::{Choice, Count, List, Many, Name, PerSecond, Rules, Share};
use crate::model::KeyPart;

/// The presets of the core, under the names they have there.
pub(crate) const PRESETS: Choice<&'static str> =
    Choice { what: "a preset", words: &PRESET_NAMES, code: codes::UNKNOWN_PRESET };

const PRESET_NAMES: [(&str, &str); presets::ALL.len()] = {
    let mut words = [("", ""); presets::ALL.len()];
    let mut i = 0;
    while i < words.len() {
        words[i] = (presets::ALL[i].0, presets::ALL[i].0);
        i += 1;
    }
    words
};

const KEY_PARTS: Choice<KeyPart> =
    Choice::of("a part of a key", &[("upstream", KeyPart::Upstream), ("model", KeyPart::Model)]);

const CIRCUIT: Name = Name("the name of another circuit");

/// The name of a fallback, in a circuit.
const FALLBACK: Name = Name("the name of a fallback, configured or built in");

keys! {
    /// One circuit: the settings it does not share with all others.
    pub(crate) struct CircuitKeys = "circuit" in "circuit_breaker.circuits.NAME" {
        with settings: SettingsKeys;

        /// Settings that have served this sort of dependency; the circuit's own keys win.
        preset: &'static str = PRESETS, optional "none";
        /// Another circuit whose preset and keys this one takes over; its own keys win.
        extends: String = CIRCUIT, optional "none";
        /// Makes a family of it, with one breaker for each value of these.
        key: Vec<At<KeyPart>> = List { item: KEY_PARTS, rules: Rules::SOME_DISTINCT },
            optional "one breaker for all calls";
        /// Other settings for some members of the family: by pattern, matched against the parts of
        /// the key with `/` between them. The first pattern that matches counts.
        keys: Vec<Named<SettingsKeys>> = Many::<SettingsKeys>::of("a pattern", 1_000),
            optional "none";
        /// How many members the family may have.
        max_keys: u32 = Count(1..=10_000_000), default "10000";
        /// The circuits of what this one's calls need to succeed. While one of them is open, failures
        /// here are excused and recovery waits; so are those that they depend on.
        depends_on: Vec<At<String>> = List { item: CIRCUIT, rules: Rules::DISTINCT },
            optional "nothing";
        /// What to answer when the circuit is open and nothing else is left.
        fallback: String = FALLBACK, optional "default";
        /// How many calls a second one breaker of it sees. Only for `panelboard check`, which tells
        /// from it what the settings will do.
        expected_rate: f64 = PerSecond, optional "not known";
        /// The share of those that fails when nothing is wrong. Only for `panelboard check`.
        expected_error_rate: f64 = Share, optional "not known";
    }
    exclusive [preset, extends];
    later [probe];
}
