//! A route's last good answers.
//!
//! Which of them go first is decided by use alone: those that nobody has got or asked for the
//! longest. Caches that weigh how often something is asked for (`quick_cache`, `moka`) would turn new
//! answers away for the sake of old ones, as long as no outage asks for any; and they bound either
//! the number or the bytes, not both. So this is a list by use, behind a lock that is held for a
//! look-up.

mod recording;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderName, Method, Response};
use lru::LruCache;
use panelboard::Clock;
use panelboard_config::RouteCache;
use panelboard_core::Tick;

pub(crate) use self::recording::Recording;
pub(crate) use self::rules::Consent;
use self::rules::{Terms, consent, is_keyed, terms};
use super::digest::{Digest, Digester};
use crate::metrics::RouteCounts;

/// What an answer takes besides its bytes, and one of its headers.
const COST: u64 = 256;
const COST_OF_HEADER: u64 = 64;

/// A route's last good answers, each for the client that got it.
pub(crate) struct Cache {
    settings: RouteCache,
    clock: Clock,
    digester: Digester,
    kept: Mutex<Kept>,
    /// Bytes of answers that are on their way.
    recorded: AtomicU64,
}

/// What is asked for, and by whom.
#[derive(Copy, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    pub(crate) scheme: &'a str,
    pub(crate) host: &'a [u8],
    pub(crate) target: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// An answer that has been kept.
pub(crate) struct Found {
    answer: Arc<Answer>,
    age: Duration,
    /// Whether it is as good as the upstream's.
    pub(crate) fresh: bool,
}

struct Answer {
    headers: HeaderMap,
    body: Bytes,
    since: Tick,
    /// How old it was then.
    age: Duration,
    fresh_for: Duration,
}

/// Where an answer is kept: by the request itself, or by that and headers that the answer names.
struct Keys {
    first: Digest,
    varied: Option<Digest>,
}

#[derive(Clone)]
enum Slot {
    Answer(Arc<Answer>),
    /// It depends on these headers.
    Varies(Arc<[HeaderName]>),
}

/// The slots by use, and what they take.
struct Kept {
    slots: LruCache<Digest, Slot>,
    bytes: u64,
}

// ===== impl Cache =====

impl Cache {
    pub(crate) fn new(settings: RouteCache, clock: Clock) -> Cache {
        let kept = Mutex::new(Kept { slots: LruCache::unbounded(), bytes: 0 });
        let (digester, recorded) = (Digester::default(), AtomicU64::new(0));
        Cache { settings, clock, digester, kept, recorded }
    }

    /// What a request says of answers that have been kept; `None` if it is none of the cache's.
    pub(crate) fn consent(&self, method: &Method, headers: &HeaderMap) -> Option<Consent> {
        self.settings.methods.contains(asked(method)).then(|| consent(headers))?
    }

    /// Whether answers are given out although an upstream might have a newer one.
    pub(crate) fn has_hits(&self) -> bool {
        !self.settings.ttl.is_zero()
    }

    /// The answer to this request, unless it is too old for anything.
    pub(crate) fn find(&self, request: Request<'_>) -> Option<Found> {
        let first = self.key(request, &[]);
        // Looked up and dropped, for the lock is not to be held while a key is made.
        let slot = self.kept().slots.get(&first).cloned();
        let (key, answer) = match slot? {
            Slot::Answer(answer) => (first, answer),
            Slot::Varies(names) => {
                let key = self.key(request, &names);
                match self.kept().slots.get(&key)? {
                    Slot::Answer(answer) => (key, Arc::clone(answer)),
                    Slot::Varies(_) => return None,
                }
            }
        };
        let since = self.clock.now().since(answer.since);
        if since > self.settings.ttl.saturating_add(self.settings.stale_if_error) {
            self.kept().remove(&key);
            return None;
        }
        let fresh = since < answer.fresh_for;
        Some(Found { age: answer.age.saturating_add(since), fresh, answer })
    }

    /// Begins to write down an answer, if it may be kept. `length` is that of its body as far as it
    /// is known.
    pub(crate) fn record(
        self: &Arc<Self>,
        request: Request<'_>,
        answer: &Response<impl Sized>,
        length: u64,
        counts: &RouteCounts,
    ) -> Option<Box<Recording>> {
        // What has no body says nothing of the one that it would have.
        if request.method == Method::HEAD || length > self.settings.max_body {
            return None;
        }
        let terms = terms(answer.status(), answer.headers())?;
        let varied = (!terms.vary.is_empty()).then(|| self.key(request, &terms.vary));
        Some(Box::new(Recording {
            cache: Arc::clone(self),
            keys: Keys { first: self.key(request, &[]), varied },
            head: storable(answer.headers()),
            terms,
            body: Vec::new(),
            counts: counts.clone(),
        }))
    }

    /// Keeps an answer; `false` if it takes more than all of them may.
    fn keep(&self, keys: &Keys, headers: HeaderMap, terms: &Terms, body: Bytes) -> bool {
        let RouteCache { ttl, max_bytes, max_entries, .. } = self.settings;
        let left = terms.max_age.map(|max_age| max_age.saturating_sub(terms.age));
        let answer = Slot::Answer(Arc::new(Answer {
            headers,
            body,
            since: self.clock.now(),
            age: terms.age,
            fresh_for: left.map_or(ttl, |left| left.min(ttl)),
        }));
        if answer.cost() > max_bytes {
            return false;
        }
        let mut kept = self.kept();
        match keys.varied {
            Some(varied) => {
                kept.put(varied, answer);
                kept.put(keys.first, Slot::Varies(terms.vary.clone().into()));
            }
            None => kept.put(keys.first, answer),
        }
        kept.shrink(max_entries, max_bytes);
        true
    }

    /// What stands for a request. Nobody gets an answer to another's credentials, since those are
    /// part of it.
    fn key(
        &self,
        Request { method, scheme, host, target, headers, body }: Request<'_>,
        vary: &[HeaderName],
    ) -> Digest {
        let mut parts: Vec<&[u8]> = vec![
            asked(method).as_str().as_bytes(),
            scheme.as_bytes(),
            host,
            target.as_bytes(),
            body,
        ];
        parts.extend(vary.iter().flat_map(|name| [&b"vary"[..], name.as_str().as_bytes()]));
        let keyed = |name: &HeaderName| {
            is_keyed(name) || self.settings.vary.contains(name) || vary.contains(name)
        };
        let mut pairs: Vec<_> = headers.iter().filter(|(name, _)| keyed(name)).collect();
        // Values of one name stay in their order.
        pairs.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in &pairs {
            parts.extend([name.as_str().as_bytes(), value.as_bytes()]);
        }
        self.digester.of_all(&parts)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The method whose answers a request can get.
fn asked(method: &Method) -> &Method {
    if method == Method::HEAD { &Method::GET } else { method }
}

/// What of an answer's head is kept: not what is of the connection, of us, or of one request.
fn storable(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-panelboard-")).cloned().collect();
    let others = [AGE, CONTENT_LENGTH, TRAILER, crate::proxy::REQUEST_ID];
    for name in ours.iter().chain(&others) {
        headers.remove(name);
    }
    headers
}

// ===== impl Found =====

impl Found {
    /// The answer, as old as it is.
    pub(crate) fn response(&self, method: &Method) -> Response<Bytes> {
        let Answer { headers, body, .. } = &*self.answer;
        let mut response = Response::new(body.clone());
        *response.headers_mut() = headers.clone();
        response.headers_mut().insert(AGE, self.age.as_secs().into());
        if method == Method::HEAD {
            response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
            *response.body_mut() = Bytes::new();
        }
        response
    }
}

// ===== impl Kept =====

impl Kept {
    fn put(&mut self, key: Digest, slot: Slot) {
        self.bytes = self.bytes.saturating_add(slot.cost());
        if let Some((_, old)) = self.slots.push(key, slot) {
            self.bytes = self.bytes.saturating_sub(old.cost());
        }
    }

    fn remove(&mut self, key: &Digest) {
        if let Some(old) = self.slots.pop(key) {
            self.bytes = self.bytes.saturating_sub(old.cost());
        }
    }

    /// Lets go of what has not been used for the longest, until the rest fits.
    fn shrink(&mut self, max_entries: u32, max_bytes: u64) {
        while self.slots.len() > max_entries as usize || self.bytes > max_bytes {
            let Some((_, old)) = self.slots.pop_lru() else { return };
            self.bytes = self.bytes.saturating_sub(old.cost());
        }
    }
}

// ===== impl Slot =====

impl Slot {
    fn cost(&self) -> u64 {
        let of = |headers: u64, bytes: u64| COST + COST_OF_HEADER * headers + bytes;
        match self {
            Slot::Answer(answer) => {
                let text = answer.headers.iter();
                let text = text.map(|(name, value)| (name.as_str().len() + value.len()) as u64);
                of(answer.headers.len() as u64, text.sum::<u64>() + answer.body.len() as u64)
            }
            Slot::Varies(names) => {
                of(names.len() as u64, names.iter().map(|name| name.as_str().len() as u64).sum())
            }
        }
    }
}
