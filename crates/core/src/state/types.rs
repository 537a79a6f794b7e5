//! The words a state machine is spoken to in.

use core::fmt;
use core::time::Duration;

use crate::rollup::Children;

/// Who decides.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mode {
    /// The breaker.
    #[default]
    Auto,
    /// The breaker decides, but nobody is refused (shadow mode).
    Observe,
    /// An operator: everybody is refused.
    ForcedOpen,
    /// An operator, or `enabled = false`: nobody is refused.
    ForcedClosed,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 4] = [Mode::Auto, Mode::Observe, Mode::ForcedOpen, Mode::ForcedClosed];

    /// The name in config, metrics and API.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Observe => "observe",
            Mode::ForcedOpen => "forced_open",
            Mode::ForcedClosed => "forced_closed",
        }
    }

    /// Whether the machine weighs results in this mode.
    pub const fn weighs(self) -> bool {
        matches!(self, Mode::Auto | Mode::Observe)
    }
}

/// Which phase a breaker is in.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum PhaseName {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls probe whether the dependency has recovered.
    HalfOpen,
}

impl PhaseName {
    /// Every phase.
    pub const ALL: [PhaseName; 3] = [PhaseName::Closed, PhaseName::Open, PhaseName::HalfOpen];

    /// The name in metrics, API and health document.
    pub const fn name(self) -> &'static str {
        match self {
            PhaseName::Closed => "closed",
            PhaseName::Open => "open",
            PhaseName::HalfOpen => "half_open",
        }
    }
}

/// Why a call was refused.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The breaker is open.
    Open,
    /// Half-open, and all probe slots are taken.
    Probing,
    /// The dependency asked to slow down, and the wait is not over.
    Paced,
    /// An operator forced the breaker open.
    Forced,
    /// Half-open, but a breaker that this one depends on is open.
    Dependency,
    /// Just recovered: traffic comes back in steps.
    Ramping,
    /// Too much fails: calls are shed in proportion.
    Throttled,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 7] = [
        Reason::Open,
        Reason::Probing,
        Reason::Paced,
        Reason::Forced,
        Reason::Dependency,
        Reason::Ramping,
        Reason::Throttled,
    ];

    /// The place of this reason in [`Reason::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Reason::Open => 0,
            Reason::Probing => 1,
            Reason::Paced => 2,
            Reason::Forced => 3,
            Reason::Dependency => 4,
            Reason::Ramping => 5,
            Reason::Throttled => 6,
        }
    }

    /// The name in metrics and API.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Open => "open",
            Reason::Probing => "probing",
            Reason::Paced => "paced",
            Reason::Forced => "forced",
            Reason::Dependency => "dependency",
            Reason::Ramping => "ramping",
            Reason::Throttled => "throttled",
        }
    }
}

/// How a health check last found the dependency.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum HealthReport {
    /// It does its job.
    Healthy,
    /// It works, but not as it should.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl HealthReport {
    /// Every report.
    pub const ALL: [HealthReport; 3] =
        [HealthReport::Healthy, HealthReport::Degraded, HealthReport::Unhealthy];

    /// The name in metrics and API.
    pub const fn name(self) -> &'static str {
        match self {
            HealthReport::Healthy => "healthy",
            HealthReport::Degraded => "degraded",
            HealthReport::Unhealthy => "unhealthy",
        }
    }
}

macro_rules! displays_its_name {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    )*};
}
displays_its_name!(Mode, PhaseName, Reason, HealthReport);

/// What a call was let through as.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Let through by a closed breaker: its result is weighed.
    Voter,
    /// A probe, by its number in the round; or while closed, one that tries for a used-up quota, by
    /// the number of the try.
    Probe(u32),
    /// Let through only because nobody is refused: its result is counted, not weighed.
    Bystander,
}

/// What a call that was let through holds: under which generation, and as what.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ticket {
    /// The phase that let it through.
    pub generation: u64,
    /// As what.
    pub role: Role,
}

/// The answer to a call that wants through.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Decision {
    /// It may.
    Admit {
        /// To be given back with the result.
        ticket: Ticket,
        /// In observe mode: why it would have been refused.
        would_reject: Option<Reason>,
    },
    /// It may not.
    Reject {
        /// Why.
        reason: Reason,
        /// When it is worth coming back.
        retry_after: Duration,
    },
}

/// What a result meant to the machine.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Verdict {
    /// It belongs to an earlier phase, or to a probe whose lease had run out: no vote.
    Late,
    /// Counted, and nothing more: a bystander's, or given while a mode is forced.
    NoVote,
    /// It was taken into account.
    Counted,
    /// A voter's result: for the evidence to weigh, and for [`State::trip`](super::State::trip)
    /// if a rule fires.
    Weigh,
}

/// What an operator, a peer, a health probe or a test may order.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Refuse everybody, for this long.
    ForceOpen(Duration),
    /// Refuse nobody, for this long.
    ForceClosed(Duration),
    /// Decide but refuse nobody, for this long.
    Observe(Duration),
    /// Decide. If the configured mode is another, for this long.
    Auto(Duration),
    /// Back to a closed breaker that has seen nothing, in its configured mode.
    Reset,
    /// Open now, as if a rule had fired. Changes nothing while open.
    Trip,
    /// Open now for exactly this long; if open, at least for this long.
    OpenFor(Duration),
    /// Takes note of what a health check found. If an open breaker has waited long enough and
    /// was waiting for that, it may now probe.
    Health(HealthReport),
    /// Probe now: an open breaker's wait is over, hints and health checks notwithstanding. Changes
    /// nothing unless open.
    Probe,
    /// How the breakers of a family are doing, to their parent: it opens if it is closed, decides
    /// for itself, and [most of them are open](Children::most_are_open).
    RollUp(Children),
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    /// Dashboards, alerts and clients go by these, and config by the modes.
    #[test]
    fn modes_phases_reasons_and_reports_go_by_names_of_their_own() {
        assert_eq!(Mode::ALL.map(Mode::name), ["auto", "observe", "forced_open", "forced_closed"]);
        assert_eq!(PhaseName::ALL.map(PhaseName::name), ["closed", "open", "half_open"]);
        assert_eq!(
            Reason::ALL.map(Reason::name),
            ["open", "probing", "paced", "forced", "dependency", "ramping", "throttled"]
        );
        let reports = HealthReport::ALL.map(HealthReport::name);
        assert_eq!(reports, ["healthy", "degraded", "unhealthy"]);
        let shown = [
            Mode::ForcedOpen.to_string(),
            PhaseName::HalfOpen.to_string(),
            Reason::Paced.to_string(),
            HealthReport::Degraded.to_string(),
        ];
        assert_eq!(shown, ["forced_open", "half_open", "paced", "degraded"]);
    }

    /// Refusals are counted in a table by reason.
    #[test]
    fn each_reason_has_a_place_of_its_own() {
        let places: Vec<usize> = Reason::ALL.into_iter().map(Reason::index).collect();
        assert_eq!(places, (0..Reason::ALL.len()).collect::<Vec<_>>());
    }
}
