//! Health probes of upstreams.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::context::At;
use crate::describe::keys;
use crate::kinds::{Count, HeaderMap, List, MethodKind, OrOff, Rules, StatusRange, Text, Time};

/// More often would be no cheap request any more; more rarely would be of no use.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(86_400);

keys! {
    /// A cheap request that tells whether an upstream works. It is sent only while something is to be
    /// learned from it: while a circuit that guards this upstream alone, or upstreams with probes
    /// only, waits to recover; with `open_after`, or if such a circuit is `adaptive`, all the time.
    pub(crate) struct ProbeKeys = "probe" in "upstreams.NAME.probe" {
        /// Where it goes, below the `url`.
        path: String = Text { what: "a path such as \"/health\"", longest: 4_096, lines: false },
            required;
        /// With which method.
        method: Method = MethodKind, default "GET";
        /// With what besides the upstream's own credential.
        headers: Vec<(HeaderName, HeaderValue)> = HeaderMap, optional "nothing";
        /// With which body.
        body: String = Text { what: "a body", longest: 65_536, lines: true }, optional "none";
        /// How often.
        interval: Duration = Time(INTERVAL), default "5s";
        /// How long it may take.
        timeout: Duration = Time::ANY, default "2s";
        /// Which statuses are good.
        expect: Vec<At<RangeInclusive<u16>>> = List { item: StatusRange, rules: Rules::SOME_DISTINCT },
            optional "200 to 399";
        /// How many must fail in a row to open a closed circuit.
        open_after: Option<u32> = OrOff(Count(1..=1_000)), default "off";
    }
    shorthand path;
}
