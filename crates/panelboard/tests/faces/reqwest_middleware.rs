use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::reqwest_middleware::{ClientBuilder, Error, Middleware, Next};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use panelboard::classify::Reqwest;
use panelboard::reqwest_middleware::{CircuitBreakerMiddleware, unavailable};
use panelboard::{
    CircuitBreaker, Classify, Kind, Outcome, PhaseName, Reason, Registry, Settings, Unavailable,
};
use reqwest::{Request, Response};

use super::{client, serve};

/// A server that counts what it is asked and answers all of it so.
async fn answering(status: u16, header: Option<&'static str>) -> (String, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let answer = move || async move {
        count.fetch_add(1, Ordering::Relaxed);
        (StatusCode::from_u16(status).unwrap(), [("retry-after", header.unwrap_or("soon"))])
    };
    let address = serve(Router::new().route("/", get(answer))).await;
    (format!("http://{address}/"), asked)
}

async fn silent() -> String {
    let address = serve(Router::new().route("/", get(pending::<&str>))).await;
    format!("http://{address}/")
}

fn breaker(settings: panelboard::SettingsBuilder) -> CircuitBreaker {
    CircuitBreaker::new("search", settings.build().unwrap())
}

#[tokio::test]
async fn each_host_has_a_breaker_and_what_is_refused_is_not_sent() {
    let (down, asked) = answering(500, None).await;
    let (up, _) = answering(200, None).await;
    let registry = Registry::new();
    let client = ClientBuilder::new(client())
        .with(CircuitBreakerMiddleware::per_host(registry.keyed("http")))
        .build();

    for _ in 0..5 {
        let answer = client.get(&down).send().await.unwrap();
        assert_eq!(answer.status(), 500, "an answer is passed on as it is");
    }
    let error = client.get(&down).send().await.unwrap_err();
    let host = down.trim_start_matches("http://").trim_end_matches('/');
    let rejected = unavailable(&error).unwrap().rejected().unwrap();
    assert_eq!(**rejected.name(), format!("http/{host}"));
    let Error::Middleware(inner) = &error else { panic!("{error:?}") };
    assert!(inner.downcast_ref::<Unavailable>().is_some(), "also without our help");
    assert_eq!(asked.load(Ordering::Relaxed), 5);

    assert_eq!(client.get(&up).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_not_asked_meanwhile() {
    let (url, asked) = answering(429, Some("60")).await;
    let search = breaker(Settings::builder());
    let middleware = CircuitBreakerMiddleware::new(search.clone());
    let client = ClientBuilder::new(client()).with(middleware).build();

    assert_eq!(client.get(&url).send().await.unwrap().status(), 429);
    let error = client.get(&url).send().await.unwrap_err();
    let rejected = unavailable(&error).unwrap().rejected().unwrap();
    assert_eq!((rejected.phase(), rejected.reason()), (PhaseName::Closed, Reason::Paced));
    let wait = rejected.retry_after();
    assert!(wait > Duration::from_secs(55) && wait <= Duration::from_secs(60), "{wait:?}");
    assert_eq!((asked.load(Ordering::Relaxed), search.snapshot().counters.pushback), (1, 1));
}

#[tokio::test]
async fn a_request_that_is_dropped_is_no_evidence() {
    let url = silent().await;
    let search = breaker(Settings::builder().failure_threshold(1));
    let middleware = CircuitBreakerMiddleware::new(search.clone());
    let client = ClientBuilder::new(client()).with(middleware).build();
    {
        let mut request = std::pin::pin!(client.get(&url).send());
        assert!(poll_once(request.as_mut()).await.is_pending());
        let counters = search.snapshot().counters;
        assert_eq!((counters.admitted, counters.neutral), (1, 0));
    }
    let after = search.snapshot();
    assert_eq!((after.counters.admitted, after.counters.neutral), (1, 1));
    assert_eq!(after.phase, PhaseName::Closed);
}

async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_the_settings_bounds_a_request() {
    let url = silent().await;
    let search = breaker(Settings::builder().timeout(Duration::from_secs(5)).failure_threshold(1));
    let middleware = CircuitBreakerMiddleware::new(search.clone());
    let client = ClientBuilder::new(client()).with(middleware).build();
    let error = client.get(&url).send().await.unwrap_err();
    assert!(matches!(unavailable(&error), Some(Unavailable::TimedOut)), "{error:?}");
    assert_eq!(search.snapshot().counters.failures[Kind::Timeout.index()], 1);
    assert_eq!(search.phase(), PhaseName::Open);
}

#[tokio::test]
async fn requests_pick_their_breaker_and_a_classifier_judges_them() {
    let (url, _) = answering(404, None).await;
    let registry = Registry::new();
    let by_method = CircuitBreakerMiddleware::keyed(registry.keyed("api"), |request: &Request| {
        request.method().clone()
    })
    .classify(|result: &::reqwest_middleware::Result<Response>| match result {
        Ok(answer) if answer.status() == 404 => Outcome::failure(Kind::ClientError),
        result => Reqwest.classify(result),
    });
    let client = ClientBuilder::new(client()).with(by_method).build();
    client.get(&url).send().await.unwrap();
    client.post(&url).send().await.unwrap();
    let kinds = |method| registry.keyed("api").breaker(&[method]).snapshot().kinds;
    assert_eq!(kinds("GET"), [(Kind::ClientError, 1)]);
    assert_eq!(kinds("POST"), [], "405: it answered, and that is a success");
}

/// Says of every error that it comes from further in.
struct Wraps;

#[derive(Debug)]
struct Wrapped(Error);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("wrapped")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[async_trait::async_trait]
impl Middleware for Wraps {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut axum::http::Extensions,
        next: Next<'_>,
    ) -> ::reqwest_middleware::Result<Response> {
        next.run(request, extensions).await.map_err(|error| Error::middleware(Wrapped(error)))
    }
}

#[tokio::test]
async fn what_other_middleware_wraps_is_found() {
    let settings = || Settings::builder().failure_threshold(1);
    let (outer, inner) = (breaker(settings().failure_threshold(5)), breaker(settings()));
    let client = ClientBuilder::new(client())
        .with(Wraps)
        .with(CircuitBreakerMiddleware::new(outer.clone()))
        .with(Wraps)
        .with(CircuitBreakerMiddleware::new(inner.clone()))
        .build();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/");

    let lost = client.get(&url).send().await.unwrap_err();
    assert!(unavailable(&lost).is_none());
    let refused = client.get(&url).send().await.unwrap_err();
    assert!(unavailable(&refused).unwrap().is_refusal());
    for breaker in [&inner, &outer] {
        assert_eq!(breaker.snapshot().counters.failures[Kind::Connect.index()], 1);
    }
    assert_eq!(outer.snapshot().counters.neutral, 1, "another's refusal is no evidence");

    let judge = |error| Reqwest.classify(&Err(error));
    let unknown = judge(Error::middleware(std::io::Error::other("no token")));
    assert_eq!(unknown, Outcome::failure(Kind::OTHER));
    let late = judge(Error::middleware(Unavailable::TimedOut));
    assert_eq!(late, Outcome::failure(Kind::Timeout));
}
