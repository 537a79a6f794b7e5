//! What the API shows: types that are written as JSON, and described in the document.

pub(super) mod circuit;
pub(super) mod config;
pub(super) mod event;
pub(super) mod record;

use std::time::{Duration, SystemTime};

/// Seconds, to the millisecond.
pub(super) fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1_000.0
}

/// RFC 3339, in UTC, to the second: for people. Durations are for arithmetic.
pub(super) fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

/// An enum of the library under the names it has there.
macro_rules! names {
    ($(#[doc = $doc:literal])+ $name:ident from $from:ty { $($variant:ident = $word:tt),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Copy, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema, Debug)]
        pub(crate) enum $name {
            $(#[serde(rename = $word)] $variant),+
        }

        impl From<$from> for $name {
            fn from(from: $from) -> $name {
                match from {
                    $(<$from>::$variant => $name::$variant),+
                }
            }
        }
    };
}

names! {
    /// The phase of a circuit.
    State from panelboard::PhaseName { Closed = "closed", Open = "open", HalfOpen = "half_open" }
}

names! {
    /// Who decides.
    Mode from panelboard::Mode {
        Auto = "auto", Observe = "observe", ForcedOpen = "forced_open",
        ForcedClosed = "forced_closed",
    }
}

names! {
    /// How a circuit is doing, in one word.
    Health from panelboard::Health {
        Healthy = "healthy", Degraded = "degraded", Unhealthy = "unhealthy",
    }
}
