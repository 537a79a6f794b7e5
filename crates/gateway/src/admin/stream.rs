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

use super::circuits::after;
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
        // With the first subscriber all is news: what has changed between their snapshot and this
        // first look cannot be told.
        let before = sent.replace(steady).unwrap_or_default();
        let Some(steady) = &sent else { continue };
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
    let from = after(from.after)?;
    let place = Arc::clone(&shared.desk.stream.places).try_acquire_owned().map_err(|_| {
        let detail = format!("There are {SUBSCRIBERS} subscribers already; close one of them.");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(10)
    })?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let feed = Feed::new(shared, caller, resumed.or(from), place);
    let frames = stream::unfold(feed, |mut feed| async move {
        let frame = feed.next().await?;
        Some((Ok::<_, Infallible>(frame), feed))
    });
    Ok(Sse::new(frames).into_response())
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
    /// Begins after this event, if it is known where that is; else now.
    fn new(
        shared: Arc<Shared>,
        caller: Caller,
        after: Option<u64>,
        place: OwnedSemaphorePermit,
    ) -> Feed {
        let bus = shared.registry.bus();
        let last = bus.last();
        // A number from before a restart says nothing about now.
        let after = after.filter(|after| *after <= last);
        let events = bus.subscribe_after(after.unwrap_or(last));
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        let frames = shared.desk.stream.frames.subscribe();
        let waiting = VecDeque::new();
        let mut feed = Feed { events, frames, heartbeat, waiting, caller, shared, _place: place };
        // Only where nothing is to be made up for: else what is would be skipped the next time.
        let first = match after {
            None => feed.snapshot().id(last.to_string()),
            Some(_) => feed.snapshot(),
        };
        feed.waiting.push_back(first);
        feed
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use panelboard::event::Bus;
    use panelboard::{Clock, Command, Registry};
    use panelboard_config::{LoadOptions, load_bytes};

    use crate::listeners::{Inherited, Listeners};

    /// A subscriber of a gateway whose bus keeps four events.
    fn feed(after: Option<u64>) -> Feed {
        let loaded = load_bytes(&LoadOptions::default(), None, b"").unwrap();
        let registry = Registry::with(&loaded.config, Clock::default(), Bus::with_capacity(4));
        let listeners = Listeners::open(&[], &mut Inherited::default()).unwrap();
        let shared = Arc::new(Shared::new(loaded, registry, listeners).unwrap());
        let place = Arc::clone(&shared.desk.stream.places).try_acquire_owned().unwrap();
        shared.registry.breaker("api");
        Feed::new(shared, Caller::loopback(), after, place)
    }

    async fn next(feed: &mut Feed) -> String {
        format!("{:?}", feed.next().await.expect("a frame"))
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_much_it_missed_and_gets_everything_anew() {
        let mut feed = feed(None);
        let api = feed.shared.registry.breaker("api");
        for _ in 0..5 {
            api.command(Command::Trip);
            api.command(Command::Reset);
        }
        assert!(next(&mut feed).await.contains("event: snapshot"));
        let lagged = next(&mut feed).await;
        assert!(lagged.contains("event: lagged") && lagged.contains("missed"), "{lagged}");
        assert!(lagged.contains(":6}"), "{lagged}");
        assert!(next(&mut feed).await.contains("event: snapshot"));
        for id in 7..=10 {
            assert!(next(&mut feed).await.contains(&format!("id: {id}")));
        }
        for _ in 0..=BEHIND {
            feed.shared.desk.stream.frames.send("{}".into()).unwrap();
        }
        assert!(next(&mut feed).await.contains("event: lagged"));
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_right_to_it() {
        let mut feed = feed(None);
        assert!(next(&mut feed).await.contains("event: snapshot"));
        feed.caller = Caller { name: "gone".into(), ..Caller::loopback() };
        feed.shared.registry.breaker("api").command(Command::Trip);
        assert!(feed.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken() {
        let mut feed = feed(Some(99));
        assert!(next(&mut feed).await.contains("id: 0"), "from before a restart");
        assert!(next(&mut feed).await.contains("event: heartbeat"));
    }
}
