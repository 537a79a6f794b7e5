//! Health probes.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

/// A cheap request that tells whether an upstream works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Where it goes, below the upstream's URL.
    pub path: String,
    /// With which method.
    pub method: Method,
    /// With what besides the upstream's own credential.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// With which body.
    pub body: Option<String>,
    /// How often.
    pub interval: Duration,
    /// How long it may take.
    pub timeout: Duration,
    /// Which statuses are good; never empty.
    pub expect: Vec<RangeInclusive<u16>>,
    /// How many must fail in a row to open a closed circuit; `None` if none does.
    pub open_after: Option<u32>,
}

impl Probe {
    /// Whether an answer with this status is good.
    pub fn expects(&self, status: u16) -> bool {
        self.expect.iter().any(|range| range.contains(&status))
    }
}
