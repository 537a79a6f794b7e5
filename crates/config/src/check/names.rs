//! Names that are hard to tell apart.

use std::collections::HashMap;

use crate::context::{Context, Named};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::overlay::fold;
use crate::sections::RootKeys;
use crate::source::Span;

/// Warns of names that no environment variable can tell apart.
pub(super) fn look_alikes(keys: &RootKeys, cx: &mut Context) {
    let circuits = keys.circuit_breaker.as_ref().and_then(|at| at.value.circuits.as_ref());
    compare("circuits", circuits.map_or(&[], |at| &at.value), cx);
    compare("upstreams", keys.upstreams.as_ref().map_or(&[], |at| &at.value), cx);
    compare("fallbacks", keys.fallbacks.as_ref().map_or(&[], |at| &at.value), cx);
}

fn compare<T>(what: &str, named: &[Named<T>], cx: &mut Context) {
    let mut seen: HashMap<String, (&str, Span)> = HashMap::new();
    for entry in named {
        let (name, span) = (entry.name.as_str(), entry.name_span);
        let Some((earlier, first)) = seen.insert(fold(name), (name, span)) else { continue };
        let problem = Problem::new(
            codes::LOOK_ALIKE,
            format!("the {what} `{earlier}` and `{name}` have names that look alike"),
        )
        .at(span, "and this")
        .also(first, "this")
        .help("PANELBOARD__ variables cannot tell them apart; rename one");
        cx.report(problem);
    }
}
