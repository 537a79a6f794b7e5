//! Breakers by key.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use panelboard_core::{Catalog, Settings};

use super::Shared;
use crate::event::{Bus, Order};
use crate::{CircuitBreaker, Clock, Command, Mode, Name};

/// What stands for the key in the name of a family's overflow breaker.
const OVERFLOW: &str = "(overflow)";

/// Breakers by key under one name and one set of settings, bounded in number.
///
/// A key above the bound shares the family's overflow breaker, so it is never unprotected.
#[derive(Clone, Debug)]
pub struct Family {
    shared: Arc<FamilyShared>,
}

#[derive(Debug)]
struct FamilyShared {
    /// The circuit that the family is made of: it guards no call, but keeps the mode that all
    /// members are ordered into.
    parent: CircuitBreaker,
    clock: Clock,
    bus: Arc<Bus>,
    max_keys: usize,
    inner: RwLock<Keyed>,
}

#[derive(Debug)]
struct Keyed {
    catalog: Arc<Catalog>,
    breakers: HashMap<Box<str>, CircuitBreaker>,
    overflow: Option<CircuitBreaker>,
}

// ===== impl Family =====

impl Family {
    pub(super) fn new(
        parent: CircuitBreaker,
        catalog: Arc<Catalog>,
        max_keys: usize,
        shared: &Shared,
    ) -> Family {
        let (clock, bus) = (shared.clock.clone(), Arc::clone(&shared.bus));
        let inner = RwLock::new(Keyed { catalog, breakers: HashMap::new(), overflow: None });
        Family { shared: Arc::new(FamilyShared { parent, clock, bus, max_keys, inner }) }
    }

    /// The name.
    pub fn name(&self) -> &Name {
        self.shared.parent.name()
    }

    /// Orders something of every member, and says who does it and why. Members that come later
    /// are in the mode that was ordered, for as long as it lasts.
    pub fn command_by(&self, command: Command, order: &Order) {
        // The parent first: whoever joins meanwhile either finds its mode or is found below.
        if !matches!(command, Command::Trip | Command::OpenFor(_)) {
            self.shared.parent.command_by(command, order);
        }
        for breaker in self.breakers() {
            breaker.command_by(command, order);
        }
    }

    /// Puts a new member into the mode that the family was ordered into.
    fn welcome(&self, breaker: &CircuitBreaker) {
        let family = self.shared.parent.snapshot();
        let Some(over) = family.override_ else { return };
        if breaker.snapshot().mode != family.mode {
            let command = match family.mode {
                Mode::ForcedOpen => Command::ForceOpen(over.for_),
                Mode::ForcedClosed => Command::ForceClosed(over.for_),
                Mode::Observe => Command::Observe(over.for_),
                Mode::Auto => Command::Auto(over.for_),
            };
            let order = over.order.unwrap_or_else(|| Order::new("", ""));
            breaker.command_by(command, &order);
        }
    }

    /// The breaker for this key, created if there is none and room for one more. Its name is
    /// `family/part/part`.
    pub fn breaker(&self, key: &[&str]) -> CircuitBreaker {
        let key = key.join("/");
        if let Some(breaker) = self.read().breakers.get(&*key) {
            return breaker.clone();
        }
        // Made without the lock, since it may publish what mode it is in; so another thread may be
        // quicker, with the same key, another configuration, or the last place.
        loop {
            let (catalog, full) = {
                let keyed = self.read();
                (Arc::clone(&keyed.catalog), self.is_full(&keyed, &key))
            };
            let breaker = match full {
                true => self.make(OVERFLOW, catalog.settings(self.name())),
                false => self.make(&key, catalog.key_settings(self.name(), &key)),
            };
            self.welcome(&breaker);
            if let Some(breaker) = self.join(&key, breaker, &catalog, full) {
                // For an order that came after the welcome and before it was there to be found.
                self.welcome(&breaker);
                return breaker;
            }
        }
    }

    /// Takes a new member in, or says whom to use instead; `None` if it was made for a family that
    /// is no longer so.
    fn join(
        &self,
        key: &str,
        breaker: CircuitBreaker,
        catalog: &Arc<Catalog>,
        full: bool,
    ) -> Option<CircuitBreaker> {
        let mut keyed = self.write();
        if let Some(breaker) = keyed.breakers.get(key) {
            return Some(breaker.clone());
        }
        if full != self.is_full(&keyed, key) || !Arc::ptr_eq(catalog, &keyed.catalog) {
            return None;
        }
        if full {
            return Some(keyed.overflow.get_or_insert(breaker).clone());
        }
        keyed.breakers.insert(key.into(), breaker.clone());
        Some(breaker)
    }

    /// Whether this key shares the overflow breaker. One that has its very name does, or there would
    /// be two breakers of one name.
    fn is_full(&self, keyed: &Keyed, key: &str) -> bool {
        keyed.breakers.len() >= self.shared.max_keys || key == OVERFLOW
    }

    /// Every breaker of the family, the overflow one included.
    pub fn breakers(&self) -> Vec<CircuitBreaker> {
        let keyed = self.read();
        keyed.breakers.values().chain(&keyed.overflow).cloned().collect()
    }

    /// How many keys have a breaker of their own.
    pub fn len(&self) -> usize {
        self.read().breakers.len()
    }

    /// Whether no key has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn reconfigure(&self, catalog: &Arc<Catalog>) {
        let mut keyed = self.write();
        keyed.catalog = Arc::clone(catalog);
        let breakers: Vec<_> =
            keyed.breakers.iter().map(|(key, breaker)| (key.clone(), breaker.clone())).collect();
        let overflow = keyed.overflow.clone();
        drop(keyed);
        // The family's own are those of its parent, which has them already.
        let dependencies = self.shared.parent.dependencies();
        for breaker in breakers.iter().map(|(_, breaker)| breaker).chain(&overflow) {
            breaker.depend_on(dependencies.iter().cloned());
        }
        for (key, breaker) in breakers {
            breaker.reconfigure(catalog.key_settings(self.name(), &key));
        }
        if let Some(overflow) = overflow {
            overflow.reconfigure(catalog.settings(self.name()));
        }
    }

    fn make(&self, key: &str, settings: Settings) -> CircuitBreaker {
        CircuitBreaker::builder(format!("{}/{key}", self.name()))
            .settings(settings)
            .clock(self.shared.clock.clone())
            .bus(Arc::clone(&self.shared.bus))
            .depends_on(&self.shared.parent.dependencies())
            .build()
    }

    fn read(&self) -> RwLockReadGuard<'_, Keyed> {
        self.shared.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keyed> {
        self.shared.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}
