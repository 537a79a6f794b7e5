//! What holds under load and over time. One test at a time: each needs the machine.

#![expect(clippy::disallowed_methods, reason = "real processes run by the real clock")]

mod client;
mod outage;
mod soak;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "shared with the other end-to-end tests, which need more of it")]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for the machine.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
