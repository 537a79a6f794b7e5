//! What happened, as values: the one door out of a breaker.

mod bus;
#[cfg(all(test, panelboard_loom))]
mod loom;
mod record;
#[cfg(all(test, not(panelboard_loom)))]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

pub use bus::{Bus, Lagged, Subscription};
pub use record::{LastError, TripRecord};

use crate::{Cause, Mode, Name, PhaseName};

/// One thing that happened to one circuit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The place in the order of all events on the bus; starts at 1, without gaps.
    pub sequence: u64,
    /// Which circuit.
    pub circuit: Name,
    /// When it happened, which may be before anybody noticed.
    pub at: SystemTime,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum What {
    /// The circuit entered a phase.
    Transition {
        /// The phase before.
        from: PhaseName,
        /// The phase entered.
        to: PhaseName,
        /// The number of the phase entered.
        generation: u64,
        /// Who decides.
        mode: Mode,
        /// Why.
        cause: Cause,
        /// The numbers behind it.
        record: Arc<TripRecord>,
    },
    /// Somebody or time changed who decides.
    Mode {
        /// The mode before.
        from: Mode,
        /// The mode now.
        to: Mode,
        /// When the override ends; `None` for the configured mode.
        until: Option<SystemTime>,
        /// Who ordered it, and why; `None` when an override ran out.
        order: Option<Order>,
    },
    /// The circuit runs on other settings.
    Reconfigured,
}

/// Who ordered something, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Order {
    /// Who.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

impl Order {
    /// An order by somebody, for a reason.
    pub fn new(by: impl Into<Arc<str>>, reason: impl Into<Arc<str>>) -> Order {
        Order { by: by.into(), reason: reason.into() }
    }
}
