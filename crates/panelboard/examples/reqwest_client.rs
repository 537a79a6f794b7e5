//! Guards a reqwest client:
//! `cargo run -p panelboard --features reqwest-middleware --example reqwest_client`.
//!
//! One of two hosts fails, then asks to be left alone for a while. Each host has a breaker of its
//! own, so the other goes on as if nothing had happened; the code that sends requests knows nothing
//! of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use panelboard::reqwest_middleware::{CircuitBreakerMiddleware, unavailable};
use panelboard::{Registry, Unavailable};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let client = ClientBuilder::new(reqwest::Client::builder().no_proxy().build()?)
        .with(CircuitBreakerMiddleware::per_host(registry.keyed("http")))
        .build();

    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let flaky = serve(get(move || {
        let n = count.fetch_add(1, Ordering::Relaxed);
        async move {
            match n {
                // It asks to wait: that paces its circuit, and opens nothing.
                1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]),
                3.. => (StatusCode::INTERNAL_SERVER_ERROR, [("retry-after", "30")]),
                _ => (StatusCode::OK, [("retry-after", "0")]),
            }
        }
    }));
    let (flaky, healthy) = (flaky.await?, serve(get(|| async { "hello" })).await?);

    for round in 0..18 {
        println!("{round:>2}: {}; {}", ask(&client, &flaky).await, ask(&client, &healthy).await);
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    println!("\nthe flaky host was asked {} times", asked.load(Ordering::Relaxed));
    for breaker in registry.breakers() {
        println!("\n{}", breaker.explain());
    }
    Ok(())
}

async fn ask(client: &ClientWithMiddleware, url: &str) -> String {
    match client.get(url).send().await {
        Ok(answer) => format!("it says {}", answer.status()),
        Err(error) => match unavailable(&error).and_then(Unavailable::retry_after) {
            Some(wait) => format!("refused; come back in {wait:?}"),
            None => error.to_string(),
        },
    }
}

async fn serve(handler: axum::routing::MethodRouter) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let app = Router::new().route("/", handler);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}
