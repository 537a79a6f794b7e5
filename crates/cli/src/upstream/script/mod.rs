//! Behaviours along a timeline.
//!
//! Which behaviour is in force is a function of the script and the time since it began. No task
//! walks through the steps, so nothing can lag behind or be left running.

mod demo;
mod text;

use std::time::Duration;

use super::behaviour::{Action, Behaviour};

pub(crate) use demo::Demo;

/// Behaviours one after the other.
///
/// The text is `8s=ok 6s=slow:1500ms 12s=status:503`, which starts over after its last step. A last
/// step without a time stays: `5s=status:503 ok`. One behaviour alone is a script too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Script {
    steps: Vec<(Duration, Behaviour)>,
    /// What stays after the steps. Without it they start over, so then there are some.
    rest: Option<Behaviour>,
}

/// What a script says about a moment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Current<'a> {
    pub(super) behaviour: &'a Behaviour,
    /// When it says something else.
    pub(super) changes_in: Option<Duration>,
}

impl Script {
    /// This behaviour for ever.
    pub(crate) fn always(behaviour: Behaviour) -> Script {
        Script { steps: Vec::new(), rest: Some(behaviour) }
    }

    /// These steps, over and over. Steps without length are left out, and with no other left the
    /// script is healthy for ever.
    pub(crate) fn repeating(steps: Vec<(Duration, Behaviour)>) -> Script {
        let steps: Vec<_> = steps.into_iter().filter(|(time, _)| !time.is_zero()).collect();
        let rest = steps.is_empty().then(Behaviour::ok);
        Script { steps, rest }
    }

    /// The behaviour in force after so much time. A refusal that ends before its step does gives
    /// way to what was in force before it: an earlier step, or else `before`.
    pub(super) fn at<'a>(&'a self, elapsed: Duration, before: &'a Behaviour) -> Current<'a> {
        let mut left = match self.rest {
            Some(_) => elapsed,
            None => modulo(elapsed, self.round()),
        };
        for (index, (time, behaviour)) in self.steps.iter().enumerate() {
            match time.checked_sub(left) {
                Some(remaining) if !remaining.is_zero() => {
                    return self.within(behaviour, index, left, before).until(remaining);
                }
                _ => left -= *time,
            }
        }
        let rest = self.rest.as_ref().unwrap_or(before);
        self.within(rest, self.steps.len(), left, before)
    }

    fn round(&self) -> Duration {
        self.steps.iter().fold(Duration::ZERO, |round, (time, _)| round.saturating_add(*time))
    }

    /// What a step says so long after its beginning, whenever it ends.
    fn within<'a>(
        &'a self,
        behaviour: &'a Behaviour,
        index: usize,
        offset: Duration,
        before: &'a Behaviour,
    ) -> Current<'a> {
        let Action::Refuse(Some(time)) = behaviour.action else {
            return Current { behaviour, changes_in: None };
        };
        let left = time.saturating_sub(offset);
        if !left.is_zero() {
            return Current { behaviour, changes_in: Some(left) };
        }
        let earlier = self.steps[..index].iter().rev().map(|(_, behaviour)| behaviour);
        let behaviour = earlier.into_iter().find(|behaviour| !behaviour.refuses());
        Current { behaviour: behaviour.unwrap_or(before), changes_in: None }
    }

    /// Whether it comes to a point from which the server stays unreachable.
    pub(super) fn locks_out(&self) -> bool {
        let endless = |behaviour: &Behaviour| behaviour.action == Action::Refuse(None);
        match &self.rest {
            Some(rest) => endless(rest),
            None => self.steps.iter().all(|(_, behaviour)| endless(behaviour)),
        }
    }
}

impl Current<'_> {
    /// The same, which also changes after this time.
    fn until(self, time: Duration) -> Self {
        let changes_in = Some(self.changes_in.map_or(time, |own| own.min(time)));
        Current { changes_in, ..self }
    }
}

impl From<Behaviour> for Script {
    fn from(behaviour: Behaviour) -> Script {
        Script::always(behaviour)
    }
}

/// The time into the current round.
fn modulo(elapsed: Duration, round: Duration) -> Duration {
    let left = elapsed.as_nanos().checked_rem(round.as_nanos()).unwrap_or_default();
    // In more than five centuries there is no second round.
    u64::try_from(left).map_or(elapsed, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// What is in force after each of these seconds, and for how many more.
    fn seen(script: &str, at: &[u64]) -> Vec<(String, Option<u64>)> {
        let (script, before) = (script.parse::<Script>().unwrap(), Behaviour::status(500));
        let at = at.iter().map(|second| script.at(secs(*second), &before));
        at.map(|now| (now.behaviour.to_string(), now.changes_in.map(|time| time.as_secs())))
            .collect()
    }

    fn line(behaviour: &str, more: impl Into<Option<u64>>) -> (String, Option<u64>) {
        (behaviour.to_owned(), more.into())
    }

    #[test]
    fn steps_follow_each_other_and_start_over() {
        let expected = [line("ok", 8), line("ok", 1), line("hang", 6), line("ok", 8)];
        assert_eq!(seen("8s=ok 6s=hang", &[0, 7, 8, 14]), expected);
        let day = 24 * 3_600;
        let late = seen("8s=ok 6s=hang", &[14 * day * 365 * 1_000 + 9]);
        assert_eq!(late, [line("hang", 5)]);
    }

    #[test]
    fn a_last_step_without_a_time_stays() {
        let expected = [line("hang", 5), line("ok", None), line("ok", None)];
        assert_eq!(seen("5s=hang ok", &[0, 5, 500]), expected);
        assert_eq!(seen("ok", &[0, 500]), [line("ok", None), line("ok", None)]);
    }

    #[test]
    fn a_timed_refusal_gives_way_to_what_was_before_it() {
        let script = "8s=slow:1s 2s=refuse 6s=refuse:3s 1s=ok";
        let expected = [line("refuse", 2), line("refuse:3s", 1), line("slow:1s", 3), line("ok", 1)];
        assert_eq!(seen(script, &[8, 12, 13, 16]), expected);
        let expected = [line("refuse:3s", 3), line("status:500,body=api", None)];
        assert_eq!(seen("refuse:3s", &[0, 3]), expected);
    }

    #[test]
    fn a_refusal_longer_than_its_step_ends_with_it() {
        assert_eq!(seen("2s=refuse:1h 1s=ok", &[0, 2]), [line("refuse:1h", 2), line("ok", 1)]);
    }

    #[test]
    fn a_script_that_locks_the_door_for_ever_is_known() {
        for (script, locks) in [
            ("refuse", true),
            ("5s=ok refuse", true),
            ("5s=refuse 6s=refuse", true),
            ("5s=refuse 6s=ok", false),
            ("refuse:3s", false),
            ("5s=refuse ok", false),
        ] {
            assert_eq!(script.parse::<Script>().unwrap().locks_out(), locks, "{script}");
        }
    }

    #[test]
    fn a_script_without_steps_is_healthy() {
        let script = Script::repeating(vec![(Duration::ZERO, Behaviour::status(503))]);
        assert_eq!(script, Script::always(Behaviour::ok()));
    }
}
