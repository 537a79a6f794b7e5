//! The golden texts of "why is it open", the same in log, API, command line and page.

use std::time::Duration;

use panelboard::{
    CircuitBreaker, Command, ErrorDetail, HealthReport, Jitter, Kind, ManualClock, Order, Outcome,
    SequentialSpec, Settings, SettingsBuilder,
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn breaker(settings: SettingsBuilder) -> (CircuitBreaker, ManualClock) {
    let clock = ManualClock::new();
    clock.advance(secs(1_000));
    let breaker = CircuitBreaker::builder("payments")
        .settings(settings.jitter(Jitter::None).build().unwrap())
        .clock(clock.clone())
        .build();
    (breaker, clock)
}

fn fail(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().failure(Kind::Timeout);
    }
}

fn succeed(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().success();
    }
}

#[test]
fn an_open_breaker_explains_itself() {
    let settings = Settings::builder()
        .failure_threshold(None)
        .min_calls(50)
        .recovery_timeout(secs(10))
        .backoff_max(secs(300));
    let (breaker, clock) = breaker(settings);
    succeed(&breaker, 21);
    for _ in 0..7 {
        let detail = ErrorDetail::new().status(503).message("upstream said no");
        let permit = breaker.try_acquire().unwrap();
        permit.record_with(Outcome::failure(Kind::ServerError), &detail);
        clock.advance(Duration::from_millis(10));
    }
    for _ in 0..22 {
        breaker.try_acquire().unwrap().failure(Kind::Connect);
    }
    let record = breaker.snapshot().trip.unwrap();
    assert_eq!(record.errors.len(), 20, "the last ones, of whatever sort");
    clock.advance(secs(4));
    for _ in 0..1_204 {
        let _ = breaker.try_acquire().unwrap_err();
    }
    assert_eq!(
        breaker.explain(),
        "`payments` OPEN for 4 s. failure_rate fired: 29 of 50 calls failed (58 % ≥ 50 %) in 10 s. \
         Mostly connect (22), server error (7). Next probe in 6 s (attempt 1, 10 s → 20 s → 40 s). \
         1,204 calls rejected since; it closes after 3 of 3 probes succeed."
    );
}

#[test]
fn failures_that_nobody_told_apart_are_not_named() {
    let (breaker, _) = breaker(Settings::builder().failure_threshold(2));
    for _ in 0..2 {
        let _ = breaker.call(|| Err::<(), _>("no route to host"));
    }
    let text = breaker.explain();
    assert!(text.contains("2 failures in a row (limit 2). Next probe in"), "{text}");
}

#[test]
fn failures_that_agree_on_a_status_are_called_by_it() {
    let (breaker, _) = breaker(Settings::builder().failure_threshold(3));
    for kind in [Kind::ServerError, Kind::Timeout, Kind::ServerError] {
        let detail = match kind {
            Kind::ServerError => ErrorDetail::new().status(503),
            _ => ErrorDetail::new(),
        };
        breaker.try_acquire().unwrap().record_with(Outcome::failure(kind), &detail);
    }
    assert!(breaker.explain().contains("Mostly HTTP 503 (2), timeout (1)."));
}

#[test]
fn the_waits_around_the_present_attempt_are_shown() {
    let (breaker, clock) = breaker(Settings::builder());
    fail(&breaker, 5);
    for wait in [5, 10] {
        clock.advance(secs(wait));
        fail(&breaker, 1);
    }
    clock.advance(secs(3));
    assert_eq!(
        breaker.explain(),
        "`payments` OPEN for 18 s. consecutive_failures fired: 5 failures in a row (limit 5). \
         Mostly timeout (5). Next probe in 17 s (attempt 3, 10 s → 20 s → 40 s). 0 calls rejected \
         since; it closes after 3 of 3 probes succeed."
    );
    clock.advance(secs(17));
    fail(&breaker, 1);
    for wait in [40, 60, 60] {
        clock.advance(secs(wait));
        fail(&breaker, 1);
    }
    assert!(breaker.explain().contains("Next probe in 1 min (attempt 7, 1 min)."));
}

#[test]
fn a_window_of_calls_without_any_says_so() {
    let (breaker, _) = breaker(Settings::builder().window(6_u32));
    assert_eq!(breaker.explain(), "`payments` CLOSED for 0 ms. No calls yet.");
}

#[test]
fn every_other_state_explains_itself_too() {
    let (breaker, clock) = breaker(Settings::builder().slow_call_duration(secs(2)));
    assert_eq!(breaker.explain(), "`payments` CLOSED for 0 ms. No calls in 10 s.");
    succeed(&breaker, 7);
    fail(&breaker, 1);
    clock.advance(secs(1));
    assert_eq!(
        breaker.explain(),
        "`payments` CLOSED for 1 s. 1 of 8 calls failed (12.5 %, opens at 50 %) in 10 s. 0 of 8 \
         calls took 2 s or longer. 1 failure in a row, opens at 5."
    );
    breaker.try_acquire().unwrap().pushback(Some(secs(20)));
    assert!(
        breaker
            .explain()
            .ends_with("The dependency asked to slow down: calls are held back for 20 s.")
    );
    clock.advance(secs(20));
    fail(&breaker, 4);
    clock.advance(secs(5));
    let probe = breaker.try_acquire().unwrap();
    clock.advance(secs(1));
    assert_eq!(
        breaker.explain(),
        "`payments` HALF-OPEN for 1 s. 0 of 3 needed probes succeeded, 1 in flight. It opened \
         because consecutive_failures fired: 5 failures in a row (limit 5). Mostly timeout (4)."
    );
    probe.success();
    succeed(&breaker, 2);
    clock.advance(secs(125));
    assert_eq!(
        breaker.explain(),
        "`payments` CLOSED for 2 min 5 s. No calls in 10 s. It last opened 2 min 11 s ago: \
         consecutive_failures fired: 5 failures in a row (limit 5)."
    );
}

#[test]
fn a_closed_breaker_says_that_not_all_calls_go_through() {
    let settings = Settings::builder().success_threshold(1).failure_rate(None).throttle(1.0);
    let (breaker, clock) = breaker(settings);
    fail(&breaker, 1);
    breaker.command(Command::Trip);
    clock.advance(secs(5));
    succeed(&breaker, 1);
    assert_eq!(
        breaker.explain(),
        "`payments` CLOSED for 0 ms. It has just recovered: 10 % of the calls go through, or 5 a \
         second; all of them in 10 s. It last opened 5 s ago: it was ordered to open."
    );
    clock.advance(secs(10));
    fail(&breaker, 1);
    assert_eq!(
        breaker.explain(),
        "`payments` CLOSED for 10 s. Throttling: 50 % of the calls are refused, as too few \
         succeeded in 30 s. 1 failure in a row, opens at 5. It last opened 15 s ago: it was \
         ordered to open."
    );
}

#[test]
fn overrides_say_who_why_and_for_how_long() {
    let (breaker, clock) = breaker(Settings::builder());
    breaker.command_by(Command::ForceOpen(secs(600)), &Order::new("ops", "database upgrade"));
    assert_eq!(
        breaker.explain(),
        "`payments` FORCED OPEN. Operator override (forced open by ops: “database upgrade”) for \
         10 min more. No calls in 10 s."
    );
    breaker.command(Command::Observe(secs(600)));
    assert_eq!(
        breaker.explain(),
        "`payments` CLOSED for 0 ms. Operator override (observe) for 10 min more. Observing: \
         nothing is refused; 0 calls would have been. No calls in 10 s."
    );
    breaker.command(Command::Trip);
    breaker.command(Command::ForceClosed(secs(60)));
    clock.advance(secs(2));
    let text = breaker.explain();
    assert!(text.starts_with("`payments` FORCED CLOSED: every call is let through."), "{text}");
    assert!(text.contains("Left to itself it would be OPEN. It was ordered to open."), "{text}");
}

#[test]
fn events_explain_themselves_and_name_who_ordered() {
    let (breaker, clock) = breaker(Settings::builder());
    let mut events = breaker.subscribe();
    fail(&breaker, 5);
    clock.advance(secs(5));
    succeed(&breaker, 3);
    breaker.command_by(Command::Observe(secs(60)), &Order::new("ana", "trying new limits"));
    clock.advance(secs(60));
    breaker.look();
    breaker.command_by(Command::Trip, &Order::new("ana", ""));
    let mut texts = Vec::new();
    while let Some(event) = events.try_next().unwrap() {
        texts.push(event.explain());
    }
    assert_eq!(
        texts,
        [
            "`payments` OPEN: consecutive_failures fired: 5 failures in a row (limit 5). Mostly \
             timeout (5). Next probe in 5 s (attempt 1, 5 s → 10 s → 20 s).",
            "`payments` HALF-OPEN: the wait is over; it closes after 3 of 3 probes succeed.",
            "`payments` CLOSED: enough probes succeeded.",
            "`payments` auto → observe by ana: “trying new limits” for 1 min.",
            "`payments` observe → auto.",
            "`payments` OPEN: it was ordered to open by ana. Next probe in 5 s.",
        ]
    );
}

#[test]
fn thresholds_that_moved_say_so_and_why() {
    let settings = Settings::builder().adaptive(true).slow_call_duration(secs(1));
    let (breaker, clock) = breaker(settings);
    breaker.command(Command::Health(HealthReport::Degraded));
    let slow = breaker.try_acquire().unwrap();
    clock.advance(secs(3));
    slow.failure(Kind::Timeout);
    assert_eq!(
        breaker.explain(),
        "`payments` CLOSED for 3 s. 1 of 1 call failed (100 %, opens at 30 %) in 10 s. \
         1 of 1 call took 1 s or longer. 1 failure in a row, opens at 3. \
         Thresholds are tightened: health is degraded, calls take 3 s on average."
    );
    breaker.command(Command::Health(HealthReport::Healthy));
    assert!(breaker.explain().ends_with("tightened: calls take 3 s on average."));
    clock.advance(secs(10));
    assert!(breaker.explain().ends_with("opens at 6. Thresholds are relaxed: health is healthy."));
}

#[test]
fn the_sequential_rule_shows_its_score() {
    let rule = SequentialSpec::default();
    let settings = Settings::builder().failure_threshold(None).failure_rate(None).sequential(rule);
    let (breaker, _) = breaker(settings);
    fail(&breaker, 2);
    assert_eq!(
        breaker.explain(),
        "`payments` CLOSED for 0 ms. Failures score 6.0, opens at 13.8 (1 % would be normal)."
    );
    fail(&breaker, 3);
    assert!(breaker.explain().starts_with(
        "`payments` OPEN for 0 ms. Sequential fired: failures come too often to be chance \
         (score 15.0 ≥ 13.8)."
    ));
}

#[test]
fn a_dependency_that_is_open_is_named() {
    let (database, clock) = breaker(Settings::builder());
    let users = CircuitBreaker::builder("users").clock(clock.clone()).depends_on([&database]);
    let users = users.build();
    database.command(Command::OpenFor(secs(60)));
    fail(&users, 1);
    assert_eq!(
        users.explain(),
        "`users` CLOSED for 0 ms. No calls in 10 s. `payments` is open, on which it depends: \
         failures are excused. 1 failure was excused so far, for a dependency was open."
    );
    users.command(Command::Trip);
    clock.advance(secs(10));
    assert!(users.explain().contains("`payments` is open, on which it depends: recovery waits."));
    assert_eq!(users.snapshot().retry_after(), Some(secs(50)));
}

#[test]
fn a_used_up_quota_explains_itself() {
    let (breaker, clock) = breaker(Settings::builder());
    breaker.try_acquire().unwrap().record(Outcome::quota_used_up(None));
    let ends = |end: &str| assert!(breaker.explain().ends_with(end), "{}", breaker.explain());
    let used_up = "The dependency said that a quota is used up:";
    ends(&format!("{used_up} calls are held back, and in 15 min one tries again."));
    clock.advance(secs(900));
    ends(&format!("{used_up} the next call tries again, and the others wait for it."));
    breaker.try_acquire().unwrap().success();
    assert!(!breaker.explain().contains("quota"), "{}", breaker.explain());
}
