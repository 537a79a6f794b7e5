//! Whether a number may be what it was said to be.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Display;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::{Jitter, SettingsError};
use crate::{Ratio, limits};

pub(crate) fn within<T: PartialOrd + Display>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<T, SettingsError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(SettingsError {
        field,
        value: value.to_string(),
        accepted: format!("{} to {}", range.start(), range.end()),
    })
}

pub(crate) fn within_time(
    field: &'static str,
    value: Duration,
    range: RangeInclusive<Duration>,
) -> Result<Duration, SettingsError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(SettingsError {
        field,
        value: format!("{value:?}"),
        accepted: format!("{} to {}", in_days(*range.start()), in_days(*range.end())),
    })
}

/// In days where it is whole days: nobody reads 31536000s as a year.
fn in_days(time: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    match time.as_secs() {
        secs if secs > 0 && secs % DAY == 0 && time.subsec_nanos() == 0 => {
            format!("{}d", secs / DAY)
        }
        _ => format!("{time:?}"),
    }
}

pub(crate) fn duration(field: &'static str, value: Duration) -> Result<Duration, SettingsError> {
    within_time(field, value, limits::SHORTEST..=limits::LONGEST)
}

pub(super) fn positive_ratio(field: &'static str, share: f64) -> Result<Ratio, SettingsError> {
    match Ratio::from_f64(share) {
        Ok(ratio) if ratio > Ratio::ZERO => Ok(ratio),
        _ => Err(SettingsError {
            field,
            value: share.to_string(),
            accepted: String::from("above 0 and at most 1"),
        }),
    }
}

pub(super) fn jitter(share: f64) -> Result<Jitter, SettingsError> {
    Ratio::from_f64(share).map(Jitter::Proportional).map_err(|_| SettingsError {
        field: "jitter",
        value: share.to_string(),
        accepted: String::from("a share from 0 to 1, or none, equal or full"),
    })
}

/// A factor in thousandths.
pub(super) fn millis(
    field: &'static str,
    factor: f64,
    range: RangeInclusive<u32>,
) -> Result<u32, SettingsError> {
    let (low, high) = (*range.start(), *range.end());
    let millis = factor * 1_000.0;
    if !(f64::from(low)..=f64::from(high)).contains(&millis) {
        return Err(SettingsError {
            field,
            value: factor.to_string(),
            accepted: format!("{} to {}", low / 1_000, high / 1_000),
        });
    }
    #[expect(clippy::cast_sign_loss, reason = "checked to be positive")]
    Ok((millis + 0.5) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole days as such, and nothing rounded to them: whoever reads the bound may set it.
    #[test]
    fn bounds_of_times_are_said_exactly() {
        const DAY: Duration = Duration::from_secs(86_400);
        for (bound, said) in [
            (Duration::ZERO, "0ns"),
            (Duration::from_millis(1), "1ms"),
            (Duration::from_secs(3_600), "3600s"),
            (DAY, "1d"),
            (2 * DAY, "2d"),
            (DAY + Duration::from_secs(1), "86401s"),
            (DAY + Duration::from_nanos(1), "86400.000000001s"),
        ] {
            let error = within_time("wait", Duration::MAX, bound..=bound).unwrap_err();
            assert_eq!(error.accepted(), format!("{said} to {said}"));
        }
    }
}
