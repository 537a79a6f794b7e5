//! Durations and counts as people read them.

use std::fmt;
use std::time::Duration;

const UNITS: [(u128, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];

/// A duration in at most two units: `43 s`, `2 min 5 s`, `1 h`, `250 ms`.
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 1_000 {
            return write!(f, "{millis} ms");
        }
        let tenths = millis / 100;
        if tenths < 100 && !tenths.is_multiple_of(10) {
            return write!(f, "{}.{} s", tenths / 10, tenths % 10);
        }
        // Half a second more or less does not matter from here on.
        let secs = (millis + 500) / 1_000;
        let large = UNITS.iter().position(|(size, _)| secs >= *size).unwrap_or(3);
        let (size, unit) = UNITS[large];
        write!(f, "{} {unit}", secs / size)?;
        match UNITS.get(large + 1) {
            Some((next, unit)) if secs % size / next > 0 => {
                write!(f, " {} {unit}", secs % size / next)
            }
            _ => Ok(()),
        }
    }
}

/// A number with its thousands set apart: `1,204`.
pub(crate) struct Count(pub(crate) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `1 call`, `2 calls`.
pub(crate) struct Many(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Many(count, noun) = self;
        write!(f, "{} {noun}{}", Count(*count), if *count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_at_most_two_units() {
        let text = |millis| Time(Duration::from_millis(millis)).to_string();
        assert_eq!(text(0), "0 ms");
        assert_eq!(text(250), "250 ms");
        assert_eq!(text(1_000), "1 s");
        assert_eq!(text(1_250), "1.2 s");
        assert_eq!(text(3_008), "3 s");
        assert_eq!(text(42_600), "43 s");
        assert_eq!(text(125_000), "2 min 5 s");
        assert_eq!(text(3_600_000), "1 h");
        assert_eq!(text(3_661_000), "1 h 1 min");
        assert_eq!(text(90_000_000), "1 d 1 h");
    }

    #[test]
    fn counts_set_their_thousands_apart() {
        assert_eq!(Count(7).to_string(), "7");
        assert_eq!(Count(1_204).to_string(), "1,204");
        assert_eq!(Count(12_345_678).to_string(), "12,345,678");
        assert_eq!(Many(1, "call").to_string(), "1 call");
        assert_eq!(Many(0, "call").to_string(), "0 calls");
    }
}
