//! Counters and window cells that each thread writes alone.
//!
//! A shard belongs to one [slot](crate::slot), and a slot to one thread, so writing needs no
//! read-modify-write and no cache line changes hands. Readers sum over all shards. What they may
//! miss is what another thread is recording at that very moment (allowed by invariant B-12).

mod failures;
mod light;
mod own;
#[cfg(all(test, not(panelboard_loom)))]
mod tests;
mod window;

use std::time::Duration;

use panelboard_core::cusum::Ended;
use panelboard_core::window::{KindTally, cell};
use panelboard_core::{Tally, Tick};

pub(crate) use failures::{RECENT, Recent};
pub(crate) use own::Shard;

use crate::slot::{self, OVERFLOW};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Lazy, Mutex, lock};

use light::Light;

/// All shards of one breaker.
pub(crate) struct Shards {
    /// A breaker that nobody calls has none.
    table: Lazy<Box<Table>>,
    /// What was counted before there was a table; `None` if one is to be made at once.
    light: Mutex<Option<Light>>,
}

struct Table {
    shards: [Lazy<Box<Shard>>; OVERFLOW + 1],
    /// One more than the highest shard in use, so that readers need not visit them all.
    top: AtomicUsize,
    /// Held while writing the overflow shard, which has many owners.
    overflow: Mutex<()>,
}

/// Which cells count: those of this phase and window.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Phase and window.
    pub(crate) stamp: u64,
    /// Width of a bucket in nanoseconds.
    pub(crate) width: u64,
}

impl Frame {
    /// The number of the bucket that `now` falls into.
    #[inline]
    fn bucket(self, now: Tick) -> u32 {
        cell::number(now, self.width)
    }
}

// ===== impl Shards =====

impl Shards {
    /// Shards for a breaker that is one of few, or of many if `light`: then they are made when it
    /// is called often or sees something else than successes.
    pub(crate) fn new(light: bool) -> Shards {
        Shards { table: Lazy::new(), light: Mutex::new(light.then(Light::default)) }
    }

    /// The current thread's own shard, if it has one yet.
    #[inline]
    pub(crate) fn own(&self) -> Option<&Shard> {
        let slot = slot::own()?;
        self.table.get()?.shards.get(slot)?.get().map(|shard| &**shard)
    }

    /// Lends the current thread a shard to write.
    #[inline]
    pub(crate) fn write<T>(&self, write: impl FnOnce(&Shard) -> T) -> T {
        match self.own() {
            Some(shard) => write(shard),
            None => self.write_another(write),
        }
    }

    #[cold]
    fn write_another<T>(&self, write: impl FnOnce(&Shard) -> T) -> T {
        let slot = slot::current();
        let table = match self.table.get() {
            Some(table) => table,
            None => {
                let mut light = lock(&self.light);
                // Another thread may have been quicker.
                if let (Some(record), None) = (&mut *light, self.table.get()) {
                    let shard = record.to_shard();
                    let result = write(&shard);
                    match Light::of(&shard) {
                        Some(next) => *record = next,
                        None => self.table.make(Table::of(slot, shard)),
                    }
                    return result;
                }
                self.table.get_or_make()
            }
        };
        // Release: pairs with the acquire in `all`, so a reader that sees it visits the shard.
        table.top.fetch_max(slot + 1, Ordering::Release);
        let shard = table.shards[slot].get_or_make();
        let _turn = (slot == OVERFLOW).then(|| lock(&table.overflow));
        write(shard)
    }

    /// Whether nothing but now and then a success has been counted.
    pub(crate) fn is_light(&self) -> bool {
        self.table.get().is_none()
    }

    /// What was counted so far, if there are no shards yet.
    fn light(&self) -> Option<Shard> {
        if self.table.get().is_some() {
            return None;
        }
        let light = lock(&self.light);
        // It becomes a shard under the lock, so whatever is counted is counted once.
        if self.table.get().is_some() { None } else { light.map(Light::to_shard) }
    }

    /// Every shard, or what stands for them.
    fn all<'a>(&'a self, light: Option<&'a Shard>) -> impl Iterator<Item = &'a Shard> {
        let table = if light.is_some() { None } else { self.table.get() };
        let shards = table.into_iter().flat_map(|table| {
            let top = table.top.load(Ordering::Acquire);
            table.shards[..top].iter().filter_map(|shard| shard.get().map(|shard| &**shard))
        });
        light.into_iter().chain(shards)
    }

    /// What the window holds, over all threads.
    pub(crate) fn tally(&self, frame: Frame, now: Tick) -> Tally {
        let newest = frame.bucket(now);
        let (mut tally, mut nanos) = (Tally::default(), 0_u64);
        let light = self.light();
        for shard in self.all(light.as_ref()) {
            let Some([success, failed, fast, slow]) = shard.counts(frame, newest) else { continue };
            tally.calls += success + failed;
            tally.failures += failed;
            tally.timed += fast + slow;
            tally.slow += slow;
            nanos = nanos.saturating_add(shard.took_in(newest));
        }
        tally.took = Duration::from_nanos(nanos);
        tally
    }

    /// The failures in the window by kind, over all threads.
    pub(crate) fn kinds(&self, frame: Frame, now: Tick) -> KindTally {
        let light = self.light();
        let newest = frame.bucket(now);
        let mut sum = KindTally::default();
        for kinds in self.all(light.as_ref()).filter_map(|shard| shard.kinds(frame, newest)) {
            sum.iter_mut().zip(kinds).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// Calls that ended in this phase and window, over all threads.
    pub(crate) fn ends(&self, frame: Frame) -> u64 {
        let light = self.light();
        self.all(light.as_ref()).map(|shard| shard.ends(frame)).sum()
    }

    /// Slack that threads have been granted under this version and may still spend.
    pub(crate) fn granted(&self, frame: Frame, now: Tick, version: u64) -> u64 {
        let newest = frame.bucket(now);
        self.all(None).map(|shard| shard.granted(frame, newest, version)).sum()
    }

    /// Failures that threads have counted in this run.
    pub(crate) fn run(&self, run: u64) -> u64 {
        self.all(None).map(|shard| shard.run(run)).sum()
    }

    /// Calls that ended in success or failure, ever, over all threads.
    pub(crate) fn ended(&self) -> Ended {
        let mut ended = Ended::default();
        let light = self.light();
        for shard in self.all(light.as_ref()) {
            let failures = shard.failures();
            ended.failures += failures;
            ended.calls += shard.successes() + failures;
        }
        ended
    }

    /// Calls that ever succeeded, over all threads.
    pub(crate) fn successes(&self) -> u64 {
        let light = self.light();
        self.all(light.as_ref()).map(Shard::successes).sum()
    }

    /// What was counted ever, over all threads.
    pub(crate) fn totals(&self) -> panelboard_core::machine::Counters {
        let mut sum = panelboard_core::machine::Counters::default();
        let light = self.light();
        // Ends before admissions: a call that ends in between must not make more calls end than
        // were let through. The acquires in `get` pair with the releases in `add`.
        for shard in self.all(light.as_ref()) {
            shard.add_ends_to(&mut sum);
        }
        for shard in self.all(light.as_ref()) {
            shard.add_admitted_to(&mut sum);
        }
        sum
    }

    /// The last failures, oldest first.
    pub(crate) fn recent(&self) -> Vec<Recent> {
        let mut recent: Vec<Recent> = self.all(None).flat_map(Shard::recent).collect();
        recent.sort_by_key(|failure| failure.at);
        recent.split_off(recent.len().saturating_sub(RECENT))
    }
}

impl Table {
    /// A table in which one slot has a shard already.
    fn of(slot: usize, shard: Shard) -> Table {
        let table = Table::default();
        table.shards[slot].make(shard);
        table.top.fetch_max(slot + 1, Ordering::Release);
        table
    }
}

impl Default for Table {
    fn default() -> Table {
        Table {
            shards: std::array::from_fn(|_| Lazy::new()),
            // Under loom all shards are there from the start.
            top: AtomicUsize::new(if cfg!(panelboard_loom) { OVERFLOW + 1 } else { 0 }),
            overflow: Mutex::new(()),
        }
    }
}

// ===== single-writer arithmetic =====

/// One more. No other thread writes this counter, so no read-modify-write is needed.
/// Release: pairs with the acquire in `get`.
#[inline]
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
}

/// Release: pairs with the acquire in `get`.
#[inline]
fn set(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
}

/// Acquire: pairs with the releases above.
#[inline]
fn get(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}
