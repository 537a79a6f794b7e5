//! The sequential rule.

use panelboard_core::{SequentialSpec, limits};

use crate::describe::keys;
use crate::kinds::{BaseRateKind, Large, Share};
use crate::source::Span;

keys! {
    /// When failures come too often to be chance, however few the calls. As a setting it is one:
    /// what a circuit says replaces all of what its defaults say.
    pub(crate) struct SequentialKeys = "sequential" in "circuit_breaker.circuits.NAME.sequential" {
        /// The share of calls that fails when nothing is wrong; `"learned"` takes it from closed
        /// traffic, between 5 % and 20 % and not above half of `fault_rate`.
        base_rate: Option<f64> = BaseRateKind, default "0.01";
        /// The share of failing calls that is a fault; at most 0.99.
        fault_rate: f64 = Share, default "0.2";
        /// How many calls there shall be between false trips, on average and at least: as many as
        /// there are in a month, say.
        false_trips_per: u64 = Large(limits::FALSE_TRIPS_PER), default "1000000";
    }
}

impl SequentialKeys {
    pub(crate) fn spec(&self) -> SequentialSpec {
        let spec = SequentialSpec::default()
            .fault_rate(self.fault_rate.value)
            .false_trips_per(self.false_trips_per.value);
        match self.base_rate.value {
            Some(share) => spec.base_rate(share),
            None => spec.learned(),
        }
    }

    /// Where each of its keys was said, by the name that errors of the core use.
    pub(crate) fn places(&self) -> [(&'static str, Span); 3] {
        [
            ("sequential.base_rate", self.base_rate.span),
            ("sequential.fault_rate", self.fault_rate.span),
            ("sequential.false_trips_per", self.false_trips_per.span),
        ]
    }
}
