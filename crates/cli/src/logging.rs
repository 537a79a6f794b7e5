//! Logs: for people on a terminal, as JSON otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// Which messages to show, such as `debug` or `panelboard_gateway=debug`; `info` unless set.
const FILTER: &str = "PANELBOARD_LOG";

/// Sends logs to stderr, once.
pub(crate) fn init() {
    let filter = std::env::var(FILTER).ok().filter(|text| !text.is_empty());
    let (filter, complaint) = match filter.as_deref().map(EnvFilter::try_new) {
        None => (EnvFilter::new("info"), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new("info"), Some(error)),
    };
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(colour)
        // It would complain to stderr about stderr, and panic if that is gone.
        .log_internal_errors(false);
    let layer = match terminal {
        true => layer.compact().boxed(),
        false => layer.json().flatten_event(true).boxed(),
    };
    // A second call, as in tests, changes nothing.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
    if let Some(error) = complaint {
        tracing::warn!("{FILTER} is not understood, so it is taken for `info`: {error}");
    }
}
