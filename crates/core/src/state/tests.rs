use super::*;
use crate::rules::Thresholds;
use crate::{Jitter, Kind, Rule, SettingsBuilder, Tally};

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
        match self.state.acquire(&self.settings, now, LEASE, &mut Vec::new()) {
            Decision::Admit { ticket, .. } => ticket,
            refusal @ Decision::Reject { .. } => panic!("{refusal:?}"),
        }
    }

    fn settle(&mut self, now: Tick, ticket: Ticket, outcome: Outcome) -> Verdict {
        let end = (outcome, Speed::Unjudged);
        self.state.settle(&self.settings, now, ticket, end, &mut Vec::new())
    }

    fn mark_slow(&mut self, now: Tick, ticket: Ticket) -> Verdict {
        self.state.mark_slow(&self.settings, now, ticket, &mut Vec::new())
    }

    fn trip(&mut self, now: Tick) {
        let fired = Fired {
            rule: Rule::ConsecutiveFailures,
            streak: 5,
            tally: Tally::default(),
            thresholds: Thresholds::of(&self.settings),
        };
        self.state.trip(&self.settings, now, fired, (None, false), &mut Vec::new());
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
    let mut soon = Subject { settings: subject.settings, state: subject.state.clone() };
    soon.command(at(80), Command::Trip);
    assert_eq!(soon.opens_for(at(80)), secs(40), "an order is no failed recovery");
    subject.command(at(475), Command::Trip);
    assert_eq!(subject.state.failed_recoveries(), 0);
    assert_eq!(subject.opens_for(at(475)), secs(5));
}
