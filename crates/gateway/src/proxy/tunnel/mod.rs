//! Connections that have become something else than HTTP: bytes both ways, for as long as it takes.
//!
//! The circuit has judged the call when the upstream said 101: a tunnel may live for days, and holds
//! no slot of a half-open circuit. If the upstream's side is lost later, that is an observation of
//! its own, made as a failed call, unless the circuit is not closed: then this tunnel is from before,
//! and has no vote.

mod copy;
mod frames;

use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use panelboard::{CircuitBreaker, ErrorDetail, PhaseName};
use tokio::time::Instant;
use tracing::debug;

pub(crate) use copy::End;

use super::answer::{Kept, now};
use crate::drain::Drain;
use crate::judge::Observed;
use crate::listen::Caller;
use crate::metrics::OpenTunnel;

/// A tunnel about to be opened.
pub(crate) struct Tunnel {
    pub(crate) client: OnUpgrade,
    pub(crate) upstream: OnUpgrade,
    /// Whether what goes through is WebSocket.
    pub(crate) websocket: bool,
    pub(crate) idle: Duration,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) trace: Option<Arc<str>>,
    pub(crate) gauge: OpenTunnel,
    /// Held, so that the connection counts until its end.
    pub(crate) caller: Arc<Caller>,
    /// Held as well: a place in the route's bulkhead.
    pub(crate) kept: Kept,
}

impl Tunnel {
    /// Opens it as soon as the client has its 101. It is waited for when the gateway stops, and cut
    /// when the time for that is over.
    pub(crate) fn open(self, drain: &Drain) {
        self.caller.leaves_http();
        let ours = drain.clone();
        drain.spawn(async move { self.run(&ours).await });
    }

    async fn run(self, drain: &Drain) {
        let Tunnel { client, upstream, websocket, idle, breaker, trace, gauge, caller, kept } =
            self;
        let started = now();
        let end = match tokio::try_join!(client, upstream) {
            Ok((client, upstream)) => {
                let (client, upstream) = (TokioIo::new(client), TokioIo::new(upstream));
                copy::run(client, upstream, websocket, idle, drain.cut()).await
            }
            // It went away before it had the answer.
            Err(_) => End::ClientGone,
        };
        debug!(client = %caller.ip, circuit = %breaker.name(), end = end.name(), "tunnel ended");
        if end == End::UpstreamCut {
            observe_cut(&breaker, started, trace);
        }
        gauge.ended(end);
        drop(kept);
    }
}

/// The upstream's side was lost without a word.
fn observe_cut(breaker: &CircuitBreaker, started: Instant, trace: Option<Arc<str>>) {
    if breaker.phase() != PhaseName::Closed {
        return;
    }
    let Ok(permit) = breaker.try_acquire_owned(None) else { return };
    let observed = Observed::TunnelCut;
    let mut detail = ErrorDetail::new().latency(started.elapsed()).message(observed.words());
    if let Some(trace) = trace {
        detail = detail.trace_id(trace);
    }
    permit.record_with(observed.verdict().outcome, &detail);
}
