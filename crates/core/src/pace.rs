//! Pushback: the dependency is alive and asked us to slow down.
//!
//! A quota that is used up is another matter: to come back more slowly is no help, and every call
//! until there is a new one is a refusal to be had for nothing. So calls are held back until the
//! provider's reset, and then one goes first, alone; also one each [`QUOTA_PROBE_EVERY`], since a
//! quota can be raised at any time, and few providers say when there is a new one. All others wait
//! until such a call succeeds.

use core::time::Duration;

use crate::round::PROBE_BITS;
use crate::state::{Role, Ticket};
use crate::{Settings, Tick};

/// The first wait when the dependency did not say how long.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest such wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often one call tries whether a used-up quota is still so.
pub const QUOTA_PROBE_EVERY: Duration = Duration::from_secs(15 * 60);

/// How far new calls are held back.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Pace {
    until: Tick,
    /// Waits without a hint in a row; each is twice the one before.
    doublings: u8,
    /// A quota is used up.
    quota: Option<Quota>,
}

/// Who tries whether a used-up quota is still so.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
struct Quota {
    /// The last call that did, or does.
    probe: Option<Ticket>,
    /// The number of the next.
    next: u32,
}

impl Pace {
    /// Until when new calls are held back, if they are.
    pub fn until(&self, now: Tick) -> Option<Tick> {
        (self.until > now).then_some(self.until)
    }

    /// Whether a success would change anything.
    pub fn is_escalated(&self) -> bool {
        self.doublings > 0 || self.quota.is_some()
    }

    /// Whether a quota is used up for all that is known, so that after the wait one call goes first.
    pub fn quota_used_up(&self) -> bool {
        self.quota.is_some()
    }

    /// Takes note of a pushback. A longer hint extends the wait, a shorter one never shortens it.
    ///
    /// Without a hint the wait is 1 s, doubling to 60 s while pushbacks go on. Those that arrive
    /// during a wait belong to calls from before it and do not lengthen it.
    ///
    /// If a quota is used up, the wait is the hint, and [`QUOTA_PROBE_EVERY`] without one or at most.
    /// `max_retry_after` is no bound for that: it is a matter of money and not of load.
    pub fn push_back(
        &mut self,
        settings: &Settings,
        now: Tick,
        (hint, quota): (Option<Duration>, bool),
    ) {
        if !settings.pace {
            return;
        }
        if quota {
            let wait = hint.unwrap_or(QUOTA_PROBE_EVERY).clamp(FIRST_WAIT, QUOTA_PROBE_EVERY);
            self.until = self.until.max(now.after(wait));
            self.quota.get_or_insert_default();
        } else if let Some(hint) = hint {
            self.until = self.until.max(now.after(hint.min(settings.max_retry_after)));
        } else if self.until(now).is_none() {
            let wait = FIRST_WAIT.saturating_mul(1 << self.doublings).min(LONGEST_WAIT);
            self.until = now.after(wait);
            self.doublings = (self.doublings + 1).min(6);
        }
    }

    /// The wait is over, and a call goes through as `role`. If a quota is used up it is the one that
    /// tries: says as what it goes then, and holds all others back.
    pub(crate) fn admit(&mut self, now: Tick, generation: u64, role: Role) -> Role {
        let Some(quota) = &mut self.quota else { return role };
        let role = match role {
            // Of a round, and known by its number there.
            Role::Probe(_) => role,
            Role::Voter | Role::Bystander => Role::Probe(quota.next),
        };
        quota.next = (quota.next + 1) % (1 << PROBE_BITS);
        quota.probe = Some(Ticket { generation, role });
        self.until = now.after(QUOTA_PROBE_EVERY);
        role
    }

    /// Takes note of a success: the next wait without a hint is the first one again. If it is the
    /// call that tried for the quota, there is one, and nobody waits any longer; that of a call from
    /// before says nothing of it.
    pub fn succeed(&mut self, ticket: Ticket) {
        self.doublings = 0;
        if self.tries(ticket) {
            *self = Pace::default();
        }
    }

    /// The call did not come to an end that says anything: if it is the one that tried for the
    /// quota, another may.
    pub fn abandon(&mut self, now: Tick, ticket: Ticket) {
        if self.tries(ticket) {
            self.until = now;
        }
    }

    fn tries(&self, ticket: Ticket) -> bool {
        self.quota.is_some_and(|quota| quota.probe == Some(ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOTER: Ticket = Ticket { generation: 1, role: Role::Voter };

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    fn hint(secs: u64) -> Option<Duration> {
        Duration::from_secs(secs).into()
    }

    #[test]
    fn longer_hints_extend_and_shorter_ones_do_not_shorten() {
        let settings = Settings::default();
        let mut pace = Pace::default();
        pace.push_back(&settings, at(0), (hint(10), false));
        pace.push_back(&settings, at(1_000), (hint(2), false));
        assert_eq!(pace.until(at(1_000)), Some(at(10_000)));
        pace.push_back(&settings, at(1_000), (hint(20), false));
        assert_eq!(pace.until(at(1_000)), Some(at(21_000)));
        assert_eq!(pace.until(at(21_000)), None);
        pace.push_back(&settings, at(21_000), (hint(86_400), false));
        assert_eq!(pace.until(at(21_000)), Some(at(321_000)), "max_retry_after caps the hint");
    }

    #[test]
    fn waits_without_a_hint_double_until_a_success() {
        let settings = Settings::default();
        let mut pace = Pace::default();
        let mut now = at(0);
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            pace.push_back(&settings, now, (None, false));
            // A second pushback of the same burst changes nothing.
            pace.push_back(&settings, now, (None, false));
            let until = now.after(Duration::from_secs(wait));
            assert_eq!(pace.until(now), Some(until));
            now = until;
        }
        pace.succeed(VOTER);
        pace.push_back(&settings, now, (None, false));
        assert_eq!(pace.until(now), Some(now.after(Duration::from_secs(1))));
    }

    #[test]
    fn pace_off_only_counts() {
        let settings = Settings::builder().pace(false).build().unwrap();
        let mut pace = Pace::default();
        pace.push_back(&settings, at(0), (hint(10), false));
        assert_eq!(pace, Pace::default());
    }

    #[test]
    fn only_a_wait_without_a_hint_escalates() {
        let settings = Settings::default();
        let mut pace = Pace::default();
        pace.push_back(&settings, at(0), (hint(1), false));
        assert!(!pace.is_escalated());
        pace.push_back(&settings, at(1_000), (None, false));
        assert!(pace.is_escalated());
        pace.succeed(VOTER);
        assert!(!pace.is_escalated());
    }

    fn used_up(pace: &mut Pace, now: Tick, hint: Option<Duration>) {
        pace.push_back(&Settings::default(), now, (hint, true));
    }

    /// The call that goes first.
    fn probe(pace: &mut Pace, now: Tick) -> Ticket {
        let role = pace.admit(now, 1, Role::Voter);
        assert!(matches!(role, Role::Probe(_)));
        Ticket { generation: 1, role }
    }

    #[test]
    fn a_used_up_quota_waits_for_its_reset_but_a_quarter_of_an_hour_at_most() {
        let quarter = QUOTA_PROBE_EVERY;
        for (hint, wait) in [
            (None, quarter),
            (hint(0), FIRST_WAIT),
            (hint(400), Duration::from_secs(400)),
            (hint(86_400), quarter),
        ] {
            let mut pace = Pace::default();
            used_up(&mut pace, at(0), hint);
            assert_eq!(pace.until(at(0)), Some(at(0).after(wait)), "{hint:?}");
            assert!(pace.quota_used_up() && pace.is_escalated());
            assert_eq!(pace.until(at(0).after(wait)), None, "{hint:?}");
            assert!(pace.quota_used_up(), "time alone brings no quota");
        }
    }

    #[test]
    fn one_call_tries_for_the_quota_and_the_others_wait_for_it() {
        let mut pace = Pace::default();
        used_up(&mut pace, at(0), hint(10));
        let first = probe(&mut pace, at(10_000));
        assert_eq!(pace.until(at(10_000)), Some(at(910_000)), "all others");
        // Whatever it hears, the next try is no sooner.
        used_up(&mut pace, at(10_500), hint(10));
        assert_eq!(pace.until(at(10_500)), Some(at(910_000)));
        let second = probe(&mut pace, at(910_000));
        assert_ne!(first, second);
        for before in [VOTER, first] {
            pace.succeed(before);
            assert!(pace.quota_used_up(), "{before:?} was let through before");
        }
        pace.succeed(second);
        assert_eq!(pace, Pace::default());
        assert_eq!(pace.admit(at(910_000), 1, Role::Voter), Role::Voter);
    }

    #[test]
    fn a_try_that_comes_to_no_end_is_made_again() {
        let mut pace = Pace::default();
        used_up(&mut pace, at(0), hint(10));
        let tries = probe(&mut pace, at(10_000));
        pace.abandon(at(11_000), VOTER);
        assert!(pace.until(at(11_000)).is_some());
        pace.abandon(at(11_000), tries);
        assert_eq!(pace.until(at(11_000)), None);
        assert_ne!(probe(&mut pace, at(11_000)), tries);
    }

    #[test]
    fn a_probe_of_a_round_tries_under_its_own_number() {
        let mut pace = Pace::default();
        used_up(&mut pace, at(0), None);
        let role = pace.admit(at(900_000), 3, Role::Probe(7));
        assert_eq!(role, Role::Probe(7));
        pace.succeed(Ticket { generation: 3, role });
        assert_eq!(pace, Pace::default());
        // A ticket has room for no larger number.
        let last = (1 << PROBE_BITS) - 1;
        pace.quota = Some(Quota { probe: None, next: last });
        assert_eq!(pace.admit(at(0), 1, Role::Voter), Role::Probe(last));
        assert_eq!(pace.admit(at(0), 1, Role::Voter), Role::Probe(0));
    }
}
