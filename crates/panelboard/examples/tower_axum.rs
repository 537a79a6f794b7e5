//! Guards an axum handler: `cargo run -p panelboard --features reqwest --example tower_axum`.
//!
//! The handler asks a database that goes away and comes back. A stack around it keeps callers from
//! waiting for what will not come: they are told at once, and when to come back.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use panelboard::classify::Http;
use panelboard::policy::bulkhead::Bulkhead;
use panelboard::policy::stack::Stack;
use panelboard::{CircuitBreaker, Settings, Unavailable};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let breaker = CircuitBreaker::new(
        "users",
        Settings::builder()
            .failure_threshold(3)
            .recovery_timeout(Duration::from_millis(600))
            .success_threshold(1)
            .ramp(None)
            .build()?,
    );
    let stack = Stack::builder("users")
        .bulkhead(Bulkhead::new(20)?)
        .circuit_breaker(breaker.clone())
        .timeout(Duration::from_millis(100))
        // By status: a 404 is an answer, a 500 a failure.
        .classify(Http)
        .build()?;

    let requests = Arc::new(AtomicU32::new(0));
    let app = Router::new().route("/user", get(user)).with_state(Arc::clone(&requests)).layer(
        ServiceBuilder::new()
            // Outside of the stack: what it refuses becomes a 503, 504 or 429 with `Retry-After`.
            .layer(HandleErrorLayer::new(|error: Unavailable| async move { error.to_response() }))
            .layer(stack.layer()),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/user", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client = reqwest::Client::builder().no_proxy().build()?;
    for call in 0..16 {
        let answer = client.get(&url).send().await?;
        let (status, retry_after) = (answer.status(), answer.headers().get("retry-after").cloned());
        let wait = retry_after.map_or_else(String::new, |secs| format!(", retry after {secs:?} s"));
        println!("{call:>2}: {status}{wait}: {}", answer.text().await?.trim_end());
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    println!("\nthe handler was asked {} times", requests.load(Ordering::Relaxed));
    println!("{}", breaker.explain());
    Ok(())
}

/// Its database is fine, then slow, then broken, then fine.
async fn user(State(requests): State<Arc<AtomicU32>>) -> Result<&'static str, StatusCode> {
    match requests.fetch_add(1, Ordering::Relaxed) {
        3 => pending().await,
        4..6 => Err(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Ok("Ada"),
    }
}
