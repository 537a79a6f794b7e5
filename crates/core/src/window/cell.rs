//! One bucket's counter in one word: which bucket it is, and how much is in it.
//!
//! A word that carries its own bucket number needs no reset when time moves on (an old number
//! means empty) and no lock to be read together with its age. The plain window and the sharded
//! lock-free one use these same three functions.

use core::time::Duration;

use crate::Tick;
use crate::time::nanos;

/// Buckets in a time window.
pub const BUCKETS: usize = 10;

/// The width of one bucket in nanoseconds, for a window this long.
pub const fn width_of(window: Duration) -> u64 {
    let width = nanos(window) / BUCKETS as u64;
    if width == 0 { 1 } else { width }
}

/// The number of the bucket that `now` falls into. It wraps after 2³² buckets: with the finest
/// width (10 ms) a cell would have to lie untouched for 497 days, give or take a window, to be taken
/// for a fresh one.
pub const fn number(now: Tick, width: u64) -> u32 {
    (now.as_nanos() / width) as u32
}

/// The place of a bucket in the ring.
pub const fn place(number: u32) -> usize {
    number as usize % BUCKETS
}

/// The cell with one more counted in bucket `number`; what it held of an older one is gone.
/// The count saturates.
#[must_use]
pub const fn bump(cell: u64, number: u32) -> u64 {
    if (cell >> 32) as u32 == number {
        if cell as u32 == u32::MAX { cell } else { cell + 1 }
    } else {
        (number as u64) << 32 | 1
    }
}

/// What the cell holds for a window whose newest bucket is `newest`.
///
/// A cell ahead of `newest` counts, too: another thread's clock reading was later than ours. But no
/// further than a window, or one that was left alone for 2³¹ buckets would seem to be ahead.
pub const fn live(cell: u64, newest: u32) -> u64 {
    if is_live((cell >> 32) as u32, newest) { cell & 0xffff_ffff } else { 0 }
}

/// Whether bucket `number` counts for a window whose newest bucket is `newest`.
pub const fn is_live(number: u32, newest: u32) -> bool {
    let age = newest.wrapping_sub(number).cast_signed();
    age.unsigned_abs() < BUCKETS as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_within_its_bucket_and_starts_over_in_the_next() {
        let cell = bump(bump(0, 7), 7);
        assert_eq!(live(cell, 7), 2);
        assert_eq!(live(cell, 16), 2);
        assert_eq!(live(cell, 17), 0, "ten buckets later it is too old");
        assert_eq!(live(cell, 6), 2, "a later clock reading counts");
        assert_eq!(live(bump(cell, 17), 17), 1);
    }

    /// A thread that was idle for most of a year left a failure in its cell.
    #[test]
    fn a_cell_that_was_left_alone_for_long_is_old_and_not_ahead() {
        let cell = bump(0, 7);
        for later in [10, 1 << 31, (1 << 31) + 100, u32::MAX - 100] {
            assert_eq!(live(cell, 7_u32.wrapping_add(later)), 0, "{later} buckets later");
        }
    }

    #[test]
    fn saturates_and_wraps_quietly() {
        let full = u64::from(u32::MAX);
        assert_eq!(bump(full, 0), full);
        let last = bump(0, u32::MAX);
        assert_eq!(live(last, 0), 1, "bucket 0 follows bucket 2^32 - 1");
        assert_eq!(width_of(Duration::from_nanos(3)), 1);
    }
}
