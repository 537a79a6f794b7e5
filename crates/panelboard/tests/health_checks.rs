//! Health checks that run beside a breaker, and what recovery makes of them. Time is Tokio's,
//! paused.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use panelboard::{
    CircuitBreaker, Clock, Command, HealthReport, Jitter, PhaseName, Settings, SettingsBuilder,
};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{advance, sleep};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn settings() -> SettingsBuilder {
    Settings::builder().recovery_timeout(secs(5)).jitter(Jitter::None).health_check(secs(10))
}

fn breaker() -> CircuitBreaker {
    let builder = CircuitBreaker::builder("search").settings(settings().build().unwrap());
    builder.clock(Clock::tokio()).build()
}

fn phase(breaker: &CircuitBreaker) -> PhaseName {
    breaker.snapshot().phase
}

/// Runs a test whose time passes as fast as nothing happens.
fn paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn recovery_is_tried_with_the_check_first() {
    paused(async {
        let breaker = breaker();
        let (well, runs) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let (dependency, count) = (Rc::clone(&well), Rc::clone(&runs));
        let _checks = spawn_local(breaker.health_checks(secs(1), move || {
            count.set(count.get() + 1);
            let found = match dependency.get() {
                true => HealthReport::Healthy,
                false => HealthReport::Unhealthy,
            };
            async move {
                sleep(Duration::from_millis(100)).await;
                found
            }
        }));
        sleep(secs(1)).await;
        breaker.command(Command::Trip);
        // Reports at 10.1, 20.1 … keep it open, long after the wait.
        sleep(secs(600)).await;
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.phase, snapshot.awaits_health), (PhaseName::Open, true));
        assert!(breaker.try_acquire().unwrap_err().retry_after() <= secs(10));
        assert!(breaker.explain().contains("a health check is to pass before calls probe"));
        assert_eq!(runs.get(), 61);
        well.set(true);
        sleep(secs(10)).await;
        assert_eq!(phase(&breaker), PhaseName::HalfOpen);
        assert!(breaker.try_acquire().unwrap().is_probe());
        let last = breaker.snapshot().last.unwrap();
        assert_eq!(last.transition.cause.name(), "health_check_passed");
    });
}

#[test]
fn a_check_that_panics_or_hangs_has_found_nothing_good() {
    paused(async {
        for bad in 0..3 {
            let breaker = breaker();
            breaker.command(Command::Trip);
            let _checks = spawn_local(breaker.health_checks(secs(2), move || {
                assert_ne!(bad, 0, "panics before it is polled");
                async move {
                    assert_ne!(bad, 1, "panics while it is polled");
                    std::future::pending().await
                }
            }));
            // Far longer than a breaker waits that hears of no check at all.
            sleep(secs(120)).await;
            assert_eq!(phase(&breaker), PhaseName::Open, "{bad}");
        }
    });
}

#[test]
fn a_breaker_does_not_wait_for_checks_that_have_ended() {
    paused(async {
        let breaker = breaker();
        breaker.command(Command::Trip);
        let unhealthy = || async { HealthReport::Unhealthy };
        let checks = spawn_local(breaker.health_checks(secs(1), unhealthy));
        // One past the wait, at 10 s.
        sleep(secs(11)).await;
        checks.abort();
        advance(secs(28)).await;
        assert_eq!(phase(&breaker), PhaseName::Open);
        advance(secs(1)).await;
        assert_eq!(phase(&breaker), PhaseName::HalfOpen);
    });
}

#[test]
fn checks_end_with_the_breaker_and_follow_its_settings() {
    paused(async {
        let breaker = breaker();
        let runs = Rc::new(Cell::new(0));
        let count = Rc::clone(&runs);
        let checks = spawn_local(breaker.health_checks(secs(1), move || {
            count.set(count.get() + 1);
            async { HealthReport::Healthy }
        }));
        sleep(secs(35)).await;
        assert_eq!(runs.get(), 4);
        breaker.reconfigure(settings().health_check(secs(1)).build().unwrap());
        sleep(Duration::from_millis(15_500)).await;
        // At 40 s the last one of the old interval; from then on one a second.
        assert_eq!(runs.get(), 5 + 10);
        drop(breaker);
        sleep(secs(2)).await;
        assert!(checks.is_finished());
    });
}

#[test]
fn a_check_on_ones_own_thread_reports_even_if_it_panics() {
    paused(async {
        let breaker = breaker();
        breaker.command(Command::Trip);
        advance(secs(6)).await;
        let panicked = catch_unwind(AssertUnwindSafe(|| breaker.check_health(|| panic!("no"))));
        assert!(panicked.is_err());
        // It was heard: the patience begins anew.
        advance(secs(29)).await;
        assert_eq!(phase(&breaker), PhaseName::Open);
        let found = breaker.check_health(|| HealthReport::Degraded);
        assert_eq!(found, HealthReport::Degraded);
        assert_eq!(phase(&breaker), PhaseName::HalfOpen);
    });
}
