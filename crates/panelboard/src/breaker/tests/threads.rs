//! Many threads at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::event::{Bus, What};
use crate::{
    CircuitBreaker, Command, Jitter, Kind, ManualClock, Outcome, PhaseName, Settings, WindowSpec,
};

/// A number that differs from call to call, the same in every run.
fn scatter(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n ^ (n >> 27)
}

/// B-11: nothing is lost under contention; B-2: generations are announced one by one.
#[test]
fn b2_b11_nothing_is_lost_among_many_threads() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 20_000;
    for window in [WindowSpec::Time(Duration::from_secs(1)), WindowSpec::Calls(50)] {
        let clock = ManualClock::new();
        let settings = Settings::builder()
            .window(window)
            .failure_threshold(8)
            .slow_call_duration(Duration::from_millis(10))
            .recovery_timeout(Duration::from_millis(5))
            .half_open_max_calls(3)
            .jitter(Jitter::Full)
            .build()
            .unwrap();
        let breaker = CircuitBreaker::builder("contended")
            .settings(settings)
            .clock(clock.clone())
            .bus(Bus::with_capacity(1_000_000))
            .build();
        let (admitted, rejected) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (breaker, clock) = (&breaker, &clock);
                let (admitted, rejected) = (&admitted, &rejected);
                scope.spawn(move || {
                    for call in 0..CALLS {
                        let random = scatter(thread * CALLS + call);
                        if random.is_multiple_of(64) {
                            clock.advance(Duration::from_millis(1));
                        }
                        let Ok(permit) = breaker.try_acquire() else {
                            rejected.fetch_add(1, Ordering::Relaxed);
                            continue;
                        };
                        admitted.fetch_add(1, Ordering::Relaxed);
                        match random % 16 {
                            0..=6 => permit.success(),
                            7..=13 => permit.failure(Kind::Timeout),
                            14 => drop(permit),
                            _ => permit.record(Outcome::pushback(Some(Duration::ZERO))),
                        }
                    }
                });
            }
        });
        let snapshot = breaker.snapshot();
        let counters = snapshot.counters;
        assert_eq!(counters.admitted, admitted.into_inner());
        assert_eq!(counters.in_flight(), 0);
        assert_eq!(snapshot.rejected(), rejected.into_inner());
        assert_eq!(counters.admitted + snapshot.rejected(), THREADS * CALLS);
        let mut generation = 1;
        let mut phase = PhaseName::Closed;
        for event in breaker.inner.bus().after(0, usize::MAX) {
            if let What::Transition { from, to, generation: number, .. } = event.what {
                assert_eq!((number, from), (generation + 1, phase));
                (generation, phase) = (number, to);
            }
        }
        assert_eq!((snapshot.generation, snapshot.phase), (generation, phase));
        assert!(generation > 10, "the breaker must have been through something: {generation}");
    }
}

/// B-1, T2: exactly the cap is let through among twenty callers at once.
#[test]
fn b1_exactly_the_cap_probes_among_twenty_callers() {
    for cap in [1, 3, 5] {
        let settings = Settings::builder()
            .half_open_max_calls(cap)
            .success_threshold(cap)
            .recovery_timeout(Duration::from_secs(1))
            .build()
            .unwrap();
        let clock = ManualClock::new();
        let breaker =
            CircuitBreaker::builder("probed").settings(settings).clock(clock.clone()).build();
        breaker.command(Command::OpenFor(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        let (barrier, through) = (Barrier::new(20), AtomicU32::new(0));
        let permits: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        breaker.try_acquire_owned(None).ok().inspect(|_| {
                            through.fetch_add(1, Ordering::Relaxed);
                        })
                    })
                })
                .collect();
            callers.into_iter().filter_map(|caller| caller.join().unwrap()).collect()
        });
        assert_eq!(through.into_inner(), cap);
        assert_eq!(breaker.snapshot().probes.unwrap().in_flight, cap);
        permits.into_iter().for_each(crate::OwnedPermit::success);
        assert_eq!(breaker.snapshot().phase, PhaseName::Closed);
    }
}

/// Threads beyond the last slot of their own share one, and lose nothing either.
#[test]
fn b11_more_threads_than_slots_lose_nothing() {
    const THREADS: u64 = crate::slot::OWNED as u64 + 20;
    // So many that threads are interrupted in the middle of counting.
    const CALLS: u64 = 20_000;
    let settings = Settings::builder().failure_threshold(None).min_calls(1_000_000_000);
    let breaker = CircuitBreaker::builder("crowd")
        .settings(settings.build().unwrap())
        .clock(ManualClock::new())
        .build();
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for call in 0..CALLS {
                    let _ = breaker.call(|| if call % 2 == 0 { Ok(()) } else { Err(()) });
                }
                // Nobody's slot is handed on before everybody has had one.
                barrier.wait();
            });
        }
    });
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.counters.success, THREADS * CALLS / 2);
    assert_eq!(snapshot.counters.failure(), THREADS * CALLS / 2);
    assert_eq!(snapshot.tally.calls, THREADS * CALLS);
    assert_eq!(snapshot.tally.failures, THREADS * CALLS / 2);
}
