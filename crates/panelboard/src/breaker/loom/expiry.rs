//! Orders and leases that run out while calls come.

use super::*;

fn events(breaker: &CircuitBreaker) -> usize {
    breaker.inner.bus().after(0, 100).len()
}

/// An order that has run out is over for all who come, and ends once.
#[test]
fn b2_an_order_ends_once_whoever_notices() {
    explore(|| {
        let (breaker, clock) = breaker(streak_only(9));
        breaker.command(Command::ForceOpen(RECOVERY));
        clock.advance(RECOVERY);
        let call = |breaker: &CircuitBreaker| breaker.try_acquire().expect("it is over").success();
        let other = breaker.clone();
        let thread = thread::spawn(move || call(&other));
        call(&breaker);
        thread.join().unwrap();
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.phase, snapshot.mode), (PhaseName::Closed, Mode::Auto));
        assert_eq!((snapshot.counters.success, snapshot.counters.in_flight()), (2, 0));
        assert_eq!(events(&breaker), 2, "it began, and it ended");
    });
}

/// The end of one order is not taken for the end of the next.
#[test]
fn b4_an_order_given_as_another_runs_out_stands() {
    explore(|| {
        let (breaker, clock) = breaker(streak_only(9));
        breaker.command(Command::ForceOpen(RECOVERY));
        clock.advance(RECOVERY);
        let other = breaker.clone();
        let thread = thread::spawn(move || other.command(Command::ForceOpen(RECOVERY * 2)));
        match breaker.try_acquire() {
            Ok(permit) => permit.neutral(),
            Err(rejected) => assert_eq!(rejected.retry_after(), RECOVERY * 2),
        }
        thread.join().unwrap();
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), RECOVERY * 2);
    });
}

/// B-1, B-3, B-7: past its lease a probe's slot is lent anew, and its own result has no vote,
/// whichever comes first.
#[test]
fn b7_a_lease_that_runs_out_frees_its_slot_once() {
    explore(|| {
        let (breaker, clock) = half_open();
        let stale = breaker.try_acquire_owned(Some(RECOVERY)).unwrap();
        clock.advance(RECOVERY);
        let thread = thread::spawn(move || stale.success());
        let probe = breaker.try_acquire().unwrap();
        assert!(probe.is_probe());
        assert!(breaker.try_acquire().is_err(), "one slot");
        probe.failure(Kind::Timeout);
        thread.join().unwrap();
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.phase, PhaseName::Open);
        assert_eq!((snapshot.counters.late, snapshot.counters.in_flight()), (1, 0));
    });
}
