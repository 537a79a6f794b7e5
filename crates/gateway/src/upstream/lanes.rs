//! Which connection of HTTP/2 a request goes over.
//!
//! A pool keeps one such connection to an upstream, and lets requests wait when as many are under
//! way on it as the upstream takes. Streams of tokens go on for minutes, so that waiting would be
//! taken for the upstream's silence; hence several pools, of which the next is used when one is
//! taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hyper_util::client::legacy::{Builder, Client as Pool};

use super::connect::Connector;
use crate::proxy::UploadBody;

/// How many requests go over one connection: what most servers take at least.
const STREAMS: usize = 100;

/// How many connections there are at most. Beyond that, requests wait after all.
const LANES: usize = 32;

/// The pools of an upstream, of which one is enough unless it speaks HTTP/2.
pub(super) struct Lanes {
    first: Lane,
    others: Vec<Lane>,
    /// Whether it did, when it last answered.
    http2: AtomicBool,
}

struct Lane {
    pool: Pool<Connector, UploadBody>,
    open: Arc<AtomicUsize>,
}

/// A request's place on a connection, which it has until its answer has come to its end.
#[derive(Clone)]
pub(crate) struct Place {
    _open: Arc<Open>,
}

struct Open(Arc<AtomicUsize>);

impl Lanes {
    pub(super) fn new(builder: &Builder, connector: &Connector, http2: bool) -> Lanes {
        let lane = || Lane { pool: builder.build(connector.clone()), open: Arc::default() };
        let others = (1..LANES).map(|_| lane()).collect();
        Lanes { first: lane(), others, http2: AtomicBool::new(http2) }
    }

    /// Where the next request goes, and its place there if places count.
    pub(super) fn next(&self) -> (&Pool<Connector, UploadBody>, Option<Place>) {
        // A wrong guess costs nothing but order; nothing else is published by it.
        if !self.http2.load(Ordering::Relaxed) {
            return (&self.first.pool, None);
        }
        let open = |lane: &&Lane| lane.open.load(Ordering::Relaxed);
        let lanes = || std::iter::once(&self.first).chain(&self.others);
        let lane = lanes()
            .find(|lane| open(lane) < STREAMS)
            .or_else(|| lanes().min_by_key(open))
            .unwrap_or(&self.first);
        lane.open.fetch_add(1, Ordering::Relaxed);
        (&lane.pool, Some(Place { _open: Arc::new(Open(Arc::clone(&lane.open))) }))
    }

    /// Takes note of how the upstream has answered.
    pub(super) fn answered_in(&self, http2: bool) {
        if self.http2.load(Ordering::Relaxed) != http2 {
            self.http2.store(http2, Ordering::Relaxed);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;

    use super::*;

    #[test]
    fn requests_beyond_what_a_connection_takes_go_to_the_next() {
        let builder = Builder::new(TokioExecutor::new());
        let connector = Connector {
            tcp: HttpConnector::new(),
            tls: None,
            slots: None,
            patience: Duration::from_secs(1),
            http2_only: true,
        };
        let lanes = Lanes::new(&builder, &connector, true);
        let places: Vec<_> = (0..250).map(|_| lanes.next().1.unwrap()).collect();
        let open = || -> Vec<usize> {
            let lanes = std::iter::once(&lanes.first).chain(&lanes.others);
            lanes.map(|lane| lane.open.load(Ordering::Relaxed)).take(4).collect()
        };
        assert_eq!(open(), [100, 100, 50, 0]);
        drop(places);
        assert_eq!(open(), [0; 4]);
        lanes.answered_in(false);
        assert!(lanes.next().1.is_none());
    }
}
