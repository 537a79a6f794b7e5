//! The breakers and floors that are measured.

#![expect(
    clippy::unnecessary_wraps,
    reason = "every subject may lack a scenario, though not all do"
)]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use failsafe::CircuitBreaker as _;
use panelboard::{CircuitBreaker, Clock, Command, Kind, Outcome, Settings, SettingsBuilder, Tick};
use panelboard_core::machine::{Input, Machine};
use panelboard_core::{Decision, End, Speed};
use recloser::Recloser;
use tower::{Service, ServiceExt as _};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use super::harness::{CALLS, Scenario, time, time_all};

const LONG: Duration = Duration::from_secs(3_600);

/// Something that is measured.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    measure: fn(Scenario, usize) -> Option<f64>,
}

#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Subtracted from all others.
    Bare,
    /// The primitives that any breaker is made of.
    Floor,
    /// Ours; the first one is what peers are compared with.
    Ours,
    /// Others'.
    Peer,
}

impl Subject {
    pub(crate) fn new(
        name: &'static str,
        role: Role,
        measure: fn(Scenario, usize) -> Option<f64>,
    ) -> Subject {
        Subject { name, role, measure }
    }

    pub(crate) fn measure(&self, scenario: Scenario, threads: usize) -> Option<f64> {
        (self.measure)(scenario, threads)
    }
}

pub(crate) fn all() -> Vec<Subject> {
    let subject = Subject::new;
    vec![
        subject("bare call", Role::Bare, bare),
        subject("atomic load", Role::Floor, |s, n| floor(s, n, |x| x.load(Ordering::Acquire))),
        subject("`fetch_add`", Role::Floor, |s, n| {
            floor(s, n, |x| x.fetch_add(1, Ordering::AcqRel))
        }),
        subject("mutex lock + unlock", Role::Floor, mutex),
        subject("clock read, coarse", Role::Floor, |s, n| clock(s, n, &Clock::coarse())),
        subject("clock read, `Instant`", Role::Floor, instant),
        subject(OURS, Role::Ours, |s, n| ours(s, n, Settings::builder(), Clock::coarse())),
        subject("Panelboard, last 100 calls", Role::Ours, |s, n| {
            ours(s, n, Settings::builder().window(100_u32), Clock::coarse())
        }),
        subject("Panelboard, consecutive only", Role::Ours, |s, n| {
            ours(s, n, Settings::builder().failure_rate(None), Clock::coarse())
        }),
        subject("Panelboard, `Instant` clock", Role::Ours, |s, n| {
            ours(s, n, Settings::builder(), Clock::precise())
        }),
        subject("Panelboard, ticker clock", Role::Ours, |s, n| {
            ours(s, n, Settings::builder(), Clock::ticker())
        }),
        subject("Panelboard's reference in a mutex", Role::Ours, reference),
        subject(RECLOSER, Role::Peer, recloser),
        subject(FAILSAFE, Role::Peer, failsafe),
        subject("tower-resilience 0.14 (always async)", Role::Peer, tower_resilience),
    ]
}

/// Those that are measured with many threads.
pub(crate) fn scaling() -> Vec<Subject> {
    let names = ["bare call", "`fetch_add`", "mutex lock + unlock", OURS, RECLOSER, FAILSAFE];
    all().into_iter().filter(|subject| names.contains(&subject.name)).collect()
}

const OURS: &str = "**Panelboard** (10 s window)";
const RECLOSER: &str = "recloser 1.4";
const FAILSAFE: &str = "failsafe 1.3";

/// The guarded operation: as little as the optimiser lets pass.
#[inline]
fn operation(scenario: Scenario, n: u64) -> Result<u64, u64> {
    let fails = match scenario {
        Scenario::Failure => true,
        Scenario::OnePercent => n.is_multiple_of(100),
        _ => false,
    };
    if black_box(fails) { Err(n) } else { Ok(n) }
}

fn operation_async(n: u64) -> Ready<Result<u64, u64>> {
    ready(operation(Scenario::Async, n))
}

/// Polls a future where it is made, as `.await` does: it is not moved.
macro_rules! poll_once {
    ($future:expr) => {
        match pin!($future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the operation is ready at once"),
        }
    };
}

// ===== floors =====

fn bare(scenario: Scenario, threads: usize) -> Option<f64> {
    Some(match scenario {
        Scenario::Async => time(threads, |n| {
            black_box(poll_once!(operation_async(n))).ok();
        }),
        // A refused call is not made, so it is compared with nothing at all.
        Scenario::Rejected => time(threads, |n| {
            black_box(n);
        }),
        _ => time(threads, |n| {
            black_box(operation(scenario, n)).ok();
        }),
    })
}

fn floor(scenario: Scenario, threads: usize, op: impl Fn(&AtomicU64) -> u64 + Sync) -> Option<f64> {
    let shared = AtomicU64::new(0);
    (scenario == Scenario::Success).then(|| {
        time(threads, |n| {
            black_box(op(&shared));
            black_box(operation(scenario, n)).ok();
        })
    })
}

fn mutex(scenario: Scenario, threads: usize) -> Option<f64> {
    let shared = Mutex::new(0_u64);
    (scenario == Scenario::Success).then(|| {
        time(threads, |n| {
            *shared.lock().expect("nothing panics") += 1;
            black_box(operation(scenario, n)).ok();
        })
    })
}

fn clock(scenario: Scenario, threads: usize, clock: &Clock) -> Option<f64> {
    (scenario == Scenario::Success).then(|| {
        time(threads, |n| {
            black_box(clock.now());
            black_box(operation(scenario, n)).ok();
        })
    })
}

#[expect(clippy::disallowed_methods, reason = "it is what is measured")]
fn instant(scenario: Scenario, threads: usize) -> Option<f64> {
    (scenario == Scenario::Success).then(|| {
        time(threads, |n| {
            black_box(Instant::now());
            black_box(operation(scenario, n)).ok();
        })
    })
}

// ===== ours =====

/// The settings of a scenario: for `Failure` the rules are at work, but out of reach.
fn set_up(scenario: Scenario, settings: SettingsBuilder) -> Settings {
    let settings = match scenario {
        Scenario::Failure => settings.failure_threshold(None).min_calls(1_000_000_000),
        Scenario::Timed => settings.slow_call_duration(Duration::from_secs(1)),
        _ => settings,
    };
    settings.recovery_timeout(LONG).build().expect("these settings are sound")
}

fn ours(
    scenario: Scenario,
    threads: usize,
    settings: SettingsBuilder,
    clock: Clock,
) -> Option<f64> {
    let settings = set_up(scenario, settings);
    let breaker = CircuitBreaker::builder("bench").settings(settings).clock(clock).build();
    if scenario == Scenario::Rejected {
        breaker.command(Command::OpenFor(LONG));
    }
    let nanos = match scenario {
        Scenario::Async => time(threads, |n| {
            black_box(poll_once!(breaker.call_async(operation_async(n)))).ok();
        }),
        _ => time(threads, |n| {
            black_box(breaker.call(|| operation(scenario, n))).ok();
        }),
    };
    check(scenario, breaker.snapshot().phase == panelboard::PhaseName::Open);
    Some(nanos)
}

fn reference(scenario: Scenario, threads: usize) -> Option<f64> {
    if scenario == Scenario::Async {
        return None;
    }
    let clock = Clock::coarse();
    let settings = set_up(scenario, Settings::builder());
    let mut machine = Machine::new(settings, 1, clock.now());
    if scenario == Scenario::Rejected {
        machine.step(clock.now(), Input::Command(Command::OpenFor(LONG)));
    }
    let machine = Mutex::new(machine);
    let step = |input| {
        let now = clock.now();
        machine.lock().expect("nothing panics").step(now, input)
    };
    Some(time(threads, |n| {
        let lease = Duration::from_secs(30);
        let started = if scenario == Scenario::Timed { clock.now() } else { Tick::ZERO };
        if let Some(Decision::Admit { ticket, .. }) =
            step(Input::Acquire { lease, dependency: None }).decision
        {
            let outcome = match black_box(operation(scenario, n)) {
                Ok(_) => Outcome::Success,
                Err(_) => Outcome::failure(Kind::OTHER),
            };
            let speed = match scenario {
                Scenario::Timed if clock.now().since(started) < Duration::from_secs(1) => {
                    Speed::Fast
                }
                _ => Speed::Unjudged,
            };
            let end = End { outcome, speed, took: None };
            black_box(step(Input::Settle { ticket, end, dependency: None }));
        }
    }))
}

// ===== peers =====

fn recloser(scenario: Scenario, threads: usize) -> Option<f64> {
    let builder = Recloser::custom().open_wait(LONG);
    let breaker = match scenario {
        // It has no slow rule.
        Scenario::Timed => return None,
        Scenario::Failure => builder.error_rate(2.0).build(),
        Scenario::Rejected => builder.closed_len(1).build(),
        _ => builder.build(),
    };
    if scenario == Scenario::Rejected {
        for n in 0..4 {
            let _ = breaker.call(|| operation(Scenario::Failure, n));
        }
    }
    if scenario == Scenario::Async {
        let breaker = recloser::AsyncRecloser::from(breaker);
        return Some(time(threads, |n| {
            black_box(poll_once!(breaker.call(operation_async(n)))).ok();
        }));
    }
    let nanos = time(threads, |n| {
        black_box(breaker.call(|| operation(scenario, n))).ok();
    });
    let refuses = matches!(breaker.call(|| Ok::<_, u64>(0)), Err(recloser::Error::Rejected));
    check(scenario, refuses);
    Some(nanos)
}

fn failsafe(scenario: Scenario, threads: usize) -> Option<f64> {
    use failsafe::{Config, backoff, failure_policy};
    let forever = || backoff::constant(LONG);
    macro_rules! run {
        ($breaker:expr) => {{
            let breaker = $breaker;
            if scenario == Scenario::Rejected {
                let _ = breaker.call(|| operation(Scenario::Failure, 0));
            }
            let nanos = time(threads, |n| {
                black_box(breaker.call(|| operation(scenario, n))).ok();
            });
            check(scenario, !breaker.is_call_permitted());
            Some(nanos)
        }};
    }
    match scenario {
        // It has no slow rule, and its futures are left out to keep its dependencies out.
        Scenario::Timed | Scenario::Async | Scenario::Pending => None,
        Scenario::Failure => {
            let policy = failure_policy::consecutive_failures(u32::MAX, forever());
            run!(Config::new().failure_policy(policy).build())
        }
        Scenario::Rejected => {
            let policy = failure_policy::consecutive_failures(1, forever());
            run!(Config::new().failure_policy(policy).build())
        }
        Scenario::Success | Scenario::OnePercent => run!(Config::new().build()),
    }
}

/// It is a tower service, and waits for an async mutex and a timer; so it runs in a Tokio runtime
/// of its own on each thread, as its users run it.
fn tower_resilience(scenario: Scenario, threads: usize) -> Option<f64> {
    let builder = CircuitBreakerLayer::builder().wait_duration_in_open(LONG);
    let layer = match scenario {
        Scenario::Failure => builder.minimum_number_of_calls(usize::MAX),
        Scenario::Rejected => builder.consecutive_failures(1),
        Scenario::Timed => builder.slow_call_duration_threshold(Duration::from_secs(1)),
        _ => builder,
    };
    let asked = if scenario == Scenario::Rejected { Scenario::Failure } else { scenario };
    let layer = layer.build().expect("these settings are sound");
    let service = layer.layer_fn(tower::service_fn(move |n: u64| ready(operation(asked, n))));
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    if scenario == Scenario::Rejected {
        let _ = runtime().block_on(service.clone().oneshot(0));
    }
    // While open it sleeps for a millisecond whenever its mutex is taken.
    let calls = if scenario == Scenario::Rejected && threads > 1 { CALLS / 100 } else { CALLS };
    let nanos = time_all(threads, calls, || {
        let mut service = service.clone();
        move |calls| {
            runtime().block_on(async {
                for n in 0..calls {
                    let service = service.ready().await.expect("it is always ready");
                    black_box(service.call(n).await).ok();
                }
            });
        }
    });
    check(scenario, service.is_open());
    Some(nanos)
}

/// A subject that trips where it should not, or does not where it should, measures nothing.
fn check(scenario: Scenario, refuses: bool) {
    assert_eq!(refuses, scenario == Scenario::Rejected, "{scenario:?}");
}
