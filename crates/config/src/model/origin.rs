//! Where each setting of a circuit was said.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where a setting got its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Which layer said it.
    pub layer: Layer,
    /// Where that layer says it; `None` for what nobody wrote down here.
    pub place: Option<Place>,
}

/// The layers of a circuit's settings, from the lowest to the highest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Layer {
    /// The defaults of this version.
    BuiltIn,
    /// `[circuit_breaker.defaults]`.
    Defaults,
    /// The preset of this name.
    Preset(Arc<str>),
    /// The circuit of this name, which this one extends.
    Extends(Arc<str>),
    /// The circuit itself.
    Own,
}

/// A place where something is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A file.
    File {
        /// Its name.
        name: Arc<str>,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// The environment variable of this name.
    Variable(Arc<str>),
    /// The command-line setting of this key.
    Option(Arc<str>),
    /// The admin API.
    Admin,
}

/// Where each setting of a circuit was said, by its key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins {
    said: BTreeMap<&'static str, Origin>,
}

// ===== impl Origin =====

impl Origin {
    /// Said by nobody: a default of this version.
    pub const BUILT_IN: Origin = Origin { layer: Layer::BuiltIn, place: None };
}

impl fmt::Display for Origin {
    /// `panelboard.toml:12`, `preset llm`, `PANELBOARD__CIRCUITS__LLM__TIMEOUT`, `default`; with
    /// the layer behind it where that is not the circuit itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, &self.layer) {
            (None, Layer::BuiltIn) => f.write_str("default"),
            (None, layer) => write!(f, "{layer}"),
            (Some(place), Layer::Own | Layer::BuiltIn) => write!(f, "{place}"),
            (Some(place), layer) => write!(f, "{place} ({layer})"),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layer::BuiltIn => f.write_str("default"),
            Layer::Defaults => f.write_str("defaults"),
            Layer::Preset(name) => write!(f, "preset {name}"),
            Layer::Extends(name) => write!(f, "extends {name}"),
            Layer::Own => f.write_str("circuit"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { name, line, .. } => write!(f, "{name}:{line}"),
            Place::Variable(name) => f.write_str(name),
            Place::Option(key) => write!(f, "command line {key}"),
            Place::Admin => f.write_str("admin"),
        }
    }
}

// ===== impl Origins =====

impl Origins {
    /// Where the setting of this key was said.
    pub fn get(&self, key: &str) -> &Origin {
        self.said.get(key).unwrap_or(&Origin::BUILT_IN)
    }

    /// Every setting that somebody said, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        self.said.iter().map(|(key, origin)| (*key, origin))
    }

    /// Notes an origin, unless a higher layer has.
    pub(crate) fn add(&mut self, key: &'static str, origin: Origin) {
        self.said.entry(key).or_insert(origin);
    }
}
