use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`Hedge`](super::Hedge) has done since it was made.
///
/// Each number is right; read while calls are under way, they need not be of the same moment.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use panelboard::policy::hedge::{Hedge, HedgeLayer, HedgeSettings};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), panelboard::SettingsError> {
/// let hedge = Hedge::new(HedgeSettings::after(Duration::from_millis(50))?);
/// let prompt = service_fn(|()| async { Ok::<_, std::io::Error>(()) });
/// HedgeLayer::new(hedge.clone()).layer(prompt).oneshot(()).await.unwrap();
/// let stats = hedge.stats();
/// assert_eq!((stats.calls(), stats.hedges(), stats.wins()), (1, 0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct HedgeStats {
    calls: u64,
    hedges: u64,
    wins: u64,
    budget_exhausted: u64,
}

/// Apart from what is only read, so that counting does not slow the readers down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counters {
    calls: AtomicU64,
    hedges: AtomicU64,
    wins: AtomicU64,
    budget_exhausted: AtomicU64,
}

// ===== impl HedgeStats =====

impl HedgeStats {
    /// Calls, whatever became of them.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Calls that were made a second time.
    pub fn hedges(&self) -> u64 {
        self.hedges
    }

    /// Requests in all.
    pub fn attempts(&self) -> u64 {
        self.calls + self.hedges
    }

    /// Calls that the second request answered.
    pub fn wins(&self) -> u64 {
        self.wins
    }

    /// Calls that were not made a second time because the budget was used up.
    pub fn budget_exhausted(&self) -> u64 {
        self.budget_exhausted
    }
}

// ===== impl Counters =====

// Relaxed throughout: the numbers publish nothing but themselves.
impl Counters {
    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn hedge(&self) {
        self.hedges.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn win(&self) {
        self.wins.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn budget_exhausted(&self) {
        self.budget_exhausted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> HedgeStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HedgeStats {
            calls: read(&self.calls),
            hedges: read(&self.hedges),
            wins: read(&self.wins),
            budget_exhausted: read(&self.budget_exhausted),
        }
    }
}
