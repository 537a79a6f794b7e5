//! What happens, as it happens: server-sent events.
//!
//! Nothing is kept for a subscriber but its places in the bus and in the frames of circuits. One
//! that reads too slowly is told how much it missed, and gets everything anew; nobody waits for it.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::response::sse::{Event as Frame, Sse};
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use panelboard::Subscription;
use panelboard::event::Lagged;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::IntoParams;

use super::extract::Params;
use super::problem::{Answer, Problem};
use super::token::Caller;
use super::view::circuit::Summary;
use super::view::event::Event;
use crate::shared::Shared;

/// Subscribers at one time; browsers share one among their tabs.
const SUBSCRIBERS: usize = 64;

/// How often circuits that have changed are sent.
const EVERY: Duration = Duration::from_millis(500);

/// Frames of circuits that a subscriber may be behind.
const BEHIND: usize = 16;

/// How often something is sent if there is nothing to say, so that a stream that was lost is noticed.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Circuits in one frame at most; the rest is to be asked for.
const CIRCUITS: usize = 5_000;

/// The subscribers, and what all of them get alike.
pub(crate) struct Stream {
    places: Arc<Semaphore>,
    frames: broadcast::Sender<Arc<str>>,
}

/// From where to follow.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// Begin with the events after this one, as `Last-Event-ID` says when a stream is resumed.
    after: Option<u64>,
}

/// Circuits that have changed.
#[derive(Serialize)]
struct Changed<'a> {
    circuits: Vec<&'a Summary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<String>,
}

impl Stream {
    pub(crate) fn new() -> Stream {
        let (frames, _) = broadcast::channel(BEHIND);
        Stream { places: Arc::new(Semaphore::new(SUBSCRIBERS)), frames }
    }
}

/// Sends circuits that have changed, for as long as somebody listens. Never ready.
pub(crate) async fn send_changes(shared: Arc<Shared>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent: Option<HashMap<String, Summary>> = None;
    loop {
        ticks.tick().await;
        let frames = &shared.desk.stream.frames;
        if frames.receiver_count() == 0 {
            sent = None;
            continue;
        }
        let now: Vec<Summary> = shared.registry.snapshots().iter().map(Summary::of).collect();
        let steady: HashMap<String, Summary> =
            now.iter().map(|circuit| (circuit.name.clone(), circuit.steady())).collect();
        // Whoever came since the last look has had everything.
        let before = sent.replace(steady);
        let (Some(before), Some(steady)) = (before, &sent) else { continue };
        let is_news = |circuit: &&Summary| before.get(&circuit.name) != steady.get(&circuit.name);
        let circuits: Vec<&Summary> = now.iter().filter(is_news).take(CIRCUITS).collect();
        let gone: Vec<String> =
            before.keys().filter(|name| !steady.contains_key(*name)).cloned().collect();
        if !circuits.is_empty() || !gone.is_empty() {
            let frame = serde_json::to_string(&Changed { circuits, gone }).unwrap_or_default();
            // Without a receiver nobody misses it.
            let _ = frames.send(frame.into());
        }
    }
}

/// Follows circuits and events.
///
/// `snapshot` has all circuits; then `circuits` has those that changed, twice a second at most, and
/// `gone` the names of those that are no more; `event` is one event, and its `id` the sequence
/// number. `lagged` says how much was `missed`: a new `snapshot` follows. `heartbeat` comes every
/// 10 s if nothing else does.
#[utoipa::path(get, path = "/api/v1/stream", params(From,
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that was read")),
    tag = "events", security(("token" = ["viewer"])),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 503, description = "There are too many subscribers", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn follow(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Params(from): Params<From>,
    headers: HeaderMap,
) -> Answer<Response> {
    let place = Arc::clone(&shared.desk.stream.places).try_acquire_owned().map_err(|_| {
        let detail = format!("There are {SUBSCRIBERS} subscribers already; close one of them.");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(10)
    })?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let bus = shared.registry.bus();
    // A number from before a restart says nothing about now.
    let after = resumed.or(from.after).filter(|after| *after <= bus.last());
    let events = bus.subscribe_after(after.unwrap_or(bus.last()));
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let frames = shared.desk.stream.frames.subscribe();
    let mut feed =
        Feed { events, frames, heartbeat, waiting: VecDeque::new(), caller, shared, _place: place };
    let first = feed.snapshot();
    let first = if after.is_none() { first.id(bus_position(&feed)) } else { first };
    feed.waiting.push_back(first);
    let frames = stream::unfold(feed, |mut feed| async move {
        let frame = feed.next().await?;
        Some((Ok::<_, Infallible>(frame), feed))
    });
    Ok(Sse::new(frames).into_response())
}

fn bus_position(feed: &Feed) -> String {
    feed.shared.registry.bus().last().to_string()
}

/// One subscriber.
struct Feed {
    events: Subscription,
    frames: broadcast::Receiver<Arc<str>>,
    heartbeat: Interval,
    waiting: VecDeque<Frame>,
    caller: Caller,
    shared: Arc<Shared>,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// What comes next; nothing more when the caller's token no longer holds, or the gateway stops.
    async fn next(&mut self) -> Option<Frame> {
        if let Some(frame) = self.waiting.pop_front() {
            return Some(frame);
        }
        let frame = tokio::select! {
            biased;
            event = self.events.next() => match event {
                Ok(event) => {
                    let frame = Frame::default().event("event").id(event.sequence.to_string());
                    data(frame, &Event::of(&event))
                }
                Err(Lagged(missed)) => self.lagged(missed),
            },
            frame = self.frames.recv() => match frame {
                Ok(text) => Frame::default().event("circuits").data(text),
                Err(broadcast::error::RecvError::Lagged(missed)) => self.lagged(missed),
                Err(broadcast::error::RecvError::Closed) => return None,
            },
            _ = self.heartbeat.tick() => data(Frame::default().event("heartbeat"), &json!({})),
        };
        self.heartbeat.reset();
        self.shared.desk.tokens().still_has(&self.caller).then_some(frame)
    }

    fn lagged(&mut self, missed: u64) -> Frame {
        let snapshot = self.snapshot();
        self.waiting.push_back(snapshot);
        data(Frame::default().event("lagged"), &json!({ "missed": missed }))
    }

    fn snapshot(&self) -> Frame {
        let snapshots = self.shared.registry.snapshots();
        let circuits: Vec<Summary> = snapshots.iter().take(CIRCUITS).map(Summary::of).collect();
        let more = snapshots.len() - circuits.len();
        data(Frame::default().event("snapshot"), &json!({ "circuits": circuits, "more": more }))
    }
}

fn data(frame: Frame, value: &impl Serialize) -> Frame {
    // Structs of texts and numbers can always be written.
    frame.data(serde_json::to_string(value).unwrap_or_default())
}
