//! What operators, peers, health probes and tests order.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Command, Mode, Opening, Override, Phase, State};
use crate::pace::Pace;
use crate::{Cause, Change, Settings, Tick, limits};

impl State {
    /// An operator, a peer, a health probe or a test orders something.
    pub fn command(
        &mut self,
        settings: &Settings,
        now: Tick,
        command: Command,
        log: &mut Vec<Change>,
    ) {
        self.look(settings, now, log);
        match command {
            Command::ForceOpen(time) => self.force(Mode::ForcedOpen, time, settings, now, log),
            Command::ForceClosed(time) => self.force(Mode::ForcedClosed, time, settings, now, log),
            Command::Observe(time) => self.force(Mode::Observe, time, settings, now, log),
            Command::Auto(time) => self.force(Mode::Auto, time, settings, now, log),
            Command::Reset => {
                if self.over.is_some() {
                    let before = self.mode(settings);
                    self.over = None;
                    self.log_mode(before, settings, now, log);
                }
                self.pace = Pace::default();
                self.failed_recoveries = 0;
                self.last_open = Duration::ZERO;
                self.health = None;
                self.enter(Phase::Closed, now, Cause::Reset, log);
            }
            Command::Trip => self.order(None, now, log),
            Command::OpenFor(time) => self.order(Some(time), now, log),
            Command::Health(report) => self.hear(settings, now, report, log),
            Command::Probe => {
                if matches!(self.phase, Phase::Open(_)) {
                    self.half_open(now, Cause::ProbeOrdered, log);
                }
            }
            Command::RollUp(children) => {
                let decides = matches!(self.phase, Phase::Closed) && self.mode(settings).weighs();
                if decides && children.most_are_open() {
                    let cause = Cause::ChildrenOpen(children);
                    self.open_after_health(Opening::default(), false, now, cause, log);
                }
            }
        }
    }

    fn force(
        &mut self,
        mode: Mode,
        time: Duration,
        settings: &Settings,
        now: Tick,
        log: &mut Vec<Change>,
    ) {
        let before = self.mode(settings);
        // Whoever orders for ever means the longest time there is.
        let time = time.min(limits::LONGEST);
        self.over = (mode != settings.mode).then(|| Override { mode, until: now.after(time) });
        self.log_mode(before, settings, now, log);
        // An override of no length is over already.
        self.look(settings, now, log);
    }

    fn order(&mut self, time: Option<Duration>, now: Tick, log: &mut Vec<Change>) {
        let time = time.map(|time| time.min(limits::LONGEST));
        match &mut self.phase {
            Phase::Open(opening) => {
                let until = time.map(|time| now.after(time));
                opening.hint = opening.hint.max(until);
            }
            Phase::Closed | Phase::HalfOpen(_) => {
                if self.has_been_healthy(now, false) {
                    self.failed_recoveries = 0;
                }
                let opening = Opening { ordered: time, ..Opening::default() };
                self.enter(Phase::Open(opening), now, Cause::Ordered, log);
            }
        }
    }
}
