//! What a breaker has counted that is called now and then, and has seen nothing but successes.
//!
//! Shards are a kilobyte and more. A family may have a million breakers, most of which guard a few
//! calls an hour; so a breaker of a family begins with this record behind a lock, and gets shards
//! when it is called often or something else than a success comes.

use panelboard_core::window::cell;

use super::{AtomicU64, Bucket, Ring, Shard};
use crate::face::Face;
use crate::sync::atomic::Ordering;

/// Calls in one bucket that make a breaker worth its shards.
const OFTEN: u64 = 16;

/// Admissions and successes, and the successes of the window by bucket: in 24 bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Light {
    success: u32,
    /// The number of the newest bucket.
    newest: u32,
    /// Calls that ended in the window.
    ends: u16,
    /// Calls that have not ended.
    in_flight: u8,
    /// Whether every success was also found fast.
    timed: bool,
    /// Successes in the newest bucket and those before it.
    buckets: [u8; cell::BUCKETS],
}

impl Light {
    /// The same as a shard of one's own.
    pub(super) fn to_shard(self) -> Shard {
        let shard = Shard::default();
        let put = |ring: &Ring| {
            for (number, count) in self.numbered().filter(|(_, count)| *count > 0) {
                let word = u64::from(number) << 32 | u64::from(count);
                ring[cell::place(number)].store(word, Ordering::Relaxed);
            }
        };
        let admitted = u64::from(self.success) + u64::from(self.in_flight);
        shard.totals.admitted.store(admitted, Ordering::Relaxed);
        shard.totals.success.store(self.success.into(), Ordering::Relaxed);
        if self.ends > 0 {
            shard.window.bucket.store(Bucket::new(self.newest).0, Ordering::Relaxed);
            shard.window.stamp.store(first_stamp(), Ordering::Relaxed);
            shard.window.ends.store(self.ends.into(), Ordering::Relaxed);
            put(&shard.window.success);
            if self.timed {
                put(&shard.window.fast);
            }
        }
        shard
    }

    /// What a shard holds, if that is little enough.
    pub(super) fn of(shard: &Shard) -> Option<Light> {
        let Shard { totals, window, failures } = shard;
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let other =
            [&totals.neutral, &totals.excused, &totals.pushback, &totals.late, &totals.slow];
        let mut other = other
            .into_iter()
            .chain([&totals.would_reject])
            .chain(&totals.rejected)
            .chain(&totals.failures)
            .chain(&window.failure)
            .chain(&window.slow);
        let more = failures.get().is_some() || window.durations.get().is_some();
        if more || other.any(|word| read(word) != 0) {
            return None;
        }
        let mut light = Light {
            success: read(&totals.success).try_into().ok()?,
            in_flight: read(&totals.admitted)
                .checked_sub(read(&totals.success))?
                .try_into()
                .ok()?,
            ends: read(&window.ends).try_into().ok()?,
            ..Light::default()
        };
        if light.ends == 0 {
            // Without a window only the number of calls tells whether it is called often.
            return (read(&window.stamp) == 0 && read(&totals.success) < OFTEN * 64)
                .then_some(light);
        }
        light.timed = window.fast.iter().any(|word| read(word) != 0);
        let same = window.fast.iter().zip(&window.success).all(|(f, s)| read(f) == read(s));
        if read(&window.stamp) != first_stamp() || light.timed && !same {
            return None;
        }
        // The bucket that was written last is the newest, unless another thread read the clock later.
        let written = Bucket(read(&window.bucket)).number();
        let ahead = window.success.iter().filter(|cell| read(cell) != 0).map(|cell| {
            let ahead = ((read(cell) >> 32) as u32).wrapping_sub(written);
            if ahead < cell::BUCKETS as u32 { ahead } else { 0 }
        });
        light.newest = written.wrapping_add(ahead.max().unwrap_or(0));
        for (bucket, number) in (0..).zip(light.numbers()) {
            let word = read(&window.success[cell::place(number)]);
            let count = if (word >> 32) as u32 == number { word & 0xffff_ffff } else { 0 };
            light.buckets[bucket] = u8::try_from(count).ok().filter(|_| count < OFTEN)?;
        }
        Some(light)
    }

    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..cell::BUCKETS as u32).map(move |age| self.newest.wrapping_sub(age))
    }

    fn numbered(self) -> impl Iterator<Item = (u32, u8)> {
        self.numbers().zip(self.buckets)
    }
}

/// The stamp of a breaker's first phase and window: another needs shards.
fn first_stamp() -> u64 {
    Face::stamp_of(1, 0)
}
