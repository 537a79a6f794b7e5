//! A breaker under an arbitrary history of calls, orders and settings.

use std::time::Duration;

use arbitrary::Unstructured;
use panelboard::{
    Cause, CircuitBreaker, Command, HealthReport, Jitter, Kind, KindSet, ManualClock, Mode,
    OwnedPermit, PhaseName, Rejected, SequentialSpec, Settings, Snapshot, Tick, WindowSpec,
};
use panelboard_core::rollup::Children;

/// Settings and a history out of these bytes: nothing panics, and the invariants that can be seen
/// from outside hold after every step.
pub fn breaker(data: &[u8]) {
    // Running out of bytes ends the history.
    let _ = play(&mut Unstructured::new(data));
}

fn play(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let clock = ManualClock::new();
    let settings = settings(data)?;
    let breaker =
        CircuitBreaker::builder("fuzz").settings(settings).clock(clock.clone()).seed(7).build();
    let mut held: Vec<OwnedPermit> = Vec::new();
    let mut before = breaker.snapshot();
    // Settings that lower the cap leave alone what is under way.
    let mut cap = settings.half_open_max_calls();
    while !data.is_empty() {
        match data.int_in_range(0..=9)? {
            0 => clock.advance(Duration::from_millis(data.arbitrary::<u16>()?.into())),
            1 => clock.advance(Duration::from_nanos(data.arbitrary()?)),
            // Clocks have been seen to go back.
            2 => clock.set(Tick::from_nanos(data.arbitrary()?)),
            3 => {
                let command = command(data)?;
                breaker.command(command);
                if let Command::RollUp(children) = command {
                    rolled_up(&before, &breaker.snapshot(), children);
                }
            }
            4 => breaker.reconfigure(self::settings(data)?),
            5 | 6 => {
                let lease =
                    data.arbitrary::<Option<u16>>()?.map(|ms| Duration::from_millis(ms.into()));
                if held.len() < 64 {
                    let answer = breaker.try_acquire_owned(lease);
                    answered(&before, &answer, clock.now());
                    held.extend(answer);
                }
            }
            _ if held.is_empty() => {}
            _ => {
                let at = data.choose_index(held.len())?;
                end(held.swap_remove(at), data)?;
            }
        }
        let after = breaker.snapshot();
        cap = cap.max(after.settings.half_open_max_calls());
        let counters = &after.counters;
        assert_eq!(counters.in_flight(), held.len() as u64, "B-11: counters add up");
        assert!(after.generation >= before.generation, "B-2: generations only rise");
        assert!(
            after.phase == before.phase || after.generation > before.generation,
            "B-2: a change of phase is a change of generation"
        );
        if let Some(probes) = after.probes {
            assert!(probes.in_flight <= cap, "B-1: the cap of probes");
        }
        assert_eq!(after.opens_for.is_some(), after.phase == PhaseName::Open);
        assert!(!after.explain().is_empty());
        before = after;
    }
    Ok(())
}

/// Whom the mode and the phase decide about alone, and when the others may come back.
fn answered(before: &Snapshot, answer: &Result<OwnedPermit, Rejected>, now: Tick) {
    match (before.mode, before.phase) {
        (Mode::Observe | Mode::ForcedClosed, _) => assert!(answer.is_ok(), "B-6: {answer:?}"),
        (Mode::ForcedOpen, _) | (Mode::Auto, PhaseName::Open) => {
            assert!(answer.is_err(), "B-4: {answer:?}");
        }
        (Mode::Auto, _) => {}
    }
    if let Err(rejected) = answer {
        let later = rejected.retry_after() > Duration::ZERO;
        assert!(later || now == Tick::MAX, "not to come back at once: {rejected:?}");
    }
}

/// A parent opens if it is closed and decides, and more than half of at least two children are open.
fn rolled_up(before: &Snapshot, after: &Snapshot, children: Children) {
    let decides = matches!(before.mode, Mode::Auto | Mode::Observe);
    let most = children.busy >= 2 && 2 * u64::from(children.open) > u64::from(children.busy);
    if before.phase != PhaseName::Closed || !decides || !most {
        return assert_eq!(after.generation, before.generation, "no reason to open");
    }
    // By the record, for at the end of time an open phase is over at once.
    let opened = after.trip.as_ref().map(|record| record.transition);
    let opened = opened.map(|opened| (opened.generation, opened.cause));
    let expected = (before.generation + 1, Cause::ChildrenOpen(children));
    assert_eq!(opened, Some(expected), "most children are open");
}

fn end(mut permit: OwnedPermit, data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let hint = |data: &mut Unstructured<'_>| -> arbitrary::Result<Option<Duration>> {
        Ok(data.arbitrary::<Option<u32>>()?.map(|ms| Duration::from_millis(ms.into())))
    };
    match data.int_in_range(0..=6)? {
        0 | 1 => permit.success(),
        2 | 3 => permit.failure(*data.choose(&Kind::ALL)?),
        4 => permit.neutral(),
        5 => permit.pushback(hint(data)?),
        _ => {
            permit.mark_slow();
            permit.renew(hint(data)?.unwrap_or_default());
        }
    }
    Ok(())
}

fn command(data: &mut Unstructured<'_>) -> arbitrary::Result<Command> {
    let time = Duration::from_millis(data.arbitrary::<u32>()?.into());
    Ok(match data.int_in_range(0..=9)? {
        0 => Command::ForceOpen(time),
        1 => Command::ForceClosed(time),
        2 => Command::Observe(time),
        3 => Command::Auto(time),
        4 => Command::Reset,
        5 => Command::Trip,
        6 => Command::OpenFor(time),
        7 => {
            let (busy, open) = (data.arbitrary()?, data.arbitrary()?);
            Command::RollUp(Children { busy, open })
        }
        8 => Command::Probe,
        _ => Command::Health(*data.choose(&HealthReport::ALL)?),
    })
}

/// Settings, right or wrong; wrong ones are refused with a reason, and the defaults taken.
fn settings(data: &mut Unstructured<'_>) -> arbitrary::Result<Settings> {
    let millis = |data: &mut Unstructured<'_>| -> arbitrary::Result<Duration> {
        Ok(Duration::from_millis(data.arbitrary::<u16>()?.into()))
    };
    let mut builder = Settings::builder();
    for _ in 0..data.int_in_range(0..=9)? {
        builder = match data.int_in_range(0..=28)? {
            0 => builder.failure_threshold(data.arbitrary::<Option<u8>>()?.map(u32::from)),
            1 => builder.failure_rate(data.arbitrary::<Option<f64>>()?),
            2 => builder.failure_count(data.arbitrary::<Option<u8>>()?.map(u32::from)),
            3 => builder.min_calls(data.arbitrary::<u8>()?.into()),
            4 => builder.window(WindowSpec::Calls(data.arbitrary::<u8>()?.into())),
            5 => builder.window(WindowSpec::Time(millis(data)?)),
            6 => builder.slow_call_duration(Some(millis(data)?)),
            7 => builder.slow_call_rate(data.arbitrary()?),
            8 => builder.recovery_timeout(millis(data)?),
            9 => builder.backoff_multiplier(data.arbitrary()?),
            10 => builder.jitter(*data.choose(&[Jitter::None, Jitter::Equal, Jitter::Full])?),
            11 => builder.half_open_max_calls(data.arbitrary::<u8>()?.into()),
            12 => builder.success_threshold(data.arbitrary::<u8>()?.into()),
            13 => builder.probe_calls(data.arbitrary::<u8>()?.into()),
            14 => builder.mode(*data.choose(&Mode::ALL)?),
            15 => builder.pace(data.arbitrary()?),
            16 => {
                let over = data.arbitrary::<bool>()?.then(|| millis(data)).transpose()?;
                builder.ramp(over)
            }
            17 => builder.throttle(data.arbitrary::<Option<u8>>()?.map(|k| f64::from(k) / 16.0)),
            18 => builder.throttle_window(millis(data)?),
            19 => builder.throttle_max(data.arbitrary()?),
            20 => builder.adaptive(data.arbitrary()?),
            21 => builder.health_check(Some(millis(data)?)),
            22 => builder.backoff_max(millis(data)?),
            23 => builder.max_retry_after(millis(data)?),
            24 => builder.timeout(Some(millis(data)?)),
            25 => builder.jitter_share(data.arbitrary()?),
            26 => builder.ignore(KindSet::from_bits(data.arbitrary()?).iter()),
            27 => builder.sequential(SequentialSpec::default().fault_rate(data.arbitrary()?)),
            _ => builder.sequential(SequentialSpec::default().learned()),
        };
    }
    Ok(builder.build().unwrap_or_else(|error| {
        assert!(!error.to_string().is_empty());
        Settings::default()
    }))
}
