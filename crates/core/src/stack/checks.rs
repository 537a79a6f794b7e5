//! The checks, one by one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Finding, Plan, Severity};
use crate::WindowSpec;

pub(super) fn all(plan: &Plan, findings: &mut Vec<Finding>) {
    timeouts(plan, findings);
    hedge(plan, findings);
    retry(plan, findings);
    room(plan, findings);
    breaker(plan, findings);
}

fn error(findings: &mut Vec<Finding>, text: String) {
    findings.push(Finding { severity: Severity::Error, text });
}

fn warning(findings: &mut Vec<Finding>, text: String) {
    findings.push(Finding { severity: Severity::Warning, text });
}

fn timeouts(plan: &Plan, findings: &mut Vec<Finding>) {
    for (name, time) in [("timeout", plan.timeout), ("deadline", plan.deadline)] {
        if time == Some(Duration::ZERO) {
            error(findings, format!("{name} is 0ns: no call can ever be answered"));
        }
    }
    let own = plan.circuit_breaker.and_then(|settings| settings.timeout());
    if let (Some(timeout), Some(own)) = (plan.timeout, own)
        && timeout != own
    {
        let shorter = timeout.min(own);
        warning(
            findings,
            format!(
                "timeout is {timeout:?} here and {own:?} in the breaker's settings: attempts end \
                 after {shorter:?}"
            ),
        );
    }
    if let (Some(timeout), Some(deadline)) = (plan.attempt_timeout(), plan.deadline)
        && timeout > deadline
    {
        error(
            findings,
            format!(
                "timeout is {timeout:?}, but the deadline of the whole call is {deadline:?}: no \
                 attempt can time out"
            ),
        );
    }
}

fn hedge(plan: &Plan, findings: &mut Vec<Finding>) {
    let Some(hedge) = plan.hedge else { return };
    if let Some(delay) = hedge.delay(None) {
        if let Some(timeout) = plan.attempt_timeout().filter(|timeout| delay >= *timeout) {
            error(
                findings,
                format!(
                    "hedge.delay is {delay:?}, but an attempt ends after {timeout:?}: no call is \
                     ever hedged"
                ),
            );
        } else if let Some(deadline) = plan.deadline.filter(|deadline| delay >= *deadline) {
            error(
                findings,
                format!(
                    "hedge.delay is {delay:?}, but the deadline of the whole call is {deadline:?}: \
                     no call is ever hedged"
                ),
            );
        }
    }
    if plan.bulkhead.is_some_and(|room| room.max_concurrent() < 2) {
        warning(findings, "the bulkhead lets 1 in, but a hedged call needs two places".into());
    }
}

fn retry(plan: &Plan, findings: &mut Vec<Finding>) {
    let (Some(retry), Some(deadline)) = (plan.retry, plan.deadline) else { return };
    let attempts = retry.max_attempts();
    if attempts < 2 {
        return;
    }
    let Some(timeout) = plan.attempt_timeout() else {
        return warning(
            findings,
            format!(
                "retry has a deadline of {deadline:?} and no timeout of its attempts: one that \
                 hangs takes all of it, and is never tried again"
            ),
        );
    };
    let waits = (1..attempts).map(|made| retry.ceiling(made));
    let total = waits.fold(timeout.saturating_mul(attempts), Duration::saturating_add);
    // An attempt that is longer than the deadline has been found fault with already.
    if total > deadline && timeout <= deadline {
        warning(
            findings,
            format!(
                "{attempts} attempts of {timeout:?} and the waits between them may come to \
                 {total:?}, but the deadline is {deadline:?}: the later ones are cut short or not \
                 made"
            ),
        );
    }
}

fn room(plan: &Plan, findings: &mut Vec<Finding>) {
    let Some(room) = plan.bulkhead else { return };
    let (places, max_wait) = (room.max_concurrent(), room.max_wait());
    if let Some(deadline) = plan.deadline.filter(|deadline| max_wait >= *deadline) {
        warning(
            findings,
            format!(
                "bulkhead.max_wait is {max_wait:?}, but the deadline of the whole call is \
                 {deadline:?}: who waits that long has no time left for the call"
            ),
        );
    }
    if let Some(max) = plan.concurrency_limit.map(|bounds| bounds.max()).filter(|max| *max > places)
    {
        warning(
            findings,
            format!(
                "concurrency_limit.max is {max}, but the bulkhead lets {places} in: the limit \
                 never grows above that"
            ),
        );
    }
    let probes = plan.circuit_breaker.map(|settings| settings.half_open_max_calls());
    if let Some(probes) = probes.filter(|probes| *probes > places) {
        warning(
            findings,
            format!(
                "half_open_max_calls is {probes}, but the bulkhead lets {places} in: there are \
                 never as many probes"
            ),
        );
    }
}

fn breaker(plan: &Plan, findings: &mut Vec<Finding>) {
    let Some(settings) = plan.circuit_breaker else { return };
    let Some(timeout) = plan.attempt_timeout() else { return };
    if let Some(slow) = settings.slow_call_duration().filter(|slow| *slow >= timeout) {
        warning(
            findings,
            format!(
                "slow_call_duration is {slow:?}, but an attempt ends after {timeout:?}: calls time \
                 out before they are slow"
            ),
        );
    }
    if let WindowSpec::Time(window) = settings.window()
        && window < timeout.saturating_mul(2)
    {
        warning(
            findings,
            format!(
                "window is {window:?}, but an attempt may take {timeout:?}: by the time it fails, \
                 the calls that it began with are forgotten"
            ),
        );
    }
    let recovery = settings.recovery_timeout();
    if recovery < timeout {
        warning(
            findings,
            format!(
                "recovery_timeout is {recovery:?}, but an attempt may take {timeout:?}: attempts \
                 from before an outage are still under way when it is probed"
            ),
        );
    }
    let lease = settings.lease();
    if timeout > lease {
        warning(
            findings,
            format!(
                "timeout is {timeout:?}, but a probe's slot is lent for {lease:?}: set the \
                 breaker's own timeout instead, which lengthens it"
            ),
        );
    }
}
