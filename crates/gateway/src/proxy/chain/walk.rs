//! Going along the upstreams of a route until one has an answer.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use http::{HeaderValue, Response};
use panelboard::{PhaseName, Reason, Rejected};
use panelboard_config::{Balance, WhenOpen};
use tokio::time::{Instant, sleep};
use tracing::info;

use super::again::{Repeat, Tally, again, hint, repeat};
use super::hedge::may_hedge;
use super::wait::Waiting;
use crate::fallback::{Cause, Why};
use crate::judge::{Failover, Observed};
use crate::llm::translate::Foreign;
use crate::proxy::admit::{Admission, Circuit};
use crate::proxy::answer::{Kept, now};
use crate::proxy::attempt::{Attempt, Exchange, Switched, Turn, attempt};
use crate::proxy::reply::{Reply, whole};
use crate::proxy::upload::UploadFault;
use crate::runtime::{Plan, Target};

/// When it is worth coming back, where no circuit says.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// One request on its way along the upstreams.
pub(super) struct Walk<'a> {
    pub(super) plan: &'a Plan,
    pub(super) exchange: &'a Exchange<'a>,
    /// Whether nobody has had part of the deadline, nor has any of it gone by in waiting.
    unshared: bool,
    /// Whether a second attempt may still join one that takes long.
    pub(super) hedges: bool,
    /// How often the upstreams have been asked.
    rounds: u32,
    /// Who has failed the request, and until when they want to be left alone.
    failed: Vec<(usize, Option<Instant>)>,
    /// Why there is no answer.
    cause: Option<Cause>,
    /// An upstream's own error, for want of anything better.
    held: Option<Answered>,
    /// Whether there was no place in the bulkhead.
    full: bool,
    /// Upstreams that cannot be asked this, each with the reason.
    left_out: BTreeMap<usize, String>,
}

/// An upstream's answer, and whose it is.
pub(super) struct Answered {
    pub(super) answer: Response<Reply>,
    pub(super) circuit: Circuit,
    pub(super) upstream: Option<HeaderValue>,
}

/// What comes of a walk.
#[expect(clippy::large_enum_variant, reason = "one for each request, and gone at once")]
pub(super) enum Outcome {
    Answered(Answered),
    /// An upstream goes on in another protocol.
    Switched {
        switched: Box<Switched>,
        place: usize,
        circuit: Circuit,
    },
    /// The client's own body failed.
    Upload(UploadFault),
    /// The upstream that the client addressed cannot be asked this.
    Foreign {
        foreign: Foreign,
        place: usize,
    },
    /// Nobody has an answer.
    Nothing(Cause),
    /// The route's bulkhead is full.
    Full,
}

/// Whether the next upstream is asked, and if not, what has come of it already.
pub(super) type Flow = ControlFlow<Option<Outcome>>;

/// What comes of asking each upstream once.
#[expect(clippy::large_enum_variant, reason = "one for each request, and gone at once")]
enum Round {
    Ended(Outcome),
    Nobody(Tally),
}

impl<'a> Walk<'a> {
    pub(super) fn new(plan: &'a Plan, exchange: &'a Exchange<'a>) -> Walk<'a> {
        let hedges = plan.policies.hedge.is_some() && may_hedge(exchange);
        let (cause, held, failed) = (None, None, Vec::new());
        let left_out = BTreeMap::new();
        Walk {
            plan,
            exchange,
            unshared: true,
            hedges,
            rounds: 0,
            failed,
            cause,
            held,
            full: false,
            left_out,
        }
    }

    /// Goes on until there is an answer, or nobody left who may be asked.
    pub(super) async fn run(mut self) -> Outcome {
        if let Some(budget) = &self.plan.policies.budget {
            budget.deposit();
        }
        let mut waiting = None;
        loop {
            self.rounds += 1;
            let tally = match self.round().await {
                Round::Ended(outcome) => return outcome,
                Round::Nobody(tally) => tally,
            };
            if let Some(outcome) = self.fail_open(&tally).await {
                return outcome;
            }
            if waiting.is_none() && tally.failed.is_none() {
                waiting = Waiting::begin(self.plan, self.exchange.deadline);
            }
            match (&mut waiting, &tally.refused) {
                (Some(waiting), Some(refused)) if tally.failed.is_none() => {
                    if !waiting.turn(&refused.soonest).await {
                        break;
                    }
                    // To be refused is not to have been asked.
                    self.rounds -= 1;
                }
                _ => match again(self.exchange, self.rounds, &tally) {
                    Some(wait) => sleep(wait).await,
                    None => break,
                },
            }
            self.unshared = false;
            // What is said of circuits in the end is what they said last.
            self.cause = None;
        }
        self.nothing()
    }

    /// Asks each upstream once, until one has an answer.
    async fn round(&mut self) -> Round {
        let mut tally = Tally::default();
        let targets = &self.plan.targets;
        let order = self.plan.policies.turns.order(
            self.plan.route.balance,
            targets.len(),
            |place| targets[place].client.pending().count(),
            |place| self.failed.iter().any(|(failed, _)| *failed == place),
        );
        let at = |turn| order.as_ref().map_or(turn, |order| order[turn]);
        // Who has been asked beside another.
        let mut beside = None;
        for turn in 0..targets.len() {
            if turn > 0 && self.exchange.deadline.is_some_and(|deadline| now() >= deadline) {
                tally.fail(Repeat::Never);
                break;
            }
            let place = at(turn);
            if beside == Some(place) || self.left_out.contains_key(&place) {
                continue;
            }
            if let Some(wait) = self.rest(place) {
                tally.fail(Repeat::After(wait));
                continue;
            }
            let flow = if self.hedges {
                let next = (turn + 1..targets.len()).map(at).collect();
                // Of its own, so that requests without it are no larger for it.
                let flow;
                (flow, beside) = Box::pin(self.ask_hedged(place, next, &mut tally)).await;
                flow
            } else {
                let asked = self.ask(place, &targets[place], Admission::Asked).await;
                self.count(place, asked, &mut tally)
            };
            match flow {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(Some(outcome)) => return Round::Ended(outcome),
                ControlFlow::Break(None) => break,
            }
        }
        Round::Nobody(tally)
    }

    /// Whether to go on after asking an upstream.
    pub(super) fn count(&mut self, place: usize, asked: Asked, tally: &mut Tally) -> Flow {
        match asked {
            Asked::Ended(outcome) => return ControlFlow::Break(Some(outcome)),
            Asked::Failed(observed) => {
                tally.fail(repeat(self.exchange, observed));
                if !self.may_go_on(observed) {
                    return ControlFlow::Break(None);
                }
            }
            Asked::Refused(rejected) => tally.refuse(place, rejected),
            Asked::LeftOut => {}
            Asked::Full => {
                // There is but one for all upstreams.
                self.full = true;
                tally.fail(Repeat::Never);
                return ControlFlow::Break(None);
            }
        }
        ControlFlow::Continue(())
    }

    /// For how long an upstream that failed wants to be left alone.
    pub(super) fn rest(&self, place: usize) -> Option<Duration> {
        let (_, until) = self.failed.iter().rev().find(|(failed, _)| *failed == place)?;
        let left = until.as_ref()?.saturating_duration_since(now());
        Some(left).filter(|left| !left.is_zero())
    }

    /// Asks one upstream, and takes note of how it went.
    async fn ask(&mut self, place: usize, target: &'a Target, admission: Admission) -> Asked {
        // On the heap, or each place that asks would have room of its own for one, and each place
        // that such a request is held in, too.
        let attempt = Box::pin(attempt(self.exchange, target, self.turn(place), admission));
        let (circuit, outcome) = attempt.await;
        self.take_note(place, circuit, outcome)
    }

    pub(super) fn turn(&self, place: usize) -> Turn {
        // Equals have the same credentials.
        let addressed = place == 0 || self.plan.route.balance != Balance::FirstAvailable;
        Turn { addressed, unshared: self.unshared }
    }

    /// Takes note of how asking an upstream went.
    pub(super) fn take_note(&mut self, place: usize, circuit: Circuit, outcome: Attempt) -> Asked {
        let target = &self.plan.targets[place];
        let upstream = target.client.header();
        match outcome {
            Attempt::Answered(answer) => {
                let answer = answer.map(Reply::from);
                Asked::Ended(Outcome::Answered(Answered { answer, circuit, upstream }))
            }
            Attempt::Whole(answer) => {
                let answer = whole(answer);
                Asked::Ended(Outcome::Answered(Answered { answer, circuit, upstream }))
            }
            Attempt::Foreign(foreign) if self.turn(place).addressed => {
                Asked::Ended(Outcome::Foreign { foreign, place })
            }
            Attempt::Foreign(foreign) => {
                let (route, name) = (self.plan.route.name.as_str(), target.client.name());
                info!(route, upstream = name, "upstream left out: {foreign}");
                self.left_out.insert(place, format!(" Upstream `{name}` was left out: {foreign}."));
                Asked::LeftOut
            }
            Attempt::Switched(switched) => {
                Asked::Ended(Outcome::Switched { switched, place, circuit })
            }
            Attempt::Upload(fault) => Asked::Ended(Outcome::Upload(fault)),
            Attempt::Full => Asked::Full,
            Attempt::Limited(wait) => {
                // What upstreams and circuits say counts more.
                if self.cause.is_none() {
                    let phase = circuit.breaker.phase();
                    self.cause = Some(out_of_tokens(target.client.name(), phase, wait));
                }
                Asked::LeftOut
            }
            Attempt::Refused(rejected) => {
                let paced = rejected.reason() == Reason::Paced;
                let why = match paced && circuit.breaker.snapshot().quota_used_up {
                    true => Why::QuotaUsedUp,
                    false => Why::Refused(rejected.reason()),
                };
                self.note(Cause {
                    circuit: circuit.breaker.name().to_string(),
                    phase: rejected.phase(),
                    why,
                    retry_after: rejected.retry_after(),
                    left_out: String::new(),
                });
                Asked::Refused(rejected)
            }
            Attempt::Failed { observed, answer } => {
                self.unshared = false;
                let may_go_on = self.may_go_on(observed);
                let failed = failure(&circuit, observed);
                if self.plan.route.retry.is_some() {
                    let rest = hint(observed).and_then(|hint| now().checked_add(hint));
                    self.failed.push((place, rest));
                }
                match answer {
                    Some(mut answer) => {
                        // The next attempt needs the place that this one has had.
                        answer.body_mut().keep(Kept::default());
                        let answer = answer.map(Reply::from);
                        self.held = Some(Answered { answer, circuit, upstream });
                    }
                    // An earlier upstream's error is not what came of the last.
                    None if !may_go_on => self.held = None,
                    None => {}
                }
                match may_go_on {
                    true => self.note(failed),
                    false => self.cause = Some(failed),
                }
                Asked::Failed(observed)
            }
        }
    }

    /// Asks an upstream whose circuit refuses, where the route wants that and nobody has failed.
    async fn fail_open(&mut self, tally: &Tally) -> Option<Outcome> {
        if self.plan.route.when_open != WhenOpen::FailOpen || tally.failed.is_some() {
            return None;
        }
        let place = tally.refused.as_ref()?.passable?;
        self.plan.policies.counts.failed_open();
        match self.ask(place, self.plan.targets.get(place)?, Admission::Bystander).await {
            Asked::Ended(outcome) => Some(outcome),
            Asked::Failed(_) | Asked::Refused(_) | Asked::LeftOut | Asked::Full => None,
        }
    }

    /// The client is told of whatever can be tried again first; of two, of the later failure.
    fn note(&mut self, cause: Cause) {
        let failed = matches!(cause.why, Why::Failed(_));
        let sooner = |known: &Cause| {
            known.retry_after < cause.retry_after
                || known.retry_after == cause.retry_after && !failed
        };
        if !self.cause.as_ref().is_some_and(sooner) {
            self.cause = Some(cause);
        }
    }

    /// Whether the next upstream may be asked.
    fn may_go_on(&self, observed: Observed) -> bool {
        let safe = match observed.verdict().failover {
            Failover::Safe => true,
            Failover::IfRepeatable => {
                self.exchange.head.method.is_idempotent() || self.plan.route.failover_non_idempotent
            }
            Failover::No => false,
        };
        safe && self.exchange.upload.is_repeatable()
    }

    fn nothing(self) -> Outcome {
        let failed = |cause: &Cause| matches!(cause.why, Why::Failed(_));
        if let Some(shed) = &self.plan.policies.shed
            && (self.held.is_some() || self.cause.as_ref().is_some_and(failed))
        {
            shed.failed();
        }
        // An upstream's own error says more than any words of ours.
        if let Some(held) = self.held {
            return Outcome::Answered(held);
        }
        if self.full {
            return Outcome::Full;
        }
        let mut cause = self.cause.unwrap_or_else(|| Cause {
            circuit: self
                .plan
                .targets
                .first()
                .map_or(String::new(), |target| target.circuit.clone()),
            phase: PhaseName::Closed,
            why: Why::Failed(Observed::OutOfTime),
            retry_after: SOON,
            left_out: String::new(),
        });
        cause.left_out = self.left_out.into_values().collect();
        Outcome::Nothing(cause)
    }
}

/// How asking one upstream went, unless there is an end to it.
#[expect(clippy::large_enum_variant, reason = "one for each request, and gone at once")]
pub(super) enum Asked {
    Ended(Outcome),
    Failed(Observed),
    Refused(Rejected),
    /// It cannot be asked this, or has no tokens left for it.
    LeftOut,
    Full,
}

/// So many tokens as are allowed to a route or an upstream have been used.
pub(super) fn out_of_tokens(of: &str, phase: PhaseName, retry_after: Duration) -> Cause {
    let (circuit, why) = (of.to_owned(), Why::TokenLimit);
    Cause { circuit, phase, why, retry_after, left_out: String::new() }
}

fn failure(circuit: &Circuit, observed: Observed) -> Cause {
    let snapshot = circuit.breaker.snapshot();
    Cause {
        circuit: snapshot.name.to_string(),
        phase: snapshot.phase,
        why: Why::Failed(observed),
        retry_after: snapshot.retry_after().unwrap_or(SOON),
        left_out: String::new(),
    }
}
