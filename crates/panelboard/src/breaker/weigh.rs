//! What is made of a voter's result while the lock is held: what it adds to what was seen, and
//! whether a rule fires.

use panelboard_core::{Change, End, Outcome, Speed, Tick, adaptive, evidence, rules};

use super::cold::Cold;
use super::inner::Inner;
use super::settle::Charge;
use crate::hot::Recorder;
use crate::shard::Frame;

impl Inner {
    /// Counts and weighs a voter's result while the lock is held.
    pub(super) fn weigh(
        &self,
        cold: &mut Cold,
        generation: u64,
        end: End,
        now: Tick,
        log: &mut Vec<Change>,
    ) {
        let in_turn = self.count(cold, generation, end, now);
        let End { outcome, speed, .. } = end;
        let (failure, hint) = match outcome {
            Outcome::Failure { retry_after, .. } => (true, retry_after),
            _ => (false, None),
        };
        if let Some(cusum) = &mut cold.cusum {
            // It learns from all that has ended, this call included.
            cusum.weigh(outcome, || self.shards.ended());
        }
        let signs = cold.signs();
        if let Some(evidence) = &mut cold.evidence {
            let judged = cold.state.judged_by(&cold.settings, now);
            if let Some(fired) = evidence.record(&judged, now, end, signs) {
                let closed_for = now.since(cold.state.entered());
                let proven = evidence.fills_a_window(&cold.settings, closed_for);
                self.note_successes(cold);
                cold.state.trip(&cold.settings, now, fired, (hint, proven), log);
            }
            return;
        }
        if outcome == Outcome::Success {
            self.streak.end(generation);
        }
        let bad = rules::Bad { failure, slow: speed == Speed::Slow };
        if bad.any() {
            let charge = Charge { generation, bad, streak: None, hint, now };
            let hot = self.hot.load();
            let charge = self.shards.write(|shard| self.hold_against(shard, hot, in_turn, charge));
            if let Some(charge) = charge {
                self.judge_with(cold, charge, log);
            }
        }
    }

    /// Counts a voter's result in this thread's shard, if it is a success or a failure; says whether
    /// that counts in a time window there.
    fn count(&self, cold: &Cold, generation: u64, end: End, now: Tick) -> bool {
        let End { outcome, speed, .. } = end;
        // Read under the lock, as it is published: this goes with `cold`.
        let windowed = self.hot.load().recorder() == Recorder::Shards;
        let frame = windowed.then(|| self.frame(cold, generation));
        let ended = matches!(outcome, Outcome::Success | Outcome::Failure { .. });
        self.shards.write(|shard| {
            let mut in_turn = match outcome {
                Outcome::Success if cold.evidence.is_some() => {
                    shard.success();
                    false
                }
                Outcome::Failure { kind, .. } if cold.evidence.is_some() => {
                    shard.failure(kind);
                    false
                }
                Outcome::Success => shard.end(frame, now, None),
                Outcome::Failure { kind, .. } => shard.end(frame, now, Some(kind)),
                Outcome::Neutral | Outcome::Pushback { .. } => true,
            };
            if let Some(frame) = frame {
                let timed = speed == Speed::Slow || (ended && speed == Speed::Fast);
                if timed {
                    in_turn = shard.speed(frame, now, speed == Speed::Slow);
                }
                if let Some(took) = end.adds(&cold.settings).filter(|_| timed || ended) {
                    shard.took(frame, now, took);
                }
            }
            windowed && in_turn
        })
    }

    /// Sums the window up and asks the rules.
    pub(super) fn judge_with(&self, cold: &mut Cold, charge: Charge, log: &mut Vec<Change>) {
        let Charge { generation, bad, streak, hint, now } = charge;
        if cold.state.generation() != generation {
            return;
        }
        let frame = self.frame(cold, generation);
        // Before the window is read: what another thread spends in between is then counted as yet
        // to come, though it may be in the window, and not the other way round.
        let granted = self.shards.granted(frame, now, self.hot.version());
        let tally = self.shards.tally(frame, now);
        let streak = streak.unwrap_or_else(|| self.streak());
        let signs = cold.signs();
        let judged = cold.state.judged_by(&cold.settings, now);
        let thresholds = adaptive::in_force(&judged, signs.health, tally);
        let seen = rules::Seen { streak, tally, score: signs.score };
        match rules::judge(&thresholds, bad, seen) {
            None => {
                // Slack holds whatever health and latency become, for it is reckoned by the tightest
                // thresholds these can bring about; and what is granted while fewer calls are enough
                // holds also when more are needed. So until the settings change, or the phase, no
                // threshold gets tighter than what slack was granted under.
                let slack = rules::slack(&adaptive::tightest(&judged), tally);
                self.grant(frame, now, slack, granted);
            }
            Some(fired) => {
                self.note_successes(cold);
                let Cold { settings, state, .. } = cold;
                let closed_for = now.since(state.entered());
                let ends = self.shards.ends(frame);
                let proven = evidence::fills_a_window(settings, closed_for, ends);
                state.trip(settings, now, fired, (hint, proven), log);
            }
        }
    }

    /// No rule fired, and the `slack`th bad event from now is the next that might do it. So all
    /// threads together may record one less without asking, of which `granted` are given away. Half
    /// of what is left goes to this thread, so that the next one to ask gets something, too.
    fn grant(&self, frame: Frame, now: Tick, slack: u64, mut granted: u64) {
        let most = slack.saturating_sub(1);
        // Bad events of threads without slack have used up what others were given.
        if granted > most {
            self.hot.revoke_slack();
            granted = 0;
        }
        let share = (most - granted).div_ceil(2);
        if share > 0 {
            self.shards.write(|shard| shard.grant(frame, now, self.hot.version(), share));
        }
    }

    /// Failures in a row.
    pub(super) fn streak(&self) -> u32 {
        self.streak.get(|run| self.shards.run(run))
    }

    /// Tells the state machine of the successes that took no lock.
    pub(super) fn note_successes(&self, cold: &mut Cold) {
        if self.shards.successes() > cold.successes_before {
            cold.state.note_success();
        }
    }
}
