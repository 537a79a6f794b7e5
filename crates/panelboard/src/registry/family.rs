//! Breakers by key.

use std::fmt;
use std::panic::RefUnwindSafe;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use foldhash::quality::RandomState;
use panelboard_core::machine::Counters;
use panelboard_core::rollup::Children;
use panelboard_core::{Catalog, Settings, Tick};

use super::Shared;
use super::index::Index;
use super::key::{self, Key};
use super::options::FamilyOptions;
use super::roster::{Roster, Search};
use crate::breaker::{Above, Home, Members};
use crate::event::Order;
use crate::snapshot::Keys;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};
use crate::{CircuitBreaker, Clock, Command, Mode, Name, PhaseName};

/// What stands for the key in the name of a family's overflow breaker.
const OVERFLOW: &str = "(overflow)";

/// Members that a new key may look at in search of one to evict, so that its cost is bounded.
const LOOKS: usize = 8;

/// For how long a search in vain speaks for those that would follow.
const IN_VAIN: Duration = Duration::from_millis(10);

/// Members that are looked at before the lock is let go, by whoever looks at all of them.
const BATCH: usize = 256;

/// How old a count of busy members may grow before it is taken again.
const STALE: Duration = Duration::from_secs(1);

/// Breakers by key under one name and one set of settings, bounded in number. A cheap handle.
///
/// Finding the breaker of a known key takes no lock and allocates nothing, but it costs more than
/// guarding a call: where a key is used often, keep its breaker.
///
/// - **Bounded.** At most [`max_keys`](FamilyOptions::max_keys) keys have a breaker of their own.
///   A new key beyond that takes the place of one that is idle and clean; if none is found, it
///   shares the family's overflow breaker until one is, so it is never unprotected.
/// - **Evicted** is only what nobody misses: a breaker that nobody holds, that was not looked up for
///   [`idle`](FamilyOptions::idle), and that a new one would not differ from (closed, with no
///   failure or slow call in its window, its last incident long over). That happens when a new key
///   needs the place, or by [`evict_idle`](Self::evict_idle). Its counters go with it.
/// - **The parent**, the breaker with the family's own name, opens when more than half of the busy
///   keys, and at least two, are open. Then it refuses calls to every key, and recovers by probes of
///   its own, which are calls to any key; those it counts as well, and no others. Its wait starts over
///   when calls to keys have succeeded for long enough since it closed.
///
/// # Examples
/// ```
/// use panelboard::Registry;
///
/// let models = Registry::new().keyed("llm");
/// let gpt = models.breaker(&["openai", "gpt-4o"]);
/// gpt.call(|| Ok::<_, std::io::Error>("hello")).unwrap();
/// assert_eq!(&**gpt.name(), "llm/openai/gpt-4o");
/// ```
#[derive(Clone)]
pub struct Family {
    shared: Arc<FamilyShared>,
}

struct FamilyShared {
    /// The circuit that the family is made of. It keeps the mode that all members are ordered into.
    parent: CircuitBreaker,
    /// Where the members belong.
    home: Arc<Home>,
    clock: Clock,
    options: FamilyOptions,
    max_keys: AtomicUsize,
    hasher: RandomState,
    index: Index,
    overflow: OnceLock<CircuitBreaker>,
    /// Members in the roster.
    count: AtomicUsize,
    /// Until when a search for somebody to evict is not worth while, in nanoseconds.
    in_vain_until: AtomicU64,
    roster: Mutex<Roster>,
    tally: Mutex<RollUp>,
}

/// How the members did when they were last counted.
#[derive(Default)]
struct RollUp {
    children: Children,
    counted: Option<Tick>,
    /// How often members have opened, and how often when they were last counted.
    opened: u32,
    opened_before: u32,
    /// The number of the parent's last closed phase after another, and how many calls to members had
    /// succeeded when it began. Nobody calls a parent itself, so its health is that of its members.
    closed: Option<(u64, u64)>,
}

// ===== impl Family =====

impl Family {
    pub(super) fn new(
        parent: CircuitBreaker,
        catalog: Arc<Catalog>,
        options: FamilyOptions,
        shared: &Shared,
    ) -> Family {
        let granule = options.idle.min(Duration::from_secs(64)) / 64;
        let shared = Arc::new_cyclic(|me: &Weak<FamilyShared>| FamilyShared {
            home: Arc::new(Home {
                bus: Arc::clone(&shared.bus),
                above: Some(Above { parent: parent.inner.clone(), family: me.clone() }),
            }),
            parent,
            clock: shared.clock.clone(),
            max_keys: AtomicUsize::new(options.max_keys),
            options,
            hasher: RandomState::default(),
            index: Index::new(Tick::ZERO.after(granule).as_nanos()),
            overflow: OnceLock::new(),
            count: AtomicUsize::new(0),
            in_vain_until: AtomicU64::new(0),
            roster: Mutex::new(Roster::new(catalog)),
            tally: Mutex::new(RollUp::default()),
        });
        let me: Weak<FamilyShared> = Arc::downgrade(&shared);
        shared.parent.inner.adopt(me);
        Family { shared }
    }

    /// The name.
    pub fn name(&self) -> &Name {
        self.shared.parent.name()
    }

    /// The breaker above those of the keys, which opens when most of them are open.
    pub fn parent(&self) -> &CircuitBreaker {
        &self.shared.parent
    }

    /// The breaker for this key, created if there is none and room for one more.
    ///
    /// Its name is `family/part/part`, where a `/` within a part is written `%2F` and a `%` is
    /// written `%25`. As long as the handle is held, the breaker is not evicted.
    ///
    /// # Examples
    /// ```
    /// use panelboard::{Command, Registry};
    ///
    /// let models = Registry::new().keyed("llm");
    /// let large = models.breaker(&["openai", "large"]);
    /// large.command(Command::Trip);
    ///
    /// // Found again by its key, and no other is concerned.
    /// assert!(models.breaker(&["openai", "large"]).try_acquire().is_err());
    /// assert!(models.breaker(&["openai", "small"]).try_acquire().is_ok());
    /// // However a key is cut into parts, it is another.
    /// assert_eq!(models.breaker(&["openai/large"]).name().as_str(), "llm/openai%2Flarge");
    /// assert_eq!(models.len(), 3);
    /// ```
    pub fn breaker(&self, key: &[&str]) -> CircuitBreaker {
        let (shared, key) = (&*self.shared, Key(key));
        let hash = key.hash(&shared.hasher);
        match shared.index.get(hash, shared.clock.now()) {
            Some(breaker) if key.is(shared.key_of(&breaker)) => breaker,
            // Another key with the same hash.
            Some(_) => shared.overflow(),
            None => shared.breaker_of_new(key, hash),
        }
    }

    /// The breaker for this key, if it has one of its own.
    pub fn get(&self, key: &[&str]) -> Option<CircuitBreaker> {
        let (shared, key) = (&*self.shared, Key(key));
        let hash = key.hash(&shared.hasher);
        let found = shared.index.get(hash, shared.clock.now());
        found.filter(|breaker| key.is(shared.key_of(breaker)))
    }

    /// The member of this name, the overflow breaker included.
    pub(super) fn find(&self, name: &str) -> Option<CircuitBreaker> {
        let key = name.strip_prefix(&**self.name())?.strip_prefix('/')?;
        if key == OVERFLOW {
            return self.shared.overflow.get().cloned();
        }
        let parts = key::parts(key);
        self.get(&parts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Every breaker of the family, the overflow one included, in no order.
    pub fn breakers(&self) -> Vec<CircuitBreaker> {
        self.shared.breakers()
    }

    /// How many keys have a breaker of their own.
    pub fn len(&self) -> usize {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Whether no key has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many breakers were evicted so far, and what they had counted, so that sums over the
    /// family never fall.
    pub fn evicted(&self) -> (u64, Counters) {
        lock(&self.shared.roster).evicted()
    }

    /// How many keys may have one.
    pub fn max_keys(&self) -> usize {
        self.shared.max_keys.load(Ordering::Acquire)
    }

    /// From now on so many keys may have one. Should there be more, they keep theirs until they are
    /// idle and clean.
    pub fn set_max_keys(&self, max_keys: usize) {
        self.shared.max_keys.store(max_keys, Ordering::Release);
        self.shared.in_vain_until.store(0, Ordering::Release);
    }

    /// Evicts every breaker that is idle and clean and that nobody holds, and says how many those
    /// were.
    ///
    /// New keys find places for themselves; call this now and then to have the memory back earlier.
    /// It takes about a microsecond for each key, and holds up new keys only for some of them
    /// at a time.
    pub fn evict_idle(&self) -> usize {
        let shared = &*self.shared;
        // Whose override is over, for one, announces it; and not under the lock.
        shared.breakers().iter().for_each(CircuitBreaker::look);
        let (mut left, mut evicted) = (self.len(), 0);
        while left > 0 {
            let mut roster = lock(&shared.roster);
            let looks = left.min(BATCH);
            left -= looks;
            evicted += shared.evict(&mut roster, looks, usize::MAX);
        }
        shared.in_vain_until.store(0, Ordering::Release);
        evicted
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

    pub(super) fn reconfigure(&self, catalog: &Arc<Catalog>) {
        let shared = &*self.shared;
        lock(&shared.roster).reconfigure(catalog);
        // The family's own are those of its parent, which has them already.
        let dependencies = shared.parent.dependencies();
        for breaker in shared.breakers() {
            breaker.depend_on(dependencies.iter().cloned());
            let key = Some(shared.key_of(&breaker)).filter(|key| *key != OVERFLOW);
            let plain = key.map(|key| key::parts(key).join("/"));
            let settings = shared.settings(&mut lock(&shared.roster), plain.as_deref());
            breaker.inner.reconfigure(settings);
        }
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("name", self.name()).field("len", &self.len()).finish()
    }
}

// ===== impl FamilyShared =====

/// User code runs when nothing is locked, so its panics leave nothing half done (B-7). Said aloud
/// since loom's types do not say so.
impl RefUnwindSafe for FamilyShared {}

impl FamilyShared {
    /// The text of a member's key.
    fn key_of<'a>(&self, breaker: &'a CircuitBreaker) -> &'a str {
        &breaker.name()[self.parent.name().len() + 1..]
    }

    fn is_full(&self) -> bool {
        self.count.load(Ordering::Acquire) >= self.max_keys.load(Ordering::Acquire)
    }

    /// A key that has no breaker gets one, or shares the overflow breaker.
    #[cold]
    fn breaker_of_new(&self, key: Key<'_>, hash: u64) -> CircuitBreaker {
        // Keys may come from requests: a flood of new ones must not queue for a place.
        let searched = self.clock.now().as_nanos() < self.in_vain_until.load(Ordering::Acquire);
        if searched && self.is_full() || key.is(OVERFLOW) {
            return self.overflow();
        }
        let plain = key.0.join("/");
        loop {
            let (catalog, settings) = {
                let mut roster = lock(&self.roster);
                if self.is_full() && self.evict(&mut roster, LOOKS, 1) == 0 {
                    let until = self.clock.now().after(IN_VAIN);
                    self.in_vain_until.store(until.as_nanos(), Ordering::Release);
                    drop(roster);
                    return self.overflow();
                }
                (Arc::clone(&roster.catalog), self.settings(&mut roster, Some(&plain)))
            };
            // Made without the lock, since it may publish what mode it is in; so another thread may
            // be quicker, with the same key, another configuration, or the last place.
            let breaker = self.make(|name| key.write(name), settings);
            self.welcome(&breaker);
            if let Some(breaker) = self.join(hash, breaker, &catalog) {
                // For an order that came after the welcome and before it was there to be found.
                self.welcome(&breaker);
                return match key.is(self.key_of(&breaker)) {
                    true => breaker,
                    false => self.overflow(),
                };
            }
        }
    }

    /// Takes a new member in, or says whom to use instead; `None` if it was made for a family that
    /// is no longer so.
    fn join(
        &self,
        hash: u64,
        breaker: CircuitBreaker,
        catalog: &Arc<Catalog>,
    ) -> Option<CircuitBreaker> {
        let mut roster = lock(&self.roster);
        let now = self.clock.now();
        // Under the lock nobody is evicted, so whoever is in the index is there to be found.
        if let Some(breaker) = self.index.get(hash, now) {
            return Some(breaker);
        }
        if self.is_full() || !Arc::ptr_eq(catalog, &roster.catalog) {
            return None;
        }
        self.index.insert(hash, &breaker, now);
        roster.add(hash, breaker.clone());
        self.count.store(roster.len(), Ordering::Release);
        Some(breaker)
    }

    fn evict(&self, roster: &mut Roster, looks: usize, most: usize) -> usize {
        let search = Search { index: &self.index, idle: self.options.idle, now: self.clock.now() };
        let evicted = roster.evict(looks, most, &search);
        self.count.store(roster.len(), Ordering::Release);
        evicted
    }

    /// The breaker that keys without one of their own share.
    fn overflow(&self) -> CircuitBreaker {
        self.overflow.get().cloned().unwrap_or_else(|| {
            let settings = self.settings(&mut lock(&self.roster), None);
            let made = self.make(|name| name.push_str(OVERFLOW), settings);
            self.welcome(&made);
            // Another thread may have been quicker.
            let breaker = self.overflow.get_or_init(|| made).clone();
            self.welcome(&breaker);
            // New settings, and dependencies, may have come before it was there to be found.
            breaker.depend_on(self.parent.dependencies());
            let settings = self.settings(&mut lock(&self.roster), None);
            breaker.inner.reconfigure(settings);
            breaker
        })
    }

    /// Puts a new member into the mode that the family was ordered into.
    fn welcome(&self, breaker: &CircuitBreaker) {
        let Some((mode, for_, order)) = self.parent.inner.override_in_force() else { return };
        if breaker.snapshot().mode != mode {
            let command = match mode {
                Mode::ForcedOpen => Command::ForceOpen(for_),
                Mode::ForcedClosed => Command::ForceClosed(for_),
                Mode::Observe => Command::Observe(for_),
                Mode::Auto => Command::Auto(for_),
            };
            breaker.command_by(command, &order.unwrap_or_default());
        }
    }

    fn settings(&self, roster: &mut Roster, key: Option<&str>) -> Arc<Settings> {
        roster.settings(self.parent.name(), key, &self.options.rules)
    }

    fn make(&self, key: impl FnOnce(&mut String), settings: Arc<Settings>) -> CircuitBreaker {
        let mut name = String::with_capacity(64);
        name.push_str(self.parent.name());
        name.push('/');
        key(&mut name);
        CircuitBreaker::builder(name)
            .shared_settings(settings)
            .clock(self.clock.clone())
            .home(Arc::clone(&self.home))
            .depends_on(&self.parent.dependencies())
            .build()
    }

    fn breakers(&self) -> Vec<CircuitBreaker> {
        let mut all = self.index.breakers();
        all.extend(self.overflow.get().cloned());
        all
    }

    /// Calls to members that ever succeeded.
    fn successes(&self) -> u64 {
        let evicted = lock(&self.roster).evicted().1.success;
        let members = self.breakers();
        members.iter().fold(evicted, |sum, breaker| sum + breaker.inner.successes())
    }

    /// How the members do, as far as that counts for the parent in its present phase.
    fn count_children(&self, since: Tick, now: Tick) -> Children {
        let mut children = Children::default();
        for breaker in self.breakers() {
            children.count(breaker.inner.as_child(since, now));
        }
        children
    }
}

impl Members for FamilyShared {
    fn child_opened(&self, now: Tick) {
        let (phase, generation, since) = self.parent.inner.phase_since();
        if !self.options.roll_up || phase != PhaseName::Closed {
            return;
        }
        let opened = {
            // Counting a large family takes a while, and in an outage members open one after the
            // other; so they are counted only when they might be enough, or after a while.
            let mut known = lock(&self.tally);
            known.opened = known.opened.wrapping_add(1);
            let since = known.opened.wrapping_sub(known.opened_before);
            let enough = known.children.open.saturating_add(since) > known.children.busy / 2;
            if !enough && known.counted.is_some_and(|at| now.since(at) < STALE) {
                return;
            }
            known.opened
        };
        let children = self.count_children(since, now);
        let closed = {
            let mut known = lock(&self.tally);
            // Another thread may have begun to count later, and then knows better.
            if opened.wrapping_sub(known.opened_before).cast_signed() >= 0 {
                (known.children, known.counted) = (children, Some(now));
                known.opened_before = opened;
            }
            known.closed.filter(|(phase, _)| *phase == generation)
        };
        if children.most_are_open() {
            let well = closed.is_some_and(|(_, before)| self.successes() > before);
            self.parent.inner.roll_up(children, generation, well);
        }
    }

    fn parent_closed(&self, generation: u64) {
        let successes = self.successes();
        let mut known = lock(&self.tally);
        // Another thread may have come with a later phase.
        if known.closed.is_none_or(|(phase, _)| phase < generation) {
            known.closed = Some((generation, successes));
        }
    }

    fn keys(&self) -> Keys {
        let breakers = self.breakers();
        let open = breakers.iter().filter(|breaker| breaker.phase() == PhaseName::Open).count();
        let max = self.max_keys.load(Ordering::Acquire);
        Keys { count: breakers.len(), open, max }
    }
}
