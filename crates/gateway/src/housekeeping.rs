//! What happens without a request.

use std::sync::Arc;
use std::time::Duration;

use panelboard::PhaseName;
use panelboard::event::What;
use tracing::{info, warn};

use crate::shared::Shared;

/// How often circuits are looked at that nobody calls, so that the end of an open phase or of an
/// override is announced in time; and certificates.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often breakers of keys that nobody asks for any more are given up.
const EVICT_EVERY: Duration = Duration::from_secs(60);

/// Writes one line for each change of a circuit, with the sentence that explains it.
pub(crate) async fn log_events(shared: Arc<Shared>) {
    let mut events = shared.registry.subscribe();
    loop {
        match events.next().await {
            Ok(event) => {
                if !shared.runtime().config.switches().log_circuit_changes {
                    continue;
                }
                let circuit = event.circuit.as_str();
                let sentence = event.explain();
                match &event.what {
                    What::Transition { to, generation, cause, .. } => {
                        let (state, cause) = (to.name(), cause.name());
                        if *to == PhaseName::Open {
                            warn!(circuit, state, generation, cause, "{sentence}");
                        } else {
                            info!(circuit, state, generation, cause, "{sentence}");
                        }
                    }
                    What::Mode { to, .. } => warn!(circuit, mode = to.name(), "{sentence}"),
                    _ => info!(circuit, "{sentence}"),
                }
            }
            Err(lagged) => warn!(missed = lagged.0, "circuit changes came faster than the log"),
        }
    }
}

/// Notices what time alone brings about.
pub(crate) async fn watch_clock(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut evicted = ticks.tick().await;
    loop {
        let now = ticks.tick().await;
        if now.duration_since(evicted) >= EVICT_EVERY {
            evicted = now;
            shared.registry.evict_idle();
        }
        for breaker in shared.registry.breakers() {
            breaker.look();
        }
    }
}

/// Takes up certificates that were renewed.
pub(crate) async fn watch_certificates(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.runtime().look_at_certificates();
    }
}
