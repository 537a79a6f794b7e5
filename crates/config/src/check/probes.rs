//! Health probes, and the circuits whose recovery waits for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::{Context, shorten};
use crate::diagnostic::codes;
use crate::diagnostic::problem::Problem;
use crate::model::{BaseUrl, Circuit, KeyPart, Probe, Route, Upstream};
use crate::sections::{ProbeKeys, UpstreamKeys};

pub(super) fn build(keys: &UpstreamKeys, url: &BaseUrl, cx: &mut Context) -> Option<Probe> {
    let probe: &ProbeKeys = keys.probe.as_ref()?.value.as_ref()?;
    let path = probe.path.as_ref()?;
    if !path.value.starts_with('/') || url.join(&path.value).is_err() {
        let message = format!("a probe goes to `{}`, which is no path", shorten(&path.value));
        let problem = Problem::new(codes::BAD_PATH, message)
            .at(path.span, "not a path")
            .help("write \"/health\", or with a query \"/health?full=1\"");
        cx.report(problem);
    }
    let expect = probe.expect.as_ref().map(|at| at.value.iter().map(|at| at.value.clone()));
    Some(Probe {
        path: path.value.clone(),
        method: probe.method.value.clone(),
        headers: probe.headers.as_ref().map_or_else(Vec::new, |at| at.value.clone()),
        body: probe.body.as_ref().map(|at| at.value.clone()),
        interval: probe.interval.value,
        timeout: probe.timeout.value,
        expect: expect.map_or_else(|| vec![200..=399], Iterator::collect),
        open_after: probe.open_after.value,
    })
}

/// Has circuits recover by the probes of the upstreams behind them: those that guard one upstream, or
/// one for each key, if all these have probes.
pub(super) fn gate(
    circuits: &mut BTreeMap<String, Circuit>,
    routes: &[Route],
    upstreams: &BTreeMap<String, Upstream>,
) {
    let mut guarded: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for route in routes {
        for upstream in &route.upstreams {
            guarded.entry(route.circuit_for(upstream)).or_default().insert(upstream);
        }
    }
    for (name, behind) in guarded {
        let Some(circuit) = circuits.get_mut(name) else { continue };
        if behind.len() > 1 && !circuit.key.contains(&KeyPart::Upstream) {
            continue;
        }
        let interval = |name: &&str| Some(upstreams.get(*name)?.probe.as_ref()?.interval);
        let intervals: Option<Vec<_>> = behind.iter().map(interval).collect();
        let Some(longest) = intervals.and_then(|intervals| intervals.into_iter().max()) else {
            continue;
        };
        circuit.settings = circuit.settings.with_health_check(Some(longest));
        for rule in &mut circuit.keys {
            rule.settings = rule.settings.with_health_check(Some(longest));
        }
    }
}
