//! What happened to a breaker, as values to be published.

use crate::rollup::Children;
use crate::{Fired, Mode, PhaseName, Tick};

/// One thing that happened to a breaker.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// It entered a phase.
    Phase(Transition),
    /// Somebody or time changed who decides.
    Mode(ModeChange),
}

impl Change {
    /// When it happened, which may be before anybody looked.
    pub fn at(&self) -> Tick {
        match self {
            Change::Phase(transition) => transition.at,
            Change::Mode(change) => change.at,
        }
    }

    /// Why a phase was entered, if that is what happened.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Change::Phase(transition) => Some(transition.cause),
            Change::Mode(_) => None,
        }
    }

    /// Whether the breaker opened.
    pub fn opens(&self) -> bool {
        matches!(self, Change::Phase(transition) if transition.to == PhaseName::Open)
    }
}

/// The entry into a phase. There is exactly one for each generation (invariant B-2).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The phase before.
    pub from: PhaseName,
    /// The phase entered.
    pub to: PhaseName,
    /// The number of the phase entered.
    pub generation: u64,
    /// When.
    pub at: Tick,
    /// Why.
    pub cause: Cause,
}

/// Why a phase was entered.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// A rule fired.
    Tripped(Fired),
    /// The open phase was over.
    RecoveryDue,
    /// The open phase was over, and a health check found the dependency at work.
    HealthCheckPassed,
    /// `Command::Probe`: the open phase was ended.
    ProbeOrdered,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// Not enough probes could succeed any more.
    ProbesFailed,
    /// Probes were under way, but nothing was learnt.
    RoundStalled,
    /// `Command::Trip` or `Command::OpenFor`.
    Ordered,
    /// `Command::Reset`.
    Reset,
    /// `Command::RollUp`: most of a family's busy breakers are open.
    ChildrenOpen(Children),
}

impl Cause {
    /// The name in metrics and API; for a trip, the rule's.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Tripped(fired) => fired.rule.name(),
            Cause::RecoveryDue => "recovery_due",
            Cause::HealthCheckPassed => "health_check_passed",
            Cause::ProbeOrdered => "probe_ordered",
            Cause::ProbesSucceeded => "probes_succeeded",
            Cause::ProbesFailed => "probes_failed",
            Cause::RoundStalled => "round_stalled",
            Cause::Ordered => "ordered",
            Cause::Reset => "reset",
            Cause::ChildrenOpen(_) => "children_open",
        }
    }
}

/// A change of who decides.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ModeChange {
    /// The mode before.
    pub from: Mode,
    /// The mode now.
    pub to: Mode,
    /// When.
    pub at: Tick,
    /// When an operator's override ends; `None` if this is the configured mode.
    pub until: Option<Tick>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_knows_when_and_why_it_happened_and_whether_it_opens() {
        let (at, until) = (Tick::from_nanos(7), None);
        let mode = Change::Mode(ModeChange { from: Mode::Auto, to: Mode::Observe, at, until });
        assert_eq!((mode.at(), mode.cause(), mode.opens()), (at, None, false));
        let into = |to, cause| {
            Change::Phase(Transition { from: PhaseName::Closed, to, generation: 3, at, cause })
        };
        let due = into(PhaseName::HalfOpen, Cause::RecoveryDue);
        assert_eq!((due.at(), due.cause(), due.opens()), (at, Some(Cause::RecoveryDue), false));
        let ordered = into(PhaseName::Open, Cause::Ordered);
        assert_eq!((ordered.cause(), ordered.opens()), (Some(Cause::Ordered), true));
    }

    #[test]
    fn causes_go_by_names_of_their_own() {
        let causes = [
            (Cause::RecoveryDue, "recovery_due"),
            (Cause::ProbesSucceeded, "probes_succeeded"),
            (Cause::ProbesFailed, "probes_failed"),
            (Cause::RoundStalled, "round_stalled"),
            (Cause::Ordered, "ordered"),
            (Cause::Reset, "reset"),
        ];
        for (cause, name) in causes {
            assert_eq!(cause.name(), name);
        }
    }
}
