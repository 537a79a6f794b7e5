//! What does not go together among the policies around one dependency.
//!
//! Each policy checks its own numbers when it is made. What is wrong *between* them is found here,
//! once, for builders in code and for configuration alike; each finding names the numbers and what
//! follows from them.

mod checks;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::Settings;
use crate::bulkhead::Room;
use crate::concurrency::Bounds;
use crate::hedge::HedgeSettings;
use crate::retry::RetrySettings;

/// The policies around one dependency, as far as there are any.
#[derive(Copy, Clone, Debug, Default)]
pub struct Plan {
    /// How long the whole call may take.
    pub deadline: Option<Duration>,
    /// How often it is tried again.
    pub retry: Option<RetrySettings>,
    /// When it is made a second time.
    pub hedge: Option<HedgeSettings>,
    /// How many are under way.
    pub bulkhead: Option<Room>,
    /// Between what bounds that adapts.
    pub concurrency_limit: Option<Bounds>,
    /// What the breaker runs on.
    pub circuit_breaker: Option<Settings>,
    /// How long one attempt may take, beside the breaker's own `timeout`.
    pub timeout: Option<Duration>,
}

/// Two policies that do not go together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    severity: Severity,
    text: String,
}

/// How bad that is.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// It works, but hardly as meant.
    Warning,
    /// One of them can never do anything.
    Error,
}

// ===== impl Plan =====

impl Plan {
    /// Everything that does not go together, in one pass.
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        checks::all(self, &mut findings);
        findings
    }

    /// How long one attempt may take: the shorter of the two timeouts there may be.
    pub fn attempt_timeout(&self) -> Option<Duration> {
        let own = self.circuit_breaker.and_then(|settings| settings.timeout());
        match (self.timeout, own) {
            (Some(timeout), Some(own)) => Some(timeout.min(own)),
            (timeout, own) => timeout.or(own),
        }
    }
}

// ===== impl Finding =====

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, with the numbers, and what follows from it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn said(plan: &Plan) -> Vec<String> {
        let tag = |finding: &Finding| match finding.severity() {
            Severity::Error => "error: ".to_string() + finding.text(),
            Severity::Warning => "warning: ".to_string() + finding.text(),
        };
        plan.check().iter().map(tag).collect()
    }

    fn one(plan: &Plan) -> String {
        let said = said(plan);
        assert_eq!(said.len(), 1, "{said:#?}");
        said.concat()
    }

    fn breaker(settings: crate::SettingsBuilder) -> Option<Settings> {
        settings.build().ok()
    }

    #[test]
    fn what_goes_together_is_not_found_fault_with() {
        assert_eq!(said(&Plan::default()), [""; 0]);
        let plan = Plan {
            deadline: Some(secs(10)),
            retry: Some(RetrySettings::default()),
            bulkhead: Some(Room::new(50, 10, Duration::from_millis(500)).unwrap()),
            concurrency_limit: Some(Bounds::new(1, 10, 50).unwrap()),
            circuit_breaker: breaker(Settings::builder().slow_call_duration(secs(1))),
            timeout: Some(secs(2)),
            hedge: None,
        };
        assert_eq!(said(&plan), [""; 0]);
    }

    #[test]
    fn a_finding_shows_itself_by_its_text() {
        let findings = Plan { deadline: Some(secs(0)), ..Plan::default() }.check();
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.to_string(), finding.text());
    }

    #[test]
    fn what_can_never_happen_is_an_error() {
        let deadline = Some(secs(10));
        assert_eq!(
            one(&Plan { deadline, timeout: Some(secs(30)), ..Plan::default() }),
            "error: timeout is 30s, but the deadline of the whole call is 10s: no attempt can time \
             out"
        );
        assert_eq!(
            one(&Plan { deadline: Some(secs(0)), ..Plan::default() }),
            "error: deadline is 0ns: no call can ever be answered"
        );
        assert_eq!(
            one(&Plan { timeout: Some(secs(0)), deadline, ..Plan::default() }),
            "error: timeout is 0ns: no call can ever be answered"
        );
        let hedge = HedgeSettings::after(secs(3)).ok();
        assert_eq!(
            one(&Plan { hedge, timeout: Some(secs(2)), ..Plan::default() }),
            "error: hedge.delay is 3s, but an attempt ends after 2s: no call is ever hedged"
        );
        let breaker = breaker(Settings::builder().timeout(secs(3)));
        assert_eq!(
            one(&Plan { hedge, circuit_breaker: breaker, ..Plan::default() }),
            "error: hedge.delay is 3s, but an attempt ends after 3s: no call is ever hedged"
        );
        assert_eq!(
            one(&Plan { hedge, deadline: Some(secs(3)), ..Plan::default() }),
            "error: hedge.delay is 3s, but the deadline of the whole call is 3s: no call is ever \
             hedged"
        );
    }

    #[test]
    fn retries_that_do_not_fit_the_deadline_are_a_warning() {
        let retry = Some(RetrySettings::default());
        assert_eq!(
            one(&Plan {
                retry,
                deadline: Some(secs(5)),
                timeout: Some(secs(2)),
                ..Plan::default()
            }),
            "warning: 3 attempts of 2s and the waits between them may come to 6.3s, but the deadline \
             is 5s: the later ones are cut short or not made"
        );
        assert_eq!(
            one(&Plan { retry, deadline: Some(secs(5)), ..Plan::default() }),
            "warning: retry has a deadline of 5s and no timeout of its attempts: one that hangs \
             takes all of it, and is never tried again"
        );
        let twice = RetrySettings::builder().max_attempts(2).build().ok();
        assert!(
            one(&Plan { retry: twice, deadline: Some(secs(5)), ..Plan::default() })
                .starts_with("warning: retry has a deadline of 5s")
        );
    }

    #[test]
    fn bounds_that_only_just_fit_are_not_found_fault_with() {
        let (deadline, timeout) = (Some(secs(5)), Some(secs(5)));
        assert_eq!(said(&Plan { deadline, timeout, ..Plan::default() }), [""; 0]);
        let retry = RetrySettings::builder().max_attempts(1).build().ok();
        assert_eq!(said(&Plan { deadline, retry, ..Plan::default() }), [""; 0]);
        let bulkhead = Room::new(3, 0, secs(0)).ok();
        let settings = Settings::builder().half_open_max_calls(3).timeout(secs(5));
        let circuit_breaker = breaker(settings.recovery_timeout(secs(5)).window(secs(10)));
        let plan = Plan { bulkhead, circuit_breaker, timeout, ..Plan::default() };
        assert_eq!(said(&plan), [""; 0]);
        let retry = Some(RetrySettings::default());
        let plan = Plan { retry, deadline, timeout: Some(secs(6)), ..Plan::default() };
        assert!(one(&plan).starts_with("error: timeout is 6s"), "said once");
        // Three attempts and the longest waits between them: 3 × 2 s + 0.1 s + 0.2 s.
        let (deadline, timeout) = (Some(Duration::from_millis(6_300)), Some(secs(2)));
        assert_eq!(said(&Plan { deadline, retry, timeout, ..Plan::default() }), [""; 0]);
        let (bulkhead, hedge) = (Room::new(2, 0, secs(0)).ok(), HedgeSettings::after(secs(1)).ok());
        assert_eq!(said(&Plan { hedge, bulkhead, ..Plan::default() }), [""; 0], "two places");
    }

    #[test]
    fn places_and_probes_are_counted() {
        let bulkhead = Room::new(2, 5, secs(5)).ok();
        let circuit_breaker = breaker(Settings::builder().half_open_max_calls(3));
        assert_eq!(
            one(&Plan { bulkhead, circuit_breaker, ..Plan::default() }),
            "warning: half_open_max_calls is 3, but the bulkhead lets 2 in: there are never as many \
             probes"
        );
        assert_eq!(
            one(&Plan { bulkhead, deadline: Some(secs(5)), ..Plan::default() }),
            "warning: bulkhead.max_wait is 5s, but the deadline of the whole call is 5s: who waits \
             that long has no time left for the call"
        );
        let concurrency_limit = Bounds::new(1, 1, 200).ok();
        assert_eq!(
            one(&Plan { bulkhead, concurrency_limit, ..Plan::default() }),
            "warning: concurrency_limit.max is 200, but the bulkhead lets 2 in: the limit never \
             grows above that"
        );
        let alone = Room::new(1, 0, secs(0)).ok();
        let hedge = HedgeSettings::after(secs(1)).ok();
        assert_eq!(
            one(&Plan { bulkhead: alone, hedge, ..Plan::default() }),
            "warning: the bulkhead lets 1 in, but a hedged call needs two places"
        );
    }

    #[test]
    fn the_times_of_a_breaker_are_held_against_its_attempts() {
        let timeout = Some(secs(30));
        let with = |settings, timeout| {
            one(&Plan { circuit_breaker: breaker(settings), timeout, ..Plan::default() })
        };
        let patient = || Settings::builder().recovery_timeout(secs(60)).window(secs(120));
        assert_eq!(
            with(patient().timeout(secs(10)), timeout),
            "warning: timeout is 30s here and 10s in the breaker's settings: attempts end after 10s"
        );
        assert_eq!(
            with(patient().slow_call_duration(secs(30)), timeout),
            "warning: slow_call_duration is 30s, but an attempt ends after 30s: calls time out \
             before they are slow"
        );
        assert_eq!(
            with(patient().window(secs(59)), timeout),
            "warning: window is 59s, but an attempt may take 30s: by the time it fails, the calls \
             that it began with are forgotten"
        );
        assert_eq!(
            with(patient().recovery_timeout(secs(5)), timeout),
            "warning: recovery_timeout is 5s, but an attempt may take 30s: attempts from before an \
             outage are still under way when it is probed"
        );
        assert_eq!(
            with(patient(), Some(secs(31))),
            "warning: timeout is 31s, but a probe's slot is lent for 30s: set the breaker's own \
             timeout instead, which lengthens it"
        );
    }
}
