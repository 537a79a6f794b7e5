//! The settings of the sequential rule.

use alloc::format;
use alloc::string::{String, ToString};

use super::SettingsError;
use super::checks::within;
use crate::cusum::{LEAST_LEARNED, Score};
use crate::{Ratio, limits};

/// What the sequential rule tells apart, as it is being said; see [`crate::cusum`].
///
/// # Examples
/// ```
/// use panelboard_core::{SequentialSpec, Settings};
///
/// let rule = SequentialSpec::default().learned().fault_rate(0.3).false_trips_per(50_000_000);
/// assert!(Settings::builder().sequential(rule).build().is_ok());
/// ```
#[derive(Copy, Clone, PartialEq, Debug)]
#[must_use]
pub struct SequentialSpec {
    base_rate: Option<f64>,
    fault_rate: f64,
    false_trips_per: u64,
}

/// What the sequential rule tells apart, checked.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Sequential {
    base_rate: BaseRate,
    fault_rate: Ratio,
    false_trips_per: u64,
    limit: Score,
}

/// The share of calls that fails when nothing is wrong.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum BaseRate {
    /// This much.
    Known(Ratio),
    /// As much as in undisturbed closed traffic, between 5 % and 20 %.
    Learned,
}

// ===== impl SequentialSpec =====

impl SequentialSpec {
    /// The share of calls that fails when nothing is wrong: above 0, below `fault_rate`.
    /// Default: 0.01.
    pub fn base_rate(mut self, share: f64) -> Self {
        self.base_rate = Some(share);
        self
    }

    /// The base rate is learned from undisturbed closed traffic: 0.05 at first, then between that
    /// and 0.2, and not above half of `fault_rate`, which must therefore be 0.1 or more.
    pub fn learned(mut self) -> Self {
        self.base_rate = None;
        self
    }

    /// The share of failing calls that is a fault: at most 0.99. A larger one is found sooner; one
    /// much nearer to the base rate may not be found at all. Default: 0.2.
    pub fn fault_rate(mut self, share: f64) -> Self {
        self.fault_rate = share;
        self
    }

    /// How many calls there shall be between false trips, on average and at least: as many as there
    /// are in a month, say. Default and least: 1,000,000.
    pub fn false_trips_per(mut self, calls: u64) -> Self {
        self.false_trips_per = calls;
        self
    }

    pub(super) fn check(self) -> Result<Sequential, SettingsError> {
        let fault_rate = share("sequential.fault_rate", self.fault_rate, limits::FAULT_RATE)?;
        let base_rate = match self.base_rate {
            Some(rate) => BaseRate::Known(share("sequential.base_rate", rate, limits::FAULT_RATE)?),
            None => BaseRate::Learned,
        };
        let fault_given = self.fault_rate.to_string();
        match base_rate {
            BaseRate::Known(base) if base >= fault_rate => Err(SettingsError {
                field: "sequential.base_rate",
                value: self.base_rate.unwrap_or_default().to_string(),
                accepted: format!("below sequential.fault_rate ({fault_given})"),
            }),
            BaseRate::Learned
                if fault_rate.as_basis_points() < 2 * LEAST_LEARNED.as_basis_points() =>
            {
                Err(SettingsError {
                    field: "sequential.fault_rate",
                    value: fault_given,
                    accepted: String::from("0.1 or more with a learned sequential.base_rate"),
                })
            }
            _ => {
                let calls = self.false_trips_per;
                let calls = within("sequential.false_trips_per", calls, limits::FALSE_TRIPS_PER)?;
                let limit = Score::for_false_trips_per(calls);
                Ok(Sequential { base_rate, fault_rate, false_trips_per: calls, limit })
            }
        }
    }
}

impl Default for SequentialSpec {
    fn default() -> SequentialSpec {
        SequentialSpec {
            base_rate: Some(0.01),
            fault_rate: 0.2,
            false_trips_per: *limits::FALSE_TRIPS_PER.start(),
        }
    }
}

impl From<Sequential> for SequentialSpec {
    fn from(rule: Sequential) -> SequentialSpec {
        SequentialSpec {
            base_rate: match rule.base_rate {
                BaseRate::Known(rate) => Some(rate.as_f64()),
                BaseRate::Learned => None,
            },
            fault_rate: rule.fault_rate.as_f64(),
            false_trips_per: rule.false_trips_per,
        }
    }
}

fn share(
    field: &'static str,
    share: f64,
    (least, most): (Ratio, Ratio),
) -> Result<Ratio, SettingsError> {
    match Ratio::from_f64(share) {
        Ok(ratio) if (least..=most).contains(&ratio) => Ok(ratio),
        _ => Err(SettingsError {
            field,
            value: share.to_string(),
            accepted: format!("{} to {}", least.as_f64(), most.as_f64()),
        }),
    }
}

// ===== impl Sequential =====

impl Sequential {
    /// The share of calls that fails when nothing is wrong.
    pub const fn base_rate(self) -> BaseRate {
        self.base_rate
    }

    /// The share of failing calls that is a fault.
    pub const fn fault_rate(self) -> Ratio {
        self.fault_rate
    }

    /// Calls between false trips, on average and at least.
    pub const fn false_trips_per(self) -> u64 {
        self.false_trips_per
    }

    /// The score at which the rule fires: the logarithm of [`false_trips_per`](Self::false_trips_per).
    pub const fn limit(self) -> Score {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn error(spec: SequentialSpec) -> String {
        Settings::builder().sequential(spec).build().unwrap_err().to_string()
    }

    #[test]
    fn rates_that_cannot_be_told_apart_are_refused() {
        let spec = SequentialSpec::default;
        assert_eq!(
            error(spec().base_rate(0.2)),
            "sequential.base_rate is 0.2, but must be below sequential.fault_rate (0.2)"
        );
        assert_eq!(
            error(spec().learned().fault_rate(0.09)),
            "sequential.fault_rate is 0.09, but must be 0.1 or more with a learned \
             sequential.base_rate"
        );
        assert_eq!(
            error(spec().fault_rate(1.0)),
            "sequential.fault_rate is 1, but must be 0.0001 to 0.99"
        );
        assert_eq!(
            error(spec().base_rate(0.0)),
            "sequential.base_rate is 0, but must be 0.0001 to 0.99"
        );
        assert_eq!(
            error(spec().false_trips_per(1_000)),
            "sequential.false_trips_per is 1000, but must be 1000000 to 1000000000000"
        );
        assert!(Settings::builder().sequential(spec().fault_rate(f64::NAN)).build().is_err());
    }

    #[test]
    fn a_rule_is_what_was_said() {
        let spec = SequentialSpec::default().learned().fault_rate(0.1).false_trips_per(2_000_000);
        let rule = spec.check().unwrap();
        assert_eq!(rule.base_rate(), BaseRate::Learned);
        assert_eq!(rule.fault_rate(), Ratio::percent(10).unwrap());
        assert_eq!(rule.false_trips_per(), 2_000_000);
        assert_eq!(rule.limit(), Score::for_false_trips_per(2_000_000));
    }

    #[test]
    fn a_checked_rule_can_be_said_again() {
        for spec in [SequentialSpec::default(), SequentialSpec::default().learned()] {
            let rule = spec.check().unwrap();
            assert_eq!(SequentialSpec::from(rule).check(), Ok(rule));
        }
    }
}
