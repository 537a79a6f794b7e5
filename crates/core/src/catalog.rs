//! The settings of every named circuit: what a configuration file comes down to.

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::{Mode, Settings};

/// The checked settings of a set of named circuits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catalog {
    /// `false` lets every call through: the one switch.
    pub enabled: bool,
    /// What a circuit without settings of its own runs on.
    pub defaults: Settings,
    /// The circuits that have some.
    pub circuits: BTreeMap<String, Settings>,
}

impl Catalog {
    /// The settings of the circuit of this name, with the one switch applied.
    pub fn settings(&self, name: &str) -> Settings {
        let mut settings = *self.circuits.get(name).unwrap_or(&self.defaults);
        if !self.enabled {
            settings.mode = Mode::ForcedClosed;
        }
        settings
    }
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog { enabled: true, defaults: Settings::default(), circuits: BTreeMap::new() }
    }
}

impl AsRef<Catalog> for Catalog {
    fn as_ref(&self) -> &Catalog {
        self
    }
}
