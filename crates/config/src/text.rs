//! Durations and sizes as text, both ways.

use std::fmt::Write;
use std::time::Duration;

/// Units of time, larger first, in nanoseconds.
const UNITS: [(&str, u128); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// As a regular expression, a number of one unit, or nothing.
macro_rules! part {
    ($unit:literal) => {
        concat!(r"([0-9]+(\.[0-9]+)?", $unit, ")?")
    };
}

/// What [`parse_duration`] accepts, as far as a regular expression can tell.
pub(crate) const DURATION_PATTERN: &str =
    concat!("^", part!("d"), part!("h"), part!("m"), part!("s"), part!("ms"), "$");

/// Why a text is no duration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum DurationFault {
    /// A number without a unit.
    NoUnit(String),
    /// It is written wrongly, but this must be meant.
    Meant(String),
    /// Units twice or in the wrong order.
    Order,
    /// No such length of time.
    TooLong,
    Other,
}

/// `250ms`, `5s`, `1.5h`, `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, DurationFault> {
    match parse_exactly(text) {
        Err(DurationFault::Other) => Err(meant(text)),
        result => result,
    }
}

fn parse_exactly(text: &str) -> Result<Duration, DurationFault> {
    let mut rest = text;
    let mut nanos: u128 = 0;
    let mut next_unit = 0;
    if rest.is_empty() {
        return Err(DurationFault::Other);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if unit.is_empty() && after.is_empty() && text == number && number.parse::<f64>().is_ok() {
            return Err(DurationFault::NoUnit(number.to_owned()));
        }
        let Some(place) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(DurationFault::Other);
        };
        let part = scale(number, UNITS[place].1)?;
        if place < next_unit {
            return Err(DurationFault::Order);
        }
        next_unit = place + 1;
        nanos = nanos.checked_add(part).ok_or(DurationFault::TooLong)?;
        rest = after;
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| DurationFault::TooLong)?;
    Ok(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

/// A decimal number of `unit`s, exactly; digits too fine to matter are dropped.
fn scale(number: &str, unit: u128) -> Result<u128, DurationFault> {
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return Err(DurationFault::Other),
        Some(parts) => parts,
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return Err(DurationFault::Other);
    }
    let whole: u128 = whole.parse().map_err(|_| DurationFault::TooLong)?;
    let mut total = whole.checked_mul(unit).ok_or(DurationFault::TooLong)?;
    let mut digit_unit = unit;
    for digit in fraction.bytes() {
        digit_unit /= 10;
        total += u128::from(digit - b'0') * digit_unit;
    }
    Ok(total)
}

/// Blanks taken out and units put into their short form: if that is a duration, it was meant.
fn meant(text: &str) -> DurationFault {
    let mut short = String::new();
    let mut word = String::new();
    for c in text.trim_start_matches('+').to_lowercase().chars().chain(['0']) {
        if c.is_alphabetic() {
            word.push(c);
            continue;
        }
        match word.as_str() {
            "" => {}
            "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => short.push_str("ms"),
            "sec" | "secs" | "second" | "seconds" => short.push('s'),
            "min" | "mins" | "minute" | "minutes" => short.push('m'),
            "hr" | "hrs" | "hour" | "hours" => short.push('h'),
            "day" | "days" => short.push('d'),
            other => short.push_str(other),
        }
        word.clear();
        if !c.is_whitespace() && c != '_' {
            short.push(c);
        }
    }
    // The zero that flushed the last word.
    short.pop();
    match parse_exactly(&short) {
        Ok(_) if short != text => DurationFault::Meant(short),
        Err(DurationFault::NoUnit(number)) => DurationFault::NoUnit(number),
        _ => DurationFault::Other,
    }
}

/// The shortest exact text for a duration: `1h30m`, `250ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let mut nanos = duration.as_nanos();
    if nanos == 0 {
        return String::from("0s");
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        if nanos >= size {
            let _ = write!(text, "{}{unit}", nanos / size);
            nanos %= size;
        }
    }
    if nanos > 0 {
        let _ = write!(text, "{nanos}ns");
    }
    text
}

// ===== sizes =====

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// What [`parse_size`] accepts.
pub(crate) const SIZE_PATTERN: &str = r"^[0-9]+(B|KiB|MiB|GiB)$";

/// `64KiB`, `10MiB`, `512B`. On failure, what was probably meant.
pub(crate) fn parse_size(text: &str) -> Result<u64, Option<String>> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if let (Ok(number), Some((_, size))) =
        (number.parse::<u64>(), SIZES.iter().find(|(name, _)| *name == unit))
    {
        return number.checked_mul(*size).ok_or(None);
    }
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        _ => return Err(None),
    };
    Err((!number.is_empty()).then(|| format!("{number}{meant}")))
}

/// The shortest exact text for a size.
pub(crate) fn size(bytes: u64) -> String {
    let fits = |(_, size): &&(&str, u64)| bytes >= *size && bytes.is_multiple_of(*size);
    match SIZES.iter().find(fits) {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => String::from("0B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1.5s", 1_500),
            ("0.1s", 100),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_gets_a_reason() {
        use DurationFault::{Meant, NoUnit, Order, Other, TooLong};
        let meant = |text: &str| Meant(text.to_owned());
        for (text, fault) in [
            ("", Other),
            ("45", NoUnit(String::from("45"))),
            ("45x", Other),
            ("5 s", meant("5s")),
            ("5S", meant("5s")),
            ("5sec", meant("5s")),
            ("2 minutes", meant("2m")),
            ("1 hour 30 min", meant("1h30m")),
            ("30m1h", Order),
            ("5s5s", Order),
            ("-5s", Other),
            ("5.s", Other),
            (".5s", Other),
            ("1..5s", Other),
            ("s", Other),
            ("99999999999999999999999999999999999999d", TooLong),
            ("999999999999999999999999d", TooLong),
            ("1e3s", Other),
        ] {
            assert_eq!(parse_duration(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["1ms", "1s500ms", "1h30m", "365d", "1d1ms"] {
            assert_eq!(duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(duration(Duration::ZERO), "0s");
        assert_eq!(duration(Duration::from_nanos(1_500)), "1500ns");
    }

    #[test]
    fn sizes_go_both_ways() {
        for (text, bytes) in
            [("512B", 512), ("64KiB", 65_536), ("10MiB", 10 << 20), ("2GiB", 2 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes));
            assert_eq!(size(bytes), text);
        }
        assert_eq!(parse_size("64KB"), Err(Some(String::from("64KiB"))));
        assert_eq!(parse_size("64 kib"), Err(Some(String::from("64KiB"))));
        assert_eq!(parse_size("64"), Err(Some(String::from("64B"))));
        assert_eq!(parse_size("lots"), Err(None));
        assert_eq!(parse_size("99999999999GiB"), Err(None));
        assert_eq!(size(0), "0B");
    }
}
