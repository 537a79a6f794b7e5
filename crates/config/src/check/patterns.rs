//! Patterns of keys that decide nothing.

use crate::context::{Context, Named, key_text};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::KeyPart;
use crate::model::glob::Glob;
use crate::sections::SettingsKeys;

/// With more upstreams than this, patterns are not held against their names.
const COMPARED: usize = 100;

/// Reports patterns that match no key, and those that an earlier one leaves nothing to match.
pub(super) fn check_patterns(
    circuit: &str,
    rules: &[Named<SettingsKeys>],
    key: &[KeyPart],
    upstreams: &[&str],
    cx: &mut Context,
) {
    let possible: Vec<Glob> = match upstreams {
        [] => vec![Glob::key(&example(key, "*", "*"))],
        names if names.len() > COMPARED => vec![Glob::key(&example(key, "*", "*"))],
        names => names.iter().map(|name| Glob::key(&example(key, name, "*"))).collect(),
    };
    let mut earlier: Vec<(&Named<SettingsKeys>, Glob)> = Vec::new();
    for rule in rules {
        let glob = Glob::key(&rule.name);
        let subject = format!("circuits.{}.keys.{}", key_text(circuit), key_text(&rule.name));
        if !possible.iter().any(|keys| glob.meets(keys)) {
            let example = example(key, upstreams.first().unwrap_or(&"upstream"), "model");
            let wider = if key.len() > 1 { "*/" } else { "*" };
            let problem = Problem::new(codes::BAD_PATTERN, format!("`{subject}` matches no key"))
                .at(rule.name_span, "never matches")
                .help(format!(
                    "keys here look like `{example}`; did you mean \"{wider}{}\"?",
                    rule.name
                ));
            cx.report(problem);
        } else if let Some((first, _)) = earlier.iter().find(|(_, wide)| wide.covers(&glob)) {
            let message = format!("`{subject}` never decides: `{}` comes first", first.name);
            let problem = Problem::new(codes::UNREACHABLE_PATTERN, message)
                .at(rule.name_span, "never reached")
                .also(first.name_span, "matches all of them")
                .help("put the narrower pattern first");
            cx.report(problem);
        } else {
            earlier.push((rule, glob));
        }
    }
}

/// A key with these parts, as patterns see it.
fn example(key: &[KeyPart], upstream: &str, model: &str) -> String {
    let part = |part: &KeyPart| match part {
        KeyPart::Upstream => upstream.to_owned(),
        KeyPart::Model => model.to_owned(),
    };
    key.iter().map(part).collect::<Vec<_>>().join("/")
}
