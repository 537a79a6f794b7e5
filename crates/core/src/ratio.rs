//! Ratios without floats.

use core::fmt;

/// A share between 0 and 1, kept in basis points (hundredths of a percent).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(u16);

/// A number that is no share between 0 and 1.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct InvalidRatio(pub f64);

impl Ratio {
    /// Nothing.
    pub const ZERO: Ratio = Ratio(0);
    /// All of it.
    pub const ONE: Ratio = Ratio(Self::SCALE as u16);
    /// Basis points in one.
    pub const SCALE: u64 = 10_000;

    /// `percent` hundredths; `None` above 100.
    pub const fn percent(percent: u16) -> Option<Ratio> {
        if percent <= 100 { Some(Ratio(percent * 100)) } else { None }
    }

    /// `points` ten-thousandths; `None` above 10,000.
    pub const fn basis_points(points: u16) -> Option<Ratio> {
        if points as u64 <= Self::SCALE { Some(Ratio(points)) } else { None }
    }

    /// The nearest basis point to `share`.
    ///
    /// # Errors
    /// When `share` is not a number, negative or above 1.
    pub fn from_f64(share: f64) -> Result<Ratio, InvalidRatio> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidRatio(share));
        }
        // In range, so the cast cannot saturate; it truncates, hence the half.
        #[expect(clippy::cast_sign_loss, reason = "checked to lie in 0..=1")]
        Ok(Ratio((share * Self::SCALE as f64 + 0.5) as u16))
    }

    /// `part` of `whole`, rounded to the nearest basis point; zero of nothing is zero.
    pub const fn of(part: u64, whole: u64) -> Ratio {
        if whole == 0 {
            return Ratio::ZERO;
        }
        let part = if part > whole { whole } else { part };
        let points = (part as u128 * Self::SCALE as u128 + whole as u128 / 2) / whole as u128;
        Ratio(points as u16)
    }

    /// This share in basis points.
    pub const fn as_basis_points(self) -> u64 {
        self.0 as u64
    }

    /// This share as a float, for display.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / Self::SCALE as f64
    }

    /// Whether `part` of `whole` is at least this share. Exact: nothing is rounded.
    pub const fn reached_by(self, part: u64, whole: u64) -> bool {
        part as u128 * Self::SCALE as u128 >= self.0 as u128 * whole as u128
    }

    /// This share of `amount`, rounded down.
    pub const fn share_of(self, amount: u64) -> u64 {
        (amount as u128 * self.0 as u128 / Self::SCALE as u128) as u64
    }
}

impl fmt::Display for Ratio {
    /// As a percentage with at most one decimal: `50 %`, `59.6 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (u32::from(self.0) + 5) / 10;
        if tenths.is_multiple_of(10) {
            write!(f, "{} %", tenths / 10)
        } else {
            write!(f, "{}.{} %", tenths / 10, tenths % 10)
        }
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ratio({}/{})", self.0, Self::SCALE)
    }
}

impl fmt::Display for InvalidRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a share between 0 and 1", self.0)
    }
}

impl core::error::Error for InvalidRatio {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn display_rounds_to_a_tenth_of_a_percent() {
        assert_eq!(Ratio::of(31, 52).to_string(), "59.6 %");
        assert_eq!(Ratio::of(1, 2).to_string(), "50 %");
        assert_eq!(Ratio::of(1, 1).to_string(), "100 %");
        assert_eq!(Ratio::of(0, 0).to_string(), "0 %");
        assert_eq!(Ratio::of(1, 3).to_string(), "33.3 %");
    }

    #[test]
    fn from_f64_takes_shares_only() {
        assert_eq!(Ratio::from_f64(0.5), Ok(Ratio::percent(50).unwrap()));
        assert_eq!(Ratio::from_f64(1.0), Ok(Ratio::ONE));
        assert!(Ratio::from_f64(50.0).is_err());
        assert!(Ratio::from_f64(-0.1).is_err());
        assert!(Ratio::from_f64(f64::NAN).is_err());
    }

    #[test]
    fn reached_by_is_exact_at_the_threshold() {
        let half = Ratio::percent(50).unwrap();
        assert!(half.reached_by(5, 10));
        assert!(!half.reached_by(4, 9));
        assert!(half.reached_by(u64::MAX / 2 + 1, u64::MAX));
        assert!(!half.reached_by(u64::MAX / 2, u64::MAX));
    }

    #[test]
    fn a_ratio_is_what_it_was_made_from() {
        assert_eq!(Ratio::basis_points(10_000), Some(Ratio::ONE));
        assert_eq!(Ratio::basis_points(10_001), None);
        assert_eq!(Ratio::percent(100), Some(Ratio::ONE));
        assert_eq!(Ratio::percent(101), None);
        assert_eq!(Ratio::of(1, 3).as_basis_points(), 3_333);
        assert_eq!(Ratio::of(2, 3).as_basis_points(), 6_667, "rounded to the nearest");
        assert_eq!(Ratio::of(1, 20_000).as_basis_points(), 1, "a half is rounded up");
        assert_eq!(Ratio::of(7, 3), Ratio::ONE, "a part is no more than the whole");
        assert_eq!(Ratio::of(u64::MAX, u64::MAX), Ratio::ONE);
        assert!((Ratio::of(1, 4).as_f64() - 0.25).abs() < f64::EPSILON);
        assert_eq!(Ratio::of(1, 4).share_of(10), 2, "rounded down");
        assert_eq!(Ratio::ONE.share_of(u64::MAX), u64::MAX);
    }

    #[test]
    fn says_what_it_is() {
        assert_eq!(alloc::format!("{:?}", Ratio::of(1, 4)), "Ratio(2500/10000)");
        assert_eq!(InvalidRatio(1.5).to_string(), "1.5 is not a share between 0 and 1");
    }
}
