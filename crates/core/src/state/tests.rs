use super::*;
use proptest::prelude::*;

use crate::backoff;
use crate::rollup::Children;
use crate::rules::Thresholds;
use crate::{Jitter, Kind, Ratio, Rule, SettingsBuilder, Tally, limits};

const LEASE: Duration = Duration::from_secs(30);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(secs: u64) -> Tick {
    Tick::from_nanos(secs * 1_000_000_000)
}

fn builder() -> SettingsBuilder {
    Settings::builder().recovery_timeout(secs(5)).jitter(Jitter::None)
}

/// A state under fixed settings; what it logs is of no interest here.
struct Subject {
    settings: Settings,
    state: State,
}

impl Subject {
    fn new(settings: SettingsBuilder) -> Subject {
        Subject { settings: settings.build().unwrap(), state: State::new(1, Tick::ZERO) }
    }

    fn acquire(&mut self, now: Tick) -> Ticket {
        match self.state.acquire(&self.settings, now, (LEASE, None), &mut Vec::new()) {
            Decision::Admit { ticket, .. } => ticket,
            refusal @ Decision::Reject { .. } => panic!("{refusal:?}"),
        }
    }

    fn settle(&mut self, now: Tick, ticket: Ticket, outcome: Outcome) -> Verdict {
        let end = (outcome, Speed::Unjudged);
        self.state.settle(&self.settings, now, ticket, end, &mut Vec::new())
    }

    fn is_clean(&self, now: Tick) -> bool {
        self.state.is_clean(&self.settings, now)
    }

    fn mark_slow(&mut self, now: Tick, ticket: Ticket) -> Verdict {
        self.state.mark_slow(&self.settings, now, ticket, &mut Vec::new())
    }

    fn trip(&mut self, now: Tick) {
        self.trip_proven(now, false);
    }

    fn trip_proven(&mut self, now: Tick, proven: bool) {
        let fired = Fired {
            rule: Rule::ConsecutiveFailures,
            streak: 5,
            tally: Tally::default(),
            score: crate::Score::FLOOR,
            thresholds: Thresholds::of(&self.settings),
        };
        self.state.trip(&self.settings, now, fired, (None, proven), &mut Vec::new());
    }

    fn command(&mut self, now: Tick, command: Command) {
        self.state.command(&self.settings, now, command, &mut Vec::new());
    }

    fn opens_for(&self, now: Tick) -> Duration {
        self.state.open_until(&self.settings).expect("open").until_from(now)
    }
}

/// A probe that was let through when calls were timed, and runs on when they no longer are.
#[test]
fn b9_a_probe_is_not_found_slow_when_the_slow_rule_is_off() {
    let mut subject = Subject::new(builder());
    subject.trip(at(0));
    let probe = subject.acquire(at(5));
    assert_eq!(subject.mark_slow(at(6), probe), Verdict::NoVote);
    assert_eq!(subject.state.round().unwrap().failures(), 0);
    assert_eq!(subject.settle(at(7), probe, Outcome::Success), Verdict::Counted);
    assert_eq!(subject.state.round().unwrap().successes(), 1);
}

/// It has no vote left, but the dependency still asks to slow down.
#[test]
fn a_pushback_paces_though_its_probe_was_found_slow() {
    let mut subject = Subject::new(builder().slow_call_duration(secs(1)).probe_calls(4));
    subject.trip(at(0));
    let probe = subject.acquire(at(5));
    assert_eq!(subject.mark_slow(at(6), probe), Verdict::Counted);
    let pushback = Outcome::pushback(Some(secs(60)));
    assert_eq!(subject.settle(at(7), probe, pushback), Verdict::Counted);
    assert_eq!(subject.state.pace().until(at(7)), Some(at(67)));
    let round = subject.state.round().unwrap();
    assert_eq!((round.successes(), round.failures()), (0, 1));
}

/// As if a rule had fired: what failed before a long time of health is over and done with.
#[test]
fn an_ordered_trip_after_long_health_opens_for_the_first_wait() {
    let mut subject = Subject::new(builder().success_threshold(1));
    subject.trip(at(0));
    // Fails at 5, 15 and 35; recovers at 75.
    for now in [5, 15, 35] {
        let probe = subject.acquire(at(now));
        let _ = subject.settle(at(now), probe, Outcome::failure(Kind::Timeout));
    }
    let probe = subject.acquire(at(75));
    let _ = subject.settle(at(75), probe, Outcome::Success);
    let call = subject.acquire(at(76));
    assert_eq!(subject.settle(at(76), call, Outcome::Success), Verdict::Weigh);
    let mut soon = Subject { settings: subject.settings, state: subject.state.clone() };
    soon.command(at(80), Command::Trip);
    assert_eq!(soon.opens_for(at(80)), secs(40), "an order is no failed recovery");
    subject.command(at(475), Command::Trip);
    assert_eq!(subject.state.failed_recoveries(), 0);
    assert_eq!(subject.opens_for(at(475)), secs(5));
}

/// The exponent decays after ten times the last open phase, to the moment.
#[test]
fn ten_times_the_last_wait_is_long_health() {
    for (tripped, failed) in [(at(54), 1), (at(55), 0)] {
        let mut subject = Subject::new(builder().success_threshold(1));
        subject.trip(at(0));
        let probe = subject.acquire(at(5));
        assert_eq!(subject.settle(at(5), probe, Outcome::Success), Verdict::Counted);
        let call = subject.acquire(at(6));
        assert_eq!(subject.settle(at(6), call, Outcome::Success), Verdict::Weigh);
        subject.trip(tripped);
        assert_eq!(subject.state.failed_recoveries(), failed);
    }
}

/// A breaker that has opened once, has recovered at 5 s, and is closed.
fn recovered() -> Subject {
    let mut subject = Subject::new(builder().success_threshold(1));
    subject.trip(at(0));
    let probe = subject.acquire(at(5));
    assert_eq!(subject.settle(at(5), probe, Outcome::Success), Verdict::Counted);
    subject
}

proptest! {
    /// The exponent never decays by time alone, nor by failures: whatever calls there were and
    /// however long ago, if none succeeded the next trip finds the recovery failed. (The probe
    /// that closed the breaker is of the phase before.)
    #[test]
    fn no_exponent_decays_without_a_success(
        calls in proptest::collection::vec((0_u64..1_000_000, 0_u8..4), 0..20),
        tripped in 0_u64..1_000_000_000,
        proven: bool,
    ) {
        let mut subject = recovered();
        let mut now = 5;
        for (wait, outcome) in calls {
            now += wait;
            let call = subject.acquire(at(now));
            let outcome = match outcome {
                0 => Outcome::Neutral,
                1 => Outcome::pushback(Some(Duration::ZERO)),
                _ => Outcome::failure(Kind::Timeout),
            };
            let _ = subject.settle(at(now), call, outcome);
        }
        subject.trip_proven(at(now + tripped), proven);
        prop_assert_eq!(subject.state.failed_recoveries(), 1);
    }

    /// With a success it decays if a window is proof, or after ten times the last wait, and never
    /// before.
    #[test]
    fn the_exponent_decays_after_healthy_closed_time(
        succeeded in 5_u64..100,
        tripped in 0_u64..100,
        proven: bool,
        observed: bool,
    ) {
        let mut subject = recovered();
        if observed {
            // Let through though the machine would not have: it is proof all the same.
            subject.command(at(5), Command::ForceClosed(secs(1_000)));
        }
        let call = subject.acquire(at(succeeded));
        let _ = subject.settle(at(succeeded), call, Outcome::Success);
        if observed {
            subject.command(at(succeeded), Command::Auto(secs(0)));
        }
        let now = succeeded + tripped;
        subject.trip_proven(at(now), proven);
        let healthy = proven || now >= 55;
        prop_assert_eq!(subject.state.failed_recoveries(), u32::from(!healthy));
    }
}

/// There is nothing to recover from before the first open phase, nor after a reset.
#[test]
fn a_first_trip_is_no_failed_recovery() {
    let mut subject = Subject::new(builder());
    subject.trip(at(0));
    assert_eq!(subject.state.failed_recoveries(), 0);
    let mut subject = recovered();
    subject.command(at(6), Command::Reset);
    subject.trip(at(7));
    assert_eq!(subject.state.failed_recoveries(), 0);
}

/// Whoever has repaired something need not sit out the wait, nor a hint, nor a health check.
#[test]
fn an_order_to_probe_ends_an_open_phase_and_nothing_else() {
    let mut subject = gated();
    subject.command(at(1), Command::OpenFor(secs(60)));
    subject.command(at(2), Command::Probe);
    assert_eq!(subject.state.phase(), PhaseName::HalfOpen);
    let generation = subject.state.generation();
    subject.command(at(2), Command::Probe);
    assert_eq!(subject.state.generation(), generation, "it probes already");
    let probe = subject.acquire(at(2));
    assert_eq!(subject.settle(at(2), probe, Outcome::Success), Verdict::Counted);
    assert_eq!(subject.state.phase(), PhaseName::Closed);
    subject.command(at(3), Command::Probe);
    assert_eq!(subject.state.phase(), PhaseName::Closed);
}

/// An open phase of no length is one all the same: it does not make the next trip the first.
#[test]
fn an_open_phase_of_no_length_hides_no_failed_recovery() {
    let mut subject = recovered();
    subject.command(at(6), Command::OpenFor(Duration::ZERO));
    let probe = subject.acquire(at(6));
    assert_eq!(subject.settle(at(6), probe, Outcome::Success), Verdict::Counted);
    subject.trip(at(6));
    assert_eq!(subject.state.failed_recoveries(), 1);
}

/// Open since 0 s, with a wait of 5 s and a health check every 20 s.
fn gated() -> Subject {
    let mut subject = Subject::new(builder().health_check(secs(20)).success_threshold(1));
    subject.trip(at(0));
    subject
}

fn report(subject: &mut Subject, now: u64, found: HealthReport) -> PhaseName {
    subject.command(at(now), Command::Health(found));
    subject.state.phase()
}

fn looked(subject: &mut Subject, now: u64) -> PhaseName {
    subject.state.look(&subject.settings, at(now), &mut Vec::new());
    subject.state.phase()
}

#[test]
fn real_calls_probe_only_after_a_health_check_has_passed() {
    for found in [HealthReport::Healthy, HealthReport::Degraded] {
        let mut subject = gated();
        assert_eq!(report(&mut subject, 4, found), PhaseName::Open, "the wait is not over");
        assert_eq!(looked(&mut subject, 6), PhaseName::Open, "that report was too old");
        assert_eq!(report(&mut subject, 7, HealthReport::Unhealthy), PhaseName::Open);
        assert_eq!(report(&mut subject, 27, found), PhaseName::HalfOpen);
        // What is long health later goes by how long it was really open.
        let probe = subject.acquire(at(27));
        assert_eq!(subject.settle(at(27), probe, Outcome::Success), Verdict::Counted);
        assert_eq!(subject.state.last_open, secs(27));
    }
}

/// Whoever is refused is told when the next report may be in.
#[test]
fn a_breaker_that_awaits_health_says_when_to_come_back() {
    let mut subject = gated();
    subject.command(at(10), Command::Health(HealthReport::Unhealthy));
    for (now, wait) in [(10, 20), (29, 1), (30, 20), (69, 1)] {
        let refusal =
            subject.state.acquire(&subject.settings, at(now), (LEASE, None), &mut Vec::new());
        let expected = Decision::Reject { reason: Reason::Open, retry_after: secs(wait) };
        assert_eq!(refusal, expected, "at {now}");
        assert!(subject.state.awaits_health(&subject.settings, at(now)));
    }
    assert!(matches!(subject.acquire(at(70)).role, Role::Probe(_)));
    // No later than real calls probe without a report: 30 s after the wait.
    let mut frequent = gated();
    frequent.settings = builder().health_check(secs(7)).build().unwrap();
    assert_eq!(frequent.state.refuses_until(&frequent.settings, at(34)), Some(at(35)));
}

/// A wait that is made longer when it was over already has its end where it is now.
#[test]
fn b4_a_report_from_before_a_longer_wait_does_not_shorten_it() {
    let mut subject = gated();
    assert_eq!(report(&mut subject, 7, HealthReport::Unhealthy), PhaseName::Open);
    subject.command(at(8), Command::OpenFor(secs(92)));
    assert_eq!(looked(&mut subject, 99), PhaseName::Open);
    assert_eq!(looked(&mut subject, 159), PhaseName::Open);
    assert_eq!(looked(&mut subject, 160), PhaseName::HalfOpen);
}

#[test]
fn a_quarter_of_min_calls_but_not_one_call_is_enough_during_a_ramp() {
    for (min_calls, enough) in [(20, 5), (10, 2), (3, 2), (1, 1)] {
        let subject = recovered();
        let settings = builder().min_calls(min_calls).build().unwrap();
        let judged = |now| subject.state.judged_by(&settings, at(now)).min_calls();
        assert_eq!((judged(14), judged(15)), (enough, min_calls));
    }
}

#[test]
fn only_a_closed_breaker_lets_some_calls_through_and_others_not() {
    let mut subject = Subject::new(builder().throttle(2.0));
    assert!(subject.state.admits_some(&subject.settings));
    subject.trip(at(0));
    assert!(!subject.state.admits_some(&subject.settings));
}

/// Switched off and on again, both begin with nothing: a throttle has counted nothing meanwhile,
/// and a recovery is followed by one ramp.
#[test]
fn neither_ramp_nor_throttle_survives_being_switched_off() {
    let on = builder().throttle(1.0).success_threshold(1);
    let mut subject = Subject::new(on);
    subject.trip(at(0));
    let probe = subject.acquire(at(5));
    assert_eq!(subject.settle(at(5), probe, Outcome::Success), Verdict::Counted);
    let call = subject.acquire(at(5));
    assert_eq!(subject.settle(at(5), call, Outcome::failure(Kind::Timeout)), Verdict::Weigh);
    let shown = |subject: &Subject| {
        let Subject { settings, state } = subject;
        (state.ramping(settings, at(5)).is_some(), state.throttled(settings, at(5)))
    };
    assert_eq!(shown(&subject), (true, Some(Ratio::of(1, 2))));
    subject.settings = on.throttle(None).ramp(None).build().unwrap();
    assert_eq!(looked(&mut subject, 5), PhaseName::Closed);
    subject.settings = on.build().unwrap();
    assert_eq!(shown(&subject), (false, Some(Ratio::ZERO)));
}

/// A check that never reports, or no longer, does not stick the breaker; one that goes on to find
/// the dependency unhealthy keeps it open.
#[test]
fn b7_real_calls_probe_when_no_report_comes_in() {
    let mut silent = gated();
    assert_eq!(looked(&mut silent, 64), PhaseName::Open);
    assert_eq!(looked(&mut silent, 65), PhaseName::HalfOpen, "three intervals after the wait");
    let mut unhealthy = gated();
    for now in (20..2_000).step_by(20) {
        assert_eq!(report(&mut unhealthy, now, HealthReport::Unhealthy), PhaseName::Open);
    }
    assert_eq!(looked(&mut unhealthy, 1_980 + 60), PhaseName::HalfOpen);
    let mut frequent = gated();
    frequent.settings = builder().health_check(secs(1)).build().unwrap();
    assert_eq!(looked(&mut frequent, 34), PhaseName::Open, "at least 30 s");
    assert_eq!(looked(&mut frequent, 35), PhaseName::HalfOpen);
}

/// It is for the calls to decide in half-open, and a check says nothing to a closed breaker.
#[test]
fn a_report_moves_no_other_phase() {
    let mut subject = Subject::new(builder().health_check(secs(20)));
    assert_eq!(report(&mut subject, 1, HealthReport::Unhealthy), PhaseName::Closed);
    subject.trip(at(1));
    assert_eq!(report(&mut subject, 6, HealthReport::Healthy), PhaseName::HalfOpen);
    assert_eq!(report(&mut subject, 7, HealthReport::Unhealthy), PhaseName::HalfOpen);
    assert_eq!(subject.state.generation(), 3);
}

/// Whoever no longer wants to wait for a check waits no longer.
#[test]
fn b9_without_the_health_check_the_wait_is_over() {
    let mut subject = gated();
    assert_eq!(looked(&mut subject, 30), PhaseName::Open);
    subject.settings = builder().build().unwrap();
    assert_eq!(looked(&mut subject, 30), PhaseName::HalfOpen);
}

/// No order is for ever, whatever its time.
#[test]
fn every_order_expires() {
    let year = limits::LONGEST;
    for order in [
        Command::ForceOpen(Duration::MAX),
        Command::ForceClosed(Duration::MAX),
        Command::Observe(Duration::MAX),
    ] {
        let mut subject = Subject::new(builder());
        subject.command(at(1), order);
        assert_eq!(subject.state.override_until(), Some(at(1).after(year)), "{order:?}");
        let mut log = Vec::new();
        subject.state.look(&subject.settings, at(1).after(year), &mut log);
        assert_eq!(subject.state.mode(&subject.settings), Mode::Auto, "{order:?}");
        assert_eq!(log.len(), 1, "its end is told");
    }
    let mut subject = Subject::new(builder());
    subject.command(at(1), Command::OpenFor(Duration::MAX));
    assert_eq!(subject.opens_for(at(1)), year);
    subject.command(at(1), Command::OpenFor(Duration::MAX));
    assert_eq!(subject.opens_for(at(1)), year, "nor when repeated");
}

/// A shell may learn that a rule has fired after an operator has taken over.
#[test]
fn no_rule_trips_while_a_mode_is_forced() {
    let mut subject = Subject::new(builder());
    subject.command(at(0), Command::ForceClosed(secs(60)));
    subject.trip(at(1));
    assert_eq!(subject.state.phase(), PhaseName::Closed);
    subject.trip(at(60));
    assert_eq!(subject.state.phase(), PhaseName::Open);
}

/// The configured mode is no override: ordering it ends the one there is.
#[test]
fn an_order_for_the_configured_mode_ends_the_override() {
    let mut subject = Subject::new(builder());
    subject.command(at(0), Command::Auto(secs(60)));
    assert_eq!(subject.state.override_until(), None);
    subject.command(at(0), Command::ForceOpen(secs(60)));
    assert_eq!(subject.state.override_until(), Some(at(60)));
    subject.command(at(1), Command::Auto(secs(60)));
    assert_eq!(subject.state.override_until(), None);
}

/// B-3: probes of different rounds have the same numbers.
#[test]
fn b3_a_probe_of_an_earlier_round_does_not_renew_the_lease_of_a_later_one() {
    let mut subject = Subject::new(builder());
    subject.trip(at(0));
    let earlier = subject.acquire(at(5));
    subject.command(at(6), Command::OpenFor(secs(1)));
    let later = subject.acquire(at(7));
    assert_eq!(earlier.role, later.role);
    let (settings, lease) = (subject.settings, secs(600));
    subject.state.renew(&settings, at(8), (earlier, lease), &mut Vec::new());
    assert_eq!(subject.state.round().unwrap().in_flight(at(7).after(LEASE)), 0);
    subject.state.renew(&settings, at(8), (later, lease), &mut Vec::new());
    assert_eq!(subject.state.round().unwrap().in_flight(at(7).after(LEASE)), 1);
}

/// A breaker that has seen nothing: no wait, no exponent, no incident to relapse into.
#[test]
fn a_reset_forgets_pace_and_backoff() {
    let mut paced = Subject::new(builder());
    let call = paced.acquire(at(0));
    assert_eq!(paced.settle(at(0), call, Outcome::pushback(Some(secs(60)))), Verdict::Counted);
    paced.command(at(1), Command::Reset);
    assert_eq!(paced.state.pace().until(at(1)), None);
    let mut relapsed = Subject::new(builder());
    relapsed.trip(at(0));
    let probe = relapsed.acquire(at(5));
    let _ = relapsed.settle(at(5), probe, Outcome::failure(Kind::Timeout));
    assert_eq!(relapsed.state.failed_recoveries(), 1);
    relapsed.command(at(6), Command::Reset);
    assert_eq!(relapsed.state.failed_recoveries(), 0);
    relapsed.trip(at(6));
    assert_eq!(relapsed.opens_for(at(6)), secs(5));
}

#[test]
fn the_hint_of_a_failed_probe_extends_the_open_phase() {
    let mut subject = Subject::new(builder());
    subject.trip(at(0));
    let probe = subject.acquire(at(5));
    let retry_after = Some(secs(100));
    let _ = subject.settle(at(5), probe, Outcome::Failure { kind: Kind::Timeout, retry_after });
    assert_eq!(subject.opens_for(at(5)), secs(100));
}

/// Whoever finds all slots taken is told when one is free, or when the round might be over.
#[test]
fn a_call_that_may_not_probe_is_told_when_to_come_back() {
    let mut subject = Subject::new(builder());
    subject.trip(at(0));
    subject.acquire(at(5));
    for (now, wait) in [(5, 5), (32, 3)] {
        let settings = subject.settings;
        let refusal = subject.state.acquire(&settings, at(now), (LEASE, None), &mut Vec::new());
        let (reason, retry_after) = (Reason::Probing, secs(wait));
        assert_eq!(refusal, Decision::Reject { reason, retry_after });
    }
}

/// Coming back when the open phase is over would be of no use if calls are paced until later.
#[test]
fn a_refusal_while_open_reckons_with_the_pace() {
    let mut subject = Subject::new(builder());
    let call = subject.acquire(at(0));
    assert_eq!(subject.settle(at(0), call, Outcome::pushback(Some(secs(60)))), Verdict::Counted);
    subject.trip(at(0));
    let refusal = subject.state.acquire(&subject.settings, at(1), (LEASE, None), &mut Vec::new());
    let (reason, retry_after) = (Reason::Open, secs(59));
    assert_eq!(refusal, Decision::Reject { reason, retry_after });
}

#[test]
fn a_health_report_is_kept_until_the_next_or_a_reset_and_changes_no_phase() {
    let settings = Settings::default();
    let mut state = State::new(0, Tick::ZERO);
    let mut log = Vec::new();
    assert_eq!(state.health(), None);
    for report in HealthReport::ALL {
        state.command(&settings, Tick::ZERO, Command::Health(report), &mut log);
        assert_eq!(state.health(), Some(report));
    }
    assert_eq!((state.generation(), log.len()), (1, 0));
    state.command(&settings, Tick::ZERO, Command::Reset, &mut log);
    assert_eq!(state.health(), None);
}

/// Probes would tell nothing while a dependency is open; and that nothing is learnt is not theirs.
#[test]
fn recovery_waits_for_an_open_dependency_without_stalling() {
    let mut subject = Subject::new(builder());
    subject.trip(at(0));
    subject.acquire(at(5));
    let settings = subject.settings;
    let mut ask = |now, dependency| {
        subject.state.acquire(&settings, at(now), (LEASE, dependency), &mut Vec::new())
    };
    let refusal = |secs_| Decision::Reject { reason: Reason::Dependency, retry_after: secs(secs_) };
    assert_eq!(ask(6, Some(OpenDependency { wait: Some(secs(7)) })), refusal(7));
    assert_eq!(ask(6, Some(OpenDependency { wait: None })), refusal(5), "as its own first wait");
    assert!(matches!(ask(36, None), Decision::Admit { .. }), "the round did not stall");
    let closed = State::new(1, Tick::ZERO).acquire(
        &settings,
        at(0),
        (LEASE, Some(OpenDependency { wait: None })),
        &mut Vec::new(),
    );
    assert!(matches!(closed, Decision::Admit { .. }), "closed lets through all the same");
}

#[test]
fn a_state_is_clean_when_a_new_one_would_decide_alike() {
    let fresh = || Subject::new(builder());
    assert!(fresh().is_clean(Tick::ZERO));
    // Open, half-open, and closed for less than ten times the last open phase.
    let mut tripped = fresh();
    tripped.trip(at(0));
    assert!(!tripped.is_clean(at(4)));
    for _ in 0..3 {
        let probe = tripped.acquire(at(5));
        assert!(!tripped.is_clean(at(5)));
        let _ = tripped.settle(at(5), probe, Outcome::Success);
    }
    assert_eq!(tripped.state.phase(), PhaseName::Closed);
    assert!(!tripped.is_clean(at(99)), "a time without a success is no proof of health");
    let call = tripped.acquire(at(20));
    let _ = tripped.settle(at(20), call, Outcome::Success);
    assert!(!tripped.is_clean(at(54)), "one more trip would open for longer");
    assert!(tripped.is_clean(at(55)));
    // Held back by pushback, and after it: a second one would wait for longer.
    let mut paced = fresh();
    let call = paced.acquire(at(0));
    let _ = paced.settle(at(0), call, Outcome::pushback(None));
    assert!(!paced.is_clean(at(0)) && !paced.is_clean(at(9)));
    let call = paced.acquire(at(9));
    let _ = paced.settle(at(9), call, Outcome::Success);
    assert!(paced.is_clean(at(9)));
    // Under an operator's order, whatever it orders.
    let mut observed = fresh();
    observed.command(at(0), Command::Observe(secs(60)));
    assert!(!observed.is_clean(at(1)));
}

#[test]
fn a_roll_up_opens_a_closed_parent_that_decides_and_backs_off_as_a_trip_does() {
    let most = Command::RollUp(Children { busy: 3, open: 2 });
    let mut parent = Subject::new(builder());
    parent.command(at(0), Command::RollUp(Children { busy: 4, open: 2 }));
    assert_eq!(parent.state.phase(), PhaseName::Closed, "half is not most");
    let mut log = Vec::new();
    parent.state.command(&parent.settings, at(0), most, &mut log);
    let [Change::Phase(transition)] = log[..] else { panic!("{log:?}") };
    assert_eq!(transition.cause, Cause::ChildrenOpen(Children { busy: 3, open: 2 }));
    assert_eq!(transition.cause.name(), "children_open");
    parent.command(at(1), most);
    assert_eq!((parent.state.generation(), parent.opens_for(at(0))), (2, secs(5)));
    for _ in 0..3 {
        let probe = parent.acquire(at(5));
        let _ = parent.settle(at(5), probe, Outcome::Success);
    }
    parent.command(at(6), most);
    assert_eq!(parent.opens_for(at(6)), secs(10), "it had hardly recovered");

    let mut forced = Subject::new(builder());
    forced.command(at(0), Command::ForceClosed(secs(60)));
    forced.command(at(1), most);
    assert_eq!(forced.state.phase(), PhaseName::Closed);
}

/// What a new breaker would not know of either: a ramp, what a throttle counts, a health report.
#[test]
fn a_state_that_still_holds_calls_back_is_not_clean() {
    let recovered = |settings: SettingsBuilder| {
        let mut subject = Subject::new(settings);
        subject.trip(at(0));
        for _ in 0..3 {
            let probe = subject.acquire(at(5));
            let _ = subject.settle(at(5), probe, Outcome::Success);
        }
        let call = subject.acquire(at(6));
        let _ = subject.settle(at(6), call, Outcome::Success);
        subject
    };
    assert!(recovered(builder().ramp(None)).is_clean(at(55)));
    let ramping = recovered(builder().ramp(secs(100)));
    assert!(!ramping.is_clean(at(104)) && ramping.is_clean(at(105)));

    let mut throttled = Subject::new(builder().throttle(2.0).throttle_window(secs(30)));
    assert!(throttled.is_clean(at(0)));
    let call = throttled.acquire(at(0));
    let _ = throttled.settle(at(0), call, Outcome::failure(Kind::OTHER));
    assert!(!throttled.is_clean(at(26)) && throttled.is_clean(at(30)));

    let mut checked = Subject::new(builder());
    checked.command(at(0), Command::Health(HealthReport::Degraded));
    assert!(!checked.is_clean(at(3_600)));
}

/// Whoever no longer wants pushback to hold calls back is not held back by what there was.
#[test]
fn b9_a_pace_does_not_survive_being_switched_off() {
    let mut subject = Subject::new(builder());
    let call = subject.acquire(at(0));
    assert_eq!(subject.settle(at(0), call, Outcome::pushback(Some(secs(60)))), Verdict::Counted);
    subject.settings = builder().pace(false).build().unwrap();
    assert_eq!(subject.acquire(at(1)).role, Role::Voter);
    assert!(subject.is_clean(at(1)));
    subject.settings = builder().build().unwrap();
    assert_eq!(subject.acquire(at(2)).role, Role::Voter, "nor is it switched on again");
}

/// B-3: a call that was let through while open shows nothing of the closed phase that it ends in.
#[test]
fn b3_a_bystander_of_an_earlier_phase_is_no_sign_of_health() {
    let mut subject = Subject::new(builder().success_threshold(1));
    subject.trip(at(0));
    subject.command(at(1), Command::Observe(secs(60)));
    let bystander = subject.acquire(at(2));
    assert_eq!(bystander.role, Role::Bystander);
    let probe = subject.acquire(at(5));
    assert_eq!(subject.settle(at(5), probe, Outcome::Success), Verdict::Counted);
    assert_eq!(subject.settle(at(6), bystander, Outcome::Success), Verdict::NoVote);
    assert!(!subject.is_clean(at(1_000)));
    subject.trip(at(1_000));
    assert_eq!(subject.state.failed_recoveries(), 1);
}

/// B-7: probes that never end hold nothing up for ever; and a wait without an answer is no failed
/// recovery.
#[test]
fn b7_a_round_that_learns_nothing_goes_back_to_open_on_time() {
    let mut subject = Subject::new(builder());
    subject.trip(at(0));
    subject.acquire(at(5));
    assert_eq!(looked(&mut subject, 34), PhaseName::HalfOpen);
    assert_eq!(looked(&mut subject, 35), PhaseName::Open);
    // However late somebody looks: the round was over then.
    assert_eq!((subject.state.entered(), subject.opens_for(at(35))), (at(35), secs(5)));
    assert_eq!(subject.state.failed_recoveries(), 0);
}

/// With a slow rule a probe that was slow is none that succeeded, even if nobody can say how it
/// ended; without one it is as good as any.
#[test]
fn slow_probes_vote_against_recovery_if_slow_calls_trip() {
    let timed = builder().probe_calls(4).slow_call_duration(secs(1));
    let untimed = builder().probe_calls(4);
    let failure = Outcome::failure(Kind::Timeout);
    for (settings, outcome, speed, votes) in [
        (timed, Outcome::Success, Speed::Fast, (1, 0)),
        (timed, Outcome::Success, Speed::Slow, (0, 1)),
        (timed, Outcome::Neutral, Speed::Fast, (0, 0)),
        (timed, Outcome::Neutral, Speed::Slow, (0, 1)),
        (timed, failure, Speed::Fast, (0, 1)),
        (untimed, Outcome::Success, Speed::Unjudged, (1, 0)),
        (untimed, Outcome::Success, Speed::Slow, (1, 0)),
        (untimed, Outcome::Neutral, Speed::Slow, (0, 0)),
    ] {
        let mut subject = Subject::new(settings);
        subject.trip(at(0));
        let probe = subject.acquire(at(5));
        let end = (outcome, speed);
        let verdict = subject.state.settle(&subject.settings, at(6), probe, end, &mut Vec::new());
        assert_eq!(verdict, Verdict::Counted);
        let round = subject.state.round().expect("undecided");
        assert_eq!((round.successes(), round.failures()), votes, "{outcome:?}, {speed:?}");
    }
}

/// B-3: neither a call from before the last opening, nor a probe of an earlier round.
#[test]
fn b3_a_call_of_an_earlier_phase_is_not_found_slow() {
    let mut subject = Subject::new(builder().slow_call_duration(secs(1)).success_threshold(1));
    let voter = subject.acquire(at(0));
    subject.trip(at(0));
    let earlier = subject.acquire(at(5));
    subject.command(at(6), Command::OpenFor(secs(1)));
    let later = subject.acquire(at(7));
    assert_eq!(earlier.role, later.role);
    assert_eq!(subject.mark_slow(at(8), earlier), Verdict::NoVote);
    assert_eq!(subject.settle(at(8), later, Outcome::Success), Verdict::Counted);
    assert_eq!(subject.state.phase(), PhaseName::Closed);
    assert_eq!(subject.mark_slow(at(9), voter), Verdict::NoVote);
}

/// A shell that counts successes by itself says so, and it is proof all the same.
#[test]
fn a_success_that_was_only_noted_is_a_sign_of_health() {
    for (noted, failed) in [(false, 1), (true, 0)] {
        let mut subject = recovered();
        if noted {
            subject.state.note_success();
        }
        subject.trip(at(55));
        assert_eq!(subject.state.failed_recoveries(), failed);
    }
}

/// How many of 100 calls are refused, each of which would fail.
fn refused_of_100(subject: &mut Subject, now: Tick) -> Vec<usize> {
    let mut refused = Vec::new();
    for call in 0..100 {
        match subject.state.acquire(&subject.settings, now, (LEASE, None), &mut Vec::new()) {
            Decision::Admit { ticket, .. } => {
                let _ = subject.settle(now, ticket, Outcome::failure(Kind::Timeout));
            }
            Decision::Reject { reason, .. } => {
                assert_eq!(reason, Reason::Throttled);
                refused.push(call);
            }
        }
    }
    refused
}

#[test]
fn a_throttle_counts_on_until_it_is_to_look_back_otherwise() {
    let throttled = |k, window| builder().throttle(k).throttle_window(secs(window));
    let mut subject = Subject::new(throttled(2.0, 30));
    assert!(refused_of_100(&mut subject, at(0)).len() > 50);
    let shown = |subject: &Subject| subject.state.throttled(&subject.settings, at(0)).unwrap();
    // Nothing accepted of a hundred: another `k` makes no difference to that.
    let before = shown(&subject);
    subject.settings = throttled(1.5, 30).build().unwrap();
    assert_eq!((shown(&subject), before), (Ratio::percent(90).unwrap(), before));
    subject.settings = throttled(2.0, 60).build().unwrap();
    for _ in 0..100 {
        subject.acquire(at(0));
    }
    assert_eq!(shown(&subject), Ratio::ZERO);
}

/// Nor do two breakers in the same one.
#[test]
fn no_two_closed_phases_refuse_the_same_calls_whatever_the_seed() {
    for seed in [0, 1, u64::MAX] {
        let mut subject = Subject::new(builder().throttle(2.0));
        subject.state = State::new(seed, Tick::ZERO);
        let first = refused_of_100(&mut subject, at(0));
        subject.command(at(0), Command::Reset);
        assert_ne!(refused_of_100(&mut subject, at(0)), first, "of seed {seed}");
        let mut other = Subject::new(builder().throttle(2.0));
        other.state = State::new(seed ^ 2, Tick::ZERO);
        assert_ne!(refused_of_100(&mut other, at(0)), first, "of seed {seed}");
    }
}

/// Whoever is shown a breaker can work out from that when it will probe.
#[test]
fn the_end_of_an_open_phase_follows_from_what_is_shown() {
    let mut subject = Subject::new(builder().jitter(Jitter::Full));
    subject.state = State::new(7, Tick::ZERO);
    subject.trip(at(3));
    let (settings, state) = (&subject.settings, &subject.state);
    assert_eq!((state.seed(), state.generation(), state.entered()), (7, 2, at(3)));
    let span = backoff::open_duration(settings, 0, state.seed(), state.generation());
    assert_eq!(state.open_until(settings), Some(state.entered().after(span)));
}
