//! The invariants, checked on random histories by somebody who knows what a breaker promises but
//! not how it decides: only what callers and subscribers can see is used.

use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;

use panelboard_core::pace::QUOTA_PROBE_EVERY;

use super::equivalence::{Op, millis, ops, settings};
use crate::event::{Bus, Subscription, What};
use crate::{
    Cause, CircuitBreaker, Clock, Command, Fired, HealthReport, Kind, ManualClock, Mode, Outcome,
    OwnedPermit, PhaseName, Ratio, Reason, Rule, Settings, Snapshot, Throttle, Tick,
};

/// What a caller and subscriber remembers.
struct Witness {
    clock: ManualClock,
    breaker: CircuitBreaker,
    /// What it depends on.
    upstream: CircuitBreaker,
    settings: Settings,
    events: Subscription,
    held: Vec<Held>,
    /// The last transition that was announced: its number and phase.
    generation: u64,
    phase: PhaseName,
    /// Until when the breaker said it would be open.
    open_until: SystemTime,
    /// Whether the clock was moved about, so that nothing can be said of times.
    stepped: bool,
    /// What a health check last reported, and when.
    report: Option<(SystemTime, HealthReport)>,
    /// Whether the settings have changed in this phase.
    reconfigured: bool,
    /// When it last recovered, if it has been closed since.
    recovered: Option<SystemTime>,
    ramp: RampSecond,
    /// The second in which a call was last let through as a voter.
    passed: Option<u64>,
}

/// What happened in one second of a ramp.
#[derive(Default)]
struct RampSecond {
    since: Option<SystemTime>,
    second: u64,
    arrivals: u64,
    passed: u64,
    /// Somebody observed, and whether it was the ramp that would have refused is not to be seen.
    blurred: bool,
}

struct Held {
    permit: OwnedPermit,
    lease_until: Tick,
    bystander: bool,
}

impl Witness {
    fn new(settings: Settings) -> Witness {
        let clock = ManualClock::new();
        clock.set(Tick::from_nanos(5_000_000_000));
        let upstream = CircuitBreaker::builder("upstream").clock(clock.clone()).seed(4).build();
        let breaker = CircuitBreaker::builder("witnessed")
            .settings(settings)
            .depends_on([&upstream])
            .clock(clock.clone())
            .seed(3)
            .bus(Bus::with_capacity(10_000))
            .build();
        Witness {
            events: breaker.subscribe(),
            breaker,
            upstream,
            settings,
            clock,
            held: Vec::new(),
            generation: 1,
            phase: PhaseName::Closed,
            open_until: SystemTime::UNIX_EPOCH,
            stepped: false,
            report: None,
            reconfigured: false,
            recovered: None,
            ramp: RampSecond::default(),
            passed: None,
        }
    }

    fn wall_now(&self) -> SystemTime {
        Clock::from(self.clock.clone()).wall(self.clock.now())
    }

    fn step(&mut self, op: &Op, variants: &[Settings]) {
        match *op {
            Op::Wait(by) => self.clock.advance(millis(by)),
            Op::Acquire { lease } => self.acquire(lease.map(millis)),
            Op::Settle { which, outcome } => {
                if let Some(held) = self.take(which) {
                    let before = self.breaker.snapshot();
                    self.settle(held, |permit| permit.record(outcome));
                    let failed = matches!(self.settings.regard(outcome), Outcome::Failure { .. });
                    if failed && self.upstream_is_open() {
                        // One outage trips one breaker: a failure while a dependency is open
                        // counts for nothing.
                        let after = self.breaker.snapshot();
                        assert_eq!(after.counters.failures, before.counters.failures);
                        assert_eq!((after.streak, after.tally), (before.streak, before.tally));
                        assert_eq!(after.generation, before.generation);
                    }
                }
            }
            Op::Abandon { which } => {
                if let Some(held) = self.take(which) {
                    self.settle(held, drop);
                }
            }
            Op::MarkSlow { which } => {
                let count = self.held.len().max(1);
                if let Some(held) = self.held.get_mut(which % count) {
                    held.permit.mark_slow();
                }
            }
            Op::Renew { which, lease } => {
                let (now, count) = (self.clock.now(), self.held.len().max(1));
                if let Some(held) = self.held.get_mut(which % count) {
                    held.permit.renew(millis(lease));
                    if held.lease_until > now {
                        held.lease_until = held.lease_until.max(now.after(millis(lease)));
                    }
                }
            }
            Op::Command(command) => {
                self.hear();
                if let Command::Health(report) = command {
                    self.report = Some((self.wall_now(), report));
                }
                self.breaker.command(command);
            }
            Op::Upstream(command) => {
                self.upstream.command(command);
            }
            Op::Reconfigure(which) => self.reconfigure(variants[which % variants.len()]),
            Op::Compare => {
                self.breaker.snapshot();
            }
        }
        self.hear();
        self.counters_add_up();
    }

    /// Whether the dependency says that it is open.
    fn upstream_is_open(&self) -> bool {
        let upstream = self.upstream.snapshot();
        match upstream.mode {
            Mode::ForcedOpen => true,
            Mode::ForcedClosed => false,
            Mode::Auto | Mode::Observe => upstream.phase == PhaseName::Open,
        }
    }

    fn take(&mut self, which: usize) -> Option<Held> {
        let count = self.held.len();
        (count > 0).then(|| self.held.swap_remove(which % count))
    }

    fn acquire(&mut self, lease: Option<Duration>) {
        let before = self.breaker.snapshot();
        self.hear();
        let now = self.clock.now();
        let answer = self.breaker.try_acquire_owned(lease);
        match before.mode {
            // B-6, in part: observe never refuses.
            Mode::Observe | Mode::ForcedClosed => assert!(answer.is_ok(), "{:?}", before.mode),
            Mode::ForcedOpen => assert!(answer.is_err()),
            Mode::Auto => {
                // B-4: nothing is admitted while open before the deadline.
                if self.phase == PhaseName::Open && self.wall_now() < self.open_until {
                    let rejected = answer.as_ref().expect_err("B-4");
                    assert!(rejected.retry_after() > Duration::ZERO);
                }
            }
        }
        let after = self.breaker.snapshot().counters;
        let weighed = before.mode == Mode::Auto || before.mode == Mode::Observe;
        let spared = after.would_reject > before.counters.would_reject;
        let bystander = !weighed || spared;
        let refusal = answer.as_ref().err().map(|r| (r.reason(), r.retry_after()));
        if weighed && before.phase == PhaseName::Closed && before.paced_for.is_none() {
            self.ramps(&before, refusal, spared);
            self.throttles(&before, refusal);
            if !bystander && refusal.is_none() {
                self.passed = Some(self.clock.now().as_nanos() / 1_000_000_000);
            }
        } else if let Some((reason, _)) = refusal {
            assert!(!matches!(reason, Reason::Ramping | Reason::Throttled), "{reason}");
        }
        let Ok(permit) = answer else { return };
        let quota = weighed && before.quota_used_up;
        assert!(!quota || bystander || permit.is_probe(), "only one tries for a used-up quota");
        if permit.is_probe() && before.phase == PhaseName::Closed {
            assert!(quota && before.paced_for.is_none(), "what else is there to try for");
            let tried = self.breaker.snapshot();
            assert_eq!((tried.quota_used_up, tried.paced_for), (true, Some(QUOTA_PROBE_EVERY)));
        } else if permit.is_probe() {
            assert!(!self.upstream_is_open(), "probes wait for the dependency");
            // B-1: never more probes in flight than the cap, nor issued than the round allows.
            let generation = permit.generation();
            let rivals = self.held.iter().filter(|held| {
                held.permit.is_probe()
                    && held.permit.generation() == generation
                    && held.lease_until > now
            });
            let rivals = rivals.count() as u32;
            assert!(rivals < self.settings.half_open_max_calls(), "B-1: {rivals} in flight");
            let probes = before.probes.expect("probes come from a half-open breaker");
            let votes = probes.successes + probes.failures;
            assert!(votes < self.settings.probe_calls(), "B-1: {votes} votes are cast");
        }
        let lease = lease.unwrap_or(self.settings.lease());
        self.held.push(Held { permit, lease_until: now.after(lease), bystander });
    }

    /// After a recovery, and only then: of the calls of a second five, or if that is more the
    /// share that is shown.
    fn ramps(&mut self, before: &Snapshot, refusal: Option<(Reason, Duration)>, spared: bool) {
        let Some(ramp) = before.ramp else {
            assert!(refusal.is_none_or(|(reason, _)| reason != Reason::Ramping));
            return;
        };
        let since = self.recovered.expect("a ramp follows a recovery");
        let elapsed = self.wall_now().duration_since(since).unwrap();
        assert!(self.settings.ramp().is_some_and(|over| elapsed < over));
        let (second, seen) = (elapsed.as_secs(), &mut self.ramp);
        if (seen.since, seen.second) != (Some(since), second) {
            *seen = RampSecond { since: Some(since), second, ..RampSecond::default() };
        }
        // The throttle is asked only about calls that the ramp has let through.
        let refused = matches!(refusal, Some((Reason::Ramping, _)));
        seen.blurred |= spared;
        seen.arrivals += 1;
        seen.passed += u64::from(!refused);
        if seen.blurred {
            return;
        }
        let points = ramp.share.as_basis_points();
        let within = |passed| passed <= 5 || passed * 10_000 <= points * seen.arrivals;
        if refused {
            assert!(!within(seen.passed + 1), "{} of {}", seen.passed, seen.arrivals);
            assert_eq!(refusal.unwrap().1, ramp.next_in);
        } else {
            assert!(within(seen.passed), "{} of {}", seen.passed, seen.arrivals);
        }
    }

    /// Nobody is throttled who is the first of a second, nor where nothing has failed.
    fn throttles(&self, before: &Snapshot, refusal: Option<(Reason, Duration)>) {
        let share = before.throttled.unwrap_or(Ratio::ZERO);
        assert!(self.settings.throttle().map_or(Ratio::ZERO, Throttle::max) >= share);
        if let Some((Reason::Throttled, wait)) = refusal {
            let now = self.clock.now().as_nanos();
            assert_eq!(self.passed, Some(now / 1_000_000_000));
            assert_eq!(wait.as_nanos() as u64, 1_000_000_000 - now % 1_000_000_000);
            assert!(share > Ratio::ZERO);
        }
    }

    fn settle(&mut self, held: Held, end: impl FnOnce(OwnedPermit)) {
        let before = self.breaker.snapshot();
        let stale = held.permit.generation() != before.generation && !held.bystander;
        let closed = before.phase == PhaseName::Closed;
        let lapsed = held.permit.is_probe() && held.lease_until <= self.clock.now() && !closed;
        end(held.permit);
        if stale || lapsed {
            // B-3: a result from an older generation changes no state; it is counted as late. The
            // same goes for a probe whose lease had run out.
            let after = self.breaker.snapshot();
            assert_eq!(after.generation, before.generation, "B-3");
            assert_eq!((after.phase, after.streak), (before.phase, before.streak), "B-3");
            assert_eq!(after.tally, before.tally, "B-3");
            assert_eq!(after.paced_for, before.paced_for, "B-3");
            assert_eq!(after.counters.late, before.counters.late + 1, "B-3");
        }
    }

    /// B-9: reconfiguring keeps the phase, generation, streak and counts of unchanged settings.
    fn reconfigure(&mut self, settings: Settings) {
        let before = self.breaker.snapshot();
        self.hear();
        self.reconfigured = true;
        self.breaker.reconfigure(settings);
        let after = self.breaker.snapshot();
        // New thresholds may decide the round of probes under way, and a shorter open phase may
        // be over; but nothing happens to a closed breaker.
        if before.phase == PhaseName::Closed {
            assert_eq!((after.phase, after.generation), (before.phase, before.generation), "B-9");
            assert_eq!(after.streak, before.streak, "B-9");
            let rules = self.settings.has_window_rule() && settings.has_window_rule();
            if rules && settings.window() == self.settings.window() {
                assert_eq!(after.tally, before.tally, "B-9");
            }
        }
        assert_eq!(after.counters, before.counters, "B-9");
        self.settings = settings;
    }

    /// What subscribers hear.
    fn hear(&mut self) {
        while let Some(event) = self.events.try_next().expect("the bus is large enough") {
            let What::Transition { from, to, generation, cause, record, .. } = &event.what else {
                continue;
            };
            // B-2: exactly one transition and one event for each change of generation.
            assert_eq!(*generation, self.generation + 1, "B-2");
            assert_eq!(*from, self.phase, "B-2");
            (self.generation, self.phase) = (*generation, *to);
            if !self.stepped {
                self.probes_no_sooner_than_promised(event.at, *cause);
            }
            self.reconfigured = false;
            let recovered = *cause == Cause::ProbesSucceeded;
            let before = self.recovered;
            self.recovered = recovered.then_some(event.at);
            if *to == PhaseName::Open {
                self.open_until = event.at + record.opens_for.unwrap_or_default();
            }
            if let Cause::Tripped(fired) = cause {
                let min_calls = u64::from(fired.thresholds.min_calls);
                let asked = u64::from(self.settings.min_calls());
                // B-5: a quarter of `min_calls` is enough only while traffic comes back.
                let ramped = before.is_some_and(|since| {
                    let closed_for = event.at.duration_since(since).unwrap_or_default();
                    self.settings.ramp().is_some_and(|over| closed_for < over)
                });
                let enough =
                    min_calls == asked || ramped && min_calls == (asked / 4).max(2).min(asked);
                assert!(self.stepped || enough, "B-5");
                match fired.rule {
                    // B-5: fewer than `min_calls` never trips a rate rule.
                    Rule::FailureRate => assert!(fired.tally.calls >= min_calls, "B-5"),
                    Rule::SlowRate => assert!(fired.tally.timed >= min_calls, "B-5"),
                    _ => {}
                }
                self.thresholds_are_within_bounds(fired);
            }
        }
    }

    /// Adaptive thresholds stay between two failures, or what is configured, and one more than
    /// that; a score reaches its limit only with what a million calls would hardly bring about.
    fn thresholds_are_within_bounds(&self, fired: &Fired) {
        let configured = self.settings.failure_threshold();
        match (configured, fired.thresholds.streak) {
            (Some(configured), Some(streak)) if self.settings.adaptive() => {
                let most = if configured < 10 { configured + 1 } else { configured };
                assert!((configured.min(2)..=most).contains(&streak), "{streak} of {configured}");
            }
            (configured, streak) => assert_eq!(configured, streak),
        }
        assert!(fired.thresholds.failure_rate <= self.settings.failure_rate());
        if fired.rule == Rule::Sequential {
            assert!(fired.score.as_f64() >= 1e6_f64.ln());
        }
    }

    /// B-4: an open phase ends when its wait is over. With a health check, only once one has passed
    /// after that, or when none has been heard of for three intervals, at least 30 s.
    fn probes_no_sooner_than_promised(&self, at: SystemTime, cause: Cause) {
        let interval = self.settings.health_check();
        match cause {
            Cause::HealthCheckPassed => {
                let (reported, report) = self.report.expect("B-4: a report");
                assert!(interval.is_some() && report != HealthReport::Unhealthy, "B-4");
                assert!(at == reported && (self.reconfigured || at >= self.open_until), "B-4");
            }
            Cause::RecoveryDue if !self.reconfigured => {
                let heard = self.report.map_or(self.open_until, |(reported, _)| {
                    if reported < at { reported.max(self.open_until) } else { self.open_until }
                });
                let patience = interval
                    .map_or(Duration::ZERO, |interval| (interval * 3).max(Duration::from_secs(30)));
                assert!(at >= heard + patience || interval.is_none(), "B-4");
                assert!(at >= self.open_until, "B-4");
            }
            _ => {}
        }
    }

    /// B-11: admitted = success + failure + neutral + pushback + in flight + late.
    fn counters_add_up(&self) {
        let counters = self.breaker.snapshot().counters;
        let ended = counters.success
            + counters.failure()
            + counters.neutral
            + counters.pushback
            + counters.late;
        assert_eq!(counters.admitted, ended + self.held.len() as u64, "B-11");
        assert_eq!(counters.in_flight(), self.held.len() as u64, "B-11");
    }

    /// B-7: whatever became of earlier permits, and whatever was ordered, a dependency that works
    /// again closes the breaker without an operator.
    fn recovers(mut self) {
        self.held.clear();
        // Also if a dependency is open, which closes by itself, too; nor does it take a health check
        // that nobody runs.
        let settings = Settings::builder().health_check(self.settings.health_check());
        self.breaker.reconfigure(settings.build().unwrap());
        for _ in 0..100 {
            self.clock.advance(Duration::from_secs(1));
            if let Ok(permit) = self.breaker.try_acquire() {
                permit.success();
            }
            let snapshot = self.breaker.snapshot();
            if snapshot.phase == PhaseName::Closed && snapshot.mode == Mode::Auto {
                return;
            }
            // However long it is to be open, that ends.
            let wait = snapshot.retry_after().unwrap_or_default();
            let over = snapshot.override_.map_or(Duration::ZERO, |over| over.for_);
            self.clock.advance(wait.max(over));
        }
        panic!("B-7: {}", self.breaker.explain());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn b1_b2_b3_b4_b5_b7_b9_b11_hold_on_random_histories(
        variants in vec(settings(), 3),
        history in vec(ops(), 300),
    ) {
        let mut witness = Witness::new(variants[0]);
        for op in &history {
            witness.step(op, &variants);
        }
        witness.recovers();
    }

    /// B-6: observe never refuses, and decides as auto does on the same history up to the first
    /// refusal.
    #[test]
    fn b6_observe_decides_as_auto_does(plain in settings(), history in vec(ops(), 300)) {
        let twin = |mode| {
            let mut witness = Witness::new(plain);
            if plain.mode() != mode {
                witness.breaker.command(match mode {
                    Mode::Observe => Command::Observe(Duration::from_secs(1_000_000)),
                    _ => Command::Auto(Duration::from_secs(1_000_000)),
                });
            }
            witness.hear();
            witness
        };
        let (mut auto, mut observe) = (twin(Mode::Auto), twin(Mode::Observe));
        for op in &history {
            if matches!(op, Op::Command(_) | Op::Reconfigure(_)) {
                continue;
            }
            auto.step(op, &[]);
            observe.step(op, &[]);
            if auto.breaker.snapshot().rejected() > 0 {
                break;
            }
            let (a, b) = (auto.breaker.snapshot(), observe.breaker.snapshot());
            prop_assert_eq!((a.phase, a.streak, a.tally), (b.phase, b.streak, b.tally));
            prop_assert_eq!((a.paced_for, a.opens_for.is_some()), (b.paced_for, b.opens_for.is_some()));
            prop_assert_eq!(a.counters, b.counters);
        }
        prop_assert_eq!(observe.breaker.snapshot().rejected(), 0);
    }

    /// B-8: a clock that is moved about, also back, breaks nothing.
    #[test]
    fn b8_time_may_step(
        variants in vec(settings(), 3),
        history in vec((ops(), proptest::option::weighted(0.1, any::<u64>())), 200),
    ) {
        let mut witness = Witness::new(variants[0]);
        for (op, jump) in &history {
            if let Some(to) = jump {
                witness.clock.set(Tick::from_nanos(*to));
                // What was promised by the clock is void now; that counters add up is not.
                witness.open_until = SystemTime::UNIX_EPOCH;
                witness.stepped = true;
            }
            match op {
                Op::Acquire { .. } => {
                    if let Ok(permit) = witness.breaker.try_acquire_owned(None) {
                        let lease_until = Tick::MAX;
                        witness.held.push(Held { permit, lease_until, bystander: true });
                    }
                }
                Op::Settle { which, outcome } => {
                    if let Some(held) = witness.take(*which) {
                        held.permit.record(*outcome);
                    }
                }
                op => witness.step(op, &variants),
            }
            witness.hear();
            witness.counters_add_up();
        }
    }
}

/// B-8: the wall clock is read for display only, so the timer of an open breaker (T8) and the
/// window go by the monotonic clock alone.
#[test]
fn b8_the_clock_is_monotonic() {
    let clock = Clock::coarse();
    let breaker = CircuitBreaker::builder("b8").clock(clock.clone()).build();
    breaker.command(Command::OpenFor(Duration::from_secs(60)));
    let rejected = breaker.try_acquire().unwrap_err();
    assert!(rejected.retry_after() <= Duration::from_secs(60));
    assert!(rejected.retry_after() > Duration::from_secs(50));
    let mut last = clock.now();
    for _ in 0..10_000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
}

/// B-10: a classifier runs when nothing is held, so it may use the breaker it classifies for.
#[test]
fn b10_a_classifier_may_use_its_breaker() {
    let breaker = CircuitBreaker::new("b10", Settings::builder().window(5_u32).build().unwrap());
    for _ in 0..10 {
        let result: Result<(), _> = breaker.call_classified(
            || Err("no"),
            |_: &Result<(), &str>| {
                breaker.command(Command::Reset);
                let _ = breaker.call(|| Err::<(), _>("nested"));
                crate::Outcome::failure(Kind::Timeout)
            },
        );
        assert!(result.is_err());
    }
    assert_eq!(breaker.snapshot().counters.in_flight(), 0);
}

/// B-10: a subscriber is woken when nothing is held, so its waker may use the breaker.
#[test]
fn b10_a_waker_may_use_the_breaker_that_wakes_it() {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake, Waker};

    struct Nosy(CircuitBreaker, AtomicU32);
    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {
            self.0.snapshot();
            let _ = self.0.call(|| Ok::<_, ()>(()));
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    let breaker = CircuitBreaker::new("b10", Settings::default());
    let nosy = Arc::new(Nosy(breaker.clone(), AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&nosy));
    let mut events = breaker.subscribe();
    let mut next = pin!(events.next());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    breaker.command(Command::Trip);
    assert_eq!(nosy.1.load(Ordering::Relaxed), 1);
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

/// B-9, B-12: slack that a thread was granted under other thresholds is void, whichever thread it
/// was; so the window is held against the new ones at the very next failure.
#[test]
fn b9_b12_lower_thresholds_count_from_the_next_failure() {
    for other_thread in [false, true] {
        let settings = |count| {
            let settings = Settings::builder().failure_threshold(None).failure_rate(None);
            settings.failure_count(count).build().unwrap()
        };
        let builder = CircuitBreaker::builder("b9").settings(settings(1_000));
        let breaker = builder.clock(ManualClock::new()).build();
        let fail = || breaker.call(|| Err::<(), _>(())).unwrap_err();
        let asked = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let granted = scope.spawn(|| {
                (0..5).for_each(|_| drop(fail()));
                asked.wait();
                asked.wait();
                if !other_thread {
                    fail();
                }
            });
            asked.wait();
            breaker.reconfigure(settings(6));
            asked.wait();
            if other_thread {
                fail();
            }
            granted.join().unwrap();
        });
        assert_eq!(breaker.phase(), PhaseName::Open, "other thread: {other_thread}");
    }
}
