//! Names for what lints read off upstreams.

use std::time::Duration;

use crate::model::Upstream;

/// How long an upstream may say nothing at all before it is given up: until it has connected and
/// begun to answer, and never longer than in all.
pub(super) fn patience(upstream: &Upstream) -> Duration {
    let timeouts = &upstream.timeouts;
    let silent = timeouts.connect.saturating_add(timeouts.first_byte);
    timeouts.total.map_or(silent, |total| silent.min(total))
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().map_or_else(
        |_| {
            let name = bare.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        },
        |address| address.to_canonical().is_loopback(),
    )
}
