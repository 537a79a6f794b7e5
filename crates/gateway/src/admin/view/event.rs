//! Events.

use panelboard::event::{self, Order, What};
use serde::Serialize;
use utoipa::ToSchema;

use super::timestamp;

/// Something that happened to a circuit.
#[derive(Serialize, ToSchema, Debug)]
pub(crate) struct Event {
    /// The place in the order of all events since the gateway started; from 1, without gaps.
    pub(crate) sequence: u64,
    at: String,
    circuit: String,
    kind: EventKind,
    /// The phase before, or the mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    /// The phase entered, or the mode now.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'static str>,
    /// The number of the phase entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// When an override ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Who ordered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The same as a sentence.
    explain: String,
}

/// What happened.
#[derive(Copy, Clone, Serialize, ToSchema, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventKind {
    /// The circuit entered a phase.
    Transition,
    /// Somebody or time changed who decides.
    Mode,
    /// The circuit runs on other settings.
    Reconfigured,
}

impl Event {
    pub(crate) fn of(event: &event::Event) -> Event {
        let mut view = Event {
            sequence: event.sequence,
            at: timestamp(event.at),
            circuit: event.circuit.to_string(),
            kind: EventKind::Reconfigured,
            from: None,
            to: None,
            generation: None,
            cause: None,
            until: None,
            by: None,
            reason: None,
            explain: event.explain(),
        };
        let by = match &event.what {
            What::Transition { from, to, generation, cause, record, .. } => {
                view.kind = EventKind::Transition;
                (view.from, view.to) = (Some(from.name()), Some(to.name()));
                (view.generation, view.cause) = (Some(*generation), Some(cause.name()));
                record.order.as_ref()
            }
            What::Mode { from, to, until, order } => {
                view.kind = EventKind::Mode;
                (view.from, view.to) = (Some(from.name()), Some(to.name()));
                view.until = until.map(timestamp);
                order.as_ref()
            }
            _ => None,
        };
        if let Some(Order { by, reason, .. }) = by {
            (view.by, view.reason) = (Some(by.to_string()), Some(reason.to_string()));
        }
        view
    }
}
