//! How long the calls of one thread's window took: kept only if thresholds depend on it.

use std::time::Duration;

use panelboard_core::Tick;
use panelboard_core::window::cell::{self, BUCKETS};

use crate::sync::atomic::{AtomicU64, Ordering};

/// How long the calls of each bucket took together. Has one writer.
///
/// A sum does not fit into a word beside its bucket's number. So the number is taken off before
/// the sum of another bucket is written, and a reader that finds it changed passes on.
#[derive(Default)]
pub(crate) struct Durations {
    /// One more than a bucket's number, or 0 for none.
    numbers: [AtomicU64; BUCKETS],
    nanos: [AtomicU64; BUCKETS],
}

impl Durations {
    /// Adds a call to bucket `number`. The sum saturates.
    pub(crate) fn add(&self, number: u32, took: Duration) {
        let place = cell::place(number);
        let (shown, nanos) = (&self.numbers[place], &self.nanos[place]);
        let (this, took) = (u64::from(number) + 1, Tick::ZERO.after(took).as_nanos());
        if shown.load(Ordering::Relaxed) == this {
            let sum = nanos.load(Ordering::Relaxed).saturating_add(took);
            // Release, as below: who reads this sum must not find an older number.
            return nanos.store(sum, Ordering::Release);
        }
        shown.store(0, Ordering::Relaxed);
        // Release, both: pair with the acquires in `sum`. Who reads this sum finds the number taken
        // off or this bucket's, and who finds this bucket's number reads no earlier sum.
        nanos.store(took, Ordering::Release);
        shown.store(this, Ordering::Release);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for number in &self.numbers {
            number.store(0, Ordering::Relaxed);
        }
    }

    /// The sum in a window whose newest bucket is `newest`, in nanoseconds.
    pub(crate) fn sum(&self, newest: u32) -> u64 {
        let places = self.numbers.iter().zip(&self.nanos);
        places.fold(0, |sum, (number, nanos)| {
            let before = number.load(Ordering::Acquire);
            let took = nanos.load(Ordering::Acquire);
            let same = before != 0 && number.load(Ordering::Relaxed) == before;
            let counts = same && cell::is_live((before - 1) as u32, newest);
            if counts { u64::saturating_add(sum, took) } else { sum }
        })
    }
}

#[cfg(all(test, not(panelboard_loom)))]
mod tests {
    use super::*;

    #[test]
    fn sums_leave_the_window_with_their_bucket_and_saturate() {
        let durations = Durations::default();
        durations.add(7, Duration::from_nanos(3));
        durations.add(7, Duration::from_nanos(4));
        durations.add(9, Duration::from_nanos(5));
        assert_eq!(durations.sum(9), 12);
        assert_eq!(durations.sum(16), 12);
        assert_eq!(durations.sum(17), 5);
        durations.add(17, Duration::from_nanos(1));
        assert_eq!(durations.sum(17), 6, "in the place of bucket 7");
        durations.add(17, Duration::MAX);
        assert_eq!(durations.sum(17), u64::MAX);
        durations.clear();
        assert_eq!(durations.sum(17), 0);
    }
}

#[cfg(all(test, panelboard_loom))]
mod loom {
    use std::sync::Arc;

    use super::*;

    /// A sum is that of the bucket it is read for, or is left out.
    #[test]
    fn no_sum_is_taken_for_that_of_another_bucket() {
        ::loom::model(|| {
            let durations = Arc::new(Durations::default());
            durations.add(1, Duration::from_nanos(100));
            let writer = {
                let durations = Arc::clone(&durations);
                ::loom::thread::spawn(move || {
                    durations.add(11, Duration::from_nanos(1));
                    durations.add(11, Duration::from_nanos(1));
                })
            };
            // Bucket 11 is ahead of this reader's window, so it counts; bucket 1 does, too.
            let sum = durations.sum(2);
            assert!([0, 1, 2, 100].contains(&sum), "{sum}");
            let sum = durations.sum(11);
            assert!([0, 1, 2].contains(&sum), "{sum}");
            // For who has read the clock a window earlier there is bucket 1 alone.
            let sum = durations.sum(1);
            assert!([0, 100].contains(&sum), "{sum}");
            writer.join().unwrap();
            assert_eq!(durations.sum(11), 2);
        });
    }
}
