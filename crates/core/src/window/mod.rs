//! What the rate and count rules look back over.
//!
//! A window answers two questions, each with its own tally: how many calls *failed* (a call is
//! counted when it ends), and how many were *slow* (counted when it ends, or as soon as a running
//! call passes the bound).

pub mod cell;
mod count;
mod time;

pub use count::CountWindow;
pub use time::TimeWindow;

use alloc::boxed::Box;
use core::time::Duration;

use crate::{Kind, Settings, Speed, Tally, Tick, WindowSpec};

/// How many calls of each kind failed within the window, by [`Kind::index`].
pub type KindTally = [u64; Kind::COUNT];

/// A window of either sort, in plain values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Window {
    /// The last so-and-so long.
    Time(Box<TimeWindow>),
    /// The last so many calls.
    Count(CountWindow),
}

impl Window {
    /// An empty window for these settings.
    pub fn new(settings: &Settings) -> Window {
        match settings.window() {
            WindowSpec::Time(time) => Window::Time(Box::new(TimeWindow::new(time))),
            WindowSpec::Calls(calls) => Window::Count(CountWindow::new(calls)),
        }
    }

    /// Whether it was made for settings that look back just as far.
    pub fn fits(&self, settings: &Settings) -> bool {
        match (self, settings.window()) {
            (Window::Time(window), WindowSpec::Time(time)) => {
                window.width() == cell::width_of(time)
            }
            (Window::Count(window), WindowSpec::Calls(calls)) => window.capacity() == calls,
            _ => false,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        match self {
            Window::Time(window) => **window = TimeWindow::with_width(window.width()),
            Window::Count(window) => *window = CountWindow::new(window.capacity()),
        }
    }

    /// Counts the end of a call: failed in some way, or not.
    pub fn record_end(&mut self, now: Tick, failure: Option<Kind>) {
        match self {
            Window::Time(window) => window.record_end(now, failure),
            Window::Count(window) => window.record_end(failure),
        }
    }

    /// Counts how fast a call was, and adds how long it took if anybody asks: of one that was counted
    /// before, what [was not known](crate::End::adds) then.
    pub fn record_speed(&mut self, now: Tick, speed: Speed, took: Option<Duration>) {
        let slow = match (speed, took) {
            (Speed::Unjudged, None) => return,
            (Speed::Unjudged, Some(took)) => return self.add(now, took),
            (Speed::Fast, _) => false,
            (Speed::Slow, _) => true,
        };
        match self {
            Window::Time(window) => window.record_speed(now, slow, took),
            Window::Count(window) => window.record_speed(slow, took),
        }
    }

    fn add(&mut self, now: Tick, took: Duration) {
        match self {
            Window::Time(window) => window.add(now, took),
            Window::Count(window) => window.add(took),
        }
    }

    /// What is in the window now.
    pub fn tally(&self, now: Tick) -> Tally {
        match self {
            Window::Time(window) => window.tally(now),
            Window::Count(window) => window.tally(),
        }
    }

    /// The failures in the window now, by kind.
    pub fn kinds(&self, now: Tick) -> KindTally {
        match self {
            Window::Time(window) => window.kinds(now),
            Window::Count(window) => window.kinds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(window: impl Into<WindowSpec>) -> Settings {
        Settings::builder().window(window).build().unwrap()
    }

    fn both() -> [Settings; 2] {
        [of(5_u32), of(Duration::from_secs(10))]
    }

    #[test]
    fn fits_only_settings_that_look_back_just_as_far() {
        let all = [of(5_u32), of(6_u32), of(Duration::from_secs(10)), of(Duration::from_secs(11))];
        for (made, settings) in all.iter().enumerate() {
            let window = Window::new(settings);
            for (asked, settings) in all.iter().enumerate() {
                assert_eq!(window.fits(settings), made == asked, "{made}, {asked}");
            }
        }
    }

    #[test]
    fn counts_ends_and_speeds_apart_whatever_its_sort() {
        let now = Tick::from_nanos(7_000_000_000);
        for settings in both() {
            let mut window = Window::new(&settings);
            window.record_end(now, Some(Kind::Connect));
            window.record_end(now, None);
            let second = Duration::from_secs(1);
            window.record_speed(now, Speed::Fast, Some(second));
            window.record_speed(now, Speed::Slow, Some(2 * second));
            window.record_speed(now, Speed::Unjudged, None);
            window.record_speed(now, Speed::Unjudged, Some(second));
            let tally = window.tally(now);
            assert_eq!((tally.calls, tally.failures), (2, 1));
            assert_eq!((tally.timed, tally.slow, tally.took), (2, 1, 4 * second));
            let mut kinds = KindTally::default();
            kinds[Kind::Connect.index()] = 1;
            assert_eq!(window.kinds(now), kinds);
        }
    }

    #[test]
    fn forgets_everything_but_how_far_it_looks_back() {
        for settings in both() {
            let mut window = Window::new(&settings);
            window.record_end(Tick::ZERO, Some(Kind::Connect));
            window.record_speed(Tick::ZERO, Speed::Slow, None);
            window.clear();
            assert_eq!(window, Window::new(&settings));
        }
    }
}
