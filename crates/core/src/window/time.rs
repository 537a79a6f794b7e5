//! The last so-and-so long, in ten buckets.

use core::time::Duration;

use super::KindTally;
use super::cell::{self, BUCKETS};
use crate::time::nanos;
use crate::{Kind, Tally, Tick};

type Ring = [u64; BUCKETS];

/// How long the calls of one bucket took together.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
struct Took {
    number: u32,
    nanos: u64,
}

/// A sliding time window of ten buckets, so it reaches back between nine and ten tenths of its
/// length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeWindow {
    width: u64,
    /// The latest bucket there was a call in, by its number before that is cut to fit a cell.
    newest: u64,
    ends: u64,
    success: Ring,
    failure: Ring,
    fast: Ring,
    slow: Ring,
    took: [Took; BUCKETS],
    kinds: [Ring; Kind::COUNT],
}

impl TimeWindow {
    /// An empty window of this length.
    pub fn new(length: Duration) -> TimeWindow {
        TimeWindow::with_width(cell::width_of(length))
    }

    pub(super) fn with_width(width: u64) -> TimeWindow {
        let empty = [0; BUCKETS];
        TimeWindow {
            width,
            newest: 0,
            ends: 0,
            success: empty,
            failure: empty,
            fast: empty,
            slow: empty,
            took: [Took::default(); BUCKETS],
            kinds: [empty; Kind::COUNT],
        }
    }

    /// The width of one bucket in nanoseconds.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Calls that ended since the window was last empty, whether or not still in it.
    pub fn ends(&self) -> u64 {
        self.ends
    }

    pub(super) fn record_end(&mut self, now: Tick, failure: Option<Kind>) {
        let number = self.advance(now);
        let at = cell::place(number);
        self.ends += 1;
        match failure {
            None => self.success[at] = cell::bump(self.success[at], number),
            Some(kind) => {
                self.failure[at] = cell::bump(self.failure[at], number);
                let ring = &mut self.kinds[kind.index()];
                ring[at] = cell::bump(ring[at], number);
            }
        }
    }

    pub(super) fn record_speed(&mut self, now: Tick, slow: bool, took: Option<Duration>) {
        let number = self.advance(now);
        let at = cell::place(number);
        let ring = if slow { &mut self.slow } else { &mut self.fast };
        ring[at] = cell::bump(ring[at], number);
        if let Some(took) = took {
            self.add(now, took);
        }
    }

    /// Adds to what calls took.
    pub(super) fn add(&mut self, now: Tick, took: Duration) {
        let number = self.advance(now);
        let sum = &mut self.took[cell::place(number)];
        let before = if sum.number == number { sum.nanos } else { 0 };
        *sum = Took { number, nanos: before.saturating_add(nanos(took)) };
    }

    pub(super) fn tally(&self, now: Tick) -> Tally {
        let newest = cell::number(now, self.width);
        let sum = |ring: &Ring| ring.iter().map(|cell| cell::live(*cell, newest)).sum::<u64>();
        let (failures, slow) = (sum(&self.failure), sum(&self.slow));
        let took = |took: &Took| if cell::is_live(took.number, newest) { took.nanos } else { 0 };
        let took = self.took.iter().map(took).fold(0, u64::saturating_add);
        Tally {
            calls: sum(&self.success) + failures,
            failures,
            timed: sum(&self.fast) + slow,
            slow,
            took: Duration::from_nanos(took),
        }
    }

    pub(super) fn kinds(&self, now: Tick) -> KindTally {
        let newest = cell::number(now, self.width);
        let mut tally = KindTally::default();
        for (count, ring) in tally.iter_mut().zip(self.kinds.iter()) {
            *count = ring.iter().map(|cell| cell::live(*cell, newest)).sum();
        }
        tally
    }

    /// The bucket for `now`, never an older one than before.
    fn advance(&mut self, now: Tick) -> u32 {
        self.newest = self.newest.max(now.as_nanos() / self.width);
        self.newest as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: u64 = 1_000_000_000;

    fn at(secs: u64) -> Tick {
        Tick::from_nanos(secs * SEC)
    }

    #[test]
    fn slides_by_tenths() {
        let mut window = TimeWindow::new(Duration::from_secs(10));
        let none = Tally::default();
        window.record_end(at(100), Some(Kind::Timeout));
        window.record_end(at(105), None);
        window.record_speed(at(105), true, None);
        assert_eq!(
            window.tally(at(109)),
            Tally { calls: 2, failures: 1, timed: 1, slow: 1, ..none }
        );
        assert_eq!(
            window.tally(at(110)),
            Tally { calls: 1, failures: 0, timed: 1, slow: 1, ..none }
        );
        assert_eq!(window.tally(at(115)), Tally::default());
        assert_eq!(window.ends(), 2);
    }

    /// No call pushes another out before its time.
    #[test]
    fn holds_what_came_in_every_tenth() {
        let mut window = TimeWindow::new(Duration::from_secs(10));
        for second in 100..110 {
            window.record_end(at(second), Some(Kind::Timeout));
            window.record_end(at(second), None);
        }
        let tally = window.tally(at(109));
        assert_eq!((tally.calls, tally.failures), (20, 10));
        for (gone, second) in (110..120).enumerate() {
            assert_eq!(window.tally(at(second)).failures, 9 - gone as u64);
        }
        assert_eq!(window.width(), SEC);
    }

    #[test]
    fn durations_leave_the_window_with_their_calls_and_saturate() {
        let mut window = TimeWindow::new(Duration::from_secs(10));
        let secs = |n| Some(Duration::from_secs(n));
        window.record_speed(at(100), false, secs(1));
        window.record_speed(at(100), true, secs(9));
        window.record_speed(at(105), false, secs(2));
        assert_eq!(window.tally(at(109)).took, Duration::from_secs(12));
        assert_eq!(window.tally(at(109)).mean_latency(), secs(4));
        assert_eq!(window.tally(at(110)).mean_latency(), secs(2));
        assert_eq!(window.tally(at(115)).mean_latency(), None);
        window.record_speed(at(115), true, Some(Duration::MAX));
        window.record_speed(at(116), true, Some(Duration::MAX));
        assert_eq!(window.tally(at(116)).took, Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn kinds_leave_the_window_with_their_failures() {
        let mut window = TimeWindow::new(Duration::from_secs(10));
        window.record_end(at(1), Some(Kind::Timeout));
        window.record_end(at(6), Some(Kind::Connect));
        assert_eq!(window.kinds(at(6)).iter().sum::<u64>(), 2);
        assert_eq!(window.kinds(at(11))[Kind::Timeout.index()], 0);
        assert_eq!(window.kinds(at(11))[Kind::Connect.index()], 1);
    }

    #[test]
    fn a_clock_that_steps_back_never_moves_a_bucket_back() {
        let mut window = TimeWindow::new(Duration::from_secs(10));
        window.record_end(at(100), None);
        window.record_end(at(50), Some(Kind::Other(crate::OtherKind::UNNAMED)));
        assert_eq!(window.tally(at(100)).calls, 2);
        assert_eq!(window.tally(at(109)).calls, 2);
    }

    /// B-8: uptimes of years, in windows of the finest buckets.
    #[test]
    fn b8_slides_however_long_the_clock_has_run() {
        for start in [1_u64 << 31, (1 << 32) - 5, 1 << 32, 1 << 40] {
            let tenths = |n: u64| Tick::from_nanos((start + n) * 10_000_000);
            let mut window = TimeWindow::new(Duration::from_millis(100));
            window.record_end(tenths(0), Some(Kind::Timeout));
            assert_eq!(window.tally(tenths(9)).failures, 1);
            assert_eq!(window.tally(tenths(10)).failures, 0);
            window.record_end(tenths(10), Some(Kind::Timeout));
            assert_eq!(window.tally(tenths(19)).failures, 1);
        }
    }
}
