//! Waiting for a circuit to let a request through.

use std::time::Duration;

use panelboard::event::Subscription;
use panelboard::{Reason, Rejected};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use crate::proxy::answer::now;
use crate::runtime::Plan;

/// Nobody asks a circuit more often than this.
const OFTEN: Duration = Duration::from_millis(10);

/// Probes and steps of a ramp make room without an event, so those are asked about.
const BETWEEN_PROBES: Duration = Duration::from_millis(50);

/// A request that waits. It keeps its place until it is let through or gives up.
pub(super) struct Waiting<'a> {
    plan: &'a Plan,
    until: Instant,
    events: Subscription,
    _place: SemaphorePermit<'a>,
}

impl<'a> Waiting<'a> {
    /// A place to wait, if the route has any, there is room, and the request has time.
    pub(super) fn begin(plan: &'a Plan, deadline: Option<Instant>) -> Option<Waiting<'a>> {
        let place = plan.policies.waiting.as_ref()?.try_acquire().ok()?;
        let (until, target) = (deadline?, plan.targets.first()?);
        let events = target.events();
        Some(Waiting { plan, until, events, _place: place })
    }

    /// Waits until it is worth asking again; `false` when there is no time left.
    pub(super) async fn turn(&mut self, refused: &Rejected) -> bool {
        let soon = next_look(refused.reason(), refused.retry_after());
        let look = now().checked_add(soon).map_or(self.until, |look| look.min(self.until));
        tokio::select! {
            () = tokio::time::sleep_until(look) => {}
            () = changed(&mut self.events, self.plan) => {}
        }
        now() < self.until
    }
}

/// When to ask again, if nothing is heard before.
fn next_look(reason: Reason, retry_after: Duration) -> Duration {
    match reason {
        Reason::Probing | Reason::Ramping | Reason::Throttled => retry_after.min(BETWEEN_PROBES),
        _ => retry_after,
    }
    .max(OFTEN)
}

/// Something has happened to one of the route's circuits.
async fn changed(events: &mut Subscription, plan: &Plan) {
    loop {
        match events.next().await {
            Ok(event) if plan.targets.iter().any(|target| target.is_guarded_by(&event.circuit)) => {
                return;
            }
            Ok(_) => {}
            // What was missed may have been it.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_circuit_is_asked_when_it_said_and_a_probing_one_more_often() {
        let secs = Duration::from_secs;
        assert_eq!(next_look(Reason::Open, secs(4)), secs(4));
        assert_eq!(next_look(Reason::Paced, Duration::ZERO), OFTEN);
        assert_eq!(next_look(Reason::Probing, secs(4)), BETWEEN_PROBES);
        assert_eq!(next_look(Reason::Ramping, Duration::ZERO), OFTEN);
    }
}
