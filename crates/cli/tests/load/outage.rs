//! The outage yardstick: 100 requests a second for six seconds against an upstream that is down, and
//! what of it reaches the upstream.

use std::time::{Duration, Instant};

use crate::client::{Got, at_a_rate};
use crate::support::{Gateway, Upstream, eventually, pass};
use crate::turn;

const OUTAGE: Duration = Duration::from_secs(6);
const GAP: Duration = Duration::from_millis(10);
const THRESHOLD: u64 = 5;
const RECOVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(1);
/// How soon it is to be back once a probe may go.
const SOON: Duration = Duration::from_millis(500);

struct Drill {
    got: Vec<Got>,
    /// Calls that were let through while the upstream was down.
    leaked: u64,
    /// How many of them ended after it had opened.
    late: u64,
    /// How long after the upstream was up again the first request got its answer.
    back: Duration,
    /// How many were in flight at the upstream at most, once the circuit had opened and what had
    /// been under way was over.
    peak: u64,
}

fn drill(behaviour: &str) -> Drill {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        r#"
        [circuit_breaker]
        log_circuit_changes = true
        [circuit_breaker.circuits.api]
        failure_threshold = {THRESHOLD}
        min_calls = {THRESHOLD}
        slow_call_duration = "100ms"
        slow_call_rate = 0.5
        recovery_timeout = "{}ms"
        half_open_max_calls = 1
        success_threshold = 1
        ramp = "off"
        jitter = "none"
        backoff = {{ multiplier = 1 }}
        [upstreams.api]
        url = "{}"
        first_byte_timeout = "{}ms"
        [[routes]]
        upstream = "api"
        circuit = "api"
        "#,
        RECOVERY.as_millis(),
        upstream.url(),
        TIMEOUT.as_millis(),
    ));
    upstream.set(behaviour);
    let (mut leaked, mut late, mut peak) = (0, 0, 0);
    let mut healed = Duration::ZERO;
    let url = format!("http://{}/", gateway.address());
    let start = Instant::now();
    let got = at_a_rate(&url, GAP, OUTAGE + Duration::from_secs(4), || {
        eventually("the trip", || gateway.state("api") == "open");
        pass(TIMEOUT + Duration::from_millis(200));
        if behaviour != "refuse:6s" {
            upstream.reset_stats();
        }
        pass(OUTAGE.saturating_sub(start.elapsed() + Duration::from_millis(100)));
        let circuit = gateway.circuit("api");
        leaked = circuit["calls"]["admitted"].as_u64().unwrap();
        late = circuit["calls"]["late"].as_u64().unwrap();
        if behaviour != "refuse:6s" {
            peak = upstream.stats()["peak_in_flight"].as_u64().unwrap();
            upstream.set("ok");
        }
        healed = start.elapsed();
    });
    let first = got.iter().find(|one| one.status == 200 && one.asked + one.took >= healed);
    let first = first.expect("it comes back");
    let back = (first.asked + first.took).saturating_sub(healed);
    Drill { got, leaked, late, back, peak }
}

fn holds(behaviour: &str, drill: &Drill) {
    let Drill { got, leaked, late, back, peak } = drill;
    // What was under way when the circuit opened was let through by a circuit that was closed: on a
    // machine with time to spare none or one on errors, and some 15 on hangs. A probe each second.
    let most = THRESHOLD + late + OUTAGE.as_secs() + 1;
    println!(
        "{behaviour}: {leaked} leaked, {late} of them under way when it opened; back after {back:?}; peak {peak}"
    );
    assert!(*leaked <= most, "{behaviour}: {leaked} calls reached the upstream");
    assert!(*peak <= 1, "{behaviour}: {peak} in flight at once while it was half-open");
    assert!(*back <= RECOVERY + TIMEOUT + SOON, "{behaviour}: back after {back:?}");
    for one in got.iter().filter(|one| one.fallback) {
        let after = one.retry_after.as_deref().unwrap_or_else(|| panic!("{behaviour}: {one:?}"));
        assert!(after.parse::<u64>().is_ok_and(|secs| (1..=2).contains(&secs)), "{one:?}");
    }
}

#[test]
fn an_upstream_that_is_down_is_left_alone_and_taken_back() {
    let _turn = turn();
    let behaviours = ["status:503", "refuse:6s", "hang"];
    let drills = std::thread::scope(|scope| {
        behaviours
            .map(|behaviour| scope.spawn(move || drill(behaviour)))
            .map(|drill| drill.join().unwrap())
    });
    for (behaviour, drill) in behaviours.into_iter().zip(&drills) {
        holds(behaviour, drill);
    }
}
