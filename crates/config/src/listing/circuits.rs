//! The effective settings of circuits, which come from more layers than one file.

use std::collections::HashMap;
use std::sync::Arc;

use panelboard_core::{Kind, Settings};
use serde_json::{Value as Json, json};

use super::{Lister, join, plain};
use crate::effective::SETTINGS;
use crate::model::{Circuit, Config, KeyPart, Layer, Origin};
use crate::syntax::{Node, Table};

/// Longer chains of `extends` are refused when they are read.
const LONGEST_CHAIN: usize = 32;

impl Lister<'_> {
    pub(super) fn defaults(&mut self, config: &Config) {
        for setting in &SETTINGS {
            let origin = config.default_origins().get(setting.key).clone();
            let value = value(setting.key, config.defaults());
            self.push(&format!("defaults.{}", setting.key), value, origin);
        }
    }

    pub(super) fn circuits(&mut self, config: &Config, tree: Option<&Table>) {
        let index: HashMap<&str, &Table> = tree
            .into_iter()
            .flat_map(Table::iter)
            .filter_map(|entry| Some((entry.key.as_str(), entry.node.as_table()?)))
            .collect();
        for (name, circuit) in config.circuits() {
            let path = join("circuits", name);
            for setting in &SETTINGS {
                let origin = circuit.origins.get(setting.key).clone();
                self.push(
                    &format!("{path}.{}", setting.key),
                    value(setting.key, &circuit.settings),
                    origin,
                );
            }
            self.others(&path, name, circuit, &index);
            self.members(&path, name, circuit, &index);
        }
    }

    /// What is no setting of a breaker.
    fn others(&mut self, path: &str, name: &str, circuit: &Circuit, tree: &HashMap<&str, &Table>) {
        let key: Vec<&str> = circuit.key.iter().map(|part| KeyPart::name(*part)).collect();
        let some = |list: &[&str]| if list.is_empty() { Json::Null } else { json!(list) };
        let depends_on: Vec<&str> = circuit.depends_on.iter().map(String::as_str).collect();
        let family = !key.is_empty();
        let values = [
            ("key", some(&key)),
            ("max_keys", if family { json!(circuit.max_keys) } else { Json::Null }),
            ("depends_on", some(&depends_on)),
            ("fallback", json!(circuit.fallback)),
            ("expected_rate", json!(circuit.expected_rate)),
            ("expected_error_rate", json!(circuit.expected_error_rate)),
        ];
        for (key, value) in values.into_iter().filter(|(_, value)| !value.is_null()) {
            let origin = self.said(name, tree, &[key]);
            self.push(&format!("{path}.{key}"), value, origin);
        }
    }

    /// What some members of a family have different from the others.
    fn members(&mut self, path: &str, name: &str, circuit: &Circuit, tree: &HashMap<&str, &Table>) {
        for rule in &circuit.keys {
            let path = join(&format!("{path}.keys"), &rule.pattern);
            for setting in &SETTINGS {
                if (setting.text)(&rule.settings) == (setting.text)(&circuit.settings) {
                    continue;
                }
                let mut steps = vec!["keys", rule.pattern.as_str()];
                steps.extend(setting.key.split('.'));
                let origin = self.said(name, tree, &steps);
                self.push(
                    &format!("{path}.{}", setting.key),
                    value(setting.key, &rule.settings),
                    origin,
                );
            }
        }
    }

    /// Where the circuit, or one that it extends, says what is at the end of these steps.
    fn said(&self, name: &str, tree: &HashMap<&str, &Table>, steps: &[&str]) -> Origin {
        let mut name = name.to_owned();
        for link in 0..LONGEST_CHAIN {
            let Some(circuit) = tree.get(name.as_str()) else { break };
            if let Some(node) = find(circuit, steps) {
                let layer = match link {
                    0 => Layer::Own,
                    _ => Layer::Extends(Arc::from(name.as_str())),
                };
                return super::origin(&layer, node.span, self.cx);
            }
            let Some(extends) = circuit.get("extends") else { break };
            match &extends.node.value {
                crate::syntax::Value::Text(next) | crate::syntax::Value::Untyped(next) => {
                    name.clone_from(next);
                }
                _ => break,
            }
        }
        Origin::BUILT_IN
    }
}

fn find<'t>(table: &'t Table, steps: &[&str]) -> Option<&'t Node> {
    let (first, rest) = steps.split_first()?;
    let node = &table.get(first)?.node;
    if rest.is_empty() { Some(node) } else { find(node.as_table()?, rest) }
}

/// A setting, as one would write it.
fn value(key: &str, settings: &Settings) -> Json {
    if key == "ignore" {
        return settings.ignore().iter().map(Kind::name).collect();
    }
    let setting = SETTINGS.iter().find(|setting| setting.key == key);
    setting.map_or(Json::Null, |setting| plain(&(setting.text)(settings)))
}
