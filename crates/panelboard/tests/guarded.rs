//! Functions that are guarded by attribute.

#![cfg(feature = "macros")]

use std::fmt::Display;
use std::sync::{Arc, LazyLock};

use panelboard::{
    CircuitBreaker, Command, Error, Kind, Outcome, PhaseName, Registry, Settings, Unavailable,
    guarded,
};

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

#[derive(Debug, PartialEq)]
enum Fault {
    Mine(u32),
    Unavailable(Unavailable),
}

impl From<Unavailable> for Fault {
    fn from(unavailable: Unavailable) -> Fault {
        Fault::Unavailable(unavailable)
    }
}

impl From<std::num::ParseIntError> for Fault {
    fn from(_: std::num::ParseIntError) -> Fault {
        Fault::Mine(0)
    }
}

fn twice() -> Settings {
    Settings::builder().failure_threshold(2).build().unwrap()
}

fn open(breaker: &CircuitBreaker) {
    breaker.command(Command::Trip);
    assert_eq!(breaker.phase(), PhaseName::Open);
}

/// Doubles a number that is written down.
#[guarded("double", registry = REGISTRY, settings = twice())]
fn double(text: &str) -> Result<u32, Fault> {
    let number: u32 = text.parse()?;
    if number > 100 {
        return Err(Fault::Mine(number));
    }
    Ok(2 * number)
}

#[test]
fn a_function_is_guarded_by_the_circuit_of_its_name() {
    assert_eq!(double("21"), Ok(42));
    assert_eq!(double("101"), Err(Fault::Mine(101)));
    assert_eq!(double("x"), Err(Fault::Mine(0)));
    let breaker = REGISTRY.get("double").unwrap();
    assert_eq!(breaker.snapshot().counters.failure(), 2);
    assert_eq!(breaker.phase(), PhaseName::Open, "its own settings count");
    let refused = double("21").unwrap_err();
    assert!(matches!(refused, Fault::Unavailable(Error::Rejected(_))), "{refused:?}");
}

#[guarded("from-the-global-one")]
fn global() -> Result<(), Fault> {
    Ok(())
}

#[test]
fn the_registry_is_the_global_one_and_survives_reconfiguration() {
    global().unwrap();
    let breaker = Registry::global().get("from-the-global-one").unwrap();
    let mut catalog = panelboard::Catalog::default();
    catalog.circuits.insert("from-the-global-one".into(), twice());
    Registry::global().apply(&catalog);
    global().unwrap();
    assert_eq!(breaker.snapshot().counters.success, 2);
    assert_eq!(breaker.snapshot().settings.failure_threshold(), Some(2));
    assert!(Registry::install(Registry::new()).is_err());
}

#[guarded("wrapped", registry = &REGISTRY)]
fn wrapped(fail: bool) -> Result<&'static str, Error<u8>> {
    if fail { Err(7) } else { Ok("fine") }
}

#[test]
fn our_own_error_is_returned_as_it_is() {
    assert_eq!(wrapped(false), Ok("fine"));
    assert_eq!(wrapped(true), Err(Error::Inner(7)));
    open(&REGISTRY.breaker("wrapped"));
    assert!(matches!(wrapped(false), Err(Error::Rejected(_))));
}

#[guarded("anything", registry = REGISTRY)]
fn anything() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok("x".parse::<u8>().map(drop)?)
}

#[test]
fn std_errors_in_a_box_say_why_they_were_refused() {
    assert!(anything().unwrap_err().is::<std::num::ParseIntError>());
    open(&REGISTRY.breaker("anything"));
    assert!(anything().unwrap_err().to_string().contains("refused"));
}

struct Client {
    breaker: CircuitBreaker,
    calls: u32,
    name: String,
}

impl Client {
    fn new() -> Client {
        let breaker = CircuitBreaker::new("client", twice());
        Client { breaker, calls: 0, name: "ada".into() }
    }

    #[guarded(breaker = self.breaker)]
    fn shared(&self) -> Result<&str, Fault> {
        Ok(&self.name)
    }

    #[guarded(breaker = self.breaker)]
    fn unique(&mut self, by: u32) -> Result<&mut u32, Fault> {
        self.calls += by;
        Ok(&mut self.calls)
    }

    #[guarded(breaker = self.breaker)]
    fn consumed(mut self) -> Result<String, Fault> {
        self.name.push('!');
        Ok(self.name)
    }

    #[guarded(breaker = self.breaker, fallback = Self::nobody)]
    fn counted(self: &Arc<Self>) -> Result<u32, Fault> {
        Err(Fault::Mine(self.calls))
    }

    fn nobody(error: Error<Fault>) -> Result<u32, Fault> {
        match error.into_inner_or() {
            Fault::Mine(calls) => Ok(calls + 1_000),
            refused @ Fault::Unavailable(_) => Err(refused),
        }
    }

    #[guarded(breaker = breaker)]
    fn associated(breaker: &CircuitBreaker, value: u8) -> Result<u8, Fault> {
        Ok(value)
    }
}

#[test]
fn methods_of_every_receiver_are_guarded() {
    let mut client = Client::new();
    let breaker = client.breaker.clone();
    assert_eq!(client.shared(), Ok("ada"));
    *client.unique(3).unwrap() += 1;
    assert_eq!(client.calls, 4);
    assert_eq!(Client::associated(&breaker, 9), Ok(9));
    let shared = Arc::new(Client::new());
    assert_eq!(shared.counted(), Ok(1_000));
    assert_eq!(client.consumed(), Ok("ada!".into()));
    assert_eq!(breaker.snapshot().counters.success, 4);
    assert_eq!(shared.breaker.snapshot().counters.failure(), 1);
}

/// Generic in all that a function can be.
#[guarded("generic", registry = REGISTRY)]
fn generic<'a, T, const N: usize>(
    items: &'a [T; N],
    (at, _): (usize, u8),
    shown: impl Fn(&T) -> String,
) -> Result<(&'a T, impl Display), Fault>
where
    T: Clone,
{
    let item = items.get(at).ok_or(Fault::Mine(0))?;
    Ok((item, shown(item)))
}

#[test]
fn generics_lifetimes_and_impl_trait_are_kept() {
    let items = [1, 2, 3];
    let (item, shown) = generic(&items, (1, 0), |item| format!("<{item}>")).unwrap();
    assert_eq!((*item, shown.to_string()), (2, "<2>".into()));
    assert!(generic(&["a"], (1, 0), ToString::to_string).is_err());
}

trait Lookup {
    fn find(&self, id: u32) -> Result<u32, Fault>;
}

impl Lookup for Client {
    #[inline]
    #[guarded(breaker = &self.breaker, classify = |result| match result {
        Err(error) if error.is_absence() => Outcome::Success,
        Err(_) => Outcome::failure(Kind::ServerError),
        Ok(_) => Outcome::Success,
    })]
    fn find(&self, id: u32) -> Result<u32, Fault> {
        if id < 10 { Ok(id) } else { Err(Fault::Mine(id)) }
    }
}

impl Fault {
    fn is_absence(&self) -> bool {
        *self == Fault::Mine(404)
    }
}

fn everything_is_fine(_: &Result<(), Fault>) -> Outcome {
    Outcome::Success
}

#[guarded("tolerant", registry = REGISTRY, classify = everything_is_fine)]
fn tolerant() -> Result<(), Fault> {
    Err(Fault::Mine(1))
}

#[test]
fn a_classifier_says_what_results_mean() {
    let client = Client::new();
    for id in [404, 404, 1] {
        let _ = client.find(id);
    }
    assert_eq!(client.breaker.phase(), PhaseName::Closed);
    for id in [500, 501] {
        let _ = client.find(id);
    }
    assert_eq!(client.breaker.phase(), PhaseName::Open);
    assert!(tolerant().is_err());
    assert_eq!(REGISTRY.get("tolerant").unwrap().snapshot().counters.success, 1);
}

#[guarded("models", registry = REGISTRY, settings = twice(), key = [provider, model])]
fn ask(provider: &str, model: String) -> Result<(), Error<String>> {
    Err(format!("{provider} has no {model}"))
}

#[guarded("tenants", registry = REGISTRY, key = tenant)]
fn serve(tenant: &String) -> Result<usize, Fault> {
    Ok(tenant.len())
}

#[test]
fn a_key_picks_the_breaker_of_a_family() {
    for _ in 0..2 {
        assert!(matches!(ask("openai", "o0".into()), Err(Error::Inner(_))));
    }
    assert!(matches!(ask("openai", "o0".into()), Err(Error::Rejected(_))));
    assert!(matches!(ask("openai", "gpt".into()), Err(Error::Inner(_))), "a key of its own");
    let names: Vec<String> =
        REGISTRY.keyed("models").breakers().iter().map(|b| b.name().to_string()).collect();
    assert!(names.contains(&"models/openai/o0".into()), "{names:?}");
    assert_eq!(serve(&"acme".into()), Ok(4));
    assert_eq!(REGISTRY.keyed("tenants").len(), 1);
}

#[cfg(feature = "tokio")]
mod asynchronous {
    use std::time::Duration;

    use super::*;

    fn brief() -> Settings {
        Settings::builder().timeout(Duration::from_secs(1)).build().unwrap()
    }

    impl Client {
        #[guarded(breaker = self.breaker)]
        async fn later(&mut self, by: u32) -> Result<&mut u32, Fault> {
            tokio::task::yield_now().await;
            self.calls += by;
            Ok(&mut self.calls)
        }

        #[guarded(breaker = self.breaker, fallback = |error| self.known(&error))]
        async fn or_known(&self) -> Result<u32, Fault> {
            Err(Fault::Mine(1))
        }

        fn known(&self, error: &Error<Fault>) -> Result<u32, Fault> {
            match error {
                Error::Inner(Fault::Mine(n)) => Ok(self.calls + 6 + n),
                _ => Err(Fault::Mine(0)),
            }
        }
    }

    #[guarded("hangs", registry = REGISTRY, settings = brief())]
    async fn hangs<T>(_: T, shown: impl Display + Send) -> Result<String, Fault>
    where
        T: Send,
    {
        std::future::pending::<()>().await;
        Ok(shown.to_string())
    }

    #[guarded("falls-back", registry = REGISTRY, fallback = cached.await)]
    async fn falls_back(fail: bool) -> Result<u32, Error<Fault>> {
        if fail {
            return Err(Fault::Mine(9));
        }
        let parsed = "11".parse::<u32>()?;
        Ok(parsed)
    }

    async fn cached(error: Error<Fault>) -> Result<u32, Error<Fault>> {
        tokio::task::yield_now().await;
        match error {
            Error::Inner(Fault::Mine(n)) => Ok(n),
            other => Err(other),
        }
    }

    fn is_send<T: Send>(value: T) -> T {
        value
    }

    #[tokio::test(start_paused = true)]
    async fn async_functions_are_guarded_and_bounded_in_time() {
        let late = is_send(hangs((), "x")).await;
        assert_eq!(late, Err(Fault::Unavailable(Error::TimedOut)));
        let breaker = REGISTRY.get("hangs").unwrap();
        assert_eq!(breaker.snapshot().counters.failure(), 1);
        drop(hangs((), "never polled"));
        let cancelled =
            tokio::time::timeout(Duration::from_millis(1), hangs((), "cancelled")).await;
        assert!(cancelled.is_err());
        assert_eq!(breaker.snapshot().counters.neutral, 1, "b7: cancellation is neutral");
        open(&breaker);
        assert!(matches!(hangs(1, 2).await, Err(Fault::Unavailable(Error::Rejected(_)))));
    }

    #[tokio::test]
    async fn async_methods_and_fallbacks_work() {
        let mut client = Client::new();
        *client.later(2).await.unwrap() += 1;
        assert_eq!(client.calls, 3);
        assert_eq!(client.or_known().await, Ok(10));
        assert_eq!(falls_back(false).await, Ok(11));
        assert_eq!(falls_back(true).await, Ok(9));
        open(&REGISTRY.breaker("falls-back"));
        assert!(matches!(falls_back(false).await, Err(Error::Rejected(_))));
    }
}

#[test]
fn a_panic_is_a_failure_and_goes_on() {
    #[guarded("panics", registry = REGISTRY)]
    fn panics() -> Result<(), Fault> {
        panic!("as it happens")
    }
    assert!(std::panic::catch_unwind(panics).is_err());
    let counters = REGISTRY.get("panics").unwrap().snapshot().counters;
    assert_eq!((counters.failure(), counters.in_flight()), (1, 0));
}

/// Key functions are user code: one that panics ends its own call before any breaker is asked.
fn key_of(text: &str) -> &str {
    assert!(!text.is_empty(), "no key");
    text
}

fn nothing_happened(family: &str) {
    let snapshots = REGISTRY.snapshots();
    let of_it = || snapshots.iter().filter(|it| it.name.starts_with(family));
    assert_eq!(of_it().count(), 1, "the parent, and no member of a half-made key");
    assert_eq!(
        of_it()
            .map(|it| it.counters.admitted + it.counters.rejected.iter().sum::<u64>())
            .sum::<u64>(),
        0
    );
}

#[test]
fn a_key_that_panics_asks_no_breaker_and_the_panic_goes_on() {
    #[guarded("keyed-panic", registry = REGISTRY, settings = twice(), key = [key_of(text)])]
    fn call(text: &str) -> Result<u32, Fault> {
        Err(Fault::Mine(1))
    }
    for _ in 0..3 {
        assert!(std::panic::catch_unwind(|| call("")).is_err());
    }
    nothing_happened("keyed-panic");
    assert_eq!(call("a"), Err(Fault::Mine(1)), "and the next call finds its family as it was");
    let counters = REGISTRY.find("keyed-panic/a").unwrap().snapshot().counters;
    assert_eq!((counters.failure(), counters.in_flight()), (1, 0));
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn an_async_key_that_panics_asks_no_breaker_and_the_panic_goes_on() {
    #[guarded("keyed-async", registry = REGISTRY, settings = twice(), key = key_of(&text))]
    async fn call(text: String) -> Result<u32, Fault> {
        tokio::task::yield_now().await;
        Ok(7)
    }
    assert!(tokio::spawn(call(String::new())).await.unwrap_err().is_panic());
    nothing_happened("keyed-async");
    assert_eq!(call("a".into()).await, Ok(7));
    let counters = REGISTRY.find("keyed-async/a").unwrap().snapshot().counters;
    assert_eq!((counters.success, counters.in_flight()), (1, 0));
}
