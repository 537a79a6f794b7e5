//! Whether a request is sent again when all upstreams that may be asked have been.

use std::time::Duration;

use panelboard::{Outcome, Reason, Rejected};
use panelboard_config::{RetryOn, Route};
use panelboard_core::retry::{GiveUp, Setback};

use crate::judge::{Failover, Observed};
use crate::proxy::answer::now;
use crate::proxy::attempt::Exchange;
use crate::runtime::Plan;

/// How it went when each upstream was asked once.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) refused: Option<Refused>,
    pub(super) failed: Option<Failed>,
}

/// What circuits refused.
pub(super) struct Refused {
    /// The one to come back to first.
    pub(super) soonest: Rejected,
    /// The first upstream that may be asked although its circuit refuses.
    pub(super) passable: Option<usize>,
}

/// What upstreams failed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Failed {
    /// Whether the request may be sent again at all.
    repeatable: bool,
    /// How long the first of them wants to be left alone that may be asked again.
    soonest: Option<Duration>,
}

/// What a failure means for sending the request again.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Repeat {
    /// The request may not be sent again.
    Never,
    /// It might, but the route does not want that after such a failure.
    Unwanted,
    /// It may, after this long.
    After(Duration),
}

impl Tally {
    pub(super) fn refuse(&mut self, place: usize, rejected: Rejected) {
        let passable = may_pass(rejected.reason()).then_some(place);
        self.refused = Some(match self.refused.take() {
            None => Refused { soonest: rejected, passable },
            Some(known) => Refused {
                soonest: match rejected.retry_after() < known.soonest.retry_after() {
                    true => rejected,
                    false => known.soonest,
                },
                passable: known.passable.or(passable),
            },
        });
    }

    pub(super) fn fail(&mut self, repeat: Repeat) {
        let known = self.failed.unwrap_or(Failed { repeatable: true, soonest: None });
        let wait = match repeat {
            Repeat::After(wait) => Some(wait),
            Repeat::Never | Repeat::Unwanted => None,
        };
        self.failed = Some(Failed {
            repeatable: known.repeatable && repeat != Repeat::Never,
            soonest: known.soonest.into_iter().chain(wait).min(),
        });
    }

    /// What there is to retry after, if anything.
    fn setback(&self, on: &[RetryOn]) -> Option<Setback> {
        match (&self.failed, &self.refused) {
            (Some(failed), _) => {
                let hint = failed.soonest.filter(|_| failed.repeatable)?;
                Some(Setback::Failed { hint: Some(hint).filter(|hint| !hint.is_zero()) })
            }
            (None, Some(refused)) if on.contains(&RetryOn::Refused) => {
                Some(Setback::Refused { retry_after: Some(refused.soonest.retry_after()) })
            }
            (None, _) => None,
        }
    }
}

/// What an operator or the upstream itself refuses is not to be passed over.
fn may_pass(reason: Reason) -> bool {
    !matches!(reason, Reason::Forced | Reason::Paced)
}

/// What a failure means for sending the request again.
pub(super) fn repeat(exchange: &Exchange<'_>, observed: Observed) -> Repeat {
    let route = &exchange.plan.route;
    let Some(retry) = &route.retry else { return Repeat::Never };
    let verdict = observed.verdict();
    let safe = match verdict.failover {
        Failover::Safe => true,
        Failover::IfRepeatable => exchange.head.method.is_idempotent() || retry.non_idempotent,
        Failover::No => false,
    };
    if !safe || !exchange.upload.is_repeatable() {
        return Repeat::Never;
    }
    let met = match verdict.outcome {
        Outcome::Failure { kind, .. } => RetryOn::Failure(kind),
        Outcome::Pushback { .. } => RetryOn::Pushback,
        Outcome::Success | Outcome::Neutral => return Repeat::Never,
    };
    match retry.on.contains(&met) {
        true => Repeat::After(hint(observed).unwrap_or_default()),
        false => Repeat::Unwanted,
    }
}

/// When the upstream said to come back.
pub(super) fn hint(observed: Observed) -> Option<Duration> {
    match observed {
        Observed::Answered(_, hint) => hint,
        _ => None,
    }
}

/// How long to wait before all upstreams are asked again, after so many rounds; `None` if they are
/// not.
pub(super) fn again(exchange: &Exchange<'_>, rounds: u32, tally: &Tally) -> Option<Duration> {
    let Plan { route: Route { retry, .. }, policies, .. } = exchange.plan;
    let retry = retry.as_ref()?;
    let setback = tally.setback(&retry.on)?;
    let remaining = exchange.deadline.map(|deadline| deadline.saturating_duration_since(now()));
    let wait = retry.settings.next(rounds, setback, remaining, policies.draw());
    // Last, since this cannot be taken back.
    match wait.and_then(|wait| if policies.pay() { Ok(wait) } else { Err(GiveUp::Budget) }) {
        Ok(wait) => {
            policies.counts.retry();
            Some(wait)
        }
        Err(why) => {
            policies.counts.retry_given_up(why.name());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(repeats: &[Repeat]) -> Option<Setback> {
        let mut tally = Tally::default();
        for repeat in repeats {
            tally.fail(*repeat);
        }
        tally.setback(&[])
    }

    #[test]
    fn the_first_that_may_be_asked_again_says_when() {
        let failed = |hint| Some(Setback::Failed { hint });
        assert_eq!(after(&[Repeat::After(Duration::ZERO)]), failed(None));
        assert_eq!(
            after(&[Repeat::After(2 * SECOND), Repeat::After(SECOND)]),
            failed(Some(SECOND))
        );
        assert_eq!(after(&[Repeat::Unwanted, Repeat::After(SECOND)]), failed(Some(SECOND)));
        assert_eq!(after(&[Repeat::Unwanted]), None);
    }

    #[test]
    fn what_may_have_been_done_once_is_not_done_again_for_anothers_failure() {
        assert_eq!(after(&[Repeat::After(SECOND), Repeat::Never]), None);
        assert_eq!(after(&[Repeat::Never, Repeat::After(SECOND)]), None);
    }
}
