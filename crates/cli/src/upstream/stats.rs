//! What arrived and what became of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::behaviour::Behaviour;
use super::request::{Head, Request, Unreadable, readable};

/// Paths told apart; the rest are counted together.
const MOST_PATHS: usize = 100;

/// Where the rest are counted.
const OTHER: &str = "(other)";

/// Where answers are counted that had no status.
const NO_STATUS: &str = "none";

/// Requests remembered whole.
const LAST: usize = 20;

/// What arrived since the beginning or the last reset, and what became of it.
///
/// Every request is in flight or counted under a status. One that was in flight at a reset stays
/// so, but is not counted anywhere after it.
#[derive(Clone, Default, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) in_flight: u64,
    pub(crate) peak_in_flight: u64,
    /// Connections that a request came over.
    pub(crate) connections: u64,
    /// Heads and bodies that were not understood.
    pub(crate) malformed: u64,
    /// `none` counts requests that were never answered with one.
    pub(crate) by_status: BTreeMap<String, u64>,
    pub(crate) by_behaviour: BTreeMap<&'static str, u64>,
    /// The first 100 paths; `(other)` counts the rest.
    pub(crate) by_path: BTreeMap<String, u64>,
    /// The newest last.
    pub(crate) last_requests: VecDeque<Seen>,
}

/// A request that was read whole.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body_length: usize,
    pub(crate) behaviour: String,
}

/// A cheap handle on the counters.
#[derive(Clone, Default, Debug)]
pub(super) struct Stats(Arc<Mutex<Counted>>);

#[derive(Default, Debug)]
struct Counted {
    report: Report,
    resets: u64,
}

/// A request in flight. Dropping it takes it out of flight, whatever became of it.
#[derive(Debug)]
#[must_use = "dropping it takes the request out of flight"]
pub(super) struct Ticket {
    stats: Stats,
    number: u64,
    status: Option<u16>,
    /// The resets before it arrived.
    resets: u64,
}

// ===== impl Stats =====

impl Stats {
    /// A request has arrived, the first of its connection or not.
    pub(super) fn arrived(&self, head: &Head, first: bool) -> Ticket {
        let mut counted = self.lock();
        let Counted { report, resets } = &mut *counted;
        let number = report.requests;
        report.requests += 1;
        report.in_flight += 1;
        report.peak_in_flight = report.peak_in_flight.max(report.in_flight);
        report.connections += u64::from(first);
        let path = head.path();
        let path = match report.by_path.contains_key(path) || report.by_path.len() < MOST_PATHS {
            true => path,
            false => OTHER,
        };
        *report.by_path.entry(path.to_owned()).or_default() += 1;
        Ticket { stats: self.clone(), number, status: None, resets: *resets }
    }

    /// What arrived was no request, or the client has gone, as every client does at last.
    pub(super) fn unreadable(&self, why: &Unreadable) {
        if let Unreadable::Refused(..) = why {
            self.lock().report.malformed += 1;
        }
    }

    pub(super) fn report(&self) -> Report {
        self.lock().report.clone()
    }

    /// Starts counting anew. What is in flight stays so.
    pub(super) fn reset(&self) {
        let mut counted = self.lock();
        let in_flight = counted.report.in_flight;
        counted.report = Report { in_flight, peak_in_flight: in_flight, ..Report::default() };
        counted.resets += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        // A counter that a panic left half done is still the best there is.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ===== impl Ticket =====

impl Ticket {
    /// How many requests came before it.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The request was read whole and will be answered like this.
    pub(super) fn read(&self, request: &Request, behaviour: &Behaviour) {
        let seen = Seen {
            method: request.head.method.clone(),
            target: request.head.target.clone(),
            headers: readable(&request.head.headers),
            body_length: request.body.len(),
            behaviour: behaviour.to_string(),
        };
        let mut counted = self.stats.lock();
        if counted.resets != self.resets {
            return;
        }
        let report = &mut counted.report;
        *report.by_behaviour.entry(behaviour.action.name()).or_default() += 1;
        report.last_requests.push_back(seen);
        if report.last_requests.len() > LAST {
            report.last_requests.pop_front();
        }
    }

    /// A head with this status goes out.
    pub(super) fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let status = self.status.map_or_else(|| NO_STATUS.to_owned(), |status| status.to_string());
        let mut counted = self.stats.lock();
        counted.report.in_flight -= 1;
        if counted.resets == self.resets {
            *counted.report.by_status.entry(status).or_default() += 1;
        }
    }
}
