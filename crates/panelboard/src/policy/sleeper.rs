//! The one place that puts a thread to sleep.

use std::sync::Arc;
use std::time::Duration;

/// Waits, on a thread that may be blocked.
pub(crate) type Sleeper = Arc<dyn Fn(Duration) + Send + Sync>;

/// The system's.
#[expect(clippy::disallowed_methods, reason = "this module is where threads sleep")]
pub(crate) fn system() -> Sleeper {
    Arc::new(std::thread::sleep)
}
