//! The old methods of a breaker.

use panelboard_core::limits;

use crate::{CircuitBreaker, Command, Kind, Mode, Outcome, PhaseName};

/// The methods that a breaker once had, for code that asks first and reports later.
///
/// That cannot tell whose outcome it is: reported late, it counts for whatever phase there is by
/// then. A [`Permit`](crate::Permit) can.
///
/// # Examples
/// ```
/// use panelboard::compat::{OldMethods, UnifiedCircuitBreaker};
/// use panelboard::Settings;
///
/// let breaker = UnifiedCircuitBreaker::new("cache", Settings::default());
/// if breaker.can_execute() {
///     breaker.record_success();
/// }
/// assert!(breaker.is_closed() && breaker.is_healthy());
/// ```
pub trait OldMethods {
    /// Whether a call would be let through now. Takes no slot, and changes nothing.
    fn can_execute(&self) -> bool;
    /// Counts a call that succeeded. Ignored while calls are refused.
    fn record_success(&self);
    /// Counts a call that failed. Ignored while calls are refused.
    fn record_failure(&self);
    /// Refuses everybody until [`reset`](Self::reset).
    fn force_open(&self);
    /// Back to closed, with nothing counted.
    fn reset(&self);
    /// The phase.
    fn state(&self) -> PhaseName;
    /// Whether it is closed.
    fn is_closed(&self) -> bool {
        self.state() == PhaseName::Closed
    }
    /// Whether it is open.
    fn is_open(&self) -> bool {
        self.state() == PhaseName::Open
    }
    /// Whether it is half-open.
    fn is_half_open(&self) -> bool {
        self.state() == PhaseName::HalfOpen
    }
    /// Whether it is closed.
    fn is_healthy(&self) -> bool {
        self.is_closed()
    }
}

impl OldMethods for CircuitBreaker {
    fn can_execute(&self) -> bool {
        let now = self.snapshot();
        match (now.mode, now.phase) {
            (Mode::ForcedOpen, _) | (Mode::Auto, PhaseName::Open) => false,
            (Mode::ForcedClosed | Mode::Observe, _) => true,
            (Mode::Auto, PhaseName::Closed) => now.retry_after().is_none(),
            (Mode::Auto, PhaseName::HalfOpen) => {
                let most = now.settings.half_open_max_calls();
                now.retry_after().is_none()
                    && now.probes.is_none_or(|probes| probes.in_flight < most)
            }
        }
    }

    fn record_success(&self) {
        record(self, Outcome::Success);
    }

    fn record_failure(&self) {
        record(self, Outcome::failure(Kind::OTHER));
    }

    fn force_open(&self) {
        self.command(Command::ForceOpen(limits::LONGEST));
    }

    fn reset(&self) {
        self.command(Command::Reset);
    }

    fn state(&self) -> PhaseName {
        let now = self.snapshot();
        // Where an operator decides, what calls find is what he said.
        match now.mode {
            Mode::ForcedOpen => PhaseName::Open,
            Mode::ForcedClosed => PhaseName::Closed,
            Mode::Auto | Mode::Observe => now.phase,
        }
    }
}

/// A call of no length.
fn record(breaker: &CircuitBreaker, outcome: Outcome) {
    // Asked first, since a refusal would be counted as one.
    if breaker.can_execute()
        && let Ok(permit) = breaker.try_acquire()
    {
        permit.record(outcome);
    }
}
