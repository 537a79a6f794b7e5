//! So many requests a period: of all of a route, of each client, or of each value of a header.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::HeaderMap;
use panelboard::policy::rate_limit::RateLimit;
use panelboard_config::{LimitBy, RouteLimit};
use quick_cache::sync::Cache;

use super::digest::{Digest, Digester};

/// A route's rate limit.
pub(crate) enum Limiter {
    One(RateLimit),
    Each(Box<Each>),
}

/// A limit for each of several.
pub(crate) struct Each {
    settings: RouteLimit,
    /// Those that have not come for long go first. It keeps apart who comes once and who comes again,
    /// so that a flood of addresses does not wipe out what is known of the others.
    limits: Cache<Key, RateLimit>,
    digester: Digester,
}

#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    Client(IpAddr),
    Value(Digest),
    NoValue,
}

impl Limiter {
    /// `None` for numbers that no limit has, which configuration does not let through.
    pub(crate) fn new(settings: &RouteLimit) -> Option<Limiter> {
        let one = limit(settings)?;
        Some(match settings.by {
            LimitBy::Route => Limiter::One(one),
            LimitBy::Client | LimitBy::Header(_) => Limiter::Each(Box::new(Each {
                limits: Cache::new(settings.max_clients as usize),
                digester: Digester::default(),
                settings: settings.clone(),
            })),
        })
    }

    /// Takes room for one request, or says when there is some.
    pub(crate) fn take(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Duration> {
        let refused = match self {
            Limiter::One(limit) => limit.try_acquire(1),
            Limiter::Each(each) => match each.limit(each.key(peer, headers)) {
                Some(limit) => limit.try_acquire(1),
                None => Ok(()),
            },
        };
        refused.map_err(|refused| refused.retry_after())
    }
}

impl Each {
    fn key(&self, peer: IpAddr, headers: &HeaderMap) -> Key {
        let LimitBy::Header(name) = &self.settings.by else { return Key::Client(network(peer)) };
        match headers.get(name) {
            Some(value) => Key::Value(self.digester.of(value.as_bytes())),
            None => Key::NoValue,
        }
    }

    fn limit(&self, key: Key) -> Option<RateLimit> {
        if let Some(limit) = self.limits.get(&key) {
            return Some(limit);
        }
        let new = limit(&self.settings)?;
        let made: Result<_, Infallible> = self.limits.get_or_insert_with(&key, || Ok(new));
        made.ok()
    }
}

fn limit(settings: &RouteLimit) -> Option<RateLimit> {
    RateLimit::new(settings.rate, settings.per, settings.burst).ok()
}

/// A client has all of a network of 64 bits, and can use each of its addresses once.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(by: LimitBy, max_clients: u32) -> Limiter {
        let per = Duration::from_secs(3_600);
        Limiter::new(&RouteLimit { rate: 2, per, burst: 2, by, max_clients }).unwrap()
    }

    /// How many of five requests pass.
    fn passes(limiter: &Limiter, peer: &str, key: Option<&'static str>) -> usize {
        let value = key.map(|key| ("x-key".parse().unwrap(), key.parse().unwrap()));
        let headers: HeaderMap = value.into_iter().collect();
        let peer = peer.parse().unwrap();
        (0..5).filter(|_| limiter.take(peer, &headers).is_ok()).count()
    }

    #[test]
    fn clients_are_told_apart_by_their_networks() {
        let limiter = limiter(LimitBy::Client, 100);
        assert_eq!(passes(&limiter, "192.0.2.1", None), 2);
        assert_eq!(passes(&limiter, "::ffff:192.0.2.1", None), 0);
        assert_eq!(passes(&limiter, "192.0.2.2", None), 2);
        assert_eq!(passes(&limiter, "2001:db8::1", None), 2);
        assert_eq!(passes(&limiter, "2001:db8::2", None), 0);
        assert_eq!(passes(&limiter, "2001:db8:0:1::1", None), 2);
    }

    #[test]
    fn so_are_values_of_a_header() {
        let limiter = limiter(LimitBy::Header("x-key".parse().unwrap()), 100);
        assert_eq!(passes(&limiter, "192.0.2.1", Some("a")), 2);
        assert_eq!(passes(&limiter, "192.0.2.9", Some("a")), 0);
        assert_eq!(passes(&limiter, "192.0.2.1", Some("b")), 2);
        assert_eq!(passes(&limiter, "192.0.2.1", None), 2);
        assert_eq!(passes(&limiter, "192.0.2.9", None), 0);
    }

    #[test]
    fn the_table_is_bounded() {
        let limiter = limiter(LimitBy::Client, 50);
        for n in 0..5_000_u32 {
            let _ = limiter.take(IpAddr::V4(n.into()), &HeaderMap::new());
        }
        let Limiter::Each(each) = limiter else { panic!("for each client") };
        assert!(each.limits.len() <= 50, "{}", each.limits.len());
    }
}
