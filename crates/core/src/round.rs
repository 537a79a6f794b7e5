//! Half-open: one round of probes.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Settings, Tick};

/// A round in which probes are under way but nothing is learnt goes back to open after this long
/// (or after one lease, if that is longer: a slow dependency must be able to answer one probe).
pub const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Bits of a probe's number, so that shells know how much room a ticket needs. Numbers start over:
/// a result would have to miss four million probes of its round to be taken for another's.
pub const PROBE_BITS: u32 = 22;

/// One round of probes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Round {
    leases: Vec<Lease>,
    next_probe: u32,
    successes: u32,
    failures: u32,
    stalled_at: Option<Tick>,
}

/// A probe's claim to its slot.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Lease {
    probe: u32,
    until: Tick,
    /// It was found slow while still running, and that was its vote.
    voted: bool,
}

/// What a probe gave back with its slot.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Returned {
    /// Its vote is still to be cast.
    WithVote,
    /// It had voted while it ran.
    Voted,
    /// Nothing: its lease had run out, and with it its vote.
    Expired,
}

/// Where a round stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Not decided.
    Undecided,
    /// Enough probes succeeded.
    Won,
    /// Not enough can succeed any more.
    Lost,
}

impl Round {
    /// Lends a slot to a new probe, or says when the next slot is known to be free at the latest.
    ///
    /// At most `half_open_max_calls` are lent at a time, and never more than could still matter:
    /// probes in flight and votes cast stay within `probe_calls`.
    pub fn admit(&mut self, settings: &Settings, now: Tick, lease: Duration) -> Result<u32, Tick> {
        self.leases.retain(|lease| lease.until > now);
        let undecided = self.leases.iter().filter(|lease| !lease.voted).count() as u32;
        let votes = self.successes + self.failures;
        if self.leases.len() as u32 >= settings.half_open_max_calls
            || undecided + votes >= settings.probe_calls
        {
            return Err(self.leases.iter().map(|lease| lease.until).min().unwrap_or(now));
        }
        let probe = self.next_probe;
        self.next_probe = (probe + 1) % (1 << PROBE_BITS);
        self.leases.push(Lease { probe, until: now.after(lease), voted: false });
        self.stalled_at.get_or_insert(now.after(lease.max(STALLED_AFTER)));
        Ok(probe)
    }

    /// Takes a probe's slot back.
    pub fn give_back(&mut self, probe: u32, now: Tick) -> Returned {
        let Some(at) = self.leases.iter().position(|lease| lease.probe == probe) else {
            return Returned::Expired;
        };
        match self.leases.swap_remove(at) {
            lease if lease.until <= now => Returned::Expired,
            lease if lease.voted => Returned::Voted,
            _ => Returned::WithVote,
        }
    }

    /// Counts a probe that is still running as slow, which is a vote against. It keeps its slot.
    /// `false` if it has no vote left.
    pub fn vote_slow(&mut self, probe: u32, now: Tick) -> bool {
        let lease = self.leases.iter_mut().find(|lease| lease.probe == probe);
        match lease {
            Some(lease) if lease.until > now && !lease.voted => lease.voted = true,
            _ => return false,
        }
        self.vote(false);
        true
    }

    /// Whether this probe was found slow while it ran, and still holds its slot.
    pub fn has_voted(&self, probe: u32) -> bool {
        self.leases.iter().any(|lease| lease.probe == probe && lease.voted)
    }

    /// A probe that takes long makes progress: from now on it may hold its slot for `lease`, and
    /// as long as it does the round is not stalled.
    pub fn renew(&mut self, probe: u32, now: Tick, lease: Duration) {
        let held = self.leases.iter_mut().find(|held| held.probe == probe && held.until > now);
        if let Some(held) = held {
            held.until = held.until.max(now.after(lease));
            let stalled_at = now.after(lease.max(STALLED_AFTER));
            self.stalled_at = self.stalled_at.map(|at| at.max(stalled_at));
        }
    }

    /// Counts a vote.
    pub fn vote(&mut self, success: bool) {
        // Something was learnt, so the round is not stalled; its clock starts with the next probe.
        self.stalled_at = None;
        if success {
            self.successes += 1;
        } else {
            self.failures += 1;
        }
    }

    /// The dependency asked to wait: so does the round.
    pub fn wait(&mut self) {
        self.stalled_at = None;
    }

    /// Where the round stands under these settings.
    pub fn standing(&self, settings: &Settings) -> Standing {
        if self.successes >= settings.success_threshold {
            Standing::Won
        } else if settings.probe_calls.saturating_sub(self.failures) < settings.success_threshold {
            Standing::Lost
        } else {
            Standing::Undecided
        }
    }

    /// When the round goes back to open, if nothing is learnt before.
    pub fn stalled_at(&self) -> Option<Tick> {
        self.stalled_at
    }

    /// Probes in flight whose leases hold now.
    pub fn in_flight(&self, now: Tick) -> u32 {
        self.leases.iter().filter(|lease| lease.until > now).count() as u32
    }

    /// Probes that succeeded.
    pub fn successes(&self) -> u32 {
        self.successes
    }

    /// Probes that failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn at(n: u64) -> Tick {
        Tick::ZERO.after(secs(n))
    }

    /// B-3: from the moment the lease ends, when the slot may be another's, there is no vote left.
    #[test]
    fn b3_a_lease_ends_on_time() {
        let settings = Settings::default();
        let mut round = Round::default();
        let probe = round.admit(&settings, at(0), secs(30)).unwrap();
        assert_eq!(round.clone().give_back(probe, at(29)), Returned::WithVote);
        assert_eq!(round.clone().give_back(probe, at(30)), Returned::Expired);
        assert!(round.clone().vote_slow(probe, at(29)));
        assert!(!round.vote_slow(probe, at(30)));
        assert_eq!(round.failures(), 0);
    }

    #[test]
    fn a_round_stalls_after_30_s_or_one_lease() {
        for (lease, stalled) in [(secs(5), at(32)), (secs(30), at(32)), (secs(90), at(92))] {
            let mut round = Round::default();
            round.admit(&Settings::default(), at(2), lease).unwrap();
            assert_eq!(round.stalled_at(), Some(stalled));
        }
    }

    /// Pushback without pacing keeps a round going for as long as it lasts.
    #[test]
    fn a_round_never_runs_out_of_probe_numbers() {
        let (settings, lease) = (Settings::default(), secs(30));
        let mut round = Round::default();
        for _ in 0..=1_u64 << PROBE_BITS {
            let probe = round.admit(&settings, Tick::ZERO, lease).unwrap();
            assert_eq!(probe >> PROBE_BITS, 0, "a ticket has room for no larger one");
            assert_eq!(round.give_back(probe, Tick::ZERO), Returned::WithVote);
        }
    }

    fn three_at_once() -> Settings {
        Settings::builder()
            .half_open_max_calls(10)
            .success_threshold(2)
            .probe_calls(3)
            .build()
            .unwrap()
    }

    /// B-1: never more than could still matter, however those under way and those that have voted
    /// are made up.
    #[test]
    fn b1_probes_and_votes_stay_within_the_round() {
        let settings = three_at_once();
        let mut round = Round::default();
        let probes = [(); 3].map(|()| round.admit(&settings, at(0), secs(30)).unwrap());
        assert_eq!(probes, [0, 1, 2], "each has a number of its own");
        assert_eq!(round.admit(&settings, at(0), secs(30)), Err(at(30)));
        assert_eq!(round.in_flight(at(0)), 3);
        // A slow probe votes while it runs, and keeps its slot.
        assert!(round.vote_slow(probes[0], at(1)));
        assert_eq!(round.admit(&settings, at(1), secs(30)), Err(at(30)));
        assert_eq!(round.give_back(probes[1], at(1)), Returned::WithVote);
        round.vote(true);
        assert_eq!((round.successes(), round.failures()), (1, 1));
        assert_eq!(round.admit(&settings, at(1), secs(30)), Err(at(30)));
        // One that comes back without a vote makes room for another.
        assert_eq!(round.give_back(probes[2], at(1)), Returned::WithVote);
        assert_eq!(round.admit(&settings, at(1), secs(30)), Ok(3));
    }

    #[test]
    fn a_slot_is_free_from_the_moment_its_lease_ends() {
        let (settings, mut round) = (Settings::default(), Round::default());
        assert_eq!(round.admit(&settings, at(0), secs(30)), Ok(0));
        assert_eq!(round.in_flight(at(29)), 1);
        assert_eq!(round.admit(&settings, at(29), secs(30)), Err(at(30)));
        assert_eq!(round.in_flight(at(30)), 0);
        assert_eq!(round.admit(&settings, at(30), secs(30)), Ok(1));
    }

    #[test]
    fn a_probe_votes_once() {
        let (settings, mut round) = (three_at_once(), Round::default());
        let slow = round.admit(&settings, at(0), secs(30)).unwrap();
        let other = round.admit(&settings, at(0), secs(30)).unwrap();
        assert!(!round.has_voted(slow));
        assert!(round.vote_slow(slow, at(1)) && !round.vote_slow(slow, at(1)));
        assert!(round.has_voted(slow) && !round.has_voted(other));
        assert_eq!(round.give_back(slow, at(2)), Returned::Voted);
        assert!(!round.has_voted(slow), "it has gone");
        assert_eq!(round.give_back(slow, at(2)), Returned::Expired);
        assert_eq!(round.failures(), 1);
    }

    #[test]
    fn progress_renews_the_lease_that_it_was_made_under() {
        let (settings, mut round) = (three_at_once(), Round::default());
        let long = round.admit(&settings, at(0), secs(30)).unwrap();
        let short = round.admit(&settings, at(0), secs(5)).unwrap();
        round.renew(long, at(29), secs(30));
        assert_eq!(round.stalled_at(), Some(at(59)));
        assert_eq!(round.in_flight(at(58)), 1);
        round.renew(long, at(29), secs(1));
        assert_eq!(round.in_flight(at(58)), 1, "a shorter one takes nothing away");
        // Too late, even by nothing at all: the slot may be another's.
        round.renew(short, at(5), secs(600));
        assert_eq!(round.in_flight(at(6)), 1, "nor does it renew another's");
        assert_eq!(round.give_back(short, at(6)), Returned::Expired);
        assert_eq!(round.give_back(long, at(59)), Returned::Expired);
    }

    #[test]
    fn a_round_is_decided_as_soon_as_it_can_be() {
        let settings = three_at_once();
        let standing = |votes: &[bool]| {
            let mut round = Round::default();
            for vote in votes {
                round.vote(*vote);
            }
            round.standing(&settings)
        };
        assert_eq!(standing(&[]), Standing::Undecided);
        assert_eq!(standing(&[true, false]), Standing::Undecided);
        assert_eq!(standing(&[true, false, true]), Standing::Won);
        assert_eq!(standing(&[false, false]), Standing::Lost, "two can no longer succeed");
    }

    #[test]
    fn a_round_that_learns_or_is_asked_to_wait_is_not_stalled() {
        let (settings, mut round) = (three_at_once(), Round::default());
        assert_eq!(round.stalled_at(), None, "nobody probes");
        round.admit(&settings, at(0), secs(30)).unwrap();
        assert_eq!(round.stalled_at(), Some(at(30)));
        round.vote(true);
        assert_eq!(round.stalled_at(), None);
        round.admit(&settings, at(40), secs(30)).unwrap();
        assert_eq!(round.stalled_at(), Some(at(70)));
        round.wait();
        assert_eq!(round.stalled_at(), None);
    }
}
