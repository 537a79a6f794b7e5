//! Guards futures, with a timeout per attempt: `cargo run -p panelboard --example asynchronous`.
//!
//! Twenty callers share one breaker. While it is half-open, one of them probes and the others are
//! refused.

use std::time::Duration;

use panelboard::event::What;
use panelboard::{CircuitBreaker, Error, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let search = CircuitBreaker::new(
        "search",
        Settings::builder()
            .timeout(Duration::from_millis(50))
            .failure_threshold(5)
            .recovery_timeout(Duration::from_millis(300))
            .success_threshold(1)
            .build()?,
    );

    let mut events = search.subscribe();
    let log = tokio::spawn(async move {
        while let Ok(event) = events.next().await {
            if let What::Transition { from, to, cause, .. } = &event.what {
                println!("event: {from} → {to} ({})", cause.name());
            }
        }
    });

    for (round, latency) in [10, 500, 500, 10, 10, 10].into_iter().enumerate() {
        let calls = (0..20).map(|_| {
            let search = search.clone();
            tokio::spawn(async move { search.call_async(query(latency)).await })
        });
        let (mut answered, mut timed_out, mut refused) = (0, 0, 0);
        for call in calls.collect::<Vec<_>>() {
            match call.await? {
                Ok(_) => answered += 1,
                Err(Error::TimedOut) => timed_out += 1,
                Err(_) => refused += 1,
            }
        }
        println!("round {round}: {answered} answered, {timed_out} timed out, {refused} refused");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    log.abort();
    Ok(())
}

/// A search that takes so many milliseconds.
async fn query(latency: u64) -> Result<&'static str, std::io::Error> {
    tokio::time::sleep(Duration::from_millis(latency)).await;
    Ok("three hits")
}
