//! The one place that asks the system for the time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(target_os = "linux"))]
use std::time::Instant;
use std::time::{Duration, SystemTime};

use panelboard_core::Tick;

use crate::ticker::Ticker;

/// Where a breaker's monotonic time comes from.
///
/// A breaker reads one clock for everything it decides, and reads it only if a rule needs it.
/// Steps of the wall clock change nothing (invariant B-8).
///
/// # Examples
/// ```
/// use panelboard::{CircuitBreaker, Clock, Settings};
///
/// let quick = Settings::builder().slow_call_duration(std::time::Duration::from_millis(20));
/// let cache =
///     CircuitBreaker::builder("cache").settings(quick.build()?).clock(Clock::precise()).build();
/// # let _ = cache.call(|| Ok::<_, std::io::Error>(()));
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    /// One of the kernel's clocks, by its number: the common ones are read alike.
    #[cfg(target_os = "linux")]
    Kernel(rustix::time::ClockId),
    #[cfg(not(target_os = "linux"))]
    Precise(Instant),
    Ticker(Arc<Ticker>),
    Manual(ManualClock),
    /// Counted, so that every breaker's clock is two words and not three.
    #[cfg(feature = "tokio")]
    Tokio(Arc<tokio::time::Instant>),
}

/// A clock that stands still until it is told otherwise, for tests and simulations.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::{CircuitBreaker, Command, ManualClock, PhaseName};
///
/// let clock = ManualClock::new();
/// let mail = CircuitBreaker::builder("mail").clock(clock.clone()).build();
/// mail.command(Command::OpenFor(Duration::from_secs(60)));
/// assert!(mail.try_acquire().is_err());
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(mail.snapshot().phase, PhaseName::HalfOpen);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

// ===== impl Clock =====

impl Clock {
    /// The system's coarse monotonic clock: about 2 ns a reading, in steps of one scheduler tick
    /// (1 to 10 ms, mostly 4). The default. Where there is none, the same as [`Clock::precise`].
    ///
    /// Good for windows, open phases and slow bounds from about 100 ms up.
    pub fn coarse() -> Clock {
        #[cfg(target_os = "linux")]
        return Clock(Source::Kernel(rustix::time::ClockId::MonotonicCoarse));
        #[cfg(not(target_os = "linux"))]
        Clock::precise()
    }

    /// The clock behind [`std::time::Instant`]: about 20 ns a reading, exact. For slow bounds below
    /// 100 ms.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(clippy::disallowed_methods, reason = "this module is where the clock is read")
    )]
    pub fn precise() -> Clock {
        #[cfg(target_os = "linux")]
        return Clock(Source::Kernel(rustix::time::ClockId::Monotonic));
        #[cfg(not(target_os = "linux"))]
        Clock(Source::Precise(Instant::now()))
    }

    /// A copy of the precise clock that a thread brings up to date every millisecond: 0.3 ns a
    /// reading. Where there can be no thread, the same as [`Clock::coarse`].
    ///
    /// All handles share one thread, which ends with the last of them. It wakes up a thousand times
    /// a second, whether or not anybody calls, and costs about 0.3 % of a core. So this is for
    /// processes that guard millions of calls a second, and not the default.
    ///
    /// # Accuracy
    /// It is late by up to a millisecond and as long as the system keeps the thread waiting, which
    /// on an overloaded machine may be many milliseconds; it is never ahead and never steps back.
    /// Good for windows, open phases and slow bounds from about 100 ms up. After the process was
    /// stopped, the first calls may still see the time of the stop.
    ///
    /// # Limits
    /// Threads do not survive `fork`: in the child it stands still, and an open breaker stays open.
    /// Start it after forking, or not at all.
    ///
    /// # Examples
    /// ```
    /// use panelboard::{CircuitBreaker, Clock};
    ///
    /// let breaker = CircuitBreaker::builder("cache").clock(Clock::ticker()).build();
    /// assert_eq!(breaker.call(|| Ok::<_, ()>(1)).unwrap(), 1);
    /// ```
    pub fn ticker() -> Clock {
        Ticker::shared().map_or_else(Clock::coarse, |ticker| Clock(Source::Ticker(ticker)))
    }

    /// Tokio's clock, which follows `tokio::time::pause` and `advance` in tests.
    #[cfg(feature = "tokio")]
    #[expect(clippy::disallowed_methods, reason = "this module is where the clock is read")]
    pub fn tokio() -> Clock {
        Clock(Source::Tokio(Arc::new(tokio::time::Instant::now())))
    }

    /// Now, since this clock's origin.
    #[inline]
    pub fn now(&self) -> Tick {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Source::Kernel(clock) => kernel_now(*clock),
            Source::Ticker(ticker) => ticker.now(),
            // Apart, so that the common clocks are not read through a jump table.
            _ => self.other_now(),
        }
    }

    #[cfg_attr(
        not(target_os = "linux"),
        expect(clippy::disallowed_methods, reason = "this module is where the clock is read")
    )]
    fn other_now(&self) -> Tick {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Source::Kernel(clock) => kernel_now(*clock),
            Source::Ticker(ticker) => ticker.now(),
            #[cfg(not(target_os = "linux"))]
            Source::Precise(origin) => Tick::ZERO.after(Instant::now().duration_since(*origin)),
            Source::Manual(manual) => manual.now(),
            #[cfg(feature = "tokio")]
            Source::Tokio(origin) => Tick::ZERO.after(origin.elapsed()),
        }
    }

    /// Blocks the thread for so long. On a manual clock that time passes at once.
    pub(crate) fn sleep(&self, wait: Duration) {
        match &self.0 {
            Source::Manual(manual) => manual.advance(wait),
            _ => sleep(wait),
        }
    }

    /// The wall-clock time of a tick, for display. A manual clock's origin is the Unix epoch.
    pub fn wall(&self, tick: Tick) -> SystemTime {
        if let Source::Manual(_) = &self.0 {
            return SystemTime::UNIX_EPOCH + Duration::from_nanos(tick.as_nanos());
        }
        let (now, wall) = (self.now(), wall_now());
        match tick > now {
            true => wall.checked_add(tick.since(now)).unwrap_or(wall),
            false => wall.checked_sub(now.since(tick)).unwrap_or(wall),
        }
    }
}

/// Blocks the thread: the one place that puts it to sleep.
#[expect(clippy::disallowed_methods, reason = "this module is where time is met")]
pub(crate) fn sleep(wait: Duration) {
    std::thread::sleep(wait);
}

/// The wall clock, for display, and for dates that others send.
#[expect(clippy::disallowed_methods, reason = "this module is where the clock is read")]
pub(crate) fn wall_now() -> SystemTime {
    SystemTime::now()
}

#[cfg(target_os = "linux")]
#[inline]
fn kernel_now(clock: rustix::time::ClockId) -> Tick {
    let time = rustix::time::clock_gettime(clock);
    // The kernel's monotonic time is never negative.
    Tick::from_nanos(time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned())
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::coarse()
    }
}

impl From<ManualClock> for Clock {
    fn from(manual: ManualClock) -> Clock {
        Clock(Source::Manual(manual))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            #[cfg(target_os = "linux")]
            Source::Kernel(rustix::time::ClockId::MonotonicCoarse) => "Clock::coarse",
            #[cfg(target_os = "linux")]
            Source::Kernel(_) => "Clock::precise",
            #[cfg(not(target_os = "linux"))]
            Source::Precise(_) => "Clock::precise",
            Source::Ticker(_) => "Clock::ticker",
            Source::Manual(_) => "Clock::manual",
            #[cfg(feature = "tokio")]
            Source::Tokio(_) => "Clock::tokio",
        })
    }
}

// ===== impl ManualClock =====

impl ManualClock {
    /// A clock at its origin.
    pub fn new() -> ManualClock {
        ManualClock::default()
    }

    /// What it shows.
    pub fn now(&self) -> Tick {
        Tick::from_nanos(self.0.load(Ordering::Acquire))
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        let later = |now| Some(Tick::from_nanos(now).after(by).as_nanos());
        // It always says where to.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    /// Sets it, also back.
    pub fn set(&self, to: Tick) {
        self.0.store(to.as_nanos(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_moves_on() {
        for clock in [Clock::coarse(), Clock::precise(), Clock::ticker()] {
            let start = clock.now();
            let mut now = start;
            while now == start {
                std::hint::spin_loop();
                now = clock.now();
            }
            assert!(now > start, "{clock:?}");
        }
    }

    #[test]
    fn a_manual_clock_that_several_threads_advance_loses_no_time() {
        let (clock, start) = (ManualClock::new(), std::sync::Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..500_000 {
                        clock.advance(Duration::from_nanos(1));
                    }
                });
            }
        });
        assert_eq!(clock.now(), Tick::from_nanos(2_000_000));
    }

    #[test]
    fn wall_time_of_a_past_tick_lies_in_the_past() {
        let clock = Clock::coarse();
        let now = clock.now();
        let past = Tick::from_nanos(now.as_nanos().saturating_sub(1_000_000_000));
        assert!(clock.wall(past) < clock.wall(now));
        let manual = ManualClock::new();
        manual.advance(Duration::from_secs(7));
        let clock = Clock::from(manual.clone());
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        assert_eq!(clock.wall(manual.now()), expected);
    }
}
