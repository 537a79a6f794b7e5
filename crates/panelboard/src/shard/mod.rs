//! Counters and window cells that each thread writes alone.
//!
//! A shard belongs to one [slot](crate::slot), and a slot to one thread, so writing needs no
//! read-modify-write and no cache line changes hands. Readers sum over all shards. What they may
//! miss is what another thread is recording at that very moment (allowed by invariant B-12).

mod light;
mod recent;
#[cfg(all(test, not(panelboard_loom)))]
mod tests;

use std::time::Duration;

use panelboard_core::cusum::Ended;
use panelboard_core::window::{KindTally, cell};
use panelboard_core::{Kind, Reason, Tally, Tick};

use crate::durations::Durations;
use crate::face::Face;
use crate::slot::{self, OVERFLOW, OWNED};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Lazy, Mutex, lock};

use light::Light;
pub(crate) use recent::Recent;

/// Errors each shard remembers, and a breaker shows.
pub(crate) const RECENT: usize = 20;

type Ring = [AtomicU64; cell::BUCKETS];

/// All shards of one breaker.
pub(crate) struct Shards {
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

/// A bucket's number, and its place in the ring beside it so that no call has to divide.
#[derive(Copy, Clone)]
struct Bucket(u64);

impl Bucket {
    fn new(number: u32) -> Bucket {
        Bucket(u64::from(number) << 32 | cell::place(number) as u64)
    }

    #[inline]
    fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    fn place(self) -> usize {
        self.0 as u32 as usize
    }
}

impl Frame {
    /// The number of the bucket that `now` falls into.
    #[inline]
    pub(crate) fn bucket(self, now: Tick) -> u32 {
        cell::number(now, self.width)
    }
}

/// What one thread has counted.
///
/// Aligned so that two shards never share a cache line, nor the pair that is fetched with it.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Shard {
    totals: Totals,
    window: Window,
    /// Only threads that have seen a failure need one.
    failures: Lazy<Box<Failures>>,
}

/// Counted ever, never reset.
#[derive(Default)]
struct Totals {
    admitted: AtomicU64,
    success: AtomicU64,
    neutral: AtomicU64,
    excused: AtomicU64,
    pushback: AtomicU64,
    late: AtomicU64,
    slow: AtomicU64,
    would_reject: AtomicU64,
    rejected: [AtomicU64; Reason::ALL.len()],
    failures: [AtomicU64; Kind::COUNT],
}

/// This thread's part of a sliding time window.
#[derive(Default)]
struct Window {
    /// Which phase and window the cells belong to; they start over when it changes.
    stamp: AtomicU64,
    /// When the current bucket ends.
    until: AtomicU64,
    /// The current [`Bucket`].
    bucket: AtomicU64,
    /// Calls that ended since the cells last started over.
    ends: AtomicU64,
    success: Ring,
    failure: Ring,
    fast: Ring,
    slow: Ring,
    /// Only if thresholds depend on them.
    durations: Lazy<Box<Durations>>,
}

#[derive(Default)]
struct Failures {
    kinds: [Ring; Kind::COUNT],
    /// Packed [`Recent`]s.
    recent: [AtomicU64; RECENT],
    next: AtomicU64,
}

/// Which cells count: those of this phase and window.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Phase and window.
    pub(crate) stamp: u64,
    /// Width of a bucket in nanoseconds.
    pub(crate) width: u64,
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
        // The overflow shard is the last of the table, and nobody's own.
        let shards = &self.table.get()?.shards[..OWNED];
        shards.get(slot::current())?.get().map(|shard| &**shard)
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
        let newest = cell::number(now, frame.width);
        let (mut tally, mut nanos) = (Tally::default(), 0_u64);
        let light = self.light();
        let windows = self.all(light.as_ref()).map(|shard| &shard.window);
        for window in windows.filter(|window| window.is_of(frame)) {
            let (failures, slow) = (sum(&window.failure, newest), sum(&window.slow, newest));
            tally.calls += sum(&window.success, newest) + failures;
            tally.failures += failures;
            tally.timed += sum(&window.fast, newest) + slow;
            tally.slow += slow;
            if let Some(durations) = window.durations.get() {
                nanos = nanos.saturating_add(durations.sum(newest));
            }
        }
        tally.took = Duration::from_nanos(nanos);
        tally
    }

    /// The failures in the window by kind, over all threads.
    pub(crate) fn kinds(&self, frame: Frame, now: Tick) -> KindTally {
        let newest = cell::number(now, frame.width);
        let mut tally = KindTally::default();
        let light = self.light();
        for shard in self.all(light.as_ref()).filter(|shard| shard.window.is_of(frame)) {
            let Some(failures) = shard.failures.get() else { continue };
            for (count, ring) in tally.iter_mut().zip(&failures.kinds) {
                *count += sum(ring, newest);
            }
        }
        tally
    }

    /// Calls that ended in this phase and window, over all threads.
    pub(crate) fn ends(&self, frame: Frame) -> u64 {
        let light = self.light();
        let windows = self.all(light.as_ref()).map(|shard| &shard.window);
        let windows = windows.filter(|window| window.is_of(frame));
        windows.map(|window| window.ends.load(Ordering::Relaxed)).sum()
    }

    /// Calls that ended in success or failure, ever, over all threads.
    pub(crate) fn ended(&self) -> Ended {
        let mut ended = Ended::default();
        let light = self.light();
        for totals in self.all(light.as_ref()).map(|shard| &shard.totals) {
            let failures = totals.failures.iter().map(|kind| kind.load(Ordering::Relaxed));
            let failures: u64 = failures.sum();
            ended.failures += failures;
            ended.calls += totals.success.load(Ordering::Relaxed) + failures;
        }
        ended
    }

    /// Calls that ever succeeded, over all threads.
    pub(crate) fn successes(&self) -> u64 {
        let light = self.light();
        let shards = self.all(light.as_ref());
        shards.map(|shard| shard.totals.success.load(Ordering::Acquire)).sum()
    }

    /// What was counted ever, over all threads.
    pub(crate) fn totals(&self) -> panelboard_core::machine::Counters {
        let mut sum = panelboard_core::machine::Counters::default();
        let light = self.light();
        for totals in self.all(light.as_ref()).map(|shard| &shard.totals) {
            // Ends before admissions: a call that ends in between must not make more calls end
            // than were let through. Acquire: pairs with the release in `add`.
            let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
            sum.success += read(&totals.success);
            // After those of them that are counted apart.
            sum.excused += read(&totals.excused);
            sum.neutral += read(&totals.neutral);
            sum.pushback += read(&totals.pushback);
            sum.late += read(&totals.late);
            sum.slow += read(&totals.slow);
            for (sum, kind) in sum.failures.iter_mut().zip(&totals.failures) {
                *sum += read(kind);
            }
            sum.would_reject += read(&totals.would_reject);
            for (sum, reason) in sum.rejected.iter_mut().zip(&totals.rejected) {
                *sum += read(reason);
            }
        }
        for totals in self.all(light.as_ref()).map(|shard| &shard.totals) {
            sum.admitted += totals.admitted.load(Ordering::Acquire);
        }
        sum
    }

    /// The last failures, oldest first.
    pub(crate) fn recent(&self) -> Vec<Recent> {
        let light = self.light();
        let logs = self.all(light.as_ref()).filter_map(|shard| shard.failures.get());
        let mut recent: Vec<Recent> = logs
            .flat_map(|log| &log.recent)
            .filter_map(|word| Recent::unpack(word.load(Ordering::Relaxed)))
            .collect();
        recent.sort_by_key(|failure| failure.micros);
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

// ===== impl Shard: written by its owner alone =====

impl Shard {
    #[inline]
    pub(crate) fn admitted(&self) {
        add(&self.totals.admitted);
    }

    pub(crate) fn would_reject(&self) {
        add(&self.totals.would_reject);
    }

    #[inline]
    pub(crate) fn rejected(&self, reason: Reason) {
        add(&self.totals.rejected[reason.index()]);
    }

    #[inline]
    pub(crate) fn success(&self) {
        add(&self.totals.success);
    }

    #[inline]
    pub(crate) fn neutral(&self) {
        add(&self.totals.neutral);
    }

    /// Neutral, and counted apart as well.
    pub(crate) fn excused(&self) {
        add(&self.totals.neutral);
        add(&self.totals.excused);
    }

    pub(crate) fn pushback(&self) {
        add(&self.totals.pushback);
    }

    pub(crate) fn late(&self) {
        add(&self.totals.late);
    }

    #[inline]
    pub(crate) fn slow(&self) {
        add(&self.totals.slow);
    }

    #[inline]
    pub(crate) fn failure(&self, kind: Kind) {
        add(&self.totals.failures[kind.index()]);
    }

    /// Remembers a failure of which nothing but its kind is known.
    pub(crate) fn remember(&self, kind: Kind, now: Tick) {
        self.failures.get_or_make().remember(kind, now);
    }

    /// Counts, remembers and records in the window a failure of which nothing but its kind is
    /// known; says into which bucket it fell.
    #[inline]
    pub(crate) fn failure_in(&self, frame: Frame, now: Tick, kind: Kind) -> u32 {
        self.failure(kind);
        let bucket = self.bucket(frame.stamp, || frame.width, now);
        add(&self.window.ends);
        bump(&self.window.failure, bucket);
        let log = self.failures.get_or_make();
        bump(&log.kinds[kind.index()], bucket);
        log.remember(kind, now);
        bucket.number()
    }

    /// Counts a success and its end in the window: what nearly every call comes to.
    #[inline]
    pub(crate) fn success_in(&self, stamp: u64, width: impl FnOnce() -> u64, now: Tick) {
        add(&self.totals.success);
        let bucket = self.bucket(stamp, width, now);
        add(&self.window.ends);
        bump(&self.window.success, bucket);
    }

    /// Counts the end of a call in the window.
    pub(crate) fn end(&self, frame: Frame, now: Tick, failure: Option<Kind>) {
        let Some(bucket) = self.bucket_in_turn(frame, now) else { return };
        let window = &self.window;
        add(&window.ends);
        match failure {
            None => bump(&window.success, bucket),
            Some(kind) => {
                bump(&window.failure, bucket);
                bump(&self.failures.get_or_make().kinds[kind.index()], bucket);
            }
        }
    }

    /// Counts in the window how fast a call was.
    #[inline]
    pub(crate) fn speed(&self, frame: Frame, now: Tick, slow: bool) {
        let Some(bucket) = self.bucket_in_turn(frame, now) else { return };
        bump(if slow { &self.window.slow } else { &self.window.fast }, bucket);
    }

    /// Adds up in the window how long a call took whose speed was counted.
    pub(crate) fn took(&self, frame: Frame, now: Tick, took: Duration) {
        if let Some(bucket) = self.bucket_in_turn(frame, now) {
            self.window.durations.get_or_make().add(bucket.number(), took);
        }
    }

    /// As [`bucket`](Self::bucket), also for the overflow shard: `None` if another of its writers
    /// has already come with a later frame. What belongs to this one does not count any more, and
    /// must not take the place of what does.
    #[inline]
    fn bucket_in_turn(&self, frame: Frame, now: Tick) -> Option<Bucket> {
        let known = self.window.stamp.load(Ordering::Relaxed);
        // Nearly always the same, and then there is nothing to compute.
        let over = known != frame.stamp && Face::stamp_precedes(frame.stamp, known);
        (!over).then(|| self.bucket(frame.stamp, || frame.width, now))
    }

    /// The bucket for `now`, never an older one than before.
    #[inline]
    fn bucket(&self, stamp: u64, width: impl FnOnce() -> u64, now: Tick) -> Bucket {
        let window = &self.window;
        if window.stamp.load(Ordering::Relaxed) == stamp
            && now.as_nanos() < window.until.load(Ordering::Relaxed)
        {
            return Bucket(window.bucket.load(Ordering::Relaxed));
        }
        self.next_bucket(Frame { stamp, width: width() }, now)
    }

    #[cold]
    fn next_bucket(&self, frame: Frame, now: Tick) -> Bucket {
        let window = &self.window;
        if window.stamp.load(Ordering::Relaxed) != frame.stamp {
            self.start_over(frame);
        }
        let bucket = Bucket::new(frame.bucket(now));
        let ends = (now.as_nanos() / frame.width + 1).saturating_mul(frame.width);
        window.bucket.store(bucket.0, Ordering::Relaxed);
        window.until.store(ends, Ordering::Relaxed);
        bucket
    }

    #[cold]
    fn start_over(&self, frame: Frame) {
        let window = &self.window;
        for ring in [&window.success, &window.failure, &window.fast, &window.slow] {
            clear(ring);
        }
        if let Some(durations) = window.durations.get() {
            durations.clear();
        }
        if let Some(failures) = self.failures.get() {
            failures.kinds.iter().for_each(clear);
        }
        window.ends.store(0, Ordering::Relaxed);
        // Release: pairs with the acquire in `is_of`, so whoever sees the stamp sees empty cells.
        window.stamp.store(frame.stamp, Ordering::Release);
    }
}

impl Failures {
    #[inline]
    fn remember(&self, kind: Kind, now: Tick) {
        let next = self.next.load(Ordering::Relaxed) as usize;
        let after = if next + 1 == RECENT { 0 } else { next + 1 };
        self.next.store(after as u64, Ordering::Relaxed);
        let word = Recent { micros: now.as_nanos() / 1_000, kind }.pack();
        self.recent[next].store(word, Ordering::Relaxed);
    }
}

impl Window {
    fn is_of(&self, frame: Frame) -> bool {
        self.stamp.load(Ordering::Acquire) == frame.stamp
    }
}

// ===== single-writer arithmetic =====

/// One more. No other thread writes this counter, so no read-modify-write is needed.
/// Release: pairs with the acquire in `totals`.
#[inline]
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
}

#[inline]
fn bump(ring: &Ring, bucket: Bucket) {
    let place = &ring[bucket.place()];
    place.store(cell::bump(place.load(Ordering::Relaxed), bucket.number()), Ordering::Relaxed);
}

fn clear(ring: &Ring) {
    for cell in ring {
        cell.store(0, Ordering::Relaxed);
    }
}

fn sum(ring: &Ring, newest: u32) -> u64 {
    ring.iter().map(|word| cell::live(word.load(Ordering::Relaxed), newest)).sum()
}
