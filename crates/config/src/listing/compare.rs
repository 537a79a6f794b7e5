//! What is different between two configurations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{Listed, Listing};
use crate::context::key_text;
use crate::model::{Config, Layer};

/// One value that is different.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// What it is a value of. Routes are called by their names, not by their numbers.
    pub path: String,
    /// What it was; `None` if there was none.
    pub old: Option<Json>,
    /// What it is now; `None` if there is none.
    pub new: Option<Json>,
}

/// Every value that is different, by path. Of what is new or gone as a whole, only what was said in
/// words.
pub fn compare(old: &Listing, new: &Listing) -> Vec<Difference> {
    let (before, after) = (by_path(old), by_path(new));
    let owners = |values: &BTreeMap<String, &Listed>| -> BTreeSet<String> {
        values.keys().map(|path| owner(path).to_owned()).collect()
    };
    let (had, has) = (owners(&before), owners(&after));
    let mut differences = Vec::new();
    for path in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (a, b) = (before.get(path), after.get(path));
        let whole = !had.contains(owner(path)) || !has.contains(owner(path));
        let of_itself = a.or(b).is_some_and(|listed| listed.origin.layer == Layer::BuiltIn);
        let same = a.map(|listed| &listed.value) == b.map(|listed| &listed.value);
        if same || whole && of_itself {
            continue;
        }
        let value = |listed: Option<&&Listed>| listed.map(|listed| listed.value.clone());
        differences.push(Difference { path: path.clone(), old: value(a), new: value(b) });
    }
    let (a, b) = (order(&old.config), order(&new.config));
    if a != b {
        let path = String::from("routes");
        differences.push(Difference { path, old: Some(a), new: Some(b) });
    }
    differences
}

fn by_path(listing: &Listing) -> BTreeMap<String, &Listed> {
    let routes = listing.config.routes();
    let named = |path: &str| match path.strip_prefix("routes[").and_then(|p| p.split_once(']')) {
        Some((number, rest)) => {
            let route = number.parse().ok().and_then(|i: usize| routes.get(i));
            route.map_or_else(|| path.to_owned(), |r| format!("routes.{}{rest}", key_text(&r.name)))
        }
        None => path.to_owned(),
    };
    listing.values.iter().map(|listed| (named(&listed.path), listed)).collect()
}

/// The names of the routes, in the order in which they are asked.
fn order(config: &Config) -> Json {
    config.routes().iter().map(|route| route.name.as_str()).collect()
}

/// The circuit, upstream, route or fallback that a value belongs to.
fn owner(path: &str) -> &str {
    let named = ["circuits.", "upstreams.", "routes.", "fallbacks."];
    let Some(prefix) = named.iter().find(|prefix| path.starts_with(**prefix)) else { return "" };
    let rest = &path[prefix.len()..];
    let end = match rest.strip_prefix('"') {
        Some(quoted) => quoted.find('"').map_or(rest.len(), |end| end + 2),
        None => rest.find('.').unwrap_or(rest.len()),
    };
    &path[..prefix.len() + end]
}

impl std::fmt::Display for Difference {
    /// `~ circuits.llm.timeout = "45s" → "1m"`, with `+` and `-` for what is new and gone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => {
                write!(f, "~ {path} = {} → {}", super::text(old), super::text(new))
            }
            (None, Some(new)) => write!(f, "+ {path} = {}", super::text(new)),
            (Some(old), None) => write!(f, "- {path} = {}", super::text(old)),
            (None, None) => f.write_str(path),
        }
    }
}
