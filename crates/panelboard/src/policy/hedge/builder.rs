use std::sync::Arc;

use super::{Counters, Hedge, HedgeSettings, Learned, Shared};
use crate::policy::repeat::Cloned;
use crate::policy::retry_budget::RetryBudget;
use crate::{Clock, OkOrErr};

/// Puts a [`Hedge`] together.
///
/// # Examples
/// ```
/// use panelboard::Ratio;
/// use panelboard::policy::{Idempotent, hedge::{Hedge, HedgeSettings}};
///
/// let hedge = Hedge::builder(HedgeSettings::at_percentile(Ratio::percent(95).expect("a share"))?)
///     .repeat(Idempotent(|request: &String| request.starts_with("GET ")))
///     .build();
/// assert_eq!(hedge.delay(), None, "it is learned from the first hundred answers");
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[must_use]
pub struct HedgeBuilder<Q = Cloned, C = OkOrErr> {
    settings: HedgeSettings,
    budget: Option<RetryBudget>,
    repeat: Q,
    classify: C,
}

// ===== impl HedgeBuilder =====

impl HedgeBuilder {
    pub(super) fn new(settings: HedgeSettings) -> HedgeBuilder {
        let budget = Some(RetryBudget::default());
        HedgeBuilder { settings, budget, repeat: Cloned, classify: OkOrErr }
    }
}

impl<Q, C> HedgeBuilder<Q, C> {
    /// What pays for hedges: a budget to share with others, or `None` for as many as there may be.
    /// Default: a budget of its own, with the default terms.
    pub fn budget(mut self, budget: impl Into<Option<RetryBudget>>) -> Self {
        self.budget = budget.into();
        self
    }

    /// Which requests may be repeated, and how they are copied. Default: all, by `Clone`.
    pub fn repeat<R>(self, repeat: R) -> HedgeBuilder<R, C> {
        let HedgeBuilder { settings, budget, repeat: _, classify } = self;
        HedgeBuilder { settings, budget, repeat, classify }
    }

    /// What a result says: failures and pushback are not usable. Default: every `Err` is a failure.
    pub fn classify<D>(self, classify: D) -> HedgeBuilder<Q, D> {
        let HedgeBuilder { settings, budget, repeat, classify: _ } = self;
        HedgeBuilder { settings, budget, repeat, classify }
    }

    /// The policy.
    pub fn build(self) -> Hedge<Q, C> {
        let HedgeBuilder { settings, budget, repeat, classify } = self;
        let (clock, learned, counters) = (Clock::tokio(), Learned::new(), Counters::default());
        let shared = Shared { settings, budget, repeat, classify, clock, learned, counters };
        Hedge { shared: Arc::new(shared) }
    }
}

impl<Q, C> std::fmt::Debug for HedgeBuilder<Q, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HedgeBuilder")
            .field("settings", &self.settings)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
