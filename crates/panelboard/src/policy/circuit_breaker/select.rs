use std::fmt;

use crate::{CircuitBreaker, Family};

/// Says which breaker guards a request; `None` leaves it unguarded.
///
/// A [`CircuitBreaker`] guards them all. Any `Fn(&Request) -> CircuitBreaker` will do, too; it runs
/// for every call, when no lock is held.
///
/// # Examples
/// ```
/// use panelboard::policy::circuit_breaker::{CircuitBreakerLayer, Select};
/// use panelboard::{CircuitBreaker, Settings};
///
/// /// Reads and writes fail apart.
/// #[derive(Clone)]
/// struct ByMethod {
///     reads: CircuitBreaker,
///     writes: CircuitBreaker,
/// }
///
/// impl Select<&str> for ByMethod {
///     fn select(&self, method: &&str) -> Option<CircuitBreaker> {
///         match *method {
///             "GET" => Some(self.reads.clone()),
///             "OPTIONS" => None,
///             _ => Some(self.writes.clone()),
///         }
///     }
/// }
/// let breaker = |name: &'static str| CircuitBreaker::new(name, Settings::default());
/// let by_method = ByMethod { reads: breaker("reads"), writes: breaker("writes") };
/// assert_eq!(by_method.select(&"PUT").unwrap().name().as_str(), "writes");
/// let layer = CircuitBreakerLayer::new(by_method);
/// # drop(layer);
/// ```
pub trait Select<Request> {
    /// The breaker for this request.
    fn select(&self, request: &Request) -> Option<CircuitBreaker>;
}

/// Guards each request with the breaker of a [`Family`] that its key names; see
/// [`CircuitBreakerLayer::keyed`](super::CircuitBreakerLayer::keyed).
#[derive(Clone)]
pub struct Keyed<K> {
    family: Family,
    key: K,
}

impl<K> Keyed<K> {
    pub(crate) fn new(family: Family, key: K) -> Keyed<K> {
        Keyed { family, key }
    }
}

impl<Request> Select<Request> for CircuitBreaker {
    fn select(&self, _: &Request) -> Option<CircuitBreaker> {
        Some(self.clone())
    }
}

impl<Request> Select<Request> for Option<CircuitBreaker> {
    fn select(&self, _: &Request) -> Option<CircuitBreaker> {
        self.clone()
    }
}

impl<Request, F> Select<Request> for F
where
    F: Fn(&Request) -> CircuitBreaker,
{
    fn select(&self, request: &Request) -> Option<CircuitBreaker> {
        Some(self(request))
    }
}

impl<Request, K, P> Select<Request> for Keyed<K>
where
    K: Fn(&Request) -> P,
    P: AsRef<str>,
{
    fn select(&self, request: &Request) -> Option<CircuitBreaker> {
        let key = (self.key)(request);
        Some(self.family.breaker(&[key.as_ref()]))
    }
}

impl<K> fmt::Debug for Keyed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("family", self.family.name()).finish_non_exhaustive()
    }
}
