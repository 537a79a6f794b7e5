//! Circuits.

use panelboard_core::Settings;
use panelboard_core::catalog::KeyRule;

use super::origin::{Origin, Origins};
use crate::effective::SETTINGS;

/// A circuit: its effective settings, and where each of them comes from.
///
/// Two circuits are equal when they behave alike; where their settings were said does not count.
#[derive(Clone, Debug)]
pub struct Circuit {
    /// The effective settings, without the one switch that lets everything through
    /// (see [`Config::settings`](crate::Config::settings)).
    pub settings: Settings,
    /// Where they come from.
    pub origins: Origins,
    /// For a family with one breaker for each key: what the key is made of. Empty otherwise.
    pub key: Vec<KeyPart>,
    /// Other settings for some of the keys; the first pattern that matches counts.
    pub keys: Vec<KeyRule>,
    /// How many keys a family may have.
    pub max_keys: u32,
    /// The fallback to answer with; `None` leaves it to the route.
    pub fallback: Option<String>,
    /// The circuits that it depends on directly.
    pub depends_on: Vec<String>,
    /// How many calls a second one of its breakers is expected to see.
    pub expected_rate: Option<f64>,
    /// The share of them that is expected to fail when nothing is wrong.
    pub expected_error_rate: Option<f64>,
}

/// What the key of a family can be made of.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum KeyPart {
    /// The upstream's name.
    Upstream,
    /// The model that the request names.
    Model,
}

impl Circuit {
    /// Whether it is a family of breakers, one for each key.
    pub fn is_family(&self) -> bool {
        !self.key.is_empty()
    }

    /// Every setting: its key, its effective value as one would write it, and where it was said.
    pub fn effective(&self) -> impl Iterator<Item = (&'static str, String, &Origin)> {
        SETTINGS.iter().map(|setting| {
            (setting.key, (setting.text)(&self.settings), self.origins.get(setting.key))
        })
    }
}

impl PartialEq for Circuit {
    fn eq(&self, other: &Circuit) -> bool {
        self.settings == other.settings
            && self.key == other.key
            && self.keys == other.keys
            && self.max_keys == other.max_keys
            && self.fallback == other.fallback
            && self.depends_on == other.depends_on
    }
}

impl Eq for Circuit {}

impl KeyPart {
    /// The name in config.
    pub const fn name(self) -> &'static str {
        match self {
            KeyPart::Upstream => "upstream",
            KeyPart::Model => "model",
        }
    }
}
