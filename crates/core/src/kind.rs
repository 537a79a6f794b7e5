//! What sort of failure it was.

use core::fmt;

/// The sort of a failure: for the trip record, metrics, and `ignore` lists.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// No connection: refused, reset before a byte, DNS or TLS failure.
    Connect,
    /// No answer in time.
    Timeout,
    /// The dependency said it failed (HTTP 5xx).
    ServerError,
    /// The dependency said the caller was wrong (HTTP 4xx), where a user chose to count that.
    ClientError,
    /// Too many requests, where a user chose to count that as failure.
    RateLimited,
    /// A quota is used up.
    QuotaExhausted,
    /// The dependency shed load.
    Overloaded,
    /// A stream stopped making progress.
    Stalled,
    /// Credentials were refused.
    Auth,
    /// The answer could not be understood, or ended early.
    InvalidResponse,
    /// The caller gave up, where a user chose to count that.
    Cancelled,
    /// The guarded code panicked.
    Panic,
    /// A local resource ran out: memory, descriptors, pool.
    ResourceExhausted,
    /// Something behind the dependency failed.
    Dependency,
    /// Anything else; the name behind the number is the shell's to keep.
    Other(OtherKind),
}

/// The number of a user-named kind. `0` stands for a failure that was not named.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct OtherKind(u8);

impl OtherKind {
    /// A failure nobody named.
    pub const UNNAMED: OtherKind = OtherKind(0);
    /// How many user-named kinds can be told apart.
    pub const CAPACITY: u8 = u8::MAX - (Kind::COUNT as u8) + 1;

    /// The kind with this number; `None` above [`OtherKind::CAPACITY`].
    pub const fn from_number(number: u8) -> Option<OtherKind> {
        if number <= Self::CAPACITY { Some(OtherKind(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl Kind {
    /// A failure nobody named.
    pub const OTHER: Kind = Kind::Other(OtherKind::UNNAMED);
    /// How many kinds are counted apart; user-named ones share the last place.
    pub const COUNT: usize = 15;

    /// Every kind that is counted apart, in the order of [`Kind::index`].
    pub const ALL: [Kind; Kind::COUNT] = [
        Kind::Connect,
        Kind::Timeout,
        Kind::ServerError,
        Kind::ClientError,
        Kind::RateLimited,
        Kind::QuotaExhausted,
        Kind::Overloaded,
        Kind::Stalled,
        Kind::Auth,
        Kind::InvalidResponse,
        Kind::Cancelled,
        Kind::Panic,
        Kind::ResourceExhausted,
        Kind::Dependency,
        Kind::OTHER,
    ];

    /// The place of this kind in [`Kind::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Kind::Connect => 0,
            Kind::Timeout => 1,
            Kind::ServerError => 2,
            Kind::ClientError => 3,
            Kind::RateLimited => 4,
            Kind::QuotaExhausted => 5,
            Kind::Overloaded => 6,
            Kind::Stalled => 7,
            Kind::Auth => 8,
            Kind::InvalidResponse => 9,
            Kind::Cancelled => 10,
            Kind::Panic => 11,
            Kind::ResourceExhausted => 12,
            Kind::Dependency => 13,
            Kind::Other(_) => 14,
        }
    }

    /// One byte that [`Kind::from_code`] turns back into this kind.
    pub const fn code(self) -> u8 {
        match self {
            Kind::Other(other) => Kind::OTHER.index() as u8 + other.0,
            kind => kind.index() as u8,
        }
    }

    /// The [`Kind::index`] of the kind behind a [`Kind::code`].
    pub const fn index_of(code: u8) -> usize {
        if code < Kind::COUNT as u8 { code as usize } else { Kind::COUNT - 1 }
    }

    /// The kind behind a [`Kind::code`].
    pub const fn from_code(code: u8) -> Kind {
        match Kind::ALL[Kind::index_of(code)] {
            Kind::Other(_) => Kind::Other(OtherKind(code - Kind::OTHER.index() as u8)),
            kind => kind,
        }
    }

    /// The name in config, metrics and API. User-named kinds are all `other` here.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Connect => "connect",
            Kind::Timeout => "timeout",
            Kind::ServerError => "server_error",
            Kind::ClientError => "client_error",
            Kind::RateLimited => "rate_limited",
            Kind::QuotaExhausted => "quota_exhausted",
            Kind::Overloaded => "overloaded",
            Kind::Stalled => "stalled",
            Kind::Auth => "auth",
            Kind::InvalidResponse => "invalid_response",
            Kind::Cancelled => "cancelled",
            Kind::Panic => "panic",
            Kind::ResourceExhausted => "resource_exhausted",
            Kind::Dependency => "dependency",
            Kind::Other(_) => "other",
        }
    }

    /// The kind with this [`Kind::name`].
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// ===== impl KindSet =====

/// A set of kinds; user-named ones are in it all together or not at all.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
pub struct KindSet(u16);

impl KindSet {
    /// No kind.
    pub const EMPTY: KindSet = KindSet(0);

    /// Every kind.
    pub const ALL: KindSet = KindSet((1 << Kind::COUNT) - 1);

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: Kind) -> KindSet {
        KindSet(self.0 | (1 << kind.index()))
    }

    /// Every kind that is not in this set.
    #[must_use]
    pub const fn complement(self) -> KindSet {
        KindSet(!self.0 & Self::ALL.0)
    }

    /// Whether `kind` is in it.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind.index()) != 0
    }

    /// Whether no kind is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds in it, in the order of [`Kind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// The set as bits, one per [`Kind::index`].
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with these [`KindSet::bits`]; bits of no kind are dropped.
    pub const fn from_bits(bits: u16) -> KindSet {
        KindSet(bits & Self::ALL.0)
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> KindSet {
        kinds.into_iter().fold(KindSet::EMPTY, KindSet::with)
    }
}

impl fmt::Debug for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Kind::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_round_trip() {
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), i);
            assert_eq!(Kind::from_code(kind.code()), kind);
            assert_eq!(Kind::index_of(kind.code()), i);
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
        for number in 0..=OtherKind::CAPACITY {
            let kind = Kind::Other(OtherKind::from_number(number).unwrap());
            assert_eq!(Kind::from_code(kind.code()), kind);
            assert_eq!(kind.index(), Kind::COUNT - 1);
            assert_eq!(Kind::index_of(kind.code()), kind.index());
        }
        assert_eq!(OtherKind::from_number(OtherKind::CAPACITY.saturating_add(1)), None);
        assert_eq!(Kind::from_name("nonsense"), None);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let set: KindSet = [Kind::Timeout, Kind::OTHER].into_iter().collect();
        assert!(set.contains(Kind::Timeout));
        assert!(set.contains(Kind::Other(OtherKind(3))), "user-named kinds share a place");
        assert!(!set.contains(Kind::Connect));
        assert!(!set.complement().contains(Kind::Timeout));
        assert!(set.complement().contains(Kind::Connect));
        assert_eq!(KindSet::from_bits(set.bits()), set);
        assert_eq!(set.iter().count(), 2);
        assert!(KindSet::EMPTY.is_empty() && !set.is_empty());
        assert_eq!(KindSet::ALL.iter().count(), Kind::COUNT);
    }

    #[test]
    fn user_named_kinds_have_numbers_of_their_own() {
        assert_eq!(OtherKind::CAPACITY, 241, "as many as a byte has room for beside the others");
        let numbers = [0, 1, 2, OtherKind::CAPACITY];
        for number in numbers {
            assert_eq!(OtherKind::from_number(number).unwrap().number(), number);
        }
        assert_eq!(Kind::Other(OtherKind(3)).code(), 17);
    }

    #[test]
    fn a_set_is_none_the_less_for_being_told_twice() {
        let set = KindSet::EMPTY.with(Kind::Timeout).with(Kind::Timeout);
        assert!(set.contains(Kind::Timeout));
        assert_eq!(alloc::format!("{set:?}"), "{\"timeout\"}");
        assert_eq!(alloc::format!("{}", Kind::ServerError), "server_error");
    }
}
