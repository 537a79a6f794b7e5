//! The metrics of circuits, read off their snapshots at each scrape.

use std::collections::BTreeMap;
use std::fmt::Error;

use panelboard::stats::{RECOVERY_BOUNDS, Recoveries};
use panelboard::{Kind, Mode, PhaseName, Reason, Registry, Snapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeMetric as _, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Keys of one family that have series of their own: the busiest. The rest share `other`.
const KEYS: usize = 200;

type Labels<'a> = &'a [(&'a str, &'a str)];

/// Reads circuits when scraped.
#[derive(Debug)]
pub(super) struct Circuits {
    registry: Registry,
}

/// A series' circuit label, and what it shows.
struct Shown {
    label: String,
    snapshot: Snapshot,
    /// Several circuits added up: they have no state in common.
    merged: bool,
}

impl Circuits {
    pub(super) fn new(registry: Registry) -> Circuits {
        Circuits { registry }
    }

    /// Every circuit with a label of its own; of each family the busiest keys, and the rest as
    /// one. Says as well how many were merged.
    fn shown(&self) -> (Vec<Shown>, u64) {
        let mut shown = Vec::new();
        let mut families: BTreeMap<String, Vec<Snapshot>> = BTreeMap::new();
        let names: Vec<String> =
            self.registry.families().iter().map(|family| family.name().to_string()).collect();
        for snapshot in self.registry.snapshots() {
            let family = names.iter().find(|family| {
                snapshot.name.strip_prefix(family.as_str()).is_some_and(|key| key.starts_with('/'))
            });
            match family {
                Some(family) => families.entry(family.clone()).or_default().push(snapshot),
                None => {
                    let label = snapshot.name.to_string();
                    shown.push(Shown { label, snapshot, merged: false });
                }
            }
        }
        let mut dropped = 0;
        for (family, mut keys) in families {
            keys.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.counters.admitted));
            let rest = keys.split_off(keys.len().min(KEYS));
            for snapshot in keys {
                let label = snapshot.name.to_string();
                shown.push(Shown { label, snapshot, merged: false });
            }
            dropped += rest.len() as u64;
            if let Some(snapshot) = rest.into_iter().reduce(merge) {
                shown.push(Shown { label: format!("{family}/other"), snapshot, merged: true });
            }
        }
        (shown, dropped)
    }
}

/// Adds the counters of circuits up.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `reduce` asks for")]
fn merge(mut sum: Snapshot, one: Snapshot) -> Snapshot {
    sum.counters.add(&one.counters);
    sum
}

impl Collector for Circuits {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (shown, merged) = self.shown();
        let mut out = Out { encoder: &mut encoder };
        phases(&mut out, &shown)?;
        calls(&mut out, &shown)?;
        life(&mut out, &shown)?;
        out.gauges("circuit_keys", "Keys of the family that have a circuit", |emit| {
            for family in self.registry.families() {
                emit(&[("family", family.name())], family.len() as f64)?;
            }
            Ok(())
        })?;
        out.gauges("series_merged", "Circuits without series of their own", |emit| {
            emit(&[], merged as f64)
        })
    }
}

/// Those that stand for one circuit only, and so have a state.
fn single(shown: &[Shown]) -> impl Iterator<Item = &Shown> {
    shown.iter().filter(|circuit| !circuit.merged)
}

/// Which state a circuit is in.
fn phases(out: &mut Out<'_, '_>, shown: &[Shown]) -> Result<(), Error> {
    out.gauges("circuit_state", "Which phase the circuit is in: one of them is 1", |emit| {
        for Shown { label, snapshot, .. } in single(shown) {
            for phase in PhaseName::ALL {
                let on = f64::from(u8::from(snapshot.phase == phase));
                emit(&[("circuit", label), ("state", phase.name())], on)?;
            }
        }
        Ok(())
    })?;
    out.gauges("circuit_mode", "Who decides for the circuit: one of them is 1", |emit| {
        for Shown { label, snapshot, .. } in single(shown) {
            for mode in Mode::ALL {
                let on = f64::from(u8::from(snapshot.mode == mode));
                emit(&[("circuit", label), ("mode", mode.name())], on)?;
            }
        }
        Ok(())
    })?;
    out.gauges("circuit_failure_ratio", "Share of failures in the window", |emit| {
        for Shown { label, snapshot, .. } in single(shown) {
            emit(&[("circuit", label)], snapshot.failure_ratio())?;
        }
        Ok(())
    })?;
    out.gauges("circuit_slow_ratio", "Share of slow calls in the window", |emit| {
        for Shown { label, snapshot, .. } in single(shown) {
            emit(&[("circuit", label)], snapshot.slow_ratio())?;
        }
        Ok(())
    })
}

/// What became of its calls.
fn calls(out: &mut Out<'_, '_>, shown: &[Shown]) -> Result<(), Error> {
    out.counters("circuit_calls", "Calls that ended, by outcome", |emit| {
        for Shown { label, snapshot, .. } in shown {
            let counters = &snapshot.counters;
            for (outcome, count) in [
                ("success", counters.success),
                ("failure", counters.failure()),
                ("neutral", counters.neutral),
                ("pushback", counters.pushback),
                ("late", counters.late),
            ] {
                emit(&[("circuit", label), ("outcome", outcome)], count)?;
            }
        }
        Ok(())
    })?;
    out.counters("circuit_rejected", "Calls refused, by reason", |emit| {
        for Shown { label, snapshot, .. } in shown {
            for reason in Reason::ALL {
                let count = snapshot.counters.rejected[reason.index()];
                emit(&[("circuit", label), ("reason", reason.name())], count)?;
            }
            let count = snapshot.counters.would_reject;
            emit(&[("circuit", label), ("reason", "would_reject")], count)?;
        }
        Ok(())
    })?;
    out.counters("circuit_failures", "Calls that failed, by kind", |emit| {
        for Shown { label, snapshot, .. } in shown {
            for (kind, count) in Kind::ALL.into_iter().zip(snapshot.counters.failures) {
                if count > 0 {
                    emit(&[("circuit", label), ("kind", kind.name())], count)?;
                }
            }
        }
        Ok(())
    })?;
    out.counters("circuit_slow_calls", "Calls found slow", |emit| {
        for Shown { label, snapshot, .. } in shown {
            emit(&[("circuit", label)], snapshot.counters.slow)?;
        }
        Ok(())
    })?;
    let help = "Failures that were neutral, for a circuit it depends on was open";
    out.counters("circuit_excused", help, |emit| {
        for Shown { label, snapshot, .. } in shown {
            emit(&[("circuit", label)], snapshot.counters.excused)?;
        }
        Ok(())
    })?;
    out.gauges("circuit_in_flight", "Calls under way", |emit| {
        for Shown { label, snapshot, .. } in shown {
            emit(&[("circuit", label)], snapshot.counters.in_flight() as f64)?;
        }
        Ok(())
    })
}

/// What it has been through.
fn life(out: &mut Out<'_, '_>, shown: &[Shown]) -> Result<(), Error> {
    out.counters("circuit_transitions", "Changes of phase, by cause", |emit| {
        for Shown { label, snapshot, .. } in single(shown) {
            for ((from, to, cause), count) in &snapshot.stats.transitions {
                let labels = [
                    ("circuit", label.as_str()),
                    ("from", from.name()),
                    ("to", to.name()),
                    ("cause", cause),
                ];
                emit(&labels, *count)?;
            }
        }
        Ok(())
    })?;
    out.counters("circuit_open_seconds", "Time spent open", |emit| {
        for Shown { label, snapshot, .. } in single(shown) {
            emit(&[("circuit", label)], snapshot.stats.open.as_secs_f64())?;
        }
        Ok(())
    })?;
    out.counters("circuit_probes", "Probes that ended, by result", |emit| {
        for Shown { label, snapshot, .. } in single(shown) {
            let probes = snapshot.stats.probes;
            for (result, count) in [
                ("success", probes.success),
                ("failure", probes.failure),
                ("neutral", probes.neutral),
                ("expired", probes.expired),
            ] {
                emit(&[("circuit", label), ("result", result)], count)?;
            }
        }
        Ok(())
    })?;
    let recoveries = |shown: &Shown| shown.snapshot.stats.recoveries;
    out.recoveries(single(shown).map(|shown| (shown.label.as_str(), recoveries(shown))))
}

// ===== writing =====

struct Out<'e, 'd> {
    encoder: &'e mut DescriptorEncoder<'d>,
}

type Emit<'a, N> = dyn FnMut(Labels<'_>, N) -> Result<(), Error> + 'a;

impl Out<'_, '_> {
    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        fill: impl FnOnce(&mut Emit<'_, f64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        fill(&mut |labels, value| ConstGauge::new(value).encode(metric.encode_family(&labels)?))
    }

    fn counters<N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        fill: impl FnOnce(&mut Emit<'_, N>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        fill(&mut |labels, value| ConstCounter::new(value).encode(metric.encode_family(&labels)?))
    }

    fn recoveries<'a>(
        &mut self,
        circuits: impl Iterator<Item = (&'a str, Recoveries)>,
    ) -> Result<(), Error> {
        let name = "circuit_time_to_recover_seconds";
        let help = "From opening until closed again";
        let mut metric: MetricEncoder<'_> =
            self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (circuit, recoveries) in circuits {
            let bounds = RECOVERY_BOUNDS.iter().map(|bound| *bound as f64).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(recoveries.buckets).collect();
            let labels = [("circuit", circuit)];
            metric.encode_family(&labels)?.encode_histogram::<[(&str, &str); 0]>(
                recoveries.sum.as_secs_f64(),
                recoveries.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}
