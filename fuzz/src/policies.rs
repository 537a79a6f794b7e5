//! What policies decide, under arbitrary settings and histories: whatever can be built also runs,
//! and keeps what it promises. Each promise is reckoned anew here, from the whole history.

use std::time::Duration;

use arbitrary::Unstructured;
use panelboard::{Kind, Outcome, Tick};
use panelboard_core::concurrency::{Bounds, Ended, Limit, Sign};
use panelboard_core::cusum::{self, Cusum, LEAST_LEARNED, MOST_LEARNED};
use panelboard_core::gcra::Gcra;
use panelboard_core::hedge::HedgeSettings;
use panelboard_core::latency::Latencies;
use panelboard_core::retry::{RetrySettings, Setback};
use panelboard_core::retry_budget::BudgetSettings;
use panelboard_core::{BaseRate, Ratio, Score, Sequential, SequentialSpec, Settings};

/// One of the policies, by the first byte; the rest is its settings and its history.
pub fn policies(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let data = &mut Unstructured::new(rest);
    // Running out of bytes ends the history.
    let _ = match first % 6 {
        0 => rate_limit(data),
        1 => retry(data),
        2 => budget(data),
        3 => latency(data),
        4 => concurrency(data),
        _ => sequential(data),
    };
}

/// Mostly of a size that somebody might mean.
fn duration(data: &mut Unstructured<'_>) -> arbitrary::Result<Duration> {
    Ok(match data.int_in_range(0..=3)? {
        0 => Duration::from_nanos(data.arbitrary()?),
        1 => Duration::new(data.arbitrary()?, data.int_in_range(0..=999_999_999)?),
        2 => Duration::from_micros(data.arbitrary::<u16>()?.into()),
        _ => Duration::from_millis(data.arbitrary::<u16>()?.into()),
    })
}

fn number(data: &mut Unstructured<'_>) -> arbitrary::Result<u32> {
    Ok(if data.arbitrary()? { data.arbitrary()? } else { data.arbitrary::<u8>()?.into() })
}

fn share(data: &mut Unstructured<'_>) -> arbitrary::Result<Ratio> {
    Ok(Ratio::of(data.int_in_range(0..=10_000)?, 10_000))
}

/// Never more calls than the burst and what the time since the first one pays for.
fn rate_limit(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let Ok(limit) = Gcra::new(number(data)?, duration(data)?, number(data)?) else { return Ok(()) };
    let interval = limit.interval().as_nanos();
    let burst = u128::from(limit.burst()) * interval;
    let mut now = Tick::from_nanos(data.arbitrary::<u32>()?.into());
    let (mut arrival, mut first, mut newest, mut taken) = (Tick::ZERO, now, now, 0_u128);
    while !data.is_empty() {
        now = match data.arbitrary()? {
            true => now.after(duration(data)?),
            // Clocks have been seen to go back.
            false => {
                Tick::from_nanos(now.as_nanos().saturating_sub(data.arbitrary::<u16>()?.into()))
            }
        };
        (first, newest) = (first.min(now), newest.max(now));
        let (calls, patience) = (number(data)?, duration(data)?);
        assert!(limit.available(arrival, now) <= limit.burst());
        match limit.take(arrival, now, calls, patience) {
            Ok(grant) => {
                assert!(grant.wait <= patience && calls <= limit.burst());
                assert!(grant.next >= arrival, "what was taken is not given back");
                arrival = grant.next;
                taken += u128::from(calls) * interval;
                let elapsed = newest.since(first).as_nanos() + grant.wait.as_nanos();
                // Past the end of time nothing can be told apart; and no calls wait for nothing.
                if calls > 0 && arrival < Tick::MAX && burst < u128::from(u64::MAX) {
                    assert!(taken <= elapsed + burst, "{limit:?} gave too much");
                }
            }
            Err(_) => assert!(calls > 0),
        }
    }
    Ok(())
}

/// A wait is never longer than what was asked for allows, nor shorter than the hint.
fn retry(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let builder = RetrySettings::builder()
        .max_attempts(number(data)?)
        .base_delay(duration(data)?)
        .max_delay(duration(data)?)
        .max_retry_after(duration(data)?);
    let Ok(settings) = builder.build() else { return Ok(()) };
    while !data.is_empty() {
        let (attempts, draw) = (number(data)?, data.arbitrary()?);
        let hint = data.arbitrary::<bool>()?.then(|| duration(data)).transpose()?;
        let remaining = data.arbitrary::<bool>()?.then(|| duration(data)).transpose()?;
        let refused = data.arbitrary()?;
        let setback = match refused {
            true => Setback::Refused { retry_after: hint },
            false => Setback::Failed { hint },
        };
        assert!(settings.ceiling(attempts) <= settings.max_delay());
        if let Ok(wait) = settings.next(attempts, setback, remaining, draw) {
            assert!(attempts < settings.max_attempts());
            assert!(!refused || (hint.is_some() && remaining.is_some()));
            assert!(remaining.is_none_or(|remaining| wait < remaining));
            let hint = hint.unwrap_or_default();
            assert!(hint <= settings.max_retry_after());
            assert!(wait >= hint && wait <= hint + settings.ceiling(attempts));
        }
    }
    Ok(())
}

/// Never more retries than the reserve, the calls and the time pay for.
fn budget(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let ratio = share(data)?;
    let Ok(settings) = BudgetSettings::new(ratio, number(data)?, number(data)?) else {
        return Ok(());
    };
    let mut now = u64::from(data.arbitrary::<u32>()?);
    let tick = |millis: u64| Tick::ZERO.after(Duration::from_millis(millis));
    let (start, mut newest) = (now, now);
    let mut balance = settings.full(tick(now));
    let (mut deposits, mut withdrawn) = (0_u64, 0_u64);
    while !data.is_empty() {
        match data.int_in_range(0..=3)? {
            0 => now += u64::from(data.arbitrary::<u16>()?),
            // A thread that read the clock a while ago.
            1 => now = newest.saturating_sub(data.arbitrary::<u16>()?.into()),
            2 => {
                balance = settings.deposit(balance, tick(now));
                deposits += 1;
            }
            _ => {
                if let Some(left) = settings.withdraw(balance, tick(now)) {
                    balance = left;
                    withdrawn += 1;
                }
            }
        }
        newest = newest.max(now);
        assert!(settings.retries(balance, tick(now)) <= u64::from(settings.reserve()));
        let paid = u64::from(settings.reserve()) * Ratio::SCALE
            + deposits * ratio.as_basis_points()
            + (newest - start) * u64::from(settings.min_per_second()) * Ratio::SCALE / 1_000;
        assert!(withdrawn * Ratio::SCALE <= paid, "{settings:?}: {withdrawn} of {deposits} calls");
    }
    Ok(())
}

/// A percentile is as exact as it says, and a hedge waits no less than it must.
fn latency(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (percentile, least) = (share(data)?, duration(data)?);
    let (mut latencies, mut all) = (Latencies::new(), Vec::new());
    while !data.is_empty() {
        let took = duration(data)?;
        latencies.record(took);
        all.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(u32::MAX.into()));
    }
    all.sort_unstable();
    // Of more, older ones count half.
    if !all.is_empty() && all.len() < 2_048 {
        let rank = (percentile.as_basis_points() * all.len() as u64).div_ceil(Ratio::SCALE);
        let exact = all[(rank.max(1) - 1) as usize];
        let said = latencies.percentile(percentile).expect("there are some").as_micros() as u64;
        assert!(said >= exact, "{said} is less than {exact}");
        assert!(said <= exact + (exact / 16).max(1), "{said} is far above {exact}");
    }
    let settings = match HedgeSettings::at_percentile(percentile) {
        Ok(settings) => Ok(settings),
        Err(_) => HedgeSettings::after(least),
    };
    if let Ok(settings) = settings.and_then(|settings| settings.with_min_delay(least)) {
        let learned = settings.learn(&latencies);
        let remaining = Duration::from_millis(all.len() as u64);
        assert!(settings.delay(learned).is_none_or(|delay| delay >= least));
        let wait = settings.wait(learned, Duration::ZERO, Some(remaining));
        assert!(wait.is_none_or(|wait| wait < remaining && wait >= least));
    }
    Ok(())
}

/// Whatever ends however: the limit stays within its bounds.
fn concurrency(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let Ok(bounds) = Bounds::new(number(data)?, number(data)?, number(data)?) else {
        return Ok(());
    };
    let mut now = Tick::from_nanos(data.arbitrary()?);
    let mut limit = Limit::new(bounds, now);
    while !data.is_empty() {
        let sign = *data.choose(&[Sign::Served, Sign::Served, Sign::Overloaded, Sign::Nothing])?;
        let started = match data.arbitrary()? {
            true => Tick::from_nanos(data.arbitrary()?),
            false => now,
        };
        let in_flight = number(data)?;
        for _ in 0..data.int_in_range(1..=16)? {
            now = now.after(Duration::from_micros(data.arbitrary::<u16>()?.into()));
            limit.end(Ended { started, in_flight, sign }, now);
            assert!((bounds.min()..=bounds.max()).contains(&limit.limit()), "{limit:?}");
        }
    }
    Ok(())
}

fn rule(data: &mut Unstructured<'_>) -> arbitrary::Result<Option<Sequential>> {
    let spec =
        SequentialSpec::default().fault_rate(data.arbitrary()?).false_trips_per(data.arbitrary()?);
    let spec = match data.arbitrary::<Option<f64>>()? {
        Some(rate) => spec.base_rate(rate),
        None => spec.learned(),
    };
    // Bytes that happen to be a rate are rare.
    let spec = if data.arbitrary()? { spec } else { SequentialSpec::default().learned() };
    let settings = Settings::builder().sequential(spec).build().ok();
    Ok(settings.and_then(|settings| settings.sequential()))
}

/// A success never counts against, a failure never for; what is learned stays within its bounds.
fn sequential(data: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let Some(rule) = rule(data)? else { return Ok(()) };
    let mut ended = cusum::Ended::default();
    let mut score = Cusum::new(rule, ended);
    while !data.is_empty() {
        let before = score.score();
        match data.int_in_range(0..=6)? {
            0 => {
                score.clear(data.arbitrary()?);
                assert_eq!(score.score(), Score::FLOOR);
            }
            1 => score.disturb(ended),
            2 => {
                let calls = data.arbitrary::<u16>()?.into();
                let failures = data.int_in_range(0..=calls)?;
                ended.calls += calls;
                ended.failures += failures;
            }
            3 | 4 => {
                ended.calls += 1;
                score.weigh(Outcome::Success, || ended);
                assert!(score.score() <= before);
            }
            5 => {
                ended.calls += 1;
                ended.failures += 1;
                score.weigh(Outcome::failure(Kind::Timeout), || ended);
                assert!(score.score() >= before);
            }
            _ => {
                score.weigh(Outcome::Neutral, || ended);
                score.weigh(Outcome::pushback(None), || ended);
                assert_eq!(score.score(), before);
            }
        }
        let base = score.base_rate();
        assert!(base > Ratio::ZERO && base < rule.fault_rate(), "{base:?}");
        if rule.base_rate() == BaseRate::Learned {
            assert!((LEAST_LEARNED..=MOST_LEARNED).contains(&base), "{base:?}");
        }
    }
    Ok(())
}
