//! What a breaker has counted that is called now and then, and has seen nothing but successes.
//!
//! Shards are a kilobyte and more. A family may have a million breakers, most of which guard a few
//! calls an hour; so a breaker of a family begins with this record behind a lock, and gets shards
//! when it is called often or something else than a success comes.

use panelboard_core::window::cell;

use super::{Shard, get, set};
use crate::face::Face;

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
        let success = u64::from(self.success);
        set(&shard.admitted, success + u64::from(self.in_flight));
        match self.ends {
            0 => set(&shard.success, success),
            ends => {
                let buckets = self.numbers().zip(self.buckets);
                shard.window.resume((first_stamp(), self.newest), (success, ends.into()), buckets);
                if self.timed {
                    shard.window.resume_timed();
                }
            }
        }
        shard
    }

    /// What a shard holds, if that is little enough.
    pub(super) fn of(shard: &Shard) -> Option<Light> {
        let mut light = Light {
            success: shard.successes().try_into().ok()?,
            in_flight: shard.only_successes()?.try_into().ok()?,
            ..Light::default()
        };
        if shard.window.is_unused() {
            // Without a window only the number of calls tells whether it is called often.
            return (shard.successes() < OFTEN * 64).then_some(light);
        }
        // Those from before there was a window would have to be told from those in it.
        if get(&shard.success) != 0 {
            return None;
        }
        let (newest, timed) = shard.window.is_simple(first_stamp())?;
        (light.newest, light.timed) = (newest, timed);
        light.ends = shard.window.ends().try_into().ok()?;
        if light.ends == 0 {
            return None;
        }
        let numbers = light.numbers();
        for (bucket, number) in light.buckets.iter_mut().zip(numbers) {
            let count = shard.window.successes_of(number);
            *bucket = u8::try_from(count).ok().filter(|_| count < OFTEN)?;
        }
        Some(light)
    }

    /// The numbers of the buckets, the newest first.
    fn numbers(self) -> impl Iterator<Item = u32> + use<> {
        (0..cell::BUCKETS as u32).map(move |age| self.newest.wrapping_sub(age))
    }
}

/// The stamp of a breaker's first phase and window: another needs shards.
fn first_stamp() -> u64 {
    Face::stamp_of(1, 0)
}
