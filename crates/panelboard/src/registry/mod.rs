//! Where the breakers of a service live: the single source of truth.

mod declared;
mod family;
mod global;
mod index;
mod key;
#[cfg(all(test, panelboard_loom))]
mod loom;
mod options;
mod roster;
#[cfg(all(test, not(panelboard_loom)))]
mod sizes;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use panelboard_core::Catalog;

use crate::event::{Bus, Subscription};
use crate::{CircuitBreaker, Clock, Name, Settings, Snapshot};

pub use family::Family;
pub use global::AlreadyInstalled;
pub use options::{FamilyOptions, IDLE, MAX_KEYS};

/// The breakers of a service by name: got or created, never created a second time behind a
/// holder's back. A cheap handle.
///
/// # Examples
/// ```
/// use panelboard::{Catalog, Registry, presets};
///
/// let mut catalog = Catalog::default();
/// catalog.circuits.insert("users".into(), presets::database().build()?);
/// let registry = Registry::from_config(&catalog);
///
/// let users = registry.breaker("users");
/// users.call(|| Ok::<_, ()>(())).unwrap();
/// assert_eq!(registry.breaker("users").snapshot().counters.success, 1, "the same breaker");
/// # Ok::<(), panelboard::SettingsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    bus: Arc<Bus>,
    inner: RwLock<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    catalog: Arc<Catalog>,
    breakers: HashMap<Name, CircuitBreaker>,
    families: HashMap<Name, Family>,
    /// Settings from source code, for circuits that configuration does not name.
    declared: BTreeMap<String, Settings>,
}

// ===== impl Registry =====

impl Registry {
    /// A registry in which every circuit runs on the default settings.
    pub fn new() -> Registry {
        Registry::from_config(&Catalog::default())
    }

    /// A registry with the circuits of a checked configuration, all of them present from the
    /// start.
    pub fn from_config(config: &impl AsRef<Catalog>) -> Registry {
        Registry::with(config, Clock::default(), Bus::new())
    }

    /// As [`from_config`](Self::from_config), with a clock and a bus of your choice.
    pub fn with(config: &impl AsRef<Catalog>, clock: Clock, bus: Arc<Bus>) -> Registry {
        let inner = RwLock::new(Listed::default());
        let registry = Registry { shared: Arc::new(Shared { clock, bus, inner }) };
        registry.apply(config);
        registry
    }

    /// The breaker of this name, created if there is none.
    ///
    /// Keep the handle: looking it up costs more than guarding a call.
    pub fn breaker(&self, name: &str) -> CircuitBreaker {
        if let Some(breaker) = self.get(name) {
            return breaker;
        }
        let mut listed = self.write();
        self.get_or_create(&mut listed, name)
    }

    /// The breaker of this name, if there is one.
    pub fn get(&self, name: &str) -> Option<CircuitBreaker> {
        self.read().breakers.get(name).cloned()
    }

    /// The family of this name, created if there is none: one breaker for each key.
    pub fn keyed(&self, name: &str) -> Family {
        self.keyed_with(name, FamilyOptions::new())
    }

    /// As [`keyed`](Self::keyed), for at most so many keys; a family that exists keeps its bound.
    pub fn keyed_up_to(&self, name: &str, max_keys: usize) -> Family {
        self.keyed_with(name, FamilyOptions::new().max_keys(max_keys))
    }

    /// As [`keyed`](Self::keyed), with options of your choice; a family that exists keeps its own.
    /// What configuration says of its settings wins, as in [`breaker_with`](Self::breaker_with).
    pub fn keyed_with(&self, name: &str, options: FamilyOptions) -> Family {
        if let Some(family) = self.read().families.get(name) {
            return family.clone();
        }
        let mut listed = self.write();
        if let Some(settings) = options.settings {
            listed.declare(name, settings);
        }
        let parent = self.get_or_create(&mut listed, name);
        let catalog = Arc::clone(&listed.catalog);
        let family = listed
            .families
            .entry(parent.name().clone())
            .or_insert_with(|| Family::new(parent, catalog, options, &self.shared));
        family.clone()
    }

    /// The family of this name, if there is one.
    pub fn family(&self, name: &str) -> Option<Family> {
        self.read().families.get(name).cloned()
    }

    /// Runs every circuit on the settings of this configuration.
    ///
    /// Dependencies are kept to as well, for members of families those of the family. Circuits that
    /// others depend on are there from then on, too, on the default settings if they have none.
    ///
    /// Circuits whose settings are the same keep everything; changed ones keep phase, generation
    /// and streak (invariant B-9); new ones appear; those no longer named leave the registry, and
    /// whoever still holds one may go on using it.
    pub fn apply(&self, config: &impl AsRef<Catalog>) {
        let mut catalog = config.as_ref().clone();
        let mut listed = self.write();
        declared::add(&mut catalog, &listed.declared);
        let catalog = Arc::new(catalog);
        let before = std::mem::replace(&mut listed.catalog, Arc::clone(&catalog));
        let stays = |name: &Name| {
            !before.circuits.contains_key(&**name) || catalog.circuits.contains_key(&**name)
        };
        // Dropped when others may look breakers up again: a family may be large.
        let gone: Vec<_> = listed.breakers.extract_if(|name, _| !stays(name)).collect();
        let families_gone: Vec<_> = listed.families.extract_if(|name, _| !stays(name)).collect();
        for name in catalog.circuits.keys().chain(catalog.depends_on.names()) {
            self.get_or_create(&mut listed, name);
        }
        drop(listed);
        drop((gone, families_gone));
        // Reconfiguring wakes subscribers, which is foreign code: not under a lock. So others may
        // apply theirs meanwhile, and whoever finds that it is no longer the last makes up for it.
        while !Arc::ptr_eq(&self.reconfigure_all(), &self.catalog()) {}
    }

    /// Runs every circuit on the settings last applied, and says which those were.
    fn reconfigure_all(&self) -> Arc<Catalog> {
        let listed = self.read();
        let catalog = Arc::clone(&listed.catalog);
        let breakers: Vec<CircuitBreaker> = listed.breakers.values().cloned().collect();
        let families: Vec<Family> = listed.families.values().cloned().collect();
        drop(listed);
        for breaker in breakers {
            breaker.depend_on(self.dependencies(&catalog, breaker.name()));
            breaker.reconfigure(catalog.settings(breaker.name()));
        }
        for family in families {
            family.reconfigure(&catalog);
        }
        catalog
    }

    /// The breakers that one of this name depends on, directly or not.
    fn dependencies(&self, catalog: &Catalog, name: &str) -> Vec<CircuitBreaker> {
        catalog.depends_on.all(name).into_iter().map(|on| self.breaker(on)).collect()
    }

    /// The settings of every circuit, as last applied.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.read().catalog)
    }

    /// Every breaker, keyed ones included, by name.
    pub fn breakers(&self) -> Vec<CircuitBreaker> {
        let listed = self.read();
        let mut all: Vec<CircuitBreaker> = listed.breakers.values().cloned().collect();
        for family in listed.families.values() {
            all.extend(family.breakers());
        }
        drop(listed);
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// What every breaker looks like now, by name.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.breakers().iter().map(CircuitBreaker::snapshot).collect()
    }

    /// Every family.
    pub fn families(&self) -> Vec<Family> {
        let mut families: Vec<Family> = self.read().families.values().cloned().collect();
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families
    }

    /// A breaker by its full name: that of a circuit, or `family/key`.
    pub fn find(&self, name: &str) -> Option<CircuitBreaker> {
        self.get(name).or_else(|| self.families().iter().find_map(|family| family.find(name)))
    }

    /// Evicts what is idle and clean from every family, and says how many breakers that were
    /// ([`Family::evict_idle`]).
    pub fn evict_idle(&self) -> usize {
        self.families().iter().map(Family::evict_idle).sum()
    }

    /// Where all of them publish what happens to them.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.shared.bus
    }

    /// Follows what happens to any of them from now on.
    pub fn subscribe(&self) -> Subscription {
        self.shared.bus.subscribe()
    }

    fn get_or_create(&self, listed: &mut Listed, name: &str) -> CircuitBreaker {
        if let Some(breaker) = listed.breakers.get(name) {
            return breaker.clone();
        }
        let settings = listed.catalog.settings(name);
        let breaker = CircuitBreaker::builder(listed.name(name))
            .settings(settings)
            .clock(self.shared.clock.clone())
            .bus(Arc::clone(&self.shared.bus))
            .build();
        listed.breakers.insert(breaker.name().clone(), breaker.clone());
        breaker
    }

    fn read(&self) -> RwLockReadGuard<'_, Listed> {
        self.shared.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Listed> {
        self.shared.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Registry {
    fn default() -> Registry {
        Registry::new()
    }
}

impl Listed {
    /// Names from configuration are few and for ever; others are the caller's to bound.
    fn name(&self, name: &str) -> Name {
        match self.catalog.circuits.contains_key(name) {
            true => Name::interned(name),
            false => Name::from(name.to_owned()),
        }
    }
}
