//! Which circuits depend on which.

use std::collections::BTreeMap;

use panelboard_core::DependsOn;

use super::circuits::unknown_circuit;
use crate::context::{Context, Named, key_text, shorten};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::Circuit;
use crate::sections::{CircuitKeys, SwitchKeys};
use crate::source::Span;

/// Circles that are reported one by one; whoever has more has one mistake that makes them all.
const MOST_CIRCLES: usize = 20;

/// Checks the names, and that nothing depends on itself by whatever way.
pub(super) fn build(
    switches: &SwitchKeys,
    circuits: &BTreeMap<String, Circuit>,
    cx: &mut Context,
) -> DependsOn {
    let named = switches.circuits.as_ref().map_or(&[][..], |at| &at.value);
    for entry in named {
        for on in entry.value.depends_on.iter().flat_map(|list| &list.value) {
            if !circuits.contains_key(&on.value) {
                let subject = format!("circuits.{}.depends_on", key_text(&entry.name));
                let names = circuits.keys().map(String::as_str);
                unknown_circuit(&subject, &on.value, on.span, names, cx);
            }
        }
    }
    let mut direct: BTreeMap<String, Vec<String>> = circuits
        .iter()
        .filter(|(_, circuit)| !circuit.depends_on.is_empty())
        .map(|(name, circuit)| (name.clone(), circuit.depends_on.clone()))
        .collect();
    for _ in 0..MOST_CIRCLES {
        let cycle = match DependsOn::new(direct.clone()) {
            Ok(depends_on) => return depends_on,
            Err(cycle) => cycle,
        };
        report(cycle.names(), named, cx);
        // Broken up, it shows whether there are more.
        if let ([first, ..], Some(last)) = (cycle.names(), cycle.names().last())
            && let Some(on) = direct.get_mut(last)
        {
            on.retain(|name| name != first);
        }
    }
    DependsOn::default()
}

fn report(names: &[String], named: &[Named<CircuitKeys>], cx: &mut Context) {
    let next = |at: usize| &names[(at + 1) % names.len()];
    // What was inherited was not said here; then the circuit itself is pointed at.
    let spans = names.iter().enumerate().map(|(at, name)| {
        let entry = named.iter().find(|entry| entry.name == *name);
        entry.map_or(Span::NOWHERE, |entry| {
            let said = entry.value.depends_on.as_ref().map_or(&[][..], |list| &list.value);
            let on = said.iter().find(|on| on.value == *next(at));
            on.map_or(entry.name_span, |on| on.span)
        })
    });
    let mut spans: Vec<Span> = spans.collect();
    // The circle begins where it is first written.
    let first = (0..spans.len()).min_by_key(|at| spans[*at].start).unwrap_or(0);
    spans.rotate_left(first);
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.rotate_left(first);
    let message = match names.as_slice() {
        [name] => format!("`{}` depends on itself", shorten(name)),
        names => {
            let circle: Vec<&str> = names.iter().chain(names.first()).copied().collect();
            format!("circuits depend on each other in a circle: {}", circle.join(" → "))
        }
    };
    let mut spans = spans.into_iter();
    let problem = Problem::new(codes::DEPENDENCY_CYCLE, message)
        .at(spans.next().unwrap_or(Span::NOWHERE), "the circle begins here")
        .help("a circuit depends on what its calls need to succeed; one of these does not");
    cx.report(spans.fold(problem, |problem, span| problem.also(span, "and goes on")));
}
