//! Circuits: who extends whom, and what comes of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use panelboard_core::catalog::KeyRule;
use panelboard_core::{Settings, SettingsError};

use super::fallbacks;
use super::layers::{Laid, Sheet, lay};
use super::patterns::check_patterns;
use super::upstreams;
use crate::context::{At, Context, Named, key_text, shorten};
use crate::describe::suggest::nearest;
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{Circuit, Fallback, KeyPart, Layer, Origins};
use crate::sections::{CircuitKeys, RootKeys, SwitchKeys};
use crate::source::Span;

/// Longer chains of `extends` are nobody's intention.
const LONGEST_CHAIN: usize = 32;

/// Every circuit, and what new ones start from.
pub(super) struct Circuits {
    pub(super) built: BTreeMap<String, Circuit>,
    /// A circuit that says nothing.
    pub(super) defaults: Circuit,
    /// What each breaker runs on, and where that was said.
    pub(super) laid: Vec<LaidOut>,
}

/// The settings of a circuit, or of some members of its family, and where each of them was said.
pub(crate) struct LaidOut {
    /// What to call them in messages: `circuits.llm`.
    pub(crate) subject: String,
    pub(crate) circuit: String,
    pub(crate) name_span: Span,
    pub(crate) settings: Settings,
    pub(crate) places: BTreeMap<&'static str, Span>,
}

pub(super) fn build(
    keys: &RootKeys,
    switches: &SwitchKeys,
    fallbacks: &BTreeMap<String, Fallback>,
    cx: &mut Context,
) -> Circuits {
    let named = switches.circuits.as_ref().map_or(&[][..], |at| &at.value);
    let mut builder = Builder {
        by_name: named.iter().map(|entry| (entry.name.as_str(), entry)).collect(),
        base: base_sheets(switches),
        told: HashSet::new(),
        upstreams: upstreams::named(keys).iter().map(|entry| entry.name.as_str()).collect(),
        laid: Vec::new(),
    };
    let defaults = builder.defaults(cx);
    let mut built = BTreeMap::new();
    for entry in named {
        let circuit = builder.circuit(entry, cx);
        if let Some(fallback) = &entry.value.fallback
            && !fallbacks.contains_key(&fallback.value)
        {
            let subject = format!("circuits.{}.fallback", key_text(&entry.name));
            fallbacks::unknown(&subject, &fallback.value, fallback.span, fallbacks, cx);
        }
        built.insert(entry.name.clone(), circuit);
    }
    Circuits { built, defaults, laid: builder.laid }
}

/// What lies under every circuit.
fn base_sheets(switches: &SwitchKeys) -> Vec<Sheet> {
    let Some(defaults) = switches.defaults.as_ref().map(|at| &at.value) else { return Vec::new() };
    let mut sheets = vec![Sheet::of_keys(&defaults.settings, Layer::Defaults)];
    sheets.extend(defaults.preset.as_ref().and_then(|at| Sheet::of_preset(at.value)));
    sheets
}

struct Builder<'k> {
    by_name: HashMap<&'k str, &'k Named<CircuitKeys>>,
    base: Vec<Sheet>,
    /// Contradictions that were reported: circuits inherit them from each other.
    told: HashSet<(Span, Option<Span>)>,
    upstreams: Vec<&'k str>,
    laid: Vec<LaidOut>,
}

impl<'k> Builder<'k> {
    fn defaults(&mut self, cx: &mut Context) -> Circuit {
        let sheets = self.base.clone();
        let laid = lay(sheets.iter(), cx);
        let (settings, origins, _) = self.settle(laid, "defaults", Span::NOWHERE, cx);
        Circuit {
            settings,
            origins,
            key: Vec::new(),
            keys: Vec::new(),
            max_keys: super::unwritten::<CircuitKeys>().max_keys.value,
            fallback: None,
            depends_on: Vec::new(),
            expected_rate: None,
            expected_error_rate: None,
        }
    }

    fn circuit(&mut self, entry: &'k Named<CircuitKeys>, cx: &mut Context) -> Circuit {
        let chain = self.chain(entry, cx);
        let sheets: Vec<Sheet> = self.sheets(&chain);
        let subject = format!("circuits.{}", key_text(&entry.name));
        let laid = lay(sheets.iter(), cx);
        let (settings, origins, places) = self.settle(laid, &subject, entry.name_span, cx);
        self.laid.push(LaidOut {
            subject,
            circuit: entry.name.clone(),
            name_span: entry.name_span,
            settings,
            places,
        });

        let key: Vec<KeyPart> = chain
            .iter()
            .find_map(|link| link.value.key.as_ref())
            .map_or_else(Vec::new, |at| at.value.iter().map(|part| part.value).collect());
        let keys = self.rules(entry, &chain, &key, &sheets, cx);
        let max_keys = chain
            .iter()
            .map(|link| &link.value.max_keys)
            .find(|max_keys| !max_keys.span.is_nowhere())
            .unwrap_or(&entry.value.max_keys)
            .value;
        let fallback = chain.iter().find_map(|link| link.value.fallback.as_ref());
        let fallback = fallback.map(|at| at.value.clone());
        let depends_on = chain.iter().find_map(|link| link.value.depends_on.as_ref());
        let depends_on = depends_on.map_or_else(Vec::new, |list| {
            list.value.iter().map(|name| name.value.clone()).collect()
        });
        let expected = |key: fn(&CircuitKeys) -> Option<&At<f64>>| {
            chain.iter().find_map(|link| key(&link.value)).map(|at| at.value)
        };
        Circuit {
            settings,
            origins,
            key,
            keys,
            max_keys,
            fallback,
            depends_on,
            expected_rate: expected(|keys| keys.expected_rate.as_ref()),
            expected_error_rate: expected(|keys| keys.expected_error_rate.as_ref()),
        }
    }

    /// The circuit, the one it extends, and so on.
    fn chain(
        &self,
        entry: &'k Named<CircuitKeys>,
        cx: &mut Context,
    ) -> Vec<&'k Named<CircuitKeys>> {
        let mut chain = vec![entry];
        while let Some(extends) = chain.last().and_then(|last| last.value.extends.as_ref()) {
            let Some(next) = self.by_name.get(extends.value.as_str()) else {
                // Reported for the circuit that says it.
                if chain.len() == 1 {
                    let subject = format!("circuits.{}.extends", key_text(&entry.name));
                    unknown_circuit(&subject, &extends.value, extends.span, self.names(), cx);
                }
                return chain;
            };
            if let Some(at) = chain.iter().position(|link| link.name == next.name) {
                // Each circle is reported once, for the circuit that stands first.
                let first = chain[at..].iter().map(|link| link.name_span.start).min();
                if at == 0 && first == Some(entry.name_span.start) {
                    report_circle(&chain, cx);
                }
                return chain;
            }
            if chain.len() == LONGEST_CHAIN {
                let message =
                    format!("`{}` extends more than {LONGEST_CHAIN} circuits", entry.name);
                cx.report(Problem::new(codes::TOO_DEEP, message).at(entry.name_span, "this one"));
                return chain;
            }
            chain.push(next);
        }
        chain
    }

    /// The layers of a chain, the first on top.
    fn sheets(&self, chain: &[&Named<CircuitKeys>]) -> Vec<Sheet> {
        let mut sheets = Vec::with_capacity(chain.len() + 3);
        for (i, link) in chain.iter().enumerate() {
            let layer =
                if i == 0 { Layer::Own } else { Layer::Extends(Arc::from(link.name.as_str())) };
            sheets.push(Sheet::of_keys(&link.value.settings, layer));
            sheets.extend(link.value.preset.as_ref().and_then(|at| Sheet::of_preset(at.value)));
        }
        sheets.extend(self.base.iter().cloned());
        sheets
    }

    /// The rules for single keys: the circuit's own, then those of the circuits it extends.
    fn rules(
        &mut self,
        entry: &'k Named<CircuitKeys>,
        chain: &[&'k Named<CircuitKeys>],
        key: &[KeyPart],
        sheets: &[Sheet],
        cx: &mut Context,
    ) -> Vec<KeyRule> {
        if let Some(keys) = &entry.value.keys {
            if key.is_empty() {
                let message =
                    format!("circuits.{} has `keys`, but no `key`", key_text(&entry.name));
                let problem = Problem::new(codes::KEYS_WITHOUT_KEY, message)
                    .at(
                        keys.value.first().map_or(keys.span, |rule| rule.name_span),
                        "members of what?",
                    )
                    .also(entry.name_span, "not a family")
                    .help("add `key`, such as [\"upstream\", \"model\"]");
                cx.report(problem);
            } else {
                check_patterns(&entry.name, &keys.value, key, &self.upstreams, cx);
            }
        }
        let mut rules: Vec<KeyRule> = Vec::new();
        for rule in chain.iter().filter_map(|link| link.value.keys.as_ref()).flat_map(|k| &k.value)
        {
            if rules.iter().any(|known| known.pattern == rule.name) {
                continue;
            }
            let top = Sheet::of_keys(&rule.value, Layer::Own);
            let laid = lay(std::iter::once(&top).chain(sheets), cx);
            let subject =
                format!("circuits.{}.keys.{}", key_text(&entry.name), key_text(&rule.name));
            let (settings, _, places) = self.settle(laid, &subject, rule.name_span, cx);
            self.laid.push(LaidOut {
                subject,
                circuit: entry.name.clone(),
                name_span: rule.name_span,
                settings,
                places,
            });
            rules.push(KeyRule { pattern: rule.name.clone(), settings });
        }
        rules
    }

    /// The settings, or the reason why there are none.
    fn settle(
        &mut self,
        laid: Laid,
        subject: &str,
        fallback_span: Span,
        cx: &mut Context,
    ) -> (Settings, Origins, BTreeMap<&'static str, Span>) {
        let settings = laid.result.unwrap_or_else(|error| {
            let place = |key: &str| laid.places.get(key).copied().filter(|span| !span.is_nowhere());
            let field = place(error.field());
            let rival_key = rival(&error);
            let rival = rival_key.and_then(|key| Some((key, place(key)?)));
            let at = field.or(rival.map(|(_, span)| span)).unwrap_or(fallback_span);
            let also = rival.filter(|(_, span)| *span != at);
            if self.told.insert((at, also.map(|(_, span)| span))) || at == fallback_span {
                let message = format!(
                    "`{subject}.{}` is {}, but must be {}",
                    error.field(),
                    error.value(),
                    error.accepted()
                );
                let problem = Problem::new(codes::CONTRADICTION, message).at(at, "not possible");
                let problem = match (also, rival_key) {
                    (Some((key, span)), _) => problem.also(span, format!("with this `{key}`")),
                    (None, Some(_)) if field.is_none() => {
                        problem.help(format!("`{}` has its default", error.field()))
                    }
                    (None, Some(key)) => {
                        let origin = laid.origins.get(key);
                        problem.help(match origin.layer {
                            Layer::BuiltIn => format!("`{key}` has its default"),
                            _ => format!("`{key}` comes from {origin}"),
                        })
                    }
                    (None, None) => problem,
                };
                cx.report(problem);
            }
            Settings::default()
        });
        (settings, laid.origins, laid.places)
    }

    fn names(&self) -> impl Iterator<Item = &'k str> + '_ {
        self.by_name.keys().copied()
    }
}

/// The setting that a setting contradicts.
fn rival(error: &SettingsError) -> Option<&'static str> {
    match error.field() {
        "probe_calls" => Some("success_threshold"),
        "sequential.base_rate" => Some("sequential.fault_rate"),
        "sequential.fault_rate" => Some("sequential.base_rate"),
        _ => None,
    }
}

fn report_circle(chain: &[&Named<CircuitKeys>], cx: &mut Context) {
    let names: Vec<&str> =
        chain.iter().chain(chain.first()).map(|link| link.name.as_str()).collect();
    let mut spans = chain.iter().filter_map(|link| link.value.extends.as_ref()).map(|at| at.span);
    let message = match names.as_slice() {
        [name, _] => format!("`{}` extends itself", shorten(name)),
        names => format!("circuits extend each other in a circle: {}", names.join(" → ")),
    };
    let problem = Problem::new(codes::EXTENDS_CYCLE, message)
        .at(spans.next().unwrap_or(Span::NOWHERE), "the circle begins here")
        .help("one of them must stand on its own");
    let problem = spans.fold(problem, |problem, span| problem.also(span, "and goes on"));
    cx.report(problem);
}

/// Says that there is no circuit of this name.
pub(super) fn unknown_circuit<'n>(
    subject: &str,
    name: &str,
    span: Span,
    names: impl Iterator<Item = &'n str>,
    cx: &mut Context,
) {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let message =
        format!("`{subject}` names the circuit `{}`, which is not configured", shorten(name));
    let problem = Problem::new(codes::UNKNOWN_CIRCUIT, message).at(span, "unknown circuit");
    let problem = if let Some(meant) = nearest(name, names.iter().copied()) {
        problem.help(format!("did you mean `{meant}`?"))
    } else {
        let header = format!("[circuit_breaker.circuits.{}]", key_text(name));
        let known = if names.is_empty() {
            String::from("none is configured")
        } else {
            format!("configured are {}", shorten(&names.join(", ")))
        };
        problem.help(format!("add {header}; {known}"))
    };
    cx.report(problem);
}
