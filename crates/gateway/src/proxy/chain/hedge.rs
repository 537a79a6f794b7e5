//! A second attempt beside one that takes long.

use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

use panelboard::Outcome as Said;
use tokio::time::{Instant, sleep};

use super::again::Tally;
use super::walk::{Flow, Walk};
use crate::metrics::RouteCounts;
use crate::proxy::admit::{Admission, Admitted, Circuit, NotNow, admitted_now};
use crate::proxy::answer::now;
use crate::proxy::attempt::{Attempt, Exchange, Turn, attempt, send};

/// Whether two upstreams may have the request at the same time, as far as its head says.
pub(super) fn may_hedge(exchange: &Exchange<'_>) -> bool {
    let Some(hedge) = &exchange.plan.route.hedge else { return false };
    (exchange.head.method.is_idempotent() || hedge.non_idempotent) && exchange.upgrade.is_none()
}

/// A second attempt, counted once whatever becomes of it.
struct Hedged<'a> {
    counts: &'a RouteCounts,
    result: &'static str,
}

impl Drop for Hedged<'_> {
    fn drop(&mut self) {
        self.counts.hedge(self.result);
    }
}

impl<'a> Walk<'a> {
    /// Asks an upstream, and if it takes long one of the `next` as well, or the same if there is no
    /// other in the route. Whoever has a good answer first is listened to, and the other dropped.
    /// Says also who was asked beside it.
    pub(super) async fn ask_hedged(
        &mut self,
        place: usize,
        next: Vec<usize>,
        tally: &mut Tally,
    ) -> (Flow, Option<usize>) {
        let (plan, exchange) = (self.plan, self.exchange);
        let began = now();
        let turn = self.turn(place);
        let mut first = pin!(attempt(exchange, &plan.targets[place], turn, Admission::Asked));
        let early = match self.patience() {
            None => Some(first.as_mut().await),
            Some(patience) => tokio::select! {
                biased;
                ended = &mut first => Some(ended),
                () = sleep(patience) => None,
            },
        };
        let beside = if early.is_none() { self.second(place, next) } else { None };
        let Some((other, admitted)) = beside else {
            let ended = match early {
                Some(ended) => ended,
                None => first.await,
            };
            return (self.end(place, ended, began, tally), None);
        };
        self.hedges = false;
        let mut hedged = Hedged { counts: &plan.policies.counts, result: "lost" };
        let mut second = pin!(send(admitted));
        let (ended, by_second) = tokio::select! {
            biased;
            ended = &mut first => (ended, false),
            ended = &mut second => (ended, true),
        };
        let good = is_good(&ended.1);
        let flow = if by_second {
            hedged.result = result(good);
            self.end(other, ended, began, tally)
        } else {
            self.end(place, ended, began, tally)
        };
        if good {
            return (flow, Some(other));
        }
        // The other may do better, whatever this failure means for those that come after.
        let last = if by_second {
            self.end(place, first.await, began, tally)
        } else {
            let ended = second.await;
            hedged.result = result(is_good(&ended.1));
            self.end(other, ended, began, tally)
        };
        let flow = match (flow, last) {
            (_, ControlFlow::Break(Some(outcome))) => ControlFlow::Break(Some(outcome)),
            (ControlFlow::Continue(()), ControlFlow::Continue(())) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(None),
        };
        (flow, Some(other))
    }

    /// How long an answer is waited for before there is a second attempt, if there is to be one.
    fn patience(&self) -> Option<Duration> {
        let hedge = self.plan.policies.hedge.as_ref()?;
        let remaining = self.exchange.deadline.map(|until| until.saturating_duration_since(now()));
        hedge.settings().wait(hedge.delay(), Duration::ZERO, remaining)
    }

    /// Who is asked beside the upstream at `place`, and let through already.
    fn second(&self, place: usize, mut next: Vec<usize>) -> Option<(usize, Admitted<'a>)> {
        let (plan, exchange) = (self.plan, self.exchange);
        let policies = &plan.policies;
        if !exchange.upload.is_shareable() {
            return None;
        }
        // Without it, no circuit need be asked.
        if policies.budget.as_ref().is_some_and(|budget| budget.available() == 0) {
            policies.counts.hedge_given_up("budget");
            return None;
        }
        if plan.targets.len() == 1 {
            next.push(place);
        }
        let mut why = "refused";
        for place in next.into_iter().filter(|place| self.rest(*place).is_none()) {
            // Part of the deadline has gone by.
            let turn = Turn { unshared: false, ..self.turn(place) };
            match admitted_now(exchange, &plan.targets[place], turn) {
                Ok(admitted) if policies.pay() => return Some((place, admitted)),
                Ok(_) => {
                    why = "budget";
                    break;
                }
                Err(NotNow::Full) => {
                    why = "bulkhead";
                    break;
                }
                Err(NotNow::Refused) => {}
            }
        }
        policies.counts.hedge_given_up(why);
        None
    }

    /// Takes note of how an attempt ended, and of how long an answer took.
    fn end(
        &mut self,
        place: usize,
        (circuit, outcome): (Circuit, Attempt),
        began: Instant,
        tally: &mut Tally,
    ) -> Flow {
        if let (Attempt::Answered(_) | Attempt::Whole(_), Some(hedge)) =
            (&outcome, &self.plan.policies.hedge)
        {
            hedge.learn(began.elapsed());
        }
        let asked = self.take_note(place, circuit, outcome);
        self.count(place, asked, tally)
    }
}

/// Whether it is what the client gets, so that nobody else need be waited for.
fn is_good(attempt: &Attempt) -> bool {
    match attempt {
        // What the request itself is to blame for is the same everywhere.
        Attempt::Failed { observed, answer: Some(_) } => {
            matches!(observed.verdict().outcome, Said::Neutral | Said::Success)
        }
        Attempt::Failed { answer: None, .. }
        | Attempt::Refused(_)
        | Attempt::Foreign(_)
        | Attempt::Limited(_)
        | Attempt::Full => false,
        Attempt::Answered(_) | Attempt::Whole(_) | Attempt::Switched(_) | Attempt::Upload(_) => {
            true
        }
    }
}

/// What came of a second attempt that was waited for.
fn result(good: bool) -> &'static str {
    if good { "won" } else { "failed" }
}
