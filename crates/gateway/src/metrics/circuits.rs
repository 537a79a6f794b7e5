//! The metrics of circuits, read off their snapshots at each scrape.

use std::collections::BTreeMap;
use std::fmt::Error;

use panelboard::stats::{RECOVERY_BOUNDS, Recoveries};
use panelboard::{Kind, Mode, Name, PhaseName, Reason, Registry, Snapshot};
use panelboard_core::machine::Counters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeMetric as _, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Keys of one family that have series of their own: the busiest. The rest share `other`, where what
/// evicted ones had counted stays, so that no sum over a family falls.
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
    counters: Counters,
    /// `None` for several circuits added up: they have no state in common.
    snapshot: Option<Snapshot>,
}

impl Circuits {
    pub(super) fn new(registry: Registry) -> Circuits {
        Circuits { registry }
    }

    /// Every circuit with a label of its own; of each family the busiest keys, and the rest as one,
    /// with what the evicted ones had counted. Says as well how many were merged.
    fn shown(&self) -> (Vec<Shown>, u64) {
        // In this order, and the breakers held: whoever is evicted is either here or there.
        let breakers = self.registry.breakers();
        let mut families: BTreeMap<Name, (Counters, Vec<Snapshot>)> = BTreeMap::new();
        for family in self.registry.families() {
            families.insert(family.name().clone(), (family.evicted().1, Vec::new()));
        }
        let mut shown = Vec::new();
        for breaker in &breakers {
            let snapshot = breaker.snapshot();
            let family = families.iter_mut().find(|(family, _)| {
                snapshot.name.strip_prefix(family.as_str()).is_some_and(|key| key.starts_with('/'))
            });
            match family {
                Some((_, (_, keys))) => keys.push(snapshot),
                None => shown.push(Shown::one(snapshot)),
            }
        }
        let mut dropped = 0;
        for (family, (mut others, keys)) in families {
            let label = format!("{family}/other");
            // Should a key have that very name, its series would be there twice.
            let (mut rest, mut keys): (Vec<_>, Vec<_>) =
                keys.into_iter().partition(|snapshot| *snapshot.name == label);
            keys.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.counters.admitted));
            rest.extend(keys.split_off(keys.len().min(KEYS)));
            shown.extend(keys.into_iter().map(Shown::one));
            dropped += rest.len() as u64;
            for snapshot in &rest {
                others.add(&snapshot.counters);
            }
            if !rest.is_empty() || others != Counters::default() {
                shown.push(Shown { label, counters: others, snapshot: None });
            }
        }
        (shown, dropped)
    }
}

impl Shown {
    fn one(snapshot: Snapshot) -> Shown {
        let (label, counters) = (snapshot.name.to_string(), snapshot.counters);
        Shown { label, counters, snapshot: Some(snapshot) }
    }
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
        out.counters("circuit_keys_evicted", "Keys of the family given up as idle", |emit| {
            for family in self.registry.families() {
                emit(&[("family", family.name())], family.evicted().0)?;
            }
            Ok(())
        })?;
        out.gauges("series_merged", "Circuits without series of their own", |emit| {
            emit(&[], merged as f64)
        })
    }
}

/// Those that stand for one circuit only, and so have a state.
fn single(shown: &[Shown]) -> impl Iterator<Item = (&str, &Snapshot)> {
    shown.iter().filter_map(|circuit| Some((circuit.label.as_str(), circuit.snapshot.as_ref()?)))
}

/// Which state a circuit is in.
fn phases(out: &mut Out<'_, '_>, shown: &[Shown]) -> Result<(), Error> {
    out.gauges("circuit_state", "Which phase the circuit is in: one of them is 1", |emit| {
        for (label, snapshot) in single(shown) {
            for phase in PhaseName::ALL {
                let on = f64::from(u8::from(snapshot.phase == phase));
                emit(&[("circuit", label), ("state", phase.name())], on)?;
            }
        }
        Ok(())
    })?;
    out.gauges("circuit_mode", "Who decides for the circuit: one of them is 1", |emit| {
        for (label, snapshot) in single(shown) {
            for mode in Mode::ALL {
                let on = f64::from(u8::from(snapshot.mode == mode));
                emit(&[("circuit", label), ("mode", mode.name())], on)?;
            }
        }
        Ok(())
    })?;
    out.gauges("circuit_failure_ratio", "Share of failures in the window", |emit| {
        for (label, snapshot) in single(shown) {
            emit(&[("circuit", label)], snapshot.failure_ratio())?;
        }
        Ok(())
    })?;
    out.gauges("circuit_slow_ratio", "Share of slow calls in the window", |emit| {
        for (label, snapshot) in single(shown) {
            emit(&[("circuit", label)], snapshot.slow_ratio())?;
        }
        Ok(())
    })?;
    let help = "Whether the upstream said that a quota is used up, and none has been seen since";
    out.gauges("circuit_quota_used_up", help, |emit| {
        for (label, snapshot) in single(shown) {
            emit(&[("circuit", label)], f64::from(u8::from(snapshot.quota_used_up)))?;
        }
        Ok(())
    })
}

/// What became of its calls.
fn calls(out: &mut Out<'_, '_>, shown: &[Shown]) -> Result<(), Error> {
    out.counters("circuit_calls", "Calls that ended, by outcome", |emit| {
        for Shown { label, counters, .. } in shown {
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
        for Shown { label, counters, .. } in shown {
            for reason in Reason::ALL {
                let count = counters.rejected[reason.index()];
                emit(&[("circuit", label), ("reason", reason.name())], count)?;
            }
            let count = counters.would_reject;
            emit(&[("circuit", label), ("reason", "would_reject")], count)?;
        }
        Ok(())
    })?;
    out.counters("circuit_failures", "Calls that failed, by kind", |emit| {
        for Shown { label, counters, .. } in shown {
            for (kind, count) in Kind::ALL.into_iter().zip(counters.failures) {
                if count > 0 {
                    emit(&[("circuit", label), ("kind", kind.name())], count)?;
                }
            }
        }
        Ok(())
    })?;
    out.counters("circuit_slow_calls", "Calls found slow", |emit| {
        for Shown { label, counters, .. } in shown {
            emit(&[("circuit", label)], counters.slow)?;
        }
        Ok(())
    })?;
    let help = "Failures that were neutral, for a circuit it depends on was open";
    out.counters("circuit_excused", help, |emit| {
        for Shown { label, counters, .. } in shown {
            emit(&[("circuit", label)], counters.excused)?;
        }
        Ok(())
    })?;
    out.gauges("circuit_in_flight", "Calls under way", |emit| {
        for Shown { label, counters, .. } in shown {
            emit(&[("circuit", label)], counters.in_flight() as f64)?;
        }
        Ok(())
    })
}

/// What it has been through.
fn life(out: &mut Out<'_, '_>, shown: &[Shown]) -> Result<(), Error> {
    out.counters("circuit_transitions", "Changes of phase, by cause", |emit| {
        for (label, snapshot) in single(shown) {
            for ((from, to, cause), count) in &snapshot.stats.transitions {
                let labels = [
                    ("circuit", label),
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
        for (label, snapshot) in single(shown) {
            emit(&[("circuit", label)], snapshot.stats.open.as_secs_f64())?;
        }
        Ok(())
    })?;
    out.counters("circuit_probes", "Probes that ended, by result", |emit| {
        for (label, snapshot) in single(shown) {
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
    out.recoveries(single(shown).map(|(label, snapshot)| (label, snapshot.stats.recoveries)))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use panelboard::event::Bus;
    use panelboard::{Catalog, ManualClock};

    use super::*;

    /// The value of a series, as exported.
    fn value(registry: &Registry, series: &str) -> Option<f64> {
        let mut exported = prometheus_client::registry::Registry::default();
        exported.register_collector(Box::new(Circuits::new(registry.clone())));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &exported).unwrap();
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    #[test]
    fn what_evicted_keys_had_counted_stays_in_the_sum_of_their_family() {
        let clock = ManualClock::new();
        let registry =
            Registry::with(&Catalog::default(), clock.clone().into(), Bus::with_capacity(8));
        let family = registry.keyed("llm");
        for key in ["a", "b", "b"] {
            family.breaker(&[key]).call(|| Ok::<_, ()>(())).unwrap();
        }
        let calls = |key: &str| {
            let labels = format!("{{circuit=\"llm/{key}\",outcome=\"success\"}}");
            value(&registry, &format!("circuit_calls_total{labels}"))
        };
        let evicted = || value(&registry, "circuit_keys_evicted_total{family=\"llm\"}");
        assert_eq!((calls("a"), calls("b"), calls("other")), (Some(1.0), Some(2.0), None));
        assert_eq!(evicted(), Some(0.0));
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(registry.evict_idle(), 2);
        family.breaker(&["b"]).call(|| Ok::<_, ()>(())).unwrap();
        assert_eq!((calls("a"), calls("b"), calls("other")), (None, Some(1.0), Some(3.0)));
        assert_eq!(evicted(), Some(2.0));
    }

    /// A key is whatever a client says it is, and a series that is there twice fails the scrape.
    #[test]
    fn a_key_by_the_name_of_the_rest_is_one_of_the_rest() {
        let registry = Registry::new();
        let family = registry.keyed("llm");
        for key in ["other", "b"] {
            family.breaker(&[key]).call(|| Ok::<_, ()>(())).unwrap();
        }
        for n in 0..KEYS {
            let busier = family.breaker(&[&n.to_string()]);
            (0..2).for_each(|_| busier.call(|| Ok::<_, ()>(())).unwrap());
        }
        let label = "circuit=\"llm/other\"";
        let calls = format!("circuit_calls_total{{{label},outcome=\"success\"}}");
        assert_eq!(value(&registry, &calls), Some(2.0));
        let state = format!("circuit_state{{{label},state=\"closed\"}}");
        assert_eq!(value(&registry, &state), None);
    }
}
