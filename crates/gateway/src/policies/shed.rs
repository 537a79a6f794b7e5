//! Refuses some requests of a route while many fail.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use panelboard::Clock;
use panelboard_core::Throttle;
use panelboard_core::throttle::Demand;

/// A route's throttle.
pub(crate) struct Shed {
    throttle: Throttle,
    clock: Clock,
    demand: Mutex<Demand>,
}

impl Shed {
    pub(crate) fn new(throttle: Throttle, seed: u64) -> Shed {
        let clock = Clock::precise();
        let demand = Mutex::new(Demand::new(throttle, seed, clock.now()));
        Shed { throttle, clock, demand }
    }

    /// Lets a request through, or says when to come back.
    pub(crate) fn admit(&self) -> Result<(), Duration> {
        let now = self.clock.now();
        self.change(|demand| demand.admit(self.throttle, now)).map_err(|until| until.since(now))
    }

    /// A request that was let through has failed.
    pub(crate) fn failed(&self) {
        let now = self.clock.now();
        self.change(|demand| demand.fail(now));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Demand) -> T) -> T {
        change(&mut self.demand.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
