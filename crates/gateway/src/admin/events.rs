//! Past events.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::circuits::{after, limit};
use super::extract::Params;
use super::problem::Answer;
use super::view::event::Event;
use crate::shared::Shared;

/// How many events are listed at once at most.
const LISTED: u32 = 1_000;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Those after the one with this sequence number, oldest first; the newest if it is not given.
    after: Option<u64>,
    /// Only those of this circuit.
    circuit: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1_000, default = 1_000)]
    limit: Option<u32>,
}

/// Events, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = EventList)]
pub(super) struct List {
    events: Vec<Event>,
    /// The sequence number of the newest event there is; 0 before the first.
    last: u64,
    /// How many events after the one asked for are no longer kept.
    missed: u64,
}

/// What has happened to circuits: the last 10,000 events are kept, and counted from when the gateway
/// started.
#[utoipa::path(get, path = "/api/v1/events", params(Filter), tag = "events",
    security(("token" = ["viewer"])), responses((status = 200, body = List)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Params(filter): Params<Filter>,
) -> Answer<Json<List>> {
    let (limit, after) = (limit(filter.limit, LISTED)?, after(filter.after)?);
    let bus = shared.registry.bus();
    let kept = bus.after(after.unwrap_or(0), usize::MAX);
    let last = bus.last();
    let missed = match (after, kept.first()) {
        (Some(after), Some(first)) => first.sequence - 1 - after.min(first.sequence - 1),
        _ => 0,
    };
    let wanted = |event: &&Arc<panelboard::Event>| {
        filter.circuit.as_deref().is_none_or(|circuit| event.circuit.as_str() == circuit)
    };
    let events = kept.iter().filter(wanted);
    let skip = match after {
        Some(_) => 0,
        None => events.clone().count().saturating_sub(limit),
    };
    let events = events.skip(skip).take(limit).map(|event| Event::of(event)).collect();
    Ok(Json(List { events, last, missed }))
}
