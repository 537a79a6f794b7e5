//! What a state shows.

use alloc::borrow::Cow;

use super::{HealthReport, Mode, Phase, PhaseName, State};
use crate::pace::Pace;
use crate::ramp::{self, Step};
use crate::round::Round;
use crate::{Ratio, Settings, Tick, backoff};

impl State {
    /// The phase, as of the last look.
    pub fn phase(&self) -> PhaseName {
        match self.phase {
            Phase::Closed => PhaseName::Closed,
            Phase::Open(_) => PhaseName::Open,
            Phase::HalfOpen(_) => PhaseName::HalfOpen,
        }
    }

    /// What its jitter is drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The number of the phase.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When the phase was entered.
    pub fn entered(&self) -> Tick {
        self.entered
    }

    /// Who decides, as of the last look.
    pub fn mode(&self, settings: &Settings) -> Mode {
        self.over.map_or(settings.mode, |over| over.mode)
    }

    /// When an operator's override ends, if there is one.
    pub fn override_until(&self) -> Option<Tick> {
        self.over.map(|over| over.until)
    }

    /// When the wait of the open phase ends; `None` unless open. Then it ends itself, unless it
    /// [waits for a health check](Self::awaits_health).
    pub fn open_until(&self, settings: &Settings) -> Option<Tick> {
        let Phase::Open(opening) = &self.phase else { return None };
        let span = opening.ordered.unwrap_or_else(|| {
            backoff::open_duration(settings, self.failed_recoveries, self.seed, self.generation)
        });
        Some(self.entered.after(span).max(opening.hint.unwrap_or(Tick::ZERO)))
    }

    /// The round of probes; `None` unless half-open.
    pub fn round(&self) -> Option<&Round> {
        match &self.phase {
            Phase::HalfOpen(round) => Some(round),
            Phase::Closed | Phase::Open(_) => None,
        }
    }

    /// How far pushback holds calls back.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Whether, as of the last look, some calls may go through and others not: closed, but with a
    /// ramp or a throttle, or a quota that one call is to try for.
    pub fn admits_some(&self, settings: &Settings) -> bool {
        let closed = matches!(self.phase, Phase::Closed);
        let only_some = self.ramp.is_some() || settings.throttle.is_some();
        closed && (only_some || self.pace.quota_used_up())
    }

    /// Whether of those that [may not all](Self::admits_some) only a throttle holds some back.
    pub fn only_throttles(&self, settings: &Settings, now: Tick) -> bool {
        self.ramping(settings, now).is_none() && !self.pace.quota_used_up()
    }

    /// How far traffic has come back after a recovery; `None` when all of it may.
    pub fn ramping(&self, settings: &Settings, now: Tick) -> Option<Step> {
        self.ramp.as_ref()?.step(settings, now)
    }

    /// The share of calls that the throttle refuses now; `None` without a throttle, and unless
    /// closed.
    pub fn throttled(&self, settings: &Settings, now: Tick) -> Option<Ratio> {
        let throttle = settings.throttle.filter(|_| self.phase() == PhaseName::Closed)?;
        let demand = self.demand.as_ref().filter(|demand| demand.fits(throttle));
        Some(demand.map_or(Ratio::ZERO, |demand| demand.refused_share(throttle, now)))
    }

    /// The settings that results are judged by now: these, but while traffic comes back a quarter
    /// of `min_calls` is enough for the rate rules.
    pub fn judged_by<'a>(&self, settings: &'a Settings, now: Tick) -> Cow<'a, Settings> {
        match self.ramping(settings, now) {
            None => Cow::Borrowed(settings),
            Some(_) => {
                let min_calls = ramp::min_calls(settings.min_calls);
                Cow::Owned(Settings { min_calls, ..*settings })
            }
        }
    }

    /// What a health check last reported; `None` before the first report and after a reset.
    pub fn health(&self) -> Option<HealthReport> {
        self.health
    }

    /// Recoveries that failed since the last sign of health: the backoff exponent.
    pub fn failed_recoveries(&self) -> u32 {
        self.failed_recoveries
    }

    /// Whether a new breaker would decide alike from now on, whatever comes: this one is closed, in
    /// its configured mode, held back by nothing, and its last incident is over and done with. Then
    /// it may be forgotten, if what it has [seen](crate::evidence::is_clean) may be as well.
    pub fn is_clean(&self, settings: &Settings, now: Tick) -> bool {
        // Taken apart, so that whatever is added must be thought of here. A seed only spreads
        // jitter, a generation only names; and once health is proven, the backoff starts afresh.
        let State {
            seed: _,
            generation: _,
            entered: _,
            phase,
            over,
            pace,
            ramp,
            demand,
            failed_recoveries: _,
            last_open,
            succeeded: _,
            health,
        } = self;
        matches!(phase, Phase::Closed)
            && over.is_none()
            && pace.until(now).is_none()
            && !pace.is_escalated()
            && ramp.as_ref().is_none_or(|ramp| ramp.step(settings, now).is_none())
            && demand.as_ref().is_none_or(|demand| demand.is_over(now))
            && (last_open.is_zero() || self.has_been_healthy(now, false))
            && health.is_none()
    }
}
