//! The JSON Schema, from the description of every key.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::describe::{Convert, Field, OldName, Presence, Shape, Table};
use crate::sections::{LATER, ROOT};

/// The schemas of the tables met so far.
#[derive(Default)]
pub(crate) struct Definitions {
    done: BTreeMap<String, Json>,
    /// Whether what is described is part of a file, which need not have what the whole must.
    partial: bool,
}

/// The schema that editors check configuration files against, in draft 7, which those for TOML
/// understand. It accepts what this crate accepts; what only a look at other keys can tell, it
/// leaves to `panelboard check`.
pub fn json_schema() -> Json {
    let mut definitions = Definitions::default();
    let mut schema = definitions.table(ROOT, None);
    // The file may be somebody's larger configuration.
    schema["additionalProperties"] = json!(true);
    if let Some(properties) = schema["properties"].as_object_mut() {
        for section in LATER {
            let text = "A section of another version; ignored.";
            properties.insert(section.to_owned(), json!({ "description": text }));
        }
    }
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("Panelboard configuration");
    schema["definitions"] = json!(definitions.done);
    schema
}

impl Definitions {
    /// A reference to the schema of `table`.
    pub(crate) fn reference(&mut self, table: &'static Table) -> Json {
        let id = if self.partial && must_have(table) {
            format!("part_of_{}", table.id)
        } else {
            table.id.to_owned()
        };
        self.define(&id, table, None);
        json!({ "$ref": format!("#/definitions/{id}") })
    }

    /// A reference to the schema of any part of `table`, but for this key.
    pub(crate) fn part_of(&mut self, table: &'static Table, without: &str) -> Json {
        let id = format!("part_of_{}", table.id);
        let before = std::mem::replace(&mut self.partial, true);
        self.define(&id, table, Some(without));
        self.partial = before;
        json!({ "$ref": format!("#/definitions/{id}") })
    }

    fn define(&mut self, id: &str, table: &'static Table, without: Option<&str>) {
        if !self.done.contains_key(id) {
            self.done.insert(id.to_owned(), Json::Null);
            let schema = self.table(table, without);
            self.done.insert(id.to_owned(), schema);
        }
    }

    /// The schema of `table` and of the bare value that may stand in its place.
    pub(crate) fn with_shorthand(&mut self, table: &'static Table) -> Json {
        let reference = self.reference(table);
        match table.shorthand.and_then(|key| table.field(key)) {
            Some(field) => json!({ "anyOf": [field.kind.schema(self), reference] }),
            None => reference,
        }
    }

    fn table(&mut self, table: &'static Table, without: Option<&str>) -> Json {
        let mut properties = Map::new();
        properties.insert(
            String::from("comment"),
            json!({ "description": "Anything; ignored. So are keys that begin with x-." }),
        );
        properties.insert(
            String::from("$schema"),
            json!({ "description": "Where editors find this schema." }),
        );
        for field in table.all_fields().filter(|field| Some(field.name) != without) {
            properties.insert(field.name.to_owned(), self.property(field));
        }
        for old in table.all_old() {
            let schema = self.old(old, table);
            properties.insert(old.name.to_owned(), schema);
        }
        let required: Vec<&str> = table
            .all_fields()
            .filter(|field| field.presence == Presence::Required && !self.partial)
            .map(|field| field.name)
            .collect();
        let mut schema = json!({
            "type": "object",
            "description": table.doc.trim(),
            "properties": properties,
            "patternProperties": { "^x-": {} },
            "additionalProperties": false,
        });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let pairs: Vec<Json> = table
            .all_exclusive()
            .flat_map(|group| {
                group.iter().enumerate().flat_map(|(i, first)| {
                    group[i + 1..]
                        .iter()
                        .map(move |second| json!({ "not": { "required": [first, second] } }))
                })
            })
            .collect();
        if !pairs.is_empty() {
            schema["allOf"] = json!(pairs);
        }
        schema
    }

    fn property(&mut self, field: &Field) -> Json {
        let mut schema = field.kind.schema(self);
        if schema.get("$ref").is_some() {
            // Draft 7 ignores what stands beside a reference.
            schema = json!({ "allOf": [schema] });
        }
        schema["description"] = json!(field.doc.trim());
        if let Presence::Default(text) | Presence::Layered(text) = field.presence {
            let value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
            schema["default"] = value;
        }
        schema
    }

    fn old(&mut self, old: &OldName, table: &'static Table) -> Json {
        let mut schema = match old.convert {
            Convert::Dropped(_) => json!({}),
            Convert::Switch { .. } => json!({ "type": "boolean" }),
            Convert::Same => {
                find(table, old.new).map_or(json!({}), |field| field.kind.schema(self))
            }
        };
        if old.new == [old.name] {
            let today = find(table, old.new).map_or(json!({}), |field| self.property(field));
            let mut both = json!({ "anyOf": [today.clone(), schema] });
            both["description"] = today["description"].clone();
            both["default"] = today["default"].clone();
            return both;
        }
        schema["deprecated"] = json!(true);
        schema["description"] = json!(match old.convert {
            Convert::Dropped(reason) => format!("Has no effect: {reason}."),
            _ => format!("Old name of `{}`.", old.new.join(".")),
        });
        schema
    }
}

/// Whether this table, or one below it, cannot do without some key.
fn must_have(table: &'static Table) -> bool {
    let required = |field: &Field| field.presence == Presence::Required;
    table.family().into_iter().any(|table| table.fields.iter().any(required))
}

/// The field at the end of `path`, below `table`.
fn find(table: &'static Table, path: &[&str]) -> Option<&'static Field> {
    let (first, rest) = path.split_first()?;
    let field = table.field(first)?;
    match (rest, field.kind.shape()) {
        ([], _) => Some(field),
        (rest, Shape::Table(inner)) => find(inner, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_lead_to_fields() {
        for table in ROOT.family() {
            for old in table.all_old() {
                let target = find(table, old.new).is_some();
                assert_eq!(target, !matches!(old.convert, Convert::Dropped(_)), "{}", old.name);
            }
        }
    }

    #[test]
    fn every_table_is_defined_once() {
        let schema = json_schema();
        let definitions = schema["definitions"].as_object().unwrap();
        for table in ROOT.family().into_iter().skip(1) {
            assert!(definitions[table.id].is_object(), "{}", table.id);
        }
    }

    #[test]
    fn keys_are_described_with_their_defaults() {
        let schema = json_schema();
        let timeout = &schema["definitions"]["gateway"]["properties"]["idle_timeout"];
        assert_eq!(timeout["default"], "75s");
        assert_eq!(timeout["anyOf"][0]["maximum"], 31_536_000.0);
        assert!(timeout["description"].as_str().unwrap().starts_with("How long a client"));
        let circuit = &schema["definitions"]["circuit"]["properties"];
        assert_eq!(circuit["timeout_seconds"]["deprecated"], true);
        assert_eq!(circuit["failure_threshold"]["default"], 5);
    }
}
