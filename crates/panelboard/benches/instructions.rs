//! One path of a guarded call, so many times, to have its instructions counted: `cargo xtask
//! instructions` runs this under callgrind with two numbers of calls and takes the difference.
//!
//! `instructions PATH CALLS`; without arguments it prints the names of the paths.

use std::future::ready;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use panelboard::{
    Catalog, CircuitBreaker, Clock, Command, Kind, Registry, Settings, SettingsBuilder,
};

type Path = (&'static str, fn(u64));

const PATHS: [Path; 14] = [
    ("success", |calls| {
        let breaker = closed(lenient());
        repeat(calls, |n| breaker.call(|| operation(n, false)));
    }),
    ("success, last 100 calls", |calls| {
        let breaker = closed(lenient().window(100_u32));
        repeat(calls, |n| breaker.call(|| operation(n, false)));
    }),
    ("success, consecutive only", |calls| {
        let breaker = closed(Settings::builder().failure_rate(None));
        repeat(calls, |n| breaker.call(|| operation(n, false)));
    }),
    ("success, timed", |calls| {
        let breaker = closed(lenient().slow_call_duration(LONG));
        repeat(calls, |n| breaker.call(|| operation(n, false)));
    }),
    ("success, async", |calls| {
        let breaker = closed(lenient());
        repeat(calls, |n| {
            let call = pin!(breaker.call_async(ready(operation(n, false))));
            let Poll::Ready(result) = call.poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("the operation is ready at once");
            };
            result
        });
    }),
    ("success, key of a family", |calls| {
        let settings = lenient().build().expect("these settings are sound");
        let catalog = Catalog { defaults: settings, ..Catalog::default() };
        let breaker = Registry::from_config(&catalog).keyed("counted").breaker(&["key"]);
        repeat(calls, |n| breaker.call(|| operation(n, false)));
    }),
    ("success, permit", |calls| {
        let breaker = closed(lenient());
        repeat(calls, |n| {
            let permit = breaker.try_acquire()?;
            black_box(n);
            permit.success();
            Ok::<_, panelboard::Rejected>(())
        });
    }),
    ("success, owned permit", |calls| {
        let breaker = closed(lenient());
        repeat(calls, |n| {
            let permit = breaker.try_acquire_owned(None)?;
            black_box(n);
            permit.success();
            Ok::<_, panelboard::Rejected>(())
        });
    }),
    ("failure", |calls| {
        let breaker = closed(lenient());
        repeat(calls, |n| breaker.call(|| operation(n, true)));
    }),
    ("failure, last 100 calls", |calls| {
        let breaker = closed(lenient().window(100_u32));
        repeat(calls, |n| breaker.call(|| operation(n, true)));
    }),
    ("failure, timed", |calls| {
        let breaker = closed(lenient().slow_call_duration(LONG));
        repeat(calls, |n| breaker.call(|| operation(n, true)));
    }),
    ("failure, permit", |calls| {
        let breaker = closed(lenient());
        repeat(calls, |n| {
            let permit = breaker.try_acquire()?;
            black_box(n);
            permit.failure(Kind::Timeout);
            Ok::<_, panelboard::Rejected>(())
        });
    }),
    ("failure and success in turn", |calls| {
        let breaker = closed(lenient().failure_threshold(5));
        repeat(calls, |n| breaker.call(|| operation(n, n % 2 == 0)));
    }),
    ("rejected", |calls| {
        let breaker = closed(lenient());
        breaker.command(Command::OpenFor(LONG));
        repeat(calls, |n| breaker.call(|| operation(n, false)));
    }),
];

const LONG: Duration = Duration::from_secs(3_600);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next();
    let Some((_, run)) = PATHS.iter().find(|(name, _)| path.as_deref() == Some(name)) else {
        for (name, _) in PATHS {
            println!("{name}");
        }
        return;
    };
    let calls = arguments.next().and_then(|calls| calls.parse().ok());
    run(calls.expect("a number of calls"));
}

/// The rules are at work, but out of reach.
fn lenient() -> SettingsBuilder {
    Settings::builder().failure_threshold(None).min_calls(1_000_000_000)
}

fn closed(settings: SettingsBuilder) -> CircuitBreaker {
    let settings = settings.build().expect("these settings are sound");
    CircuitBreaker::builder("counted").settings(settings).clock(Clock::coarse()).build()
}

#[inline]
fn operation(n: u64, fails: bool) -> Result<u64, u64> {
    if black_box(fails) { Err(n) } else { Ok(n) }
}

fn repeat<T>(calls: u64, call: impl Fn(u64) -> T) {
    for n in 0..calls {
        black_box(call(n));
    }
}
