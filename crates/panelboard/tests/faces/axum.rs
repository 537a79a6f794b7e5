use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use panelboard::classify::Http;
use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::rate_limit::RateLimit;
use panelboard::policy::stack::Stack;
use panelboard::{CircuitBreaker, PhaseName, Settings, Unavailable};
use tokio::sync::Notify;
use tower::ServiceBuilder;

use super::{client, serve};

/// Answers with the status that it is asked for, or not at all.
async fn handler(Path(status): Path<u16>) -> StatusCode {
    match status {
        0 => pending().await,
        status => StatusCode::from_u16(status).unwrap(),
    }
}

#[tokio::test]
async fn a_guarded_handler_says_what_is_the_matter_and_when_to_come_back() {
    let settings = Settings::builder()
        .failure_threshold(3)
        .recovery_timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    let breaker = CircuitBreaker::new("users", settings);
    let stack = Stack::builder("users").circuit_breaker(breaker.clone()).classify(Http);
    let guard = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(|error: Unavailable| async move { error.to_response() }))
        .layer(stack.build().unwrap().layer());
    let app = Router::new().route("/{status}", get(handler)).layer(guard);
    let (server, client) = (serve(app).await, client());
    let get = async |status| client.get(format!("http://{server}/{status}")).send().await.unwrap();

    assert_eq!(get(404).await.status(), 404, "no failure");
    for _ in 0..3 {
        assert_eq!(get(500).await.status(), 500);
    }
    assert_eq!(breaker.phase(), PhaseName::Open);
    let refused = get(200).await;
    assert_eq!(refused.status(), 503);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((24..=36).contains(&wait), "30 s, jittered: {wait}");
    assert_eq!(refused.text().await.unwrap(), "Service Unavailable\n");
    assert_eq!(breaker.snapshot().counters.admitted, 4);
}

#[tokio::test]
async fn what_the_limits_refuse_has_a_status_each() {
    let arrived = Arc::new(Notify::new());
    let stack = Stack::builder("users")
        .rate_limit(RateLimit::new(3, Duration::from_secs(3_600), 3).unwrap())
        .bulkhead(Bulkhead::new(1).unwrap())
        .build()
        .unwrap();
    let guard = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(|error: Unavailable| async move { error.to_response() }))
        .layer(stack.layer());
    let arrival = Arc::clone(&arrived);
    let endless = move || async move {
        arrival.notify_one();
        pending::<&str>().await
    };
    let app = Router::new().route("/{status}", get(handler)).route("/", get(endless)).layer(guard);
    let (server, client) = (serve(app).await, client());
    let get = async |status| client.get(format!("http://{server}/{status}")).send().await.unwrap();

    let endless = tokio::spawn(client.get(format!("http://{server}/")).send());
    arrived.notified().await;
    assert_eq!(get("204").await.status(), 503, "the bulkhead is full");
    endless.abort();
    let limited = loop {
        // Each spends from the rate limit, whether the server has noticed by now or not.
        let answer = get("204").await;
        if ![204, 503].contains(&answer.status().as_u16()) {
            break answer;
        }
    };
    assert_eq!(limited.status(), 429);
    assert!(limited.headers().contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_a_gateway_timeout() {
    let stack = Stack::builder("users").timeout(Duration::from_secs(1)).build().unwrap();
    let guard = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(|error: Unavailable| async move { error.to_response() }))
        .layer(stack.layer());
    let app = Router::new().route("/{status}", get(handler)).layer(guard);
    let server = serve(app).await;
    let answer = client().get(format!("http://{server}/0")).send().await.unwrap();
    assert_eq!(answer.status(), 504);
}
