//! What the admin API has of its own.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use panelboard::Clock;
use tokio::sync::mpsc;

use super::audit::Audit;
use super::failures::Failures;
use super::stream::Stream;
use super::token::Tokens;
use crate::reload::Ask;

/// What the admin API has of its own.
pub(crate) struct Desk {
    pub(crate) audit: Audit,
    pub(crate) failures: Failures,
    pub(crate) stream: Stream,
    pub(crate) reloads: Reloads,
    tokens: ArcSwap<Tokens>,
}

/// Where reloads are asked for.
pub(crate) struct Reloads {
    asks: mpsc::Sender<Ask>,
    asked: Mutex<Option<mpsc::Receiver<Ask>>>,
}

impl Desk {
    pub(crate) fn new(tokens: Tokens) -> Desk {
        let (asks, asked) = mpsc::channel(1);
        Desk {
            audit: Audit::new(Clock::precise()),
            failures: Failures::new(Clock::precise()),
            stream: Stream::new(),
            reloads: Reloads { asks, asked: Mutex::new(Some(asked)) },
            tokens: ArcSwap::from_pointee(tokens),
        }
    }

    /// Who may do what, now.
    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        self.tokens.load_full()
    }

    pub(crate) fn set_tokens(&self, tokens: Tokens) {
        self.tokens.store(Arc::new(tokens));
    }
}

impl Reloads {
    /// Asks whoever follows the file.
    ///
    /// # Errors
    /// Why that cannot be now.
    pub(crate) fn ask(&self, ask: Ask) -> Result<(), &'static str> {
        if self.asked.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err("This gateway follows no configuration that could be read again.");
        }
        self.asks.try_send(ask).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => "Another reload is under way.",
            mpsc::error::TrySendError::Closed(_) => "The gateway is stopping.",
        })
    }

    /// What is asked for; once, for whoever follows the file.
    pub(crate) fn follow(&self) -> Option<mpsc::Receiver<Ask>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
