//! What stands behind the lock, kept small as long as nothing has happened.
//!
//! A breaker that has only seen successes never takes the lock, and all there is to know of its
//! state is when and with which seed it began. So the state itself, which is ten times as large, is
//! made when somebody first takes the lock to change it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use panelboard_core::{Settings, State, Tick};

use super::cold::Cold;
use crate::sync::{Mutex, MutexGuard, lock};

/// [`Cold`] behind its lock.
pub(super) struct Keep(Mutex<Kept>);

enum Kept {
    /// Nothing has happened.
    Fresh {
        settings: Arc<Settings>,
        seed: u64,
        began: Tick,
    },
    Full(Box<Cold>),
}

/// [`Cold`], locked.
pub(super) struct Opened<'a>(MutexGuard<'a, Kept>);

// ===== impl Keep =====

impl Keep {
    pub(super) fn new(settings: Arc<Settings>, seed: u64, began: Tick) -> Keep {
        Keep(Mutex::new(Kept::Fresh { settings, seed, began }))
    }

    /// Locks it, to change it.
    pub(super) fn lock(&self) -> Opened<'_> {
        let mut kept = lock(&self.0);
        if let Some(cold) = kept.unfold() {
            *kept = Kept::Full(cold);
        }
        Opened(kept)
    }

    /// Locks it, only to look.
    pub(super) fn peek<T>(&self, look: impl FnOnce(&Cold) -> T) -> T {
        let kept = lock(&self.0);
        match &*kept {
            Kept::Full(cold) => look(cold),
            Kept::Fresh { settings, seed, began } => {
                look(&Cold::new(Arc::clone(settings), *seed, *began))
            }
        }
    }

    /// Whether nothing has happened, so that time alone cannot bring anything about.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(&*lock(&self.0), Kept::Fresh { .. })
    }

    /// Whether it runs on these settings.
    pub(super) fn runs_on(&self, settings: &Settings) -> bool {
        match &*lock(&self.0) {
            Kept::Fresh { settings: known, .. } => **known == *settings,
            Kept::Full(cold) => *cold.settings == *settings,
        }
    }

    /// Makes it small again if, after all, nothing has happened.
    pub(super) fn fold(&self) {
        let mut kept = lock(&self.0);
        if let Kept::Full(cold) = &*kept
            && cold.is_fresh()
        {
            let (seed, began) = (cold.state.seed(), cold.state.entered());
            *kept = Kept::Fresh { settings: Arc::clone(&cold.settings), seed, began };
        }
    }
}

impl Kept {
    fn unfold(&self) -> Option<Box<Cold>> {
        match self {
            Kept::Full(_) => None,
            Kept::Fresh { settings, seed, began } => {
                Some(Box::new(Cold::new(Arc::clone(settings), *seed, *began)))
            }
        }
    }
}

impl Cold {
    /// Whether it is as it was made.
    fn is_fresh(&self) -> bool {
        let Cold {
            settings: _,
            state,
            evidence,
            cusum,
            dependencies,
            successes_before,
            epoch,
            rare,
        } = self;
        let bare = evidence.is_none() && cusum.is_none() && dependencies.is_none();
        let untouched = bare && rare.is_none() && *epoch == 0 && *successes_before == 0;
        untouched && *state == State::new(state.seed(), state.entered())
    }
}

impl Deref for Opened<'_> {
    type Target = Cold;

    fn deref(&self) -> &Cold {
        match &*self.0 {
            Kept::Full(cold) => cold,
            Kept::Fresh { .. } => unreachable!("unfolded when it was locked"),
        }
    }
}

impl DerefMut for Opened<'_> {
    fn deref_mut(&mut self) -> &mut Cold {
        match &mut *self.0 {
            Kept::Full(cold) => cold,
            Kept::Fresh { .. } => unreachable!("unfolded when it was locked"),
        }
    }
}
