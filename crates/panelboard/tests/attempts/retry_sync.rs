//! Retries of code without a runtime.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use panelboard::policy::deadline::Deadline;
use panelboard::policy::retry::{GiveUp, Retry, RetryBuilder, RetrySettings};
use panelboard::{CircuitBreaker, Error, ManualClock, Outcome, Settings};

use crate::support::{millis, secs};

/// A policy that moves a clock instead of sleeping, and notes for how long.
fn retry(clock: &ManualClock) -> (RetryBuilder, Arc<Mutex<Vec<Duration>>>) {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let settings = RetrySettings::builder().max_attempts(4).max_retry_after(secs(60));
    let sleeper = {
        let (clock, waits) = (clock.clone(), waits.clone());
        move |wait| {
            waits.lock().unwrap().push(wait);
            clock.advance(wait);
        }
    };
    (Retry::builder(settings.build().unwrap()).seed(1).sleeper(sleeper), waits)
}

#[test]
fn a_call_is_made_again_until_it_succeeds() {
    let clock = ManualClock::new();
    let (retry, waits) = retry(&clock);
    let retry = retry.build();
    let mut attempts = 0;
    let result = retry.call(|| {
        attempts += 1;
        if attempts == 4 { Ok(7) } else { Err("no") }
    });
    assert_eq!(result, Ok(7));
    let waits = waits.lock().unwrap();
    assert_eq!(waits.len(), 3);
    for (wait, ceiling) in waits.iter().zip([100, 200, 400]) {
        assert!(*wait <= millis(ceiling), "{waits:?}");
    }
    assert_eq!((retry.stats().attempts(), retry.stats().recovered()), (4, 1));
}

#[test]
fn the_last_error_is_returned() {
    let (retry, _) = retry(&ManualClock::new());
    let mut attempts = 0;
    let result = retry.build().call(|| {
        attempts += 1;
        Err::<(), _>(attempts)
    });
    assert_eq!(result, Err(Error::Inner(4)));
}

#[test]
fn waits_fit_the_deadline() {
    let clock = ManualClock::new();
    let (retry, waits) = retry(&clock);
    let retry = retry.classify(|_: &_| Outcome::pushback(Some(secs(5)))).build();
    let deadline = Deadline::after_on(clock, secs(12));
    let result = deadline.sync_scope(|| retry.call(|| Err::<(), _>("no")));
    assert_eq!(result, Err(Error::Inner("no")));
    assert_eq!(waits.lock().unwrap().len(), 2);
    assert_eq!(retry.stats().given_up(GiveUp::Deadline), 1);
}

#[test]
fn an_open_breaker_is_waited_for_only_if_that_fits_the_deadline() {
    let clock = ManualClock::new();
    let settings = Settings::builder().failure_threshold(1).build().unwrap();
    let breaker = CircuitBreaker::builder("sync").settings(settings);
    let breaker = breaker.clock(clock.clone()).build();
    let (retry, waits) = retry(&clock);
    let retry = retry.build();
    let failed = retry.call_guarded(|| breaker.call(|| Err::<(), _>("no")));
    assert!(matches!(failed, Err(Error::Rejected(_))));
    assert_eq!(waits.lock().unwrap().len(), 1, "one wait after the failure, none when refused");
    let healed = || retry.call_guarded(|| breaker.call(|| Ok::<_, &str>(7)));
    assert!(matches!(healed(), Err(Error::Rejected(_))), "no deadline, no wait");
    let deadline = Deadline::after_on(clock, secs(60));
    assert_eq!(deadline.sync_scope(healed), Ok(7));
    assert_eq!(waits.lock().unwrap().len(), 2);
}
