//! How long an attempt may take, and each part of it.

use std::time::Duration;

use tokio::time::Instant;

use super::answer::{Bounds, now};
use super::attempt::{Exchange, Turn};
use crate::judge::Observed;
use crate::runtime::Target;

/// How long a probe may hold its slot without a sign of progress.
pub(super) fn lease(exchange: &Exchange<'_>, target: &Target) -> Duration {
    let timeouts = target.client.timeouts();
    let first = first_byte(exchange, target).max(first_token(exchange, target));
    let quiet = timeouts.connect + first + timeouts.stall;
    timeouts.total.unwrap_or(quiet).min(quiet) + Duration::from_secs(2)
}

/// How long the head of an answer may take. Where the answer comes in one piece, that is all the
/// thinking; and some send no head before they have thought.
pub(super) fn first_byte(exchange: &Exchange<'_>, target: &Target) -> Duration {
    let timeouts = target.client.timeouts();
    match reasons(exchange, target) {
        true => timeouts.first_byte.max(timeouts.reasoning_first_token),
        false => timeouts.first_byte,
    }
}

/// How long the first token of a stream may take.
pub(super) fn first_token(exchange: &Exchange<'_>, target: &Target) -> Duration {
    let timeouts = target.client.timeouts();
    match reasons(exchange, target) {
        true => timeouts.reasoning_first_token,
        false => timeouts.first_token,
    }
}

/// Whether it is an answer that is thought about first.
fn reasons(exchange: &Exchange<'_>, target: &Target) -> bool {
    target.client.kind().is_llm() && target.client.reasons(exchange.asked.model.as_deref())
}

/// What bounds the answer: the upstream's total timeout, the route's deadline, and the circuit's own
/// timeout if that applies.
pub(super) fn bounds(
    exchange: &Exchange<'_>,
    target: &Target,
    turn: Turn,
    timeout: Option<Instant>,
) -> Bounds {
    let timeouts = target.client.timeouts();
    let total = timeouts.total.and_then(|total| now().checked_add(total));
    let until = [total, exchange.deadline, timeout].into_iter().flatten().min();
    Bounds {
        stall: timeouts.stall,
        until,
        overdue: match exchange.deadline {
            // What is left of a deadline after others is not enough to judge by.
            Some(deadline) if until == Some(deadline) && !turn.unshared => Observed::OutOfTime,
            _ => Observed::TotalTimeout,
        },
    }
}
