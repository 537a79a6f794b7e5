//! Wrong tokens, by who sent them: whoever guesses has to wait.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use panelboard::{Clock, Tick};
use panelboard_core::gcra::{Excess, Gcra};
use sha2::{Digest as _, Sha256};

/// Wrong tokens at once.
const BURST: u32 = 10;

/// Then one more for each of these.
const EACH: Duration = Duration::from_secs(2);

/// Peers that are told apart. All others share what one of them has.
const PEERS: usize = 1_024;

/// The peer that stands for all others.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How many wrong tokens each peer has sent lately.
///
/// A request without a token guesses nothing, and neither does one with the same token again: a
/// scraper that was forgotten when tokens changed must not lock out those who look after it. Both are
/// not counted. A peer that has to wait does so with a good token, too: else guessing would still pay.
pub(crate) struct Failures {
    rate: Option<Gcra>,
    clock: Clock,
    peers: Mutex<HashMap<IpAddr, Guesses>>,
}

/// What one peer has tried.
#[derive(Copy, Clone, Default)]
struct Guesses {
    /// The state of the rate.
    arrival: Tick,
    /// A digest of the last one.
    last: [u8; 32],
}

impl Failures {
    pub(crate) fn new(clock: Clock) -> Failures {
        Failures { rate: Gcra::new(1, EACH, BURST).ok(), clock, peers: Mutex::default() }
    }

    /// For how long this peer has to wait before its tokens are looked at.
    pub(crate) fn wait(&self, peer: IpAddr) -> Option<Duration> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place(&peers, peer);
        let guesses = peers.get(&place).copied().unwrap_or_default();
        match self.rate?.take(guesses.arrival, self.clock.now(), 1, Duration::ZERO) {
            Ok(_) | Err(Excess::Forever) => None,
            Err(Excess::For(wait)) => Some(wait),
        }
    }

    /// Takes note of a wrong token.
    pub(crate) fn note(&self, peer: IpAddr, token: &[u8]) {
        let Some(rate) = self.rate else { return };
        let last = Sha256::digest(token).into();
        let now = self.clock.now();
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= PEERS {
            // Whoever has nothing to wait for is as good as new.
            peers.retain(|_, guesses| guesses.arrival > now);
        }
        let place = place(&peers, peer);
        let guesses = peers.get(&place).copied().unwrap_or_default();
        if guesses.last == last {
            return;
        }
        if let Ok(grant) = rate.take(guesses.arrival, now, 1, Duration::ZERO) {
            peers.insert(place, Guesses { arrival: grant.next, last });
        }
    }
}

/// Under what a peer is counted.
fn place(peers: &HashMap<IpAddr, Guesses>, peer: IpAddr) -> IpAddr {
    let peer = network(peer);
    match peers.contains_key(&peer) || peers.len() < PEERS {
        true => peer,
        false => OTHERS,
    }
}

/// One host may have all addresses of a network of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelboard::ManualClock;

    fn peer(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))
    }

    #[test]
    fn whoever_guesses_has_to_wait_and_nobody_else() {
        let clock = ManualClock::new();
        let failures = Failures::new(Clock::from(clock.clone()));
        for n in 0..BURST {
            assert_eq!(failures.wait(peer(1)), None);
            failures.note(peer(1), &n.to_le_bytes());
        }
        assert_eq!(failures.wait(peer(1)), Some(EACH));
        assert_eq!(failures.wait(peer(2)), None);
        failures.note(peer(1), b"one too many");
        clock.advance(EACH);
        assert_eq!(failures.wait(peer(1)), None, "noting one too many costs nothing more");
        failures.note(peer(1), b"another");
        assert_eq!(failures.wait(peer(1)), Some(EACH));
    }

    #[test]
    fn the_same_token_again_is_no_guess() {
        let clock = ManualClock::new();
        let failures = Failures::new(Clock::from(clock.clone()));
        for _ in 0..100 {
            failures.note(peer(1), b"the one before the last change");
        }
        assert_eq!(failures.wait(peer(1)), None);
    }

    #[test]
    fn the_table_does_not_grow_for_ever() {
        let clock = ManualClock::new();
        let failures = Failures::new(Clock::from(clock.clone()));
        for n in 0..10_000_u32 {
            failures.note(peer(n), &n.to_le_bytes());
        }
        assert_eq!(failures.peers.lock().unwrap().len(), PEERS + 1);
        assert_eq!(failures.wait(peer(9_999)), Some(EACH), "strangers share what is left");
        assert_eq!(failures.wait(peer(1)), None);
        clock.advance(EACH * (BURST + 1));
        failures.note(peer(20_000), b"x");
        assert_eq!(failures.peers.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::4"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_eq!(of("::1"), "::1".parse::<IpAddr>().unwrap());
    }
}
