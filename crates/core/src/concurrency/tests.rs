//! The limit against a model of a dependency: some servers, and a queue before them.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::backoff::mix;

const MS: u64 = 1_000_000;

fn at(millis: u64) -> Tick {
    Tick::from_nanos(millis * MS)
}

/// `servers` that each serve one call at a time, first come first served, and clients that offer
/// calls at a rate; those above the limit are refused.
struct Model {
    limit: Limit,
    servers: usize,
    /// Mean time to serve a call, in microseconds.
    service: u64,
    /// Calls that clients give up after this long.
    timeout: Option<Duration>,
    now: u64,
    seed: u64,
    /// Started, in nanoseconds.
    waiting: VecDeque<u64>,
    /// Started, and when it will be served.
    serving: Vec<(u64, u64)>,
    served: u64,
    latencies: u64,
}

impl Model {
    fn new(bounds: Bounds, servers: usize, service: u64) -> Model {
        Model {
            limit: Limit::new(bounds, Tick::ZERO),
            servers,
            service,
            timeout: None,
            now: 0,
            seed: 7,
            waiting: VecDeque::new(),
            serving: Vec::new(),
            served: 0,
            latencies: 0,
        }
    }

    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(1);
        mix(self.seed)
    }

    /// Offers `rate` calls a second for so long.
    fn run(&mut self, rate: u64, for_: Duration) -> &mut Model {
        let end = self.now + nanos(for_);
        (self.served, self.latencies) = (0, 0);
        let mut next = self.now;
        while self.now < end {
            // Steps of 100 µs.
            self.now += 100_000;
            self.end_calls();
            while next <= self.now {
                // Between half and one and a half of the mean distance.
                next += 500_000_000 / rate + self.draw() % (1_000_000_000 / rate);
                if self.in_flight() < self.limit.limit() {
                    self.waiting.push_back(self.now);
                }
            }
            while self.serving.len() < self.servers {
                let Some(started) = self.waiting.pop_front() else { break };
                // Half to one and a half of the mean.
                let takes = self.service * 500 + self.draw() % (self.service * 1_000);
                self.serving.push((started, self.now + takes));
            }
        }
        self
    }

    fn end_calls(&mut self) {
        let mut at = 0;
        while at < self.serving.len() {
            let (started, until) = self.serving[at];
            if until > self.now {
                at += 1;
                continue;
            }
            let in_flight = self.in_flight();
            self.serving.swap_remove(at);
            let took = self.now - started;
            let late = self.timeout.is_some_and(|bound| took > nanos(bound));
            let sign = if late { Sign::Overloaded } else { Sign::Served };
            self.served += u64::from(!late);
            self.latencies += took;
            let started = Tick::from_nanos(started);
            self.limit.end(Ended { started, in_flight, sign }, Tick::from_nanos(self.now));
        }
    }

    fn in_flight(&self) -> u32 {
        (self.waiting.len() + self.serving.len()) as u32
    }

    fn mean_ms(&self) -> u64 {
        self.latencies / self.served.max(1) / MS
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn converges_near_the_knee_under_overload() {
    // 10 ms a call: the knee is at as many calls as there are servers.
    for (servers, initial) in [(10, 1), (10, 20), (10, 200), (40, 20), (100, 20)] {
        let bounds = Bounds::new(1, initial, 1_000).unwrap();
        let mut model = Model::new(bounds, servers, 10_000);
        let capacity = servers as u64 * 100;
        // Twice of what it can take, for long enough that the base is measured anew a few times.
        model.run(capacity * 2, secs(60)).run(capacity * 2, secs(60));
        let limit = model.limit.limit();
        let knee = servers as u32;
        assert!((knee * 9 / 10..=knee * 2).contains(&limit), "{servers} servers: {limit}");
        assert!(model.served >= capacity * 60 * 9 / 10, "{servers} servers: {}", model.served);
        assert!(model.mean_ms() <= 20, "{servers} servers: {} ms", model.mean_ms());
    }
}

#[test]
fn recovers_after_a_slow_period() {
    let mut model = Model::new(Bounds::default(), 20, 10_000);
    model.run(4_000, secs(20));
    let before = model.limit.limit();
    model.service = 100_000;
    model.run(4_000, secs(10));
    let slow = model.limit.limit();
    assert!(slow < before, "{before} to {slow}");
    model.service = 10_000;
    model.run(4_000, secs(35));
    model.run(4_000, secs(5));
    assert!(model.limit.limit() >= 18, "{before} to {slow} to {}", model.limit.limit());
    assert!(model.served >= 2_000 * 5 * 9 / 10, "{}", model.served);
    assert!(model.mean_ms() <= 25, "{} ms", model.mean_ms());
}

#[test]
fn a_dependency_that_stays_slower_is_measured_anew() {
    let mut model = Model::new(Bounds::default(), 20, 10_000);
    model.run(4_000, secs(20));
    // Each call takes four times as long from now on; the knee is where it was.
    model.service = 40_000;
    model.run(4_000, secs(90)).run(4_000, secs(10));
    assert!(model.limit.limit() >= 18, "{}", model.limit.limit());
    assert!(model.served >= 500 * 10 * 9 / 10, "{}", model.served);
}

#[test]
fn time_outs_lower_it_before_latency_does() {
    let mut model = Model::new(Bounds::new(1, 200, 200).unwrap(), 10, 10_000);
    model.timeout = Some(Duration::from_millis(50));
    model.run(2_000, secs(20)).run(2_000, secs(5));
    assert!(model.limit.limit() <= 40, "{}", model.limit.limit());
    assert!(model.served >= 1_000 * 5 * 9 / 10, "{}", model.served);
}

fn served(limit: &mut Limit, from: u64, ms: u64, in_flight: u32) {
    let call = Ended { started: at(from), in_flight, sign: Sign::Served };
    limit.end(call, at(from + ms));
}

#[test]
fn one_slow_call_costs_a_tenth_at_most() {
    let mut limit = Limit::new(Bounds::new(1, 100, 200).unwrap(), Tick::ZERO);
    for n in 0..40 {
        served(&mut limit, n * 10, 10, 50);
    }
    let before = limit.limit();
    served(&mut limit, 400, 30_000, 50);
    for n in 0..9 {
        served(&mut limit, 30_400 + n, 10, 50);
    }
    assert!(limit.limit() >= before - before / 10, "{before} to {}", limit.limit());
    for n in 0..200 {
        served(&mut limit, 31_000 + n * 10, 10, 50);
    }
    assert!(limit.limit() >= before - before / 10, "and no more");
}

#[test]
fn grows_only_when_it_holds_calls_back() {
    let mut limit = Limit::new(Bounds::default(), Tick::ZERO);
    for n in 0..1_000 {
        served(&mut limit, n * 10, 10, 19);
    }
    assert_eq!(limit.limit(), 20);
    for n in 1_000..1_020 {
        served(&mut limit, n * 10, 10, 20);
    }
    assert!(limit.limit() > 20);
}

#[test]
fn a_burst_of_time_outs_counts_once() {
    let mut limit = Limit::new(Bounds::new(1, 100, 200).unwrap(), Tick::ZERO);
    let late = |limit: &mut Limit, started| {
        limit.end(
            Ended { started: at(started), in_flight: 100, sign: Sign::Overloaded },
            at(started + 1_000),
        );
    };
    for started in 0..50 {
        late(&mut limit, started);
    }
    assert_eq!(limit.limit(), 75);
    // One that began with the decrease, or later, says that it was not enough.
    late(&mut limit, 1_000);
    assert_eq!(limit.limit(), 57);
    late(&mut limit, 1_999);
    assert_eq!(limit.limit(), 57);
    late(&mut limit, 2_500);
    assert_eq!(limit.limit(), 43);
}

/// A limit that knows its base, 100 ms.
fn based(allowed: u32) -> Limit {
    let bounds = Bounds::new(1, allowed, 10_000).unwrap();
    Limit { base: 100 * MS, ..Limit::new(bounds, Tick::ZERO) }
}

/// What becomes of it after a window of ten calls that took so long.
fn windowed(mut limit: Limit, took: u64, peak: u32) -> Limit {
    for _ in 0..10 {
        served(&mut limit, 1_000 - took, took, peak);
    }
    limit
}

#[test]
fn a_window_moves_the_limit_by_the_queue_it_shows() {
    // At 100 the step is 2: quick growth up to a queue of 2, slow below 6, none up to 12.
    for (took, queue_of, expected) in [
        (100, 0, 112),
        (103, 2, 112),
        (104, 3, 102),
        (106, 5, 102),
        (107, 6, 100),
        (114, 12, 100),
        (115, 13, 98),
        (125, 20, 92),
        (200, 50, 90),
    ] {
        assert_eq!(queue(100, 100, took), queue_of);
        assert_eq!(windowed(based(100), took, 100).limit(), expected, "{took} ms");
    }
    assert_eq!(windowed(based(100), 100, 99).limit(), 100, "not used");
    assert_eq!(windowed(based(100), 200, 50).limit(), 90, "used or not, a queue is too much");
    assert_eq!(windowed(based(1_000), 100, 1_000).limit(), 1_018);
    assert_eq!(windowed(based(5), 100, 5).limit(), 11);
}

#[test]
fn the_base_follows_windows_without_a_queue_by_an_eighth() {
    assert_eq!(windowed(based(100), 101, 10).base, 100 * MS + MS / 8);
    assert_eq!(windowed(based(100), 92, 10).base, 99 * MS);
    assert_eq!(windowed(based(100), 200, 100).base, 100 * MS);
}

#[test]
fn a_window_without_a_queue_puts_the_measurement_off() {
    let mut limit = based(20);
    let queued = |limit: &mut Limit, from: u64| {
        (from..from + 29_000).step_by(20).any(|ms| {
            served(limit, ms, 125, 20);
            limit.stage != Stage::Follow
        })
    };
    assert!(!queued(&mut limit, 0));
    for n in 0..20 {
        served(&mut limit, 29_200 + n * 20, 100, 5);
    }
    assert!(!queued(&mut limit, 30_000));
    assert!(queued(&mut limit, 59_000));
}

#[test]
fn the_base_is_measured_once_the_queue_has_drained() {
    let mut limit = Limit { allowed: 10, stage: Stage::Drain { before: 20 }, ..based(20) };
    let end = |limit: &mut Limit, started: u64, now: u64, in_flight: u32| {
        limit.end(Ended { started: at(started), in_flight, sign: Sign::Served }, at(now));
        limit.stage
    };
    let draining = Stage::Drain { before: 20 };
    assert_eq!(end(&mut limit, 0, 200, 11), draining, "more in flight than the half");
    assert_eq!(end(&mut limit, 0, 99, 10), draining, "too soon");
    let measuring = Stage::Measure { before: 20 };
    assert_eq!(end(&mut limit, 0, 200, 10), measuring);
    for _ in 0..30 {
        assert_eq!(end(&mut limit, 199, 400, 10), measuring, "from before it had drained");
    }
    for _ in 0..9 {
        assert_eq!(end(&mut limit, 200, 400, 10), measuring);
    }
    assert_eq!(end(&mut limit, 200, 400, 10), Stage::Follow);
    assert_eq!((limit.base(), limit.limit()), (Some(Duration::from_millis(200)), 20));
}

#[test]
fn overload_while_the_queue_drains_is_not_forgotten() {
    let mut limit = Limit { allowed: 10, stage: Stage::Drain { before: 20 }, ..based(20) };
    limit.end(Ended { started: at(1), in_flight: 10, sign: Sign::Overloaded }, at(50));
    assert_eq!((limit.limit(), limit.stage), (8, Stage::Drain { before: 15 }));
}

#[test]
fn what_says_nothing_changes_nothing() {
    let mut limit = Limit::new(Bounds::default(), Tick::ZERO);
    let before = limit;
    for n in 0..1_000 {
        let call = Ended { started: at(n), in_flight: 20, sign: Sign::Nothing };
        limit.end(call, at(n + 1_000));
    }
    assert_eq!(limit, before);
}

#[test]
fn a_probe_that_cannot_be_measured_ends() {
    let mut limit = Limit::new(Bounds::default(), Tick::ZERO);
    served_until_probed(&mut limit);
    let halved = limit.limit();
    let before = match limit.stage {
        Stage::Drain { before } => before,
        stage => panic!("{stage:?}"),
    };
    assert_eq!(halved, before / 2);
    // From now on everything fails.
    for n in 0..100 {
        let call = Ended { started: at(100_000 + n * 100), in_flight: 20, sign: Sign::Nothing };
        limit.end(call, at(100_010 + n * 100));
    }
    assert_eq!((limit.limit(), limit.stage), (before, Stage::Follow));
}

/// Shows a queue of four, neither too short nor too long, until that has gone on for too long.
fn served_until_probed(limit: &mut Limit) {
    let mut now = 0;
    while limit.stage == Stage::Follow {
        let took = if now < 1_000 { 80 } else { 100 };
        served(limit, now, took, 20);
        now += 20;
        assert!(now < 60_000, "{limit:?}");
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let text = |min, initial, max| Bounds::new(min, initial, max).unwrap_err().to_string();
    assert_eq!(text(0, 1, 1), "concurrency_limit.min is 0, but must be 1 to 1");
    assert_eq!(text(5, 4, 9), "concurrency_limit.initial is 4, but must be 5 to 9");
    assert_eq!(text(1, 1, 0), "concurrency_limit.max is 0, but must be 1 to 1000000");
}

#[test]
fn the_queue_is_what_littles_law_says() {
    assert_eq!(queue(100, 10, 20), 50);
    assert_eq!(queue(100, 10, 10), 0);
    assert_eq!(queue(100, 20, 10), 0);
    assert_eq!(queue(u32::MAX, 1, u64::MAX), u32::MAX - 1);
}

proptest! {
    /// Whatever ends, and whenever: the limit stays in its bounds, nothing overflows.
    #[test]
    fn the_limit_keeps_its_bounds(
        min in 1_u32..50,
        initial in 0_u32..50,
        max in 0_u32..50,
        calls in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), 0_u8..3), 0..300),
    ) {
        let bounds = Bounds::new(min, min + initial, min + initial + max).unwrap();
        let mut limit = Limit::new(bounds, Tick::ZERO);
        for (started, now, in_flight, sign) in calls {
            let sign = [Sign::Served, Sign::Overloaded, Sign::Nothing][usize::from(sign)];
            let started = Tick::from_nanos(started);
            limit.end(Ended { started, in_flight, sign }, Tick::from_nanos(now));
            prop_assert!((bounds.min()..=bounds.max()).contains(&limit.limit()));
        }
    }

    /// No window, whatever it holds, takes more than a tenth; no call more than a quarter.
    #[test]
    fn no_window_takes_more_than_a_tenth(
        calls in prop::collection::vec((1_u64..500, 1_u64..10_000, 1_u32..200), 0..500),
    ) {
        let mut limit = Limit::new(Bounds::new(1, 100, 200).unwrap(), Tick::ZERO);
        let mut now = 0;
        for (step, took, in_flight) in calls {
            now += step;
            let (before, stage) = (limit.limit(), limit.stage);
            served(&mut limit, now, took, in_flight);
            if limit.stage == stage {
                prop_assert!(limit.limit() + (before / 10).max(2) >= before);
            }
        }
    }
}

#[test]
fn bounds_are_what_was_said() {
    let bounds = Bounds::new(3, 5, 9).unwrap();
    assert_eq!((bounds.min(), bounds.initial(), bounds.max()), (3, 5, 9));
    assert_eq!(Limit::new(bounds, Tick::ZERO).limit(), 5);
}
