//! Circuits whose settings stand in source code.

use std::collections::BTreeMap;
use std::sync::Arc;

use panelboard_core::Catalog;

use super::{Listed, Registry};
use crate::{CircuitBreaker, Settings};

impl Registry {
    /// The breaker of this name, created with these settings if there is none.
    ///
    /// Configuration wins: a circuit that it names, now or later, runs on what it says there. Else
    /// whoever was first wins, and a breaker that exists keeps what it runs on.
    ///
    /// # Examples
    /// ```
    /// use panelboard::{Registry, presets};
    ///
    /// let registry = Registry::new();
    /// let auth = registry.breaker_with("auth", presets::auth().failure_threshold(7).build()?);
    /// assert_eq!(auth.snapshot().settings.failure_threshold(), Some(7));
    /// let again = registry.breaker_with("auth", presets::auth().build()?);
    /// assert_eq!(again.snapshot().settings.failure_threshold(), Some(7), "the first counts");
    /// # Ok::<(), panelboard::SettingsError>(())
    /// ```
    pub fn breaker_with(&self, name: &str, settings: Settings) -> CircuitBreaker {
        if let Some(breaker) = self.get(name) {
            return breaker;
        }
        let mut listed = self.write();
        listed.declare(name, settings);
        self.get_or_create(&mut listed, name)
    }
}

impl Listed {
    /// The settings of a circuit that configuration does not name, and that is not there yet.
    pub(super) fn declare(&mut self, name: &str, settings: Settings) {
        if !self.breakers.contains_key(name) && !self.catalog.circuits.contains_key(name) {
            self.declared.insert(name.to_owned(), settings);
            Arc::make_mut(&mut self.catalog).circuits.insert(name.to_owned(), settings);
        }
    }
}

/// Adds what is declared in source code to a configuration that does not name it.
pub(super) fn add(catalog: &mut Catalog, declared: &BTreeMap<String, Settings>) {
    for (name, settings) in declared {
        catalog.circuits.entry(name.clone()).or_insert(*settings);
    }
}
