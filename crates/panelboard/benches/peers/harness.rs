//! How long a closure takes, in CPU time of the threads that run it.

use std::sync::Barrier;

use rustix::time::{ClockId, clock_gettime};

/// Calls in one round of one thread.
pub(crate) const CALLS: u64 = 100_000;

/// What is asked of a breaker.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Scenario {
    /// Closed, every call succeeds.
    Success,
    /// Closed, every hundredth call fails.
    OnePercent,
    /// Closed, every call fails, and the threshold is out of reach.
    Failure,
    /// Open, every call is refused.
    Rejected,
    /// Closed, every call succeeds and is timed for the slow rule.
    Timed,
    /// Closed, an async call that is ready at once succeeds.
    Async,
    /// The same for one that is pending once.
    Pending,
}

impl Scenario {
    pub(crate) const ALL: [Scenario; 6] = [
        Scenario::Success,
        Scenario::OnePercent,
        Scenario::Failure,
        Scenario::Rejected,
        Scenario::Timed,
        Scenario::Async,
    ];

    /// What shows how threads get in each other's way.
    pub(crate) const SCALING: [Scenario; 3] =
        [Scenario::Success, Scenario::OnePercent, Scenario::Failure];

    /// What calls of a service meet.
    pub(crate) const POLICIES: [Scenario; 2] = [Scenario::Async, Scenario::Pending];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Scenario::Success => "success",
            Scenario::OnePercent => "1 % failures",
            Scenario::Failure => "failure",
            Scenario::Rejected => "rejected",
            Scenario::Timed => "slow-timed",
            Scenario::Async => "async",
            Scenario::Pending => "pending once",
        }
    }
}

/// Nanoseconds of CPU time a call takes on each of so many threads at once, on average.
pub(crate) fn time(threads: usize, call: impl Fn(u64) + Sync) -> f64 {
    time_all(threads, CALLS, || {
        |calls| {
            for n in 0..calls {
                call(n);
            }
        }
    })
}

/// As [`time`], for something that makes all its calls itself.
pub(crate) fn time_all<F: FnOnce(u64)>(
    threads: usize,
    calls: u64,
    make: impl Fn() -> F + Sync,
) -> f64 {
    let barrier = Barrier::new(threads);
    let one = || {
        let run = make();
        barrier.wait();
        let start = cpu_nanos();
        run(calls);
        (cpu_nanos() - start) as f64 / calls as f64
    };
    let total: f64 = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        running.into_iter().map(|thread| thread.join().expect("no subject panics")).sum()
    });
    total / threads as f64
}

fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// What so many threads take, of all the samples.
///
/// On one thread, other tenants of the machine can only add: the lowest tenth is what the code
/// takes. More threads disturb each other, which is what is to be seen, unless something keeps them
/// apart: the median.
pub(crate) fn typical(threads: usize, samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = if threads == 1 { sorted.len() / 10 } else { sorted.len() / 2 };
    sorted.get(place).copied()
}
