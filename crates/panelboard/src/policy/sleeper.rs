//! How a thread waits.

use std::sync::Arc;
use std::time::Duration;

/// Waits, on a thread that may be blocked.
pub(crate) type Sleeper = Arc<dyn Fn(Duration) + Send + Sync>;

/// The system's.
pub(crate) fn system() -> Sleeper {
    Arc::new(crate::clock::sleep)
}
